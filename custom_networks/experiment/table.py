"""`sgdnet table`: what was measured beside what was published; a cell that was not run stays empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from custom_networks.errors import UserError, nearest
from custom_networks.experiment.cell import Task
from custom_networks.experiment.plan import VALIDATION, ExperimentPlan, TableRow
from custom_networks.metrics.policies import METRICS
from custom_networks.statistics.bootstrap import Interval, bootstrap_interval, group_column
from custom_networks.statistics.compare import BETTER, CONFLICT, TESTS, aligned, compare
from custom_networks.statistics.paired_tests import SIGNIFICANT, holm
from custom_networks.statistics.per_image import check_measured_alike, read_per_image
from custom_networks.weights.record import BEST

BAR = r"\|"
"""A bar in a cell of Markdown."""
FORMATS = ("markdown", "csv", "latex")
NOT_RUN = "not run"
FoldAndSeed = tuple[int, int]
"""Fold and seed of a run."""
RunFrames = Mapping[str, Mapping[FoldAndSeed, pd.DataFrame]]
"""Per-image tables by row, fold and seed."""


@dataclass(frozen=True)
class Figure:
    """A cell of the table.

    Attributes:
        mean: over images, of each image the mean over seeds.
        interval: 95 % BCa of that mean, by groups where the data have them.
        deviation: standard deviation over folds of their means; NaN of one fold.
        difference: to the reference on the images that both have; NaN for the reference itself.
        difference_interval: 95 % BCa of the difference.
        p: the larger of the two tests' p-values, after Holm's correction over all cells of the table.
        verdict: "better", "worse", "conflict" (mean and ranks disagree) or "" (no difference shown).
    """

    mean: float
    interval: Interval
    deviation: float
    difference: float = np.nan
    difference_interval: Interval = field(default_factory=lambda: Interval(np.nan, np.nan, 0))
    p: float = np.nan
    verdict: str = ""


@dataclass(frozen=True)
class RowResult:
    """A row with what was measured of it.

    Attributes:
        row: of the plan.
        runs: how many of its runs are measured.
        planned: how many the plan has.
        images: how many images they measured.
        figures: by metric; empty where nothing was run.
    """

    row: TableRow
    runs: int
    planned: int
    images: int
    figures: Mapping[str, Figure]


def measured_frames(tasks: Sequence[Task], test: str = VALIDATION) -> dict[str, dict[FoldAndSeed, pd.DataFrame]]:
    """Read the per-image tables of the runs that are measured on a test set, by row, fold and seed.

    Raises:
        UserError: for a table that cannot be read, or tables that were measured in different ways.
    """
    found: dict[str, dict[FoldAndSeed, pd.DataFrame]] = {}
    for task in tasks:
        folder = task.run_folder()
        if folder is not None and (folder / BEST).is_file() and task.evaluated(test, folder / BEST):
            frame = read_per_image(task.evaluation(test))
            found.setdefault(task.cell.row.name, {})[task.cell.fold, task.cell.seed] = frame
    frames = {f"{row}, fold {key[0]}": frame for row, runs in found.items() for key, frame in runs.items()}
    check_measured_alike(list(frames.values()), list(frames))
    return found


def pooled(runs: Mapping[FoldAndSeed, pd.DataFrame], metrics: Sequence[str]) -> pd.DataFrame:
    """Put the images of several runs together; an image that several of them measured counts once, by its mean."""
    frame = pd.concat(runs.values())
    by_image = frame.groupby(level=0, sort=True)
    means = by_image[list(metrics)].mean()
    return means.assign(group=by_image["group"].first()) if "group" in frame.columns else means


def paired(rows: RunFrames, metrics: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Pool each of two rows over the folds and seeds that both have.

    A value counts only where the other row has one for the same image and seed: means over different seeds differ by
    the seeds, too.

    Raises:
        UserError: where they are not on the same images.
    """
    one, other = rows.values()
    kept: dict[str, dict[FoldAndSeed, pd.DataFrame]] = {name: {} for name in rows}
    for key in sorted(set(one) & set(other)):
        frames = aligned({name: runs[key] for name, runs in rows.items()})
        both = np.logical_and(*(frame[list(metrics)].notna() for frame in frames.values()))
        for name, frame in frames.items():
            kept[name][key] = frame.assign(**frame[list(metrics)].where(both))
    return aligned({name: pooled(runs, metrics) for name, runs in kept.items()})


def row_results(plan: ExperimentPlan, found: RunFrames, seed: int = 0) -> list[RowResult]:
    """Summarise every row of a plan, and test it against the reference.

    Args:
        plan: the plan.
        found: per-image tables, from `measured_frames`.
        seed: of the bootstrap.

    Returns:
        A result for each row, in the plan's order.

    Raises:
        UserError: for a metric that a run did not measure.
    """
    for name, runs in found.items():
        for metric in plan.metrics:
            if any(metric not in frame.columns for frame in runs.values()):
                raise UserError(f"{name}: {METRICS[metric].label} was not measured; take it out of the plan's metrics")
    figures = {(name, metric): _figure(runs, metric, seed) for name, runs in found.items() for metric in plan.metrics}
    rows = _differences(plan, found, seed)
    corrected = {name: holm([row[name] for row in rows.values()]) for name in TESTS} if rows else {}
    for index, (key, row) in enumerate(rows.items()):
        p = float(np.max([values[index] for values in corrected.values()]))
        own = figures[key]
        interval = Interval(row["ci_low"], row["ci_high"], row["units"])
        figures[key] = Figure(
            own.mean,
            own.interval,
            own.deviation,
            row["difference"],
            interval,
            p,
            _verdict(row, key[1], corrected, index),
        )
    planned = len(plan.folds) * len(plan.seeds)
    return [
        RowResult(
            row,
            len(found.get(row.name, {})),
            0 if row.cited else planned,
            len(pooled(found[row.name], plan.metrics)) if row.name in found else 0,
            {metric: figures[row.name, metric] for metric in plan.metrics if (row.name, metric) in figures},
        )
        for row in plan.rows
    ]


def _figure(runs: Mapping[FoldAndSeed, pd.DataFrame], metric: str, seed: int) -> Figure:
    frame = pooled(runs, [metric])
    interval = bootstrap_interval(frame[metric], group_column(frame), seed=seed)
    folds: dict[int, list[float]] = {}
    for (fold, _), each in runs.items():
        folds.setdefault(fold, []).append(float(each[metric].mean()))
    means = [float(np.mean(each)) for each in folds.values()]
    deviation = float(np.std(means, ddof=1)) if len(means) > 1 else float("nan")
    return Figure(float(frame[metric].mean()), interval, deviation)


def _differences(plan: ExperimentPlan, found: RunFrames, seed: int) -> dict[tuple[str, str], dict[str, Any]]:
    """Each row minus the reference, on the folds and seeds that both have."""
    reference = found.get(plan.compared, {})
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for name, runs in found.items():
        if name == plan.compared or not set(runs) & set(reference):
            continue
        table = compare(paired({plan.compared: reference, name: runs}, plan.metrics), plan.metrics, seed=seed)
        rows |= {(name, metric): dict(table.loc[plan.compared, name, metric]) for metric in plan.metrics}
    return rows


def _verdict(row: Mapping[str, Any], metric: str, corrected: Mapping[str, Any], index: int) -> str:
    sign = 1 if METRICS[metric].better == "higher" else -1
    shown = [values[index] < SIGNIFICANT for values in corrected.values()]
    if any(shown) and np.sign(row["difference"]) * np.sign(row["rank_biserial"]) < 0:
        return CONFLICT
    if not all(shown):
        return ""
    return BETTER if sign * row["difference"] > 0 else "worse"


MARKS = {BETTER: "+", "worse": "-", CONFLICT: "?", "": ""}


def cells(plan: ExperimentPlan, found: Sequence[RowResult], intervals: bool = True) -> list[list[str]]:
    """Write the table's cells: a header, then a row each.

    All but distances is in percent, as published figures are. A mark says what both tests show after Holm's correction:
    "+" better than the reference, "-" worse, "?" mean and ranks disagree.
    """
    metrics = plan.metrics
    published = [metric for metric in metrics if any(metric in each.row.published for each in found)]
    header = ["row", *(_label(metric) for metric in metrics)]
    header += [f"{_label(metric)}, published" for metric in published]
    lines = [[*header, "runs"]]
    for each in found:
        own = [_cell(each.figures.get(metric), metric, intervals) for metric in metrics]
        theirs = [_published(each.row, metric) for metric in published]
        lines.append(
            [each.row.name + (" (reference)" if each.row.name == plan.compared else ""), *own, *theirs, _runs(each)]
        )
    return lines


def _label(metric: str) -> str:
    return METRICS[metric].label if METRICS[metric].is_distance else f"{METRICS[metric].label} (%)"


def _scaled(value: float, metric: str) -> float:
    return value if METRICS[metric].is_distance else 100 * value


def _cell(figure: Figure | None, metric: str, intervals: bool) -> str:
    if figure is None or np.isnan(figure.mean):
        return ""
    text = f"{_scaled(figure.mean, metric):.2f}"
    if not np.isnan(figure.deviation):
        text += f" ± {_scaled(figure.deviation, metric):.2f}"
    if intervals and not np.isnan(figure.interval.low):
        text += f" [{_scaled(figure.interval.low, metric):.2f}, {_scaled(figure.interval.high, metric):.2f}]"
    return f"{text} {MARKS[figure.verdict]}".rstrip()


def _published(row: TableRow, metric: str) -> str:
    return f"{row.published[metric]:.2f}" if metric in row.published else ""


def _published_number(row: TableRow, metric: str) -> float | None:
    return row.published[metric] / _scaled(1, metric) if metric in row.published else None


def _runs(each: RowResult) -> str:
    if each.row.cited is not None:
        return f"cited from {each.row.cited}"
    return f"{each.runs} of {each.planned}" if each.runs else NOT_RUN


def note(plan: ExperimentPlan, found: Sequence[RowResult], test: str) -> str:
    """What the table's figures are, in sentences."""
    images = sorted({each.images for each in found if each.images})
    where = "the folds' own validation images" if test == VALIDATION else f"the test set {test}"
    lines = [
        f"Means over {' or '.join(map(str, images)) or 'no'} images of {where}, with 95 % intervals (BCa bootstrap, by "
        "groups where the data have them); ± is the standard deviation over folds.",
        f"+, - and ? mark what Wilcoxon's test and the bootstrap both show against {plan.compared}, after Holm's "
        "correction over all rows and metrics: better, worse, and mean and ranks that disagree.",
    ]
    if any(each.row.published for each in found):
        lines.insert(1, f"Published figures: {plan.published}.")
    if any(each.runs < each.planned for each in found):
        lines.append("Runs that are missing leave their cells empty; nothing is filled in.")
    return "\n".join(lines)


def as_frame(plan: ExperimentPlan, found: Sequence[RowResult]) -> pd.DataFrame:
    """The figures as numbers, a row for each row and metric; published ones in the unit of the measured ones."""
    rows = []
    for each in found:
        for metric in plan.metrics:
            figure = each.figures.get(metric)
            rows.append(
                {
                    "row": each.row.name,
                    "metric": metric,
                    "runs": each.runs,
                    "planned": each.planned,
                    "images": each.images,
                    "mean": figure and figure.mean,
                    "ci_low": figure and figure.interval.low,
                    "ci_high": figure and figure.interval.high,
                    "fold_sd": figure and figure.deviation,
                    "difference": figure and figure.difference,
                    "difference_ci_low": figure and figure.difference_interval.low,
                    "difference_ci_high": figure and figure.difference_interval.high,
                    "p_holm": figure and figure.p,
                    "verdict": figure and figure.verdict,
                    "published": _published_number(each.row, metric),
                    "cited": each.row.cited,
                }
            )
    return pd.DataFrame(rows)


def render_table(plan: ExperimentPlan, found: Sequence[RowResult], test: str, form: str) -> str:
    """Write the table as Markdown, CSV (numbers) or LaTeX.

    Raises:
        UserError: for another format.
    """
    if form not in FORMATS:
        raise UserError(f"--format {form}: must be one of {', '.join(FORMATS)}{nearest(form, FORMATS)}")
    if form == "csv":
        return as_frame(plan, found).to_csv(index=False)
    lines = cells(plan, found)
    title = f"{plan.title}, {test}"
    if form == "markdown":
        body = [f"| {' | '.join(cell.replace('|', BAR) for cell in line)} |" for line in lines]
        body.insert(1, "|---" * len(lines[0]) + "|")
        return "\n".join([f"**{title}**", "", *body, "", note(plan, found, test)]) + "\n"
    body = [" & ".join(map(_latex, line)) + r" \\" for line in lines]
    body = [f"{{}}{row}" if row.startswith("[") else row for row in body]  # no argument of the \\ before it
    columns = "l" + "r" * (len(lines[0]) - 2) + "l"
    parts = [r"\begin{table}", rf"\caption{{{_latex(title)}}}", rf"\begin{{tabular}}{{{columns}}}", r"\hline", body[0]]
    parts += [r"\hline", *body[1:], r"\hline", r"\end{tabular}", "", _latex(note(plan, found, test)), r"\end{table}"]
    return "\n".join(parts) + "\n"


_LATEX = str.maketrans(
    {
        **{each: f"\\{each}" for each in "&%_#${}"},
        **{
            "[": "{[}",
            "\\": r"\textbackslash{}",
            "~": r"\textasciitilde{}",
            "^": r"\^{}",
            "±": r"$\pm$",
            "λ": r"$\lambda$",
        },
    }
)


def _latex(text: str) -> str:
    return text.translate(_LATEX)
