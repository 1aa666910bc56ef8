"""What one training run writes down: its folder, its settings, a row of figures per epoch, its best epoch."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from filelock import FileLock

from custom_networks.configuration.merged import Configuration
from custom_networks.errors import UserError
from custom_networks.files import remove_unfinished, write_atomically, write_json
from custom_networks.flags import flag
from custom_networks.processes import from_first, rank
from custom_networks.run.folder import SETTINGS, claim_folder, folder_to_resume, lock_folder
from custom_networks.typed_files import RESTORE, read_table
from custom_networks.weights.record import BEST, LAST, WeightsRecord

METRICS, CONFIG, DESCRIPTION, SHEET = "metrics.csv", "config.json", "model.json", "sheet.png"
EpochRow = dict[str, float]


@dataclass
class RunRecord:
    """The run that the handlers of a trainer share. Of several processes, only the first writes.

    Args:
        output_dir: folder of the run; None claims a new one in `runs_dir` when the run starts.
        model_path: where the best weights are published, `models/model.pt` of the bundle.
        settings: every knob and its value.
        configuration: that the run was started with; None where another program than a command line drives it.
        runs_dir: folder of all runs.
        resume: False for a new run; True, or a path, for one that is resumed, see `folder_to_resume`.
        key_metric: validation metric, larger is better, that chooses the best epoch.
    """

    output_dir: str | Path | None
    model_path: str | Path
    settings: Mapping[str, Any]
    configuration: Configuration | None = None
    runs_dir: str | Path = "runs"
    resume: bool | str | Path = False
    key_metric: str = "val_mean_dice"
    rows: list[EpochRow] = field(default_factory=list)
    best: EpochRow = field(default_factory=dict)
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    tracking_id: str | None = None
    lock: FileLock | None = None

    def __post_init__(self) -> None:
        self.model_path = Path(self.model_path)
        self.resume = flag(self.resume)
        given = {} if self.configuration is None else self.configuration.overrides
        self.settings = {**{name: value for name, value in given.items() if name not in self.settings}, **self.settings}

    @property
    def folder(self) -> Path:
        """Folder of the run; known once the run is open."""
        if self.output_dir is None:
            raise RuntimeError("the run has no folder before it is opened")
        return Path(self.output_dir)

    @property
    def metrics_path(self) -> Path:
        """CSV with a row per epoch."""
        return self.folder / METRICS

    @property
    def last_validated(self) -> EpochRow:
        """Row of the last epoch that was validated; empty before the first one."""
        return next((row for row in reversed(self.rows) if self.key_metric in row), {})

    def open(self) -> None:
        """Find the folder to resume, or claim a new one, and lock it; the first process does it for all.

        Raises:
            UserError: where there is nothing to resume, another process works there, or it cannot be written.
        """
        folder, self.run_id = from_first(lambda: (self._own_folder(), self.run_id))
        self.output_dir = folder
        self.settings = {**self.settings, "output_dir": str(folder)}

    def _own_folder(self) -> Path:
        if self.resume:
            folder = folder_to_resume(self.runs_dir, self.resume, self.output_dir)
        elif self.output_dir is None:
            folder = claim_folder(self.runs_dir)
        else:
            folder = Path(self.output_dir)
        if self.lock is None:
            self.lock = lock_folder(folder)
            remove_unfinished(folder, (LAST, BEST, DESCRIPTION, METRICS, SETTINGS, CONFIG))
        return folder

    def close(self) -> None:
        """Let others work in the folder."""
        if self.lock is not None:
            self.lock.release()
            self.lock = None

    def write_settings(self) -> None:
        """Write `settings.json`, every knob and its value, and `config.json`, the merged configuration."""
        if rank() > 0:
            return
        write_json(self.folder / SETTINGS, self.settings)
        if self.configuration is not None:
            write_json(self.folder / CONFIG, self.configuration.merged)

    def add(self, row: EpochRow) -> bool:
        """Add an epoch's row and write the CSV; returns whether the epoch is the best so far."""
        self.rows.append(row)
        self.write_rows()
        better = self.key_metric in row and row[self.key_metric] > self.best.get(self.key_metric, float("-inf"))
        if better:
            self.best = row
        return better

    def write_rows(self) -> None:
        """Write the CSV with a column per figure; what an epoch did not measure stays empty."""
        if rank() > 0:
            return
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        lines: list[list[Any]] = [list(columns), *([row.get(name, "") for name in columns] for row in self.rows)]

        def write(file: IO[bytes]) -> None:
            text = "\n".join(",".join(_cell(value) for value in line) for line in lines)
            file.write(text.encode() + b"\n")

        write_atomically(self.metrics_path, write)

    def resume_at(self, epoch: int, best: EpochRow, stored: WeightsRecord) -> None:
        """Go on with the run that a checkpoint records: its identity, its overrides, its rows up to an epoch."""
        self.run_id = stored.run_id or self.run_id
        self.settings = {**stored.settings, **self.settings}
        self.best = best
        self.rows = [row for row in read_metrics(self.metrics_path) if row["epoch"] <= epoch]


def read_metrics(path: Path) -> list[EpochRow]:
    """Read the rows of a `metrics.csv`; empty where there is none.

    Raises:
        UserError: naming the row and column of what is no number, and of an epoch that is no whole one.
    """
    if not path.is_file():
        return []
    rows = []
    for number, cells in enumerate(read_table(path, ["epoch"]), start=2):
        row = {}
        for name, cell in cells.items():
            try:
                value = float(cell) if cell else None
            except ValueError:
                raise UserError(f"{path}: row {number}, {name!r}: {cell[:40]!r} is not a number; {RESTORE}") from None
            if value is not None:
                row[name] = value
        epoch = row.get("epoch", math.nan)
        if not (math.isfinite(epoch) and epoch == int(epoch) >= 0):
            raise UserError(f"{path}: row {number}, 'epoch': must be a whole number from 0 up; {RESTORE}")
        rows.append(row)
    return rows


def _cell(value: Any) -> str:
    return f"{value:.8g}" if isinstance(value, float) else str(value)
