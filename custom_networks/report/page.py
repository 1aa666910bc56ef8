"""The page: figures, charts, cases and tables put into the template."""

from __future__ import annotations

import shlex
from importlib.resources import files
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from custom_networks.errors import UserError
from custom_networks.evaluation.pictures import REASONS, read_case
from custom_networks.evaluation.results import SUMMARY_JSON, resolution_text
from custom_networks.metrics.policies import METRICS
from custom_networks.report import card, svg
from custom_networks.report.collect import Run, Training, number
from custom_networks.report.panels import Panel, case_panels, data_uri
from custom_networks.statistics.per_image import PER_IMAGE, metric_columns

UNIT_RANGE = {name for name, metric in METRICS.items() if not metric.is_distance}
TABLE_METRICS = ("pq", "aji", "dice", "iou", "hd95", "assd", "nsd", "boundary_iou", "sensitivity", "precision", "ece")
HEADLINE = ("dice", "iou", "hd95", "boundary_iou", "pq")
ORDER = ("missed", "false alarm", "worst", "median", "best")
PLURALS = {
    "missed": "Missed: nothing predicted where there is something",
    "false alarm": "False alarms: something predicted where there is nothing",
    "worst": "Worst",
    "median": "Median",
    "best": "Best",
}


def render(run: Run) -> str:
    """Write the page of a run.

    Args:
        run: from `collect`.

    Returns:
        HTML that needs no other file and no network.
    """
    templates = Environment(
        loader=PackageLoader("custom_networks.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    templates.filters["number"] = number
    folder = files("custom_networks.report") / "templates"
    return templates.get_template("report.html").render(
        run=run,
        about=run.about,
        training=run.training,
        css=Markup((folder / "report.css").read_text(encoding="utf-8")),
        script=Markup((folder / "report.js").read_text(encoding="utf-8")),
        measured=resolution_text(run.about) if run.about else "",
        headline=_headline(run),
        metrics=_metric_rows(run),
        curves=_curves(run.training),
        distributions=_distributions(run),
        reliability=svg.reliability("Reliability diagram", run.about.get("calibration", {}).get("curve", [])),
        cases=_cases(run),
        failures=_failures(run),
        subgroups=_subgroups(run),
        classes=_classes(run),
        pooled=_pooled(run),
        table=_table(run),
        sheet=_sheet(run.training),
        intended=card.INTENDED,
        training_data=card.training_data(run.training),
        known_failures=card.known_failures(run),
        command=command_line(run.about.get("made", {}).get("command", [])),
        config=run.about.get("config") or {},
    )


def command_line(words: list[str]) -> str:
    """Write a process's arguments as one would type them again."""
    if not words:
        return ""
    program = {"cli.py": "sgdnet", "__main__.py": "python -m monai.bundle"}.get(words[0], words[0])
    return f"{program} {shlex.join(words[1:])}"


def _headline(run: Run) -> list[dict[str, str]]:
    """The few figures at the top."""
    if not run.about:
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
    rows = {name: run.about["metrics"][name] for name in HEADLINE if name in run.about["metrics"]}
    return [
        {
            "label": _label(name, run.about),
            "value": number(row["mean"]),
            "interval": f"95 % interval {number(row['ci_low'], 3)} to {number(row['ci_high'], 3)}",
        }
        for name, row in rows.items()
    ]


def _label(name: str, about: dict[str, Any]) -> str:
    metric = METRICS[name]
    return f"{metric.label} ({about['unit']})" if metric.is_distance else metric.label


def _metric_rows(run: Run) -> list[dict[str, Any]]:
    return [
        {"label": _label(name, run.about), "better": METRICS[name].better, **row}
        for name, row in run.about.get("metrics", {}).items()
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
    if run.frame is None:
        return []
    charts = []
    for name in metric_columns(run.frame):
        label = _label(name, run.about)
        values = run.frame[name].astype(float).tolist()
        charts.append((label, svg.histogram(f"Distribution of {label}", values, label, name in UNIT_RANGE)))
    return [(label, chart) for label, chart in charts if chart]


def _cases(run: Run) -> dict[str, list[dict[str, Any]]]:
    """Cases by the first of their reasons, failures first; each shown once."""
    grouped: dict[str, list[dict[str, Any]]] = {reason: [] for reason in REASONS}
    for index, stored in enumerate(run.about.get("cases", [])):
        maps = read_case(run.folder / stored["file"])
        if run.frame is None or stored["id"] not in run.frame.index:
            raise UserError(f"{run.folder}: {SUMMARY_JSON} and {PER_IMAGE} are not of one evaluation; evaluate again")
        row = run.frame.loc[stored["id"]]
        figures = [
            f"{_label(name, run.about)} {number(float(row[name]), 3)}"
            for name in ("pq", "dice", "hd95", "boundary_iou")
            if name in row.index
        ]
        panels: list[Panel] = case_panels(index, maps, _tolerance(run))
        first = next(reason for reason in ORDER if reason in stored["reasons"])
        others = [reason for reason in stored["reasons"] if reason != first]
        grouped[first].append({"id": stored["id"], "figures": figures, "panels": panels, "also": others})
    return {PLURALS[reason]: grouped[reason] for reason in ORDER if grouped[reason]}


def _tolerance(run: Run) -> float:
    return float(run.about.get("tolerance_pixels", 2.0))


def _failures(run: Run) -> list[dict[str, Any]]:
    """Every miss, false alarm and poor image, by name."""
    if run.frame is None:
        return []
    frame = run.frame
    kinds = (
        ("missed", frame["missed"] > 0),
        ("false alarm", frame["false_alarm"] > 0),
        (
            f"Dice below {card.POOR_DICE:g}",
            (frame["dice"] < card.POOR_DICE) & (frame["missed"] == 0) & (frame["false_alarm"] == 0),
        ),
    )
    return [{"kind": kind, "ids": frame[chosen].sort_values("dice").index.tolist()} for kind, chosen in kinds]


def _subgroups(run: Run) -> list[dict[str, Any]]:
    """A table for each column: a row for each subgroup, its images and means with intervals."""
    return [
        {"column": column, "meaning": stored["meaning"], **_by_metric(run, stored["rows"], "subgroup")}
        for column, stored in run.about.get("subgroups", {}).items()
    ]


def _classes(run: Run) -> dict[str, Any]:
    """A row for each class where there are several."""
    return _by_metric(run, run.about.get("per_class", []), "class")


def _pooled(run: Run) -> list[tuple[str, str]]:
    """Names and values of what is pooled over the set's instances, such as mPQ+ and PQ+ of a class."""
    named = {"mpq_plus": "mPQ+", "pq_plus": "PQ+", "sq_plus": "SQ+", "dq_plus": "DQ+", "aji_pooled": "AJI, pooled"}
    named["classes_absent"] = "classes that never occur"
    pooled = run.about.get("instances", {}).get("pooled", {})
    return [(named.get(key, key.replace("pq_plus_", "PQ+ ", 1)), number(value)) for key, value in pooled.items()]


def _by_metric(run: Run, stored: list[dict[str, Any]], key: str) -> dict[str, Any]:
    """Rows by the name under a key: the counts of the first metric, and each metric's summary."""
    rows: dict[str, dict[str, Any]] = {}
    for row in stored:
        counts = {name: row.get(name, 0) for name in ("images", "images_with", "missed", "false_alarm")}
        rows.setdefault(row[key], counts)[row["metric"]] = row
    names = dict.fromkeys(row["metric"] for row in stored)
    return {"metrics": [(name, _label(name, run.about)) for name in names], "rows": rows}


def _table(run: Run) -> dict[str, Any]:
    """The per-image table: columns, and rows of cells with what they sort by."""
    if run.frame is None:
        return {"columns": [], "rows": []}
    frame = run.frame
    metrics = [name for name in TABLE_METRICS if name in frame.columns]
    groups = [name for name in run.about.get("subgroups", {}) if name in frame.columns]
    columns = ["image", *[_label(name, run.about) for name in metrics], *groups, "remark"]
    rows = []
    for name, row in frame.iterrows():
        cells = [{"text": number(float(row[metric]), 3), "sort": _sortable(row[metric])} for metric in metrics]
        cells += [{"text": "unknown" if pd.isna(row[group]) else str(row[group]), "sort": ""} for group in groups]
        rows.append({"id": name, "thumbnail": _thumbnail(run, row), "cells": cells, "remark": _remark(row)})
    return {"columns": columns, "rows": rows}


def _sortable(value: Any) -> str:
    return "" if pd.isna(value) else repr(float(value))


def _remark(row: pd.Series) -> str:
    for flag, text in (("missed", "missed"), ("false_alarm", "false alarm"), ("both_empty", "both empty")):
        if row[flag] > 0:
            return text
    return f"Dice below {card.POOR_DICE:g}" if row["dice"] < card.POOR_DICE else ""


def _thumbnail(run: Run, row: pd.Series) -> str:
    """Data URI of a thumbnail; empty where there is none."""
    name = row.get("thumbnail")
    path = run.folder / name if isinstance(name, str) else None
    return data_uri(path.read_bytes(), "image/jpeg") if path is not None and path.is_file() else ""


def _sheet(training: Training | None) -> str:
    """Data URI of a training's picture sheet; empty where there is none."""
    if training is None or training.sheet is None:
        return ""
    return data_uri(training.sheet.read_bytes(), "image/png")
