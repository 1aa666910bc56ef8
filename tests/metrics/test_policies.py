"""What metrics are worth where masks are empty: the table decides, rows and text follow it."""

import math
from pathlib import Path

import numpy as np
import pytest

from custom_networks.metrics import FLAGS, METRICS, Presence, measure, policy_table

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "evaluation.md"
LESION = np.zeros((30, 40), bool)
LESION[5:15, 8:20] = True
EMPTY = np.zeros((30, 40), bool)
DIAGONAL = 50.0
PAIRS = {
    Presence.PRESENT: (LESION, LESION),
    Presence.MISSED: (EMPTY, LESION),
    Presence.FALSE_ALARM: (LESION, EMPTY),
    Presence.BOTH_EMPTY: (EMPTY, EMPTY),
}


def row_of(case: Presence, spacing: tuple[float, float] | None = None) -> dict[str, float]:
    prediction, truth = PAIRS[case]
    edge = np.zeros(truth.shape, np.float32)
    return measure(prediction.astype(np.float32) * 0.8 + 0.1, truth.astype(int), spacing, edge)


@pytest.mark.parametrize("case", [Presence.MISSED, Presence.FALSE_ALARM, Presence.BOTH_EMPTY])
@pytest.mark.parametrize("name", METRICS)
def test_rows_follow_the_table(case, name):
    worth = getattr(METRICS[name], case.name.lower())
    value = row_of(case)[name]
    if worth == "formula":
        assert math.isfinite(value)
    elif worth == "diagonal":
        assert value == DIAGONAL
    else:
        assert value == pytest.approx(worth, nan_ok=True)


def test_the_penalty_is_in_millimetres_where_the_spacing_is_known():
    assert row_of(Presence.MISSED, (0.1, 0.1))["hd95"] == pytest.approx(5.0)


@pytest.mark.parametrize("case", list(Presence))
def test_flags_name_the_case(case):
    row = row_of(case)
    assert {name: bool(row[name]) for name in FLAGS} == {name: flagged is case for name, flagged in FLAGS.items()}


def test_nothing_but_the_undefined_is_nan():
    for case in Presence:
        row = row_of(case)
        undefined = {name for name, value in row.items() if math.isnan(value)}
        if case is Presence.PRESENT or case is Presence.MISSED:
            assert not undefined
        else:
            table = {name for name in METRICS if isinstance(getattr(METRICS[name], case.name.lower()), float)}
            assert undefined == {name for name in table if math.isnan(getattr(METRICS[name], case.name.lower()))}


def test_a_miss_is_never_better_than_a_poor_prediction():
    poor = np.zeros_like(EMPTY, float)
    poor[14, 19] = 1
    found, missed = measure(poor, LESION), measure(np.zeros_like(poor), LESION)
    for name, value in missed.items():
        if name in METRICS and name not in ("specificity", "ece", "border_ece", "brier"):
            better = found[name] <= value if METRICS[name].better == "lower" else found[name] >= value
            assert better, name


def test_the_document_shows_the_table_as_it_is():
    assert policy_table() in DOCUMENT.read_text()
