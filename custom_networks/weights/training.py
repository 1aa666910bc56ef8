"""What a training says of itself, and the record that its weights get."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from custom_networks.errors import UserError
from custom_networks.files import sha256
from custom_networks.weights.normalization import Normalization
from custom_networks.weights.reading import record_of
from custom_networks.weights.record import VERSION, Software, TrainingData, WeightsRecord, kept_by_json
from custom_networks.weights.segments import SegmentCode

if TYPE_CHECKING:
    from torch import nn

THREADS = 8


@dataclass(frozen=True)
class About:
    """What a configuration knows of a training beside its settings.

    Args:
        normalization: of the images.
        classes: names of the foreground classes by number, numbers as text; empty for one class.
        items: what is trained on, `{"image": path, ...}` each.
        datalist: that lists it; None for a folder.
        bit_depth: of its grey images stored in 16 bits; None where there are none.
        started_from: weights whose training this one continues; None for random numbers.
        label_kind: of the labels.
        segments: DICOM codes of the classes, as a datalist has them.
    """

    normalization: Normalization | None = None
    classes: Mapping[str, str] = field(default_factory=dict)
    items: Sequence[Mapping[str, Any]] = ()
    datalist: str | Path | None = None
    bit_depth: int | None = None
    started_from: str | Path | None = None
    label_kind: str | None = None
    segments: Mapping[str, Any] = field(default_factory=dict)

    @functools.cached_property
    def data(self) -> TrainingData | None:
        """The training images by content; None where they are not known. Reads every file, once."""
        if not self.items:
            return None
        listed = sha256(os.path.expanduser(self.datalist)) if self.datalist else None  # noqa: PTH111
        images = sorted(set(image_hashes(image_paths(self.items)).values()))
        earlier: list[str] | None = []
        if self.started_from:
            before = record_of(self.started_from).data
            earlier = before.all_images() if before else None
        return TrainingData(images=images, earlier=earlier, labels=_hash_of_pairs(self.items), datalist=listed)

    def record(self, network: nn.Module, settings: Mapping[str, Any], metrics: Mapping[str, float]) -> WeightsRecord:
        """Make the record of weights.

        Args:
            network: that has them.
            settings: every knob and override.
            metrics: row of the best epoch.

        Returns:
            The record.
        """
        from custom_networks.weights.network import network_arguments

        return WeightsRecord(
            version=VERSION,
            network=network_arguments(network),
            software=Software.at_work(),
            normalization=self.normalization,
            bit_depth=self.bit_depth,
            classes={str(number): str(name) for number, name in self.classes.items()},
            label_kind=self.label_kind,
            segments={number: SegmentCode.model_validate(code) for number, code in self.segments.items()},
            metrics={name: float(value) for name, value in metrics.items()},
            settings=kept_by_json(dict(settings)),
            data=self.data,
        )


def image_paths(items: Iterable[Mapping[str, Any]]) -> list[str]:
    """List the image files of items; an item may have one or a list of them."""
    return [path for item in items for path in _paths(item, "image")]


def _paths(item: Mapping[str, Any], part: str) -> list[str]:
    named = item.get(part, [])
    return [str(path) for path in (named if isinstance(named, list | tuple) else [named])]


def _hash_of_pairs(items: Sequence[Mapping[str, Any]]) -> str | None:
    """Hash images with their labels, so that an edited or swapped label is noticed; None for images alone."""
    files = [_paths(item, "image") + _paths(item, "label") for item in items]
    if not any("label" in item for item in items):
        return None
    hashes = image_hashes([path for paths in files for path in paths])
    pairs = sorted(" ".join(hashes[path] for path in paths) for paths in files)
    return hashlib.sha256("\n".join(pairs).encode()).hexdigest()


def image_hashes(paths: Sequence[str]) -> dict[str, str]:
    """Return the SHA-256 of each file by its path, read in threads; a file that has not changed is read once.

    Raises:
        UserError: for a file that cannot be read.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        return dict(zip(paths, pool.map(_image_hash, paths), strict=True))


def _image_hash(path: str) -> str:
    try:
        stat = os.stat(path)  # noqa: PTH116
        return _hash(path, stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None


@functools.lru_cache(maxsize=1 << 17)
def _hash(path: str, modified: int, size: int) -> str:
    return sha256(path)
