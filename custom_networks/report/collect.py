"""What a report is made of: the files of an evaluation or of a training. Nothing outside the folder is read."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import RootModel

from custom_networks.errors import UserError
from custom_networks.evaluation.begun import SUMMARY_JSON
from custom_networks.evaluation.case_maps import CaseMaps, read_case_maps
from custom_networks.evaluation.results import AREA_PNG
from custom_networks.evaluation.summary_file import Summary, TrainingFacts
from custom_networks.evaluation.trained import TRAINING
from custom_networks.metrics.policies import FLAGS
from custom_networks.report.received import file_in, jpeg_of
from custom_networks.run.folder import RUN_ID, SETTINGS
from custom_networks.run.record import DESCRIPTION, METRICS, SHEET, EpochRow, read_metrics
from custom_networks.statistics.per_image import PER_IMAGE, read_per_image
from custom_networks.typed_files import Json, parse_model, read_model, read_text
from custom_networks.weights.reading import record_of

PATIENT = ("patient", "patient_id", "PatientID")
"""Columns of a datalist that number the patients."""


class RunSettings(RootModel[dict[str, Json]]):
    """`settings.json`: every knob and its value."""


@dataclass(frozen=True)
class Training:
    """A training run.

    Attributes:
        settings: every knob and its value.
        rows: figures of each epoch; empty where only the record of the weights is left.
        best: row of the best epoch; empty before the first.
        images: how many it was trained on; None where that is not known.
        run_id: of the MLflow run, as a file of the folder has it.
        sheet: data URI of the picture sheet; empty where there is none.
    """

    settings: dict[str, Any]
    rows: list[EpochRow] = field(default_factory=list)
    best: EpochRow = field(default_factory=dict)
    images: int | None = None
    run_id: str | None = None
    sheet: str = ""

    @property
    def progress(self) -> str | None:
        """A sentence where the run has not done all its epochs; None where it has, or nobody knows."""
        wanted = self.settings.get("max_epochs")
        done = int(self.rows[-1]["epoch"]) if self.rows else 0
        if not isinstance(wanted, int) or done >= wanted:
            return None
        return (
            f"This run has done {done} of {wanted} epochs: it is still training, or was stopped. The figures below are "
            "those of now; make the report again when it is done."
        )


@dataclass(frozen=True)
class Example:
    """An image that is shown in full.

    Attributes:
        id: of the image.
        reasons: why it is shown.
        maps: what is drawn of it.
    """

    id: str
    reasons: list[str]
    maps: CaseMaps


@dataclass(frozen=True)
class Run:
    """All that a report can show.

    Attributes:
        name: of the folder.
        summary: of an evaluation; None for a training.
        frame: its per-image table, indexed by id; empty for a training.
        training: behind it, where known.
        examples: the images that are shown in full.
        thumbnails: data URIs by id.
        areas: data URI of the plot of predicted against true areas; empty where there is none.
    """

    name: str
    summary: Summary | None = None
    frame: pd.DataFrame = field(default_factory=pd.DataFrame)
    training: Training | None = None
    examples: list[Example] = field(default_factory=list)
    thumbnails: dict[str, str] = field(default_factory=dict)
    areas: str = ""

    @property
    def groups(self) -> int | None:
        """How many groups the images come from; None where the table does not tell."""
        return int(self.frame["group"].nunique()) if "group" in self.frame else None

    @property
    def patients(self) -> int | None:
        """How many patients the images come from; None where the table does not tell."""
        column = next((name for name in PATIENT if name in self.frame), None)
        return int(self.frame[column].nunique()) if column else None


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
    name = folder.resolve().name
    about, table = file_in(folder, SUMMARY_JSON), file_in(folder, PER_IMAGE)
    if about and table:
        summary = read_model(about, Summary, fix="evaluate again")
        frame = _table(table, summary)
        stored = summary.checkpoint.training if summary.checkpoint else None
        examples = [
            Example(case.id, list(case.reasons), _maps(folder, case.file, case.id, frame)) for case in summary.cases
        ]
        training = _training(folder / TRAINING, stored) if stored or (folder / TRAINING).is_dir() else None
        areas = file_in(folder, AREA_PNG)
        plot = jpeg_of(areas) if areas else ""
        return Run(name, summary, frame, training, examples, _thumbnails(folder, frame), plot)
    if file_in(folder, METRICS) or file_in(folder, SETTINGS):
        record = record_of(folder / DESCRIPTION) if file_in(folder, DESCRIPTION) else None
        text = json.dumps(record.summary()) if record else "{}"
        return Run(name, training=_training(folder, parse_model(text, TrainingFacts, folder / DESCRIPTION)))
    raise UserError(
        f"{folder}: neither {SUMMARY_JSON} of an evaluation nor {METRICS} of a training in it; give the --output_dir "
        "of `sgdnet evaluate` or the folder of a run"
    )


def _training(folder: Path, record: TrainingFacts | None) -> Training:
    """Read a run's files, whether it is over or still training; the record stands in for what is missing."""
    root = folder.parent if folder.name == TRAINING else folder
    at = "" if root == folder else f"{TRAINING}/"
    settings, metrics, identity, sheet = (file_in(root, at + name) for name in (SETTINGS, METRICS, RUN_ID, SHEET))
    rows = read_metrics(metrics) if metrics else []
    stored = record.metrics if record else {}
    known = {name: value for name, value in stored.items() if value is not None and math.isfinite(value)}
    images = (record.data or {}).get("images") if record else None
    return Training(
        settings=read_model(settings, RunSettings).root if settings else (record.settings if record else {}),
        rows=rows,
        best=known or max(rows, key=lambda row: row.get("val_mean_dice", -1), default={}),
        images=images if isinstance(images, int) else None,
        run_id=read_text(identity, limit=1000).strip() if identity else None,
        sheet=jpeg_of(sheet) if sheet else "",
    )


def _table(path: Path, summary: Summary) -> pd.DataFrame:
    """Read the per-image table; raises UserError where it lacks what the report shows, or is of other images."""
    frame = read_per_image(path)
    for column in ("dice", "sensitivity", "precision", *FLAGS):
        if column not in frame.columns:
            raise UserError(f"{path}: no column {column!r}; evaluate again")
    if len(frame) != summary.images:
        raise UserError(
            f"{path}: has {len(frame)} images, and {SUMMARY_JSON} beside it tells of {summary.images}; they are not of "
            "one evaluation; evaluate again"
        )
    return frame


def _maps(folder: Path, file: str, name: str, frame: pd.DataFrame) -> CaseMaps:
    path = file_in(folder, file)
    if name not in frame.index:
        raise UserError(f"{folder}: {SUMMARY_JSON} and {PER_IMAGE} are not of one evaluation; evaluate again")
    if path is None:
        raise UserError(f"{folder / file}: no such file; evaluate again")
    return read_case_maps(path)


def _thumbnails(folder: Path, frame: pd.DataFrame) -> dict[str, str]:
    """Data URIs of the thumbnails by id; one that was deleted is left out."""
    if "thumbnail" not in frame:
        return {}
    named = frame["thumbnail"][frame["thumbnail"].map(lambda name: isinstance(name, str))]
    found = {str(each): file_in(folder, name) for each, name in named.items()}
    return {each: jpeg_of(path) for each, path in found.items() if path is not None}


def number(value: Any, digits: int = 4) -> str:
    """Write a figure with some significant digits; a dash where there is none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)
