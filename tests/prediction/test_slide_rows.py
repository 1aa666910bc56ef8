"""Rows of a slide on the disk: read again as they were, up to what is damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from custom_networks.prediction.slide_rows import RowOfWindows, SlideRows

MAPS = np.random.default_rng(0).integers(0, 256, (3, 2, 4, 6)).astype(np.uint8)  # three rows of two maps, 4 x 6
ABOUT = {"stamp": [1, 2], "threshold": 0.5}


def opened(path: Path, width: int = 6, **about: object) -> SlideRows:
    return SlideRows(path, ABOUT | about, width, 2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rows = opened(tmp_path / "new" / "s.rows")
    for number, maps in enumerate(MAPS):
        rows.add(RowOfWindows(rows=4, pixels=[number], inside=0.5, total=1.5, windows=3, glass=0), list(maps))
    rows.close()
    return rows.path


def test_what_was_written_is_read(path: Path) -> None:
    rows = opened(path)
    assert [row.pixels for row in rows.found] == [[0], [1], [2]]
    for number in (0, 1):
        np.testing.assert_array_equal(list(rows.bands(number)), MAPS[:, number])


@pytest.mark.parametrize("damage", ["changed", "cut", "longer"])
def test_what_is_damaged_is_cut_off_and_made_anew(path: Path, damage: str) -> None:
    data = path.read_bytes()
    path.write_bytes({"changed": data[:-3] + bytes(3), "cut": data[:-3], "longer": data + b'{"rows": 4'}[damage])
    rows = opened(path)
    kept = 3 if damage == "longer" else 2
    assert [row.pixels for row in rows.found] == [[0], [1], [2]][:kept]
    row = RowOfWindows(rows=4, pixels=[9], inside=0.5, total=1.5, windows=3, glass=0)
    rows.add(row, list(MAPS[0]))
    assert rows.found[-1].pixels == [9]
    np.testing.assert_array_equal(list(rows.bands(1))[-1], MAPS[0, 1])
    rows.close()
    again = opened(path)
    assert again.found[-1].pixels == [9]
    np.testing.assert_array_equal(list(again.bands(1)), [*MAPS[:kept, 1], MAPS[0, 1]])


def test_rows_of_another_slide_or_other_settings_go(path: Path) -> None:
    assert opened(path, threshold=0.6).found == []
    assert opened(path).found == [], "they are gone"
