"""A report without paths, file names and names: what is kept is listed, everything else stays behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from custom_networks.evaluation.columns import COMPUTED
from custom_networks.evaluation.items import SPLITS
from custom_networks.evaluation.summary_file import (
    CaseEntry,
    DataFacts,
    Made,
    Subgroups,
    Summary,
    TrainingFacts,
    Weights,
)
from custom_networks.metrics.policies import FLAGS
from custom_networks.report.collect import PATIENT, Example, Run, Training
from custom_networks.statistics.per_image import metric_columns

NAME = "anonymised"
KEPT = (
    *("label_kind", "fold", "seed", "image_size", "batch_size", "max_epochs", "learning_rate", "amp", "resolution"),
    *("split", "tolerance", "cases", "thumbnails", "ema_decay", "checkpointing", "data_on_device", "num_workers"),
)
"""Settings that are kept where their values are numbers, true or false, or one of `WORDS`."""
WORDS = (*SPLITS, "mask", "instances", "classes", "original", "network", "true", "false")


def anonymised(run: Run) -> Run:
    """Return the same figures and pictures without names.

    Images, groups, patients, and columns of the datalist with their values are numbered. Paths, commands, notes, data
    cards and what a datalist says of itself are left out. What is written inside a picture stays.
    """
    width = len(str(len(run.frame)))
    ids = {str(name): f"image {number:0{width}d}" for number, name in enumerate(run.frame.index, start=1)}
    return Run(
        name=NAME,
        summary=_summary(run.summary, ids) if run.summary else None,
        frame=_frame(run.frame, ids) if run.summary else run.frame,
        training=_training(run.training) if run.training else None,
        examples=[Example(ids[each.id], each.reasons, each.maps) for each in run.examples],
        thumbnails={ids[name]: picture for name, picture in run.thumbnails.items()},
        areas=run.areas,
    )


def _summary(summary: Summary, ids: Mapping[str, str]) -> Summary:
    names: dict[tuple[str, str | None], tuple[str, str | None]] = {}
    subgroups = {}
    for number, (column, stored) in enumerate(summary.subgroups.items(), start=1):
        own = column in COMPUTED
        shown = column if own else f"column {number}"
        for index, value in enumerate(_unique(row.subgroup for row in stored.rows), start=1):
            names[column, value] = (shown, value if own else f"value {index}")
        rows = [row.model_copy(update={"subgroup": names[column, row.subgroup][1]}) for row in stored.rows]
        subgroups[shown] = Subgroups(meaning=stored.meaning if own else None, rows=rows)
    differences = [
        row.model_copy(update=dict(zip(("column", "subgroup"), names[row.column, row.subgroup], strict=True)))
        for row in summary.subgroup_differences
        if (row.column, row.subgroup) in names
    ]
    weights = summary.checkpoint
    training = weights.training if weights else None
    facts = TrainingFacts(settings=_settings(training.settings), metrics=training.metrics) if training else None
    return summary.model_copy(
        update={
            "split": summary.split if summary.split in SPLITS else "",
            "label_kind": summary.label_kind if summary.label_kind in WORDS else "",
            "data": DataFacts(),
            "notes": [],
            "checkpoint": Weights(path="", sha256=weights.sha256, training=facts) if weights else None,
            "settings": _settings(summary.settings),
            "config": {},
            "made": Made(at=summary.made.at, commit=summary.made.commit, versions=summary.made.versions),
            "subgroups": subgroups,
            "subgroup_differences": differences,
            "reader": {name: each for name, each in summary.reader.items() if not isinstance(each, str)},
            "cases": [CaseEntry(id=ids[case.id], reasons=case.reasons, file="") for case in summary.cases],
        }
    )


def _frame(frame: pd.DataFrame, ids: Mapping[str, str]) -> pd.DataFrame:
    """Figures, flags and computed columns alone; groups and patients as numbers."""
    kept = [*metric_columns(frame), *FLAGS, *COMPUTED]
    found = frame[[name for name in kept if name in frame]].copy()
    for name in ("group", *PATIENT):
        if name in frame:
            codes, _ = pd.factorize(frame[name])
            found[name] = [str(code + 1) if code >= 0 else None for code in codes]
    found.index = pd.Index([ids[str(name)] for name in frame.index], name="id")
    return found


def _training(training: Training) -> Training:
    return Training(_settings(training.settings), training.rows, training.best, training.images, None, training.sheet)


def _settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in settings.items()
        if name in KEPT and (isinstance(value, bool | int | float) or value in WORDS)
    }


def _unique(values: Any) -> list[Any]:
    return list(dict.fromkeys(values))
