"""Every metric against independent implementations, on degenerate and random cases."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2]))  # benchmarks/ is not installed

from benchmarks.metric_agreement import COMPARISONS, samples, table
from custom_networks.metrics import METRICS

CASES = list(samples(40))


@pytest.mark.parametrize("comparison", COMPARISONS, ids=lambda row: f"{row.metric} by {row.implementation}")
def test_equals_an_independent_implementation(comparison):
    pytest.importorskip(comparison.module)
    differences = comparison.differences(CASES)
    assert len(differences) > 20, "too few cases to say anything"
    assert max(differences) <= comparison.tolerance


def test_no_metric_is_left_out():
    assert {comparison.metric.split()[0] for comparison in COMPARISONS} == set(METRICS)


def test_the_table_has_a_row_each():
    assert len(table(0).splitlines()) == len(COMPARISONS) + 2
