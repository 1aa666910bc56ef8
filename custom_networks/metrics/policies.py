"""The one table of metrics: name, direction, unit, and what each is worth where a mask is empty.

A mean over images can be gamed, without anybody meaning to, by what happens to images whose prediction or truth is
empty. The rule here: nothing is dropped because it went badly. A missed object and a false alarm get the worst value
a metric has (for distances the image's diagonal), agreement on "nothing there" the best. Only what has no answer at
all, such as the sensitivity where there is nothing to find, is undefined: NaN in the row, counted in every table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Literal

UNDEFINED = math.nan
Worth = float | Literal["formula", "diagonal"]


class Presence(Enum):
    """What of a pair of masks is empty."""

    PRESENT = "both present"
    MISSED = "prediction empty"
    FALSE_ALARM = "truth empty"
    BOTH_EMPTY = "both empty"

    @staticmethod
    def of(prediction: int | bool, truth: int | bool) -> Presence:
        """Case for the number of foreground pixels (or instances) of the prediction and of the truth."""
        if prediction:
            return Presence.PRESENT if truth else Presence.FALSE_ALARM
        return Presence.MISSED if truth else Presence.BOTH_EMPTY


@dataclass(frozen=True)
class Metric:
    """One row of the table.

    Args:
        label: name in text, tables and axes.
        better: which direction is good.
        missed: worth where the prediction is empty and the truth is not; "formula" where the definition gives a value.
        false_alarm: worth where the truth is empty and the prediction is not.
        both_empty: worth where both are.
        is_distance: whether it is in pixels, or millimetres where the spacing is known.
    """

    label: str
    better: Literal["higher", "lower"]
    missed: Worth
    false_alarm: Worth
    both_empty: Worth
    is_distance: bool = False


def _overlap(label: str) -> Metric:
    return Metric(label, "higher", missed=0.0, false_alarm=0.0, both_empty=1.0)


def _distance(label: str) -> Metric:
    return Metric(label, "lower", missed="diagonal", false_alarm="diagonal", both_empty=0.0, is_distance=True)


METRICS: dict[str, Metric] = {
    "dice": _overlap("Dice"),
    "iou": _overlap("IoU"),
    "isic_jaccard": _overlap("Jaccard, 0 below 0.65"),
    "sensitivity": Metric("Sensitivity", "higher", missed=0.0, false_alarm=UNDEFINED, both_empty=UNDEFINED),
    "specificity": Metric("Specificity", "higher", missed="formula", false_alarm="formula", both_empty="formula"),
    "precision": Metric("Precision", "higher", missed=0.0, false_alarm=0.0, both_empty=UNDEFINED),
    "hd": _distance("HD"),
    "hd95": _distance("HD95"),
    "assd": _distance("ASSD"),
    "nsd": _overlap("NSD"),
    "boundary_iou": _overlap("Boundary IoU"),
    "boundary_f": _overlap("Boundary F"),
    "auroc": Metric("AUROC", "higher", missed="formula", false_alarm=UNDEFINED, both_empty=UNDEFINED),
    "ece": Metric("Image ECE", "lower", missed="formula", false_alarm="formula", both_empty="formula"),
    "border_ece": Metric("Border ECE", "lower", missed="formula", false_alarm=UNDEFINED, both_empty=UNDEFINED),
    "brier": Metric("Brier score", "lower", missed="formula", false_alarm="formula", both_empty="formula"),
    "pq": _overlap("PQ"),
    "sq": _overlap("SQ"),
    "dq": _overlap("DQ"),
    "aji": _overlap("AJI"),
}

FLAGS: dict[str, Presence] = {
    "missed": Presence.MISSED,
    "false_alarm": Presence.FALSE_ALARM,
    "both_empty": Presence.BOTH_EMPTY,
}


def flags(case: Presence) -> dict[str, float]:
    """Columns of a per-image row that say what is empty: 1 for the case, 0 for the others; their sums are counts."""
    return {name: float(case is flagged) for name, flagged in FLAGS.items()}


def empty_worth(name: str, case: Presence, diagonal: float = UNDEFINED) -> float | None:
    """Look up what a metric is worth where a mask is empty.

    Args:
        name: a name of `METRICS`.
        case: what is empty.
        diagonal: of the image, in the unit of the distances.

    Returns:
        The worth (NaN for undefined), or None where the metric's own formula decides.
    """
    if case is Presence.PRESENT:
        return None
    worth: Worth = getattr(METRICS[name], case.name.lower())
    if worth == "formula":
        return None
    return diagonal if worth == "diagonal" else float(worth)


def policy_table() -> str:
    """The table as Markdown, as `docs/evaluation.md` shows it."""

    def cell(worth: Worth) -> str:
        if isinstance(worth, str):
            return worth
        return "undefined" if math.isnan(worth) else f"{worth:g}"

    lines = ["| metric | column | better | prediction empty | truth empty | both empty |", "|---|---|---|---|---|---|"]
    for name, metric in METRICS.items():
        cells = (cell(worth) for worth in (metric.missed, metric.false_alarm, metric.both_empty))
        lines.append(f"| {metric.label} | `{name}` | {metric.better} | {' | '.join(cells)} |")
    return "\n".join(lines)
