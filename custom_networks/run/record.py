"""What one training run writes down: its folder, its settings, a row of figures per epoch, its best epoch."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from custom_networks.configuration.reading import remembered_config
from custom_networks.files import write_atomically, write_json

METRICS, SETTINGS, CONFIG = "metrics.csv", "settings.json", "config.json"
Row = dict[str, float]


@dataclass
class RunRecord:
    """The run that the handlers of a trainer share.

    Args:
        output_dir: folder of the run.
        model_path: where the best weights are published, `models/model.pt` of the bundle.
        settings: every knob and its value.
        key_metric: validation metric, larger is better, that chooses the best epoch.
    """

    output_dir: str | Path
    model_path: str | Path
    settings: Mapping[str, Any]
    key_metric: str = "val_mean_dice"
    rows: list[Row] = field(default_factory=list)
    best: Row = field(default_factory=dict)
    tracking_id: str | None = None

    def __post_init__(self) -> None:
        self.output_dir = Path(self.output_dir)
        self.model_path = Path(self.model_path)
        self.settings = {name: value for name, value in self.settings.items() if not name.startswith("_")}

    @property
    def folder(self) -> Path:
        """Folder of the run."""
        return Path(self.output_dir)

    @property
    def metrics_path(self) -> Path:
        """CSV with a row per epoch."""
        return self.folder / METRICS

    def write_settings(self) -> None:
        """Write `settings.json`, every knob and its value, and `config.json`, the merged configuration."""
        write_json(self.folder / SETTINGS, self.settings)
        if remembered_config():
            write_json(self.folder / CONFIG, remembered_config())

    def add(self, row: Row) -> bool:
        """Add an epoch's row and write the CSV; returns whether the epoch is the best so far."""
        self.rows.append(row)
        self.write_rows()
        better = self.key_metric in row and row[self.key_metric] > self.best.get(self.key_metric, float("-inf"))
        if better:
            self.best = row
        return better

    def write_rows(self) -> None:
        """Write the CSV with a column per figure."""
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        lines: list[list[Any]] = [list(columns), *([row.get(name, "") for name in columns] for row in self.rows)]

        def write(file: IO[bytes]) -> None:
            text = "\n".join(",".join(_cell(value) for value in line) for line in lines)
            file.write(text.encode() + b"\n")

        write_atomically(self.metrics_path, write)

    def read_rows(self, last_epoch: int) -> None:
        """Read back the rows up to an epoch, when a run is resumed."""
        if self.metrics_path.is_file():
            with self.metrics_path.open(newline="") as file:
                rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
            self.rows = [row for row in rows if row["epoch"] <= last_epoch]


def _cell(value: Any) -> str:
    return f"{value:.8g}" if isinstance(value, float) else str(value)
