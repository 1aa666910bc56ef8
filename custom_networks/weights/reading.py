"""Find the record of weights, and look up what evaluation, prediction and export follow."""

from __future__ import annotations

import functools
import logging
import zipfile
from pathlib import Path
from typing import Any

from custom_networks.errors import UserError
from custom_networks.files import sha256
from custom_networks.typed_files import read_model
from custom_networks.weights.normalization import ISIC, Normalization
from custom_networks.weights.record import BEST, FIX, KEY, LAST, LIMIT, THRESHOLD, WeightsRecord, parse_record
from custom_networks.weights.segments import SegmentCode, codes_of_classes

logger = logging.getLogger(__name__)

UNKNOWN = WeightsRecord()
"""Stands for a record where there is none."""


def record_of(checkpoint: str | Path) -> WeightsRecord:
    """Find the record of weights: the `.json` of the same name beside them, or what `last.pt` holds itself.

    Args:
        checkpoint: weights, or `last.pt` of a run; the file need not exist.

    Returns:
        The record; `UNKNOWN` where there is none.

    Raises:
        UserError: naming file and key of a record that cannot be read, or was written by a newer version.
    """
    path = Path(checkpoint)
    beside = path.with_suffix(".json")
    if beside.is_file():
        return _read(beside, *_stamp(beside))
    if path.is_file() and zipfile.is_zipfile(path):
        found = _inside(path, *_stamp(path))
        if found is not None:
            return found
    best = path.with_name(BEST).with_suffix(".json")
    return _read(best, *_stamp(best)) if path.name == LAST and best.is_file() else UNKNOWN


def check_content(checkpoint: str | Path) -> None:
    """Refuse weights whose bytes are not those that their record was written for: damaged, or of another training.

    Args:
        checkpoint: the weights; those without a record beside them, or one without a hash, pass.

    Raises:
        UserError: where the SHA-256 differs, or the record cannot be read.
    """
    path = Path(checkpoint)
    beside = path.with_suffix(".json")
    expected = record_of(path).sha256 if path.is_file() and beside.is_file() else None
    if expected is not None and _content(path, *_stamp(path)) != expected:
        raise UserError(
            f"{path}: not the weights that {beside.name} beside it was written for (the sha256 differs), so they are "
            "damaged or of another training; copy both files again from the run"
        )


@functools.lru_cache(maxsize=32)
def _content(path: Path, modified: int, size: int) -> str:
    return sha256(path)


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


@functools.lru_cache(maxsize=32)
def _read(path: Path, modified: int, size: int) -> WeightsRecord:
    return read_model(path, WeightsRecord, fix=FIX, limit=LIMIT)


@functools.lru_cache(maxsize=32)
def _inside(path: Path, modified: int, size: int) -> WeightsRecord | None:
    from custom_networks.network.weights import read_checkpoint

    content = read_checkpoint(path, mapped=True)
    return parse_record(content[KEY], path) if isinstance(content, dict) and KEY in content else None


def setting_of(checkpoint: str | Path, name: str, default: Any) -> Any:
    """Look up one setting of a checkpoint's training, so that what comes after follows it.

    Args:
        checkpoint: the weights.
        name: of the knob.
        default: where the training is not known.

    Returns:
        The value.
    """
    return record_of(checkpoint).settings.get(name, default)


def trained_size(checkpoint: str | Path) -> int:
    """Return the image size that weights were trained at, pixels; the paper's where that is not known."""
    return record_of(checkpoint).image_size


def trained_normalization(checkpoint: str | Path) -> Normalization:
    """Return how images were normalised in training; ISIC's figures, with a warning, where that is not known."""
    found = record_of(checkpoint).normalization
    if found is None and Path(checkpoint).is_file():  # the loader says that it is missing
        _tell_unknown_normalization(Path(checkpoint))
    return found or ISIC


@functools.cache
def _tell_unknown_normalization(path: Path) -> None:
    logger.warning("%s: no .json tells how images were normalised; ISIC's figures are used", path)


def trained_depth(checkpoint: str | Path) -> int | None:
    """Return the bit depth of the grey images that weights were trained on; None where none was stored in 16 bits."""
    return record_of(checkpoint).bit_depth


def trained_threshold(checkpoint: str | Path) -> float:
    """Return the probability from which a pixel is foreground: what was chosen for the weights, or 0.5."""
    found = record_of(checkpoint).threshold
    return THRESHOLD if found is None else found


def trained_outputs(checkpoint: str | Path) -> int:
    """Count the outputs of weights: 1 for object or background, else the classes, background included.

    Args:
        checkpoint: the weights; their first head tells it where the record does not.

    Returns:
        `out_channels` of the network; 1 where there are no weights.

    Raises:
        UserError: for weights that cannot be read.
    """
    network = record_of(checkpoint).network or {}
    if "out_channels" in network:
        return int(network["out_channels"])
    if not Path(checkpoint).is_file():
        return 1
    from custom_networks.network.weights import read_state_dict

    head = read_state_dict(checkpoint, mapped=True).get("heads.0.weight")
    return 1 if head is None else len(head)


def takes_clicks(checkpoint: str | Path) -> bool:
    """Tell whether weights are those of an interactive network.

    Args:
        checkpoint: the weights.

    Returns:
        False where there are no weights.

    Raises:
        UserError: for weights that cannot be read.
    """
    if not Path(checkpoint).is_file():
        return False
    from custom_networks.network.interactive import FUSION
    from custom_networks.network.weights import read_state_dict

    return any(name.startswith(FUSION) for name in read_state_dict(checkpoint, mapped=True))


def trained_codes(checkpoint: str | Path) -> dict[int, SegmentCode]:
    """Tell the DICOM code of each class of weights; raises as `trained_classes`."""
    record = record_of(checkpoint)
    return codes_of_classes(trained_classes(checkpoint), record.label_kind, record.segments)


def trained_classes(checkpoint: str | Path) -> dict[int, str]:
    """Name the foreground classes that weights tell apart.

    Args:
        checkpoint: the weights; their record has the names, numbers stand in for those it has not.

    Returns:
        Names by number from 1; empty for weights of one class.

    Raises:
        UserError: for weights that cannot be read.
    """
    names = record_of(checkpoint).classes
    return {number: names.get(str(number), str(number)) for number in range(1, trained_outputs(checkpoint))}
