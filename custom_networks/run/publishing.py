"""Publish a run's best weights as the bundle's `models/model.pt`, without losing weights from elsewhere."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from custom_networks.errors import UserError
from custom_networks.files import lock_file, remove_unfinished, sha256, unfinished, write_atomically
from custom_networks.weights.reading import UNKNOWN, record_of
from custom_networks.weights.record import BEST


@contextlib.contextmanager
def publishing(target: Path) -> Iterator[None]:
    """Let one process at a time publish, so that weights and their record are of the same run.

    Raises:
        UserError: where the folder cannot be written.
    """
    lock = lock_file(target.with_name(f".{target.name}.lock"), fix="choose another --model_path")
    try:
        remove_unfinished(target.parent, (target.name, target.with_suffix(".json").name))
        yield
    finally:
        if lock is not None:
            lock.release()


def keep_stranger(target: Path, run_id: str, own: Path) -> None:
    """Keep published weights that no run's folder holds, weights from elsewhere, as `model.previous.pt` beside.

    Whose they are is what their record (the `.json` beside them) says, as long as it fits their content.

    Args:
        target: published weights, if any.
        run_id: of the run that is about to publish.
        own: its best weights so far, if any.
    """
    if not target.is_file():
        return
    try:
        record = record_of(target)
    except UserError:  # a damaged record tells nothing
        record = UNKNOWN
    content = sha256(target)
    copies = [own, *([Path(record.settings["output_dir"]) / BEST] if record.settings.get("output_dir") else [])]
    if record.run_id == run_id and record.sha256 == content:
        return
    if any(copy.is_file() and sha256(copy) == content for copy in copies):
        return
    kept = _free(target)
    if target.with_suffix(".json").is_file():  # first, so that a process killed here leaves a pair all the same
        target.with_suffix(".json").replace(kept.with_suffix(".json"))
    target.replace(kept)


def _free(target: Path) -> Path:
    """Name to keep weights by: `model.previous.pt`, `model.previous_2.pt` where there are some already, and so on."""
    number = 1
    while (kept := target.with_suffix(f".previous{'' if number == 1 else f'_{number}'}.pt")).exists():
        number += 1
    return kept


def publish(best: Path, target: Path) -> None:
    """Make `target` the same file as `best` (a hard link where the disk can, else a copy), atomically.

    Args:
        best: weights in the folder of the run.
        target: where the bundle expects them.

    Raises:
        UserError: where the target cannot be written.
    """
    temporary = unfinished(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(best, temporary)
        temporary.replace(target)
    except OSError:
        write_atomically(target, lambda file: file.write(best.read_bytes()))
    finally:
        temporary.unlink(missing_ok=True)
