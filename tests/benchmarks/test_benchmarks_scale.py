"""The benchmark of growth measures every case at every count and computes the exponent."""

import json

import pytest
from conftest import REPOSITORY

from benchmarks.scale import CASES, growth, run, thumbnails


def test_growth_is_the_exponent_between_the_two_largest_counts() -> None:
    points = [{"count": count, "seconds": 1e-6 * count**1.5} for count in (10, 10_000, 1_000)]
    assert growth(points) == pytest.approx(1.5)
    assert growth(points[:1]) is None


def test_copies_are_among_the_thumbnails() -> None:
    drawn = thumbnails(200)
    assert drawn.shape == (200, 64, 64)
    assert (drawn[99] == (drawn[98] * 0.8).astype("uint8")).all()
    assert (drawn[98] != drawn[97]).any()


@pytest.mark.slow
def test_every_case_runs(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SGDNET_CACHE", str(tmp_path / "cache"))  # restored afterwards
    run([40, 80], list(CASES), tmp_path / "scale.json")
    rows = json.loads((tmp_path / "scale.json").read_text())["scale"]["rows"]
    assert [row["name"] for row in rows] == list(CASES)
    for row in rows:
        assert row["s_40"] > 0
        assert row["s_80"] > 0
        assert row["mib_80"] >= 0
        assert "growth" in row


def test_what_the_documentation_shows_grows_no_worse_than_n_log_n() -> None:
    """1.11 is n log n from 1,000 to 10,000 and 1.08 from there to 100,000; a busy machine adds a little noise."""
    rows = json.loads((REPOSITORY / "docs" / "results" / "scale.json").read_text())["scale"]["rows"]
    assert {row["name"] for row in rows} == set(CASES)
    for row in rows:
        assert row["growth"] < 1.2, row["name"]
