"""The report of an experiment: its table, learning curves, two rows image by image, where they disagree most."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from custom_networks.experiment.cell import Task
from custom_networks.experiment.plan import ExperimentPlan
from custom_networks.experiment.table import FoldAndSeed, RowResult, RunFrames, cells, note, paired
from custom_networks.metrics.policies import METRICS
from custom_networks.report import svg
from custom_networks.report.received import file_in, jpeg_of
from custom_networks.run.record import METRICS as ROWS
from custom_networks.run.record import read_metrics
from custom_networks.statistics.compare import compare
from custom_networks.statistics.comparison_plot import plot_comparison

CURVES = (
    ("Loss", "loss", "loss"),
    ("Validation Dice", "val_mean_dice", "mean over images"),
    ("Validation HD95", "val_hd95", "pixels at the network's size"),
)
DISAGREEMENTS = 8


def render_page(
    plan: ExperimentPlan,
    tasks: Sequence[Task],
    frames: RunFrames,
    found: Sequence[RowResult],
    test: str,
    rows: tuple[str, str],
) -> str:
    """Write the page.

    Args:
        plan: the plan.
        tasks: its runs.
        frames: per-image tables of the runs that are measured.
        found: results of its rows.
        test: which figures.
        rows: names of the two rows that are compared image by image, both measured.

    Returns:
        HTML that needs no other file and no network.
    """
    css = (files("custom_networks.report") / "templates" / "report.css").read_text(encoding="utf-8")
    metric = plan.metrics[0]
    environment = Environment(
        loader=PackageLoader("custom_networks.experiment"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("experiment.html").render(
        plan=plan,
        css=Markup(css),
        test=test,
        cells=cells(plan, found),
        notes=note(plan, found, test).splitlines(),
        curves=_curves(tasks),
        rows=rows,
        scatter=_scatter(frames, rows, plan.metrics),
        metric=METRICS[metric].label,
        disagreements=_disagreements(tasks, frames, rows, metric, test),
    )


def _curves(tasks: Sequence[Task]) -> list[tuple[str, Markup]]:
    """Curves of the first run of each row."""
    histories: dict[str, list[dict[str, float]]] = {}
    for task in tasks:
        folder = task.run_folder()
        if folder is not None and task.cell.row.name not in histories:
            histories[task.cell.row.name] = read_metrics(folder / ROWS)
    drawn = []
    for title, name, y_label in CURVES:
        series = {
            row: [(each["epoch"], each[name]) for each in rows if name in each] for row, rows in histories.items()
        }
        drawn.append((title, svg.curves(title, series, "epoch", y_label)))
    return [(title, chart) for title, chart in drawn if chart]


def _shared(frames: RunFrames, rows: tuple[str, str]) -> list[FoldAndSeed]:
    return sorted(set(frames[rows[0]]) & set(frames[rows[1]]))


def _scatter(frames: RunFrames, rows: tuple[str, str], metrics: Sequence[str]) -> str | None:
    """Picture of the two rows image by image, as a data URI."""
    if not _shared(frames, rows):
        return None
    pair = paired({row: frames[row] for row in rows}, metrics)
    figure = plot_comparison(pair[rows[0]], pair[rows[1]], compare(pair, metrics).loc[rows], rows)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _disagreements(
    tasks: Sequence[Task],
    frames: RunFrames,
    rows: tuple[str, str],
    metric: str,
    test: str,
) -> list[dict[str, Any]]:
    """The images on which the two rows differ most, with both predictions as pictures."""
    folders = {(task.cell.row.name, (task.cell.fold, task.cell.seed)): task.evaluation(test) for task in tasks}
    entries = []
    for key in _shared(frames, rows):
        a, b = (frames[row][key] for row in rows)
        shared = a.index.intersection(b.index)
        for name, difference in (b.loc[shared, metric] - a.loc[shared, metric]).dropna().items():
            entries.append((abs(float(difference)), str(name), key))
    shown = []
    for _, name, key in sorted(entries, reverse=True)[:DISAGREEMENTS]:
        pictures = []
        for row in rows:
            frame, folder = frames[row][key], folders[row, key]
            pictures.append(
                {"value": float(np.asarray(frame.loc[name, metric])), "picture": _thumbnail(folder, frame, name)}
            )
        shown.append({"name": name, "fold": key[0], "seed": key[1], "pictures": pictures})
    return shown


def _thumbnail(folder: Path, frame: pd.DataFrame, name: str) -> str | None:
    named = frame["thumbnail"][name] if "thumbnail" in frame.columns else None
    path = file_in(folder, named) if isinstance(named, str) else None
    return None if path is None else jpeg_of(path)
