"""What a report is made of: the files of an evaluation, of the training behind it, or of a training alone."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from custom_networks.errors import UserError
from custom_networks.evaluation.results import SUMMARY_JSON
from custom_networks.run.record import METRICS, SETTINGS
from custom_networks.run.summary import SHEET
from custom_networks.run.tracking import RUN_ID
from custom_networks.statistics.per_image import PER_IMAGE, read_per_image
from custom_networks.weights.reading import record_of
from custom_networks.weights.record import BEST

Row = dict[str, float]


@dataclass(frozen=True)
class Training:
    """A training run as its folder tells it.

    Attributes:
        folder: of the run; None where only the weights' `.json` is left.
        settings: every knob and its value.
        rows: figures of each epoch.
        best: row of the best epoch; empty before the first.
        tracking: MLflow store and run, where the run is tracked.
    """

    folder: Path | None
    settings: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    best: Row = field(default_factory=dict)
    tracking: tuple[str, str] | None = None

    @property
    def progress(self) -> str | None:
        """A sentence where the run has not done all its epochs; None where it has, or nobody knows."""
        wanted = self.settings.get("max_epochs")
        done = int(self.rows[-1]["epoch"]) if self.rows else 0
        if self.folder is None or not isinstance(wanted, int) or done >= wanted:
            return None
        return (
            f"This run has done {done} of {wanted} epochs: it is still training, or was stopped. The figures below are "
            "those of now; make the report again when it is done."
        )

    @property
    def sheet(self) -> Path | None:
        """The picture sheet, where the run is over."""
        path = self.folder / SHEET if self.folder else None
        return path if path is not None and path.is_file() else None


@dataclass(frozen=True)
class Run:
    """All that a report can show.

    Attributes:
        folder: that was asked for.
        about: content of an evaluation's `summary.json`; empty for a training.
        frame: its per-image table.
        training: behind it, where known.
    """

    folder: Path
    about: dict[str, Any]
    frame: pd.DataFrame | None
    training: Training | None

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.resolve().name


def collect(run: str | Path) -> Run:
    """Read the folder of an evaluation or of a training.

    Args:
        run: the folder.

    Returns:
        What is there.

    Raises:
        UserError: for a folder that is missing or neither, and for files that cannot be read.
    """
    folder = Path(run)
    if not folder.is_dir():
        raise UserError(f"{run}: no such folder; give that of an evaluation or of a training")
    if (folder / SUMMARY_JSON).is_file() and (folder / PER_IMAGE).is_file():
        about = _read_json(folder / SUMMARY_JSON)
        if "metrics" not in about or "images" not in about:
            raise UserError(f"{folder / SUMMARY_JSON}: not written by `sgdnet evaluate`; evaluate again")
        return Run(folder, about, read_per_image(folder), _behind(about.get("checkpoint", {})))
    if (folder / METRICS).is_file() or (folder / SETTINGS).is_file():
        return Run(folder, {}, None, read_training(folder))
    raise UserError(
        f"{folder}: neither {SUMMARY_JSON} of an evaluation nor {METRICS} of a training in it; give the --output_dir "
        "of `sgdnet evaluate` or the folder of a run"
    )


def read_training(folder: Path) -> Training:
    """Read a run's folder, whether it is over or still training."""
    settings = _read_json(folder / SETTINGS) if (folder / SETTINGS).is_file() else {}
    rows = read_rows(folder / METRICS) if (folder / METRICS).is_file() else []
    recorded = {name: value for name, value in record_of(folder / BEST).metrics.items() if value is not None}
    best = recorded or max(rows, key=lambda row: row.get("val_mean_dice", -1), default={})
    identity = folder / RUN_ID
    uri = settings.get("tracking_uri")
    tracking = (str(uri), identity.read_text().strip()) if uri and identity.is_file() else None
    return Training(folder, settings, rows, best, tracking)


def read_rows(path: Path) -> list[Row]:
    """Read `metrics.csv`; raises UserError where a cell is no number."""
    with path.open(newline="", encoding="utf-8") as file:
        try:
            return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
        except (TypeError, ValueError) as error:
            raise UserError(f"{path}: not a table of numbers ({error}); restore it from the run") from None


def _behind(checkpoint: dict[str, Any]) -> Training | None:
    """Training of an evaluated checkpoint: its folder where it is still there, else what the weights' `.json` said."""
    folder = checkpoint.get("training_folder")
    if folder and (Path(folder) / METRICS).is_file():
        return read_training(Path(folder))
    stored = checkpoint.get("training") or {}
    if not stored:
        return None
    best = {name: value for name, value in stored.get("metrics", {}).items() if isinstance(value, int | float)}
    return Training(None, stored.get("settings", {}), best=best)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); make it again") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: not the JSON of a run; make it again")
    return content


def number(value: Any, digits: int = 4) -> str:
    """Write a figure with some significant digits; a dash where there is none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)
