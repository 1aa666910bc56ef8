"""The page: figures, charts, cases and tables put into the template."""

from __future__ import annotations

import base64
import functools
import hashlib
import math
import shlex
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from custom_networks.evaluation.pictures import REASONS
from custom_networks.evaluation.results import resolution_text
from custom_networks.evaluation.summary_file import Area, Estimate, ReaderFigure, SubgroupRow, Summary
from custom_networks.metrics.policies import METRICS
from custom_networks.report import card, claim, svg
from custom_networks.report.collect import Run, Training, number
from custom_networks.report.panels import case_panels
from custom_networks.statistics.per_image import metric_columns

UNIT_RANGE = {name for name, metric in METRICS.items() if not metric.is_distance}
TABLE_METRICS = ("pq", "aji", "dice", "iou", "hd95", "assd", "nsd", "boundary_iou", "sensitivity", "precision", "ece")
HEADLINE = ("dice", "iou", "hd95", "boundary_iou", "pq")
PLURALS = {
    "missed": "Missed: nothing predicted where there is something",
    "false alarm": "False alarms: something predicted where there is nothing",
    "worst": "Worst",
    "median": "Median",
    "best": "Best",
}


def render_report(run: Run, anonymous: bool = False) -> str:
    """Write the page of a run.

    Args:
        run: from `collect`, or from `anonymised`.
        anonymous: whether it says that names were left out.

    Returns:
        HTML that needs no other file and no network.
    """
    folder = files("custom_networks.report") / "templates"
    css, script = ((folder / f"report.{end}").read_text(encoding="utf-8") for end in ("css", "js"))
    summary, training = run.summary, run.training
    curve = summary.calibration.curve if summary and summary.calibration else []
    return _template().render(
        run=run,
        about=summary,
        training=training,
        anonymous=anonymous,
        css=Markup(css),
        css_hash=_hash(css),
        script=Markup(script),
        script_hash=_hash(script),
        measured=resolution_text(summary.model_dump()) if summary else "",
        headline=_headline(run),
        metrics=_metric_rows(summary),
        curves=_curves(training),
        distributions=_distributions(run),
        reliability=svg.reliability("Reliability diagram", [point.model_dump() for point in curve]),
        cases=_cases(run),
        failures=_failures(run.frame) if summary else [],
        subgroups=_subgroups(summary),
        classes=_by_metric(summary, summary.per_class) if summary else {"rows": {}},
        pooled=_pooled(summary),
        agreement=_agreement(summary),
        table=_table(run),
        intended=card.INTENDED,
        training_data=card.training_data(run),
        known_failures=card.known_failures(run),
        checklist=claim.checklist(run),
        checklist_source=claim.SOURCE,
        open=claim.OPEN,
        command=command_line(summary.made.command) if summary else "",
    )


@functools.cache
def _template() -> Template:
    templates = Environment(
        loader=PackageLoader("custom_networks.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["number"] = number
    return templates.get_template("report.html")


def _hash(text: str) -> str:
    """A script or style sheet as a content security policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def command_line(words: Sequence[str]) -> str:
    """Write a process's arguments as one would type them again."""
    if not words:
        return ""
    program = {"cli.py": "sgdnet", "__main__.py": "python -m monai.bundle"}.get(words[0], words[0])
    return f"{program} {shlex.join(words[1:])}"


def _headline(run: Run) -> list[dict[str, str]]:
    """The few figures at the top."""
    summary = run.summary
    if summary is None:
        best = run.training.best if run.training else {}
        names = {
            "val_mean_dice": "Dice",
            "val_mean_iou": "IoU",
            "val_hd95": "HD95 (px)",
            "val_misses": "missed lesions",
        }
        return [
            {"label": label, "value": number(best[name]), "interval": "validation images, best epoch"}
            for name, label in names.items()
            if name in best
        ]
    return [
        {
            "label": f"mean {_label(name, summary)}",
            "value": number(summary.metrics[name].mean),
            "interval": f"95 % interval {number(summary.metrics[name].ci_low, 3)} to "
            f"{number(summary.metrics[name].ci_high, 3)}",
        }
        for name in HEADLINE
        if name in summary.metrics
    ]


def _label(name: str, summary: Summary) -> str:
    metric = METRICS[name]
    return f"{metric.label} ({summary.unit})" if metric.is_distance else metric.label


def _metric_rows(summary: Summary | None) -> list[dict[str, Any]]:
    rows = summary.metrics if summary else {}
    return [
        {"label": _label(name, summary), "better": METRICS[name].better, **row.model_dump()}
        for name, row in rows.items()
        if summary
    ]


def _curves(training: Training | None) -> list[tuple[str, Markup]]:
    """Training curves: loss terms, validation Dice and IoU, HD95, learning rate."""
    if training is None or not training.rows:
        return []
    best = training.best.get("epoch")
    losses = [name for name in training.rows[0] if name == "loss" or name.startswith("segmentation") or name == "edge"]
    plots = (
        ("Loss and its terms", {name: name.replace("_", " ") for name in losses}, "loss"),
        ("Validation overlap", {"val_mean_dice": "Dice", "val_mean_iou": "IoU"}, "mean over images"),
        ("Validation HD95", {"val_hd95": "HD95"}, "pixels at the network's size"),
        ("Learning rate", {"learning_rate": "learning rate"}, "rate"),
    )
    drawn = []
    for title, names, y_label in plots:
        series = {
            label: [(row["epoch"], row[name]) for row in training.rows if name in row] for name, label in names.items()
        }
        drawn.append((title, svg.curves(title, series, "epoch", y_label, mark=best)))
    return [(title, chart) for title, chart in drawn if chart]


def _distributions(run: Run) -> list[tuple[str, Markup]]:
    if run.summary is None:
        return []
    charts = []
    for name in metric_columns(run.frame):
        label = _label(name, run.summary)
        values = run.frame[name].astype(float).tolist()
        charts.append((label, svg.histogram(f"Distribution of {label}", values, label, name in UNIT_RANGE)))
    return [(label, chart) for label, chart in charts if chart]


def _cases(run: Run) -> dict[str, list[dict[str, Any]]]:
    """Cases by the first of their reasons, failures first; each shown once."""
    grouped: dict[str, list[dict[str, Any]]] = {reason: [] for reason in REASONS}
    summary = run.summary
    for index, example in enumerate(run.examples):
        assert summary is not None
        row = run.frame.loc[example.id]
        figures = [
            f"{_label(name, summary)} {number(float(row[name]), 3)}"
            for name in ("pq", "dice", "hd95", "boundary_iou")
            if name in row.index
        ]
        panels = case_panels(index, example.maps, summary.tolerance_pixels)
        first, *others = sorted(set(example.reasons), key=REASONS.index)
        grouped[first].append({"id": example.id, "figures": figures, "panels": panels, "also": others})
    return {PLURALS[reason]: grouped[reason] for reason in REASONS if grouped[reason]}


def _failures(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Every miss, false alarm and poor image, by name."""
    poor = (frame["dice"] < card.POOR_DICE) & (frame["missed"] == 0) & (frame["false_alarm"] == 0)
    kinds = (
        ("missed", frame["missed"] > 0),
        ("false alarm", frame["false_alarm"] > 0),
        (f"Dice below {card.POOR_DICE:g}", poor),
    )
    return [{"kind": kind, "ids": frame[chosen].sort_values("dice").index.tolist()} for kind, chosen in kinds]


def _subgroups(summary: Summary | None) -> list[dict[str, Any]]:
    """A table for each column: a row for each subgroup, its images and means with intervals."""
    stored = summary.subgroups if summary else {}
    return [
        {"column": column, "meaning": table.meaning, **_by_metric(summary, table.rows)}
        for column, table in stored.items()
        if summary
    ]


def _pooled(summary: Summary | None) -> list[tuple[str, str]]:
    """Names and values of what is pooled over the set's instances, such as mPQ+ and PQ+ of a class."""
    named = {"mpq_plus": "mPQ+", "pq_plus": "PQ+", "sq_plus": "SQ+", "dq_plus": "DQ+", "aji_pooled": "AJI, pooled"}
    named["classes_absent"] = "classes that never occur"
    pooled = summary.instances.pooled if summary and summary.instances else {}
    return [(named.get(key, key.replace("pq_plus_", "PQ+ ", 1)), number(value)) for key, value in pooled.items()]


def _agreement(summary: Summary | None) -> list[tuple[str, str]]:
    """Detection of lesions, areas, and a second reader: the sentences on each."""
    if summary is None:
        return []
    found = []
    if summary.detection is not None:
        each = summary.detection
        found += [
            (f"lesions detected (IoU from {number(each.iou)} up)", f"{each.detected} of {each.lesions}"),
            ("sensitivity, lesion by lesion", _with_interval(each.sensitivity.value, each.sensitivity)),
            ("false detections an image", _with_interval(each.false_per_image.value, each.false_per_image)),
        ]
    if summary.area is not None:
        area = summary.area
        low, high = area.limits_of_agreement
        found += [
            (f"predicted minus true area ({area.unit})", _with_interval(area.mean_difference, area)),
            (f"limits of agreement ({area.unit})", f"{number(low, 3)} to {number(high, 3)}"),
            ("mean relative error of the area", number(area.relative_error, 3)),
        ]
    readers = [(name, each) for name, each in summary.reader.items() if not isinstance(each, str)]
    labels = {name: metric.label for name, metric in METRICS.items()}
    return found + [
        (f"second reader, {labels.get(name, name)}", _with_interval(each.mean, each)) for name, each in readers
    ]


def _with_interval(value: float | None, row: Estimate | Area | ReaderFigure) -> str:
    interval = f" (95 % interval {number(row.ci_low, 3)} to {number(row.ci_high, 3)})"
    return number(value, 3) + (interval if row.ci_low is not None else "")


def _by_metric(summary: Summary, stored: Sequence[SubgroupRow]) -> dict[str, Any]:
    """Rows by the name of their subgroup or class: the counts of the first metric, and each metric's summary."""
    rows: dict[str, dict[str, Any]] = {}
    empty = {"mean": None, "ci_low": None, "ci_high": None}
    names = dict.fromkeys(row.metric for row in stored)
    for row in stored:
        counts = row.model_dump(include={"images", "images_with", "missed", "false_alarm"})
        entry = rows.setdefault(str(row.subgroup or row.of_class), {**counts, "figures": dict.fromkeys(names, empty)})
        entry["figures"][row.metric] = row
    return {"metrics": [(name, _label(name, summary)) for name in names], "rows": rows}


def _table(run: Run) -> dict[str, Any]:
    """The per-image table: columns, and rows of cells with what they sort by."""
    summary, frame = run.summary, run.frame
    if summary is None:
        return {"columns": [], "rows": []}
    metrics = [name for name in TABLE_METRICS if name in frame.columns]
    groups = [name for name in summary.subgroups if name in frame.columns]
    columns = ["image", *[_label(name, summary) for name in metrics], *groups, "remark"]
    rows = []
    for name, row in frame.iterrows():
        values = [float(row[metric]) for metric in metrics]
        cells: list[dict[str, str | None]] = [
            {"text": number(value, 3), "sort": repr(value) if math.isfinite(value) else ""} for value in values
        ]
        cells += [{"text": "unknown" if pd.isna(row[group]) else str(row[group]), "sort": None} for group in groups]
        thumbnail = run.thumbnails.get(str(name), "")
        rows.append({"id": name, "thumbnail": thumbnail, "cells": cells, "remark": _remark(row)})
    return {"columns": columns, "rows": rows}


def _remark(row: pd.Series) -> str:
    for flag, text in (("missed", "missed"), ("false_alarm", "false alarm"), ("both_empty", "both empty")):
        if row[flag] > 0:
            return text
    return f"Dice below {card.POOR_DICE:g}" if row["dice"] < card.POOR_DICE else ""
