"""Complexity of the networks: every overlay has a row, and a row has what the page shows."""

import sys
from pathlib import Path

import pytest
from conftest import CONFIGS

sys.path.append(str(Path(__file__).resolve().parents[2]))  # benchmarks/ is not installed

from benchmarks import complexity_cases, report
from benchmarks.figures import rows_of
from benchmarks.measure import Settings


def test_every_overlay_has_a_row():
    overlays = {path.stem for path in (CONFIGS / "baselines").glob("*.json")}
    assert set(complexity_cases.LABELS) == overlays | {complexity_cases.SGDNET}
    assert [row["config"] for row in rows_of("benchmark_complexity_cpu", "complexity")] == [*complexity_cases.LABELS]


def test_a_row():
    settings = Settings(rounds=1, quick=True, memory=False)
    (row,) = complexity_cases.run(settings, names=("unet",))["rows"]
    assert row["parameters"] == 7_783_425
    assert row["gmacs"] == pytest.approx(12.81 / 16, rel=0.01)  # 64 x 64
    assert row["median_ms"] > 0
    _, _, columns = report.TABLES["complexity"][0]
    head, _, line = report.table(columns, [row])
    assert "published" in head
    assert line.startswith("| U-Net | 64 | 7.78 | 7.78 | 0.80 | 14.59 |")
