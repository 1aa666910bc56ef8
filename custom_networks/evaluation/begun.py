"""Who may write into an evaluation's folder: a finished one stays, one that was stopped is made again by its command.

A folder holds `begun.json` while it is evaluated, and `summary.json` once everything is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from custom_networks.errors import UserError
from custom_networks.files import lock_file, write_json
from custom_networks.statistics.per_image import PER_IMAGE
from custom_networks.typed_files import FileModel, Json, read_model
from custom_networks.weights.record import kept_by_json

SUMMARY_JSON = "summary.json"
BEGUN, LOCK = "begun.json", ".evaluate.lock"
FREE = {"output_dir", "overwrite", "device", "num_workers", "cache_dir", "tracking_uri", "bundle_root"}
FREE |= {"model_path", "runs_dir", "tracking_uri", "max_epochs"}
"""Settings in which a command may differ from the one that was stopped: where files lie, and the machine."""
FIX = "choose another --output_dir, or add --overwrite true"


class _Begun(FileModel):
    version: Literal[1] = 1
    settings: dict[str, Json]


class EvaluationFolder:
    """The folder that an evaluation writes into.

    Args:
        folder: may be missing.
        settings: of the evaluation, the hash of its weights among them.
        overwrite: whether a finished evaluation, or an unfinished one of other settings, may be replaced.

    Raises:
        UserError: for a folder that holds an evaluation that may not be replaced.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], overwrite: bool) -> None:
        self.folder = folder
        self.settings = kept_by_json({name: value for name, value in settings.items() if name not in FREE})
        self.overwrite = overwrite
        self._lock: FileLock | None = None
        self._refuse()

    def _refuse(self) -> None:
        if self.overwrite:
            return
        if (self.folder / SUMMARY_JSON).exists():
            with suppress(OSError):  # of one that was killed at its very end
                (self.folder / BEGUN).unlink(missing_ok=True)
            raise UserError(f"{self.folder}: already holds an evaluation; {FIX}")
        if (self.folder / BEGUN).exists():
            before = read_model(self.folder / BEGUN, _Begun, fix=FIX).settings
            for name in {**before, **self.settings}:
                was, now = before.get(name), self.settings.get(name)
                if was != now:
                    raise UserError(
                        f"{self.folder}: holds an evaluation that was stopped before its end, with {name} {was!r} (now "
                        f"{now!r}); go on with the same, {FIX}"
                    )
        elif (self.folder / PER_IMAGE).exists():
            raise UserError(f"{self.folder}: already holds an evaluation that was stopped before its end; {FIX}")

    def begin(self) -> None:
        """Lock the folder for this process, and note what is evaluated; from now on nothing in it is complete.

        Raises:
            UserError: while another process evaluates into it, or has just done so, or where it cannot be written.
        """
        busy = f"another process evaluates into this folder; wait for its end, or {FIX.partition(',')[0]}"
        self._lock = lock_file(self.folder / LOCK, busy, fix=FIX.partition(",")[0])
        self._refuse()
        write_json(self.folder / BEGUN, {"version": 1, "settings": self.settings})
        for name in (SUMMARY_JSON, PER_IMAGE):
            (self.folder / name).unlink(missing_ok=True)

    def end(self, summary: Mapping[str, Any]) -> None:
        """Write the summary, which tells that the evaluation is complete.

        Args:
            summary: content of `summary.json`.
        """
        write_json(self.folder / SUMMARY_JSON, summary)
        (self.folder / BEGUN).unlink(missing_ok=True)

    def release(self) -> None:
        """Let others evaluate into the folder."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None
