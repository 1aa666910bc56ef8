"""Guidance: read from JSON, checked, and drawn where it was marked."""

from __future__ import annotations

import numpy as np
import pytest

from custom_networks.errors import UserError
from custom_networks.interactive.guidance import (
    BACKGROUND,
    BOX,
    FOREGROUND,
    PREVIOUS,
    RADIUS,
    Guidance,
    connect,
    guidance_maps,
    marked_cells,
    scale_points,
)


def test_an_empty_guidance_is_all_zeros() -> None:
    assert Guidance().is_empty
    assert not guidance_maps(Guidance(), (100, 80), 64, None).any()


def test_discs_lie_where_was_clicked_x_before_y() -> None:
    guidance = Guidance(foreground=[(40, 20)], background=[(0, 0)])
    maps = guidance_maps(guidance, (128, 64), 64, None)
    foreground = np.argwhere(maps[FOREGROUND])
    assert foreground.mean(0).tolist() == [20, 20]  # half of 40; 20 of 64 rows is 20 of 64 cells
    assert np.ptp(foreground, axis=0).tolist() == [2 * RADIUS, 2 * RADIUS]
    assert len(foreground) == 29  # lattice points within 3
    assert maps[BACKGROUND, 0, 0] == 1
    assert maps[BACKGROUND].sum() == 11  # a quarter of the disc, with its axes
    assert not maps[[BOX, PREVIOUS]].any()


def test_a_scribble_is_connected() -> None:
    cells = marked_cells([], [[(0, 0), (30, 0), (30, 30)]], (64, 64), (64, 64))
    assert len(cells) == 61
    assert len(connect(scale_points([(5, 5)], (64, 64), (64, 64)))) == 1


def test_box_and_previous_mask_have_their_maps() -> None:
    previous = np.zeros((64, 64), bool)
    previous[3, 5] = True
    maps = guidance_maps(Guidance(box=(10, 20, 30, 60)), (64, 64), 64, previous)
    assert maps[BOX].sum() == 20 * 40
    assert maps[BOX, 10:30, 20:60].all()
    assert np.array_equal(maps[PREVIOUS] > 0, previous)


def test_points_keep_their_pixel_when_the_grid_is_the_image() -> None:
    points = [(0, 0), (99, 79), (50.4, 10.6), (98.7, 3)]
    assert scale_points(points, (100, 80), (100, 80)).tolist() == [[0, 0], [99, 79], [50, 11], [99, 3]]


def test_json_is_read() -> None:
    content = {"foreground": [[1, 2]], "background_scribbles": [[[1, 1], [3, 4]]], "box": [0, 0, 9, 9]}
    guidance = Guidance.from_json(content)
    assert guidance.foreground == [(1, 2)]
    assert guidance.background_scribbles == [[(1, 1), (3, 4)]]
    assert guidance.box == (0, 0, 9, 9)
    assert not guidance.is_empty
    assert Guidance.from_json({}).is_empty


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"forground": []}, "did you mean|foreground"),
        ({"foreground": [[1]]}, "list of \\[x, y\\]"),
        ({"foreground": ["ab"]}, "list of \\[x, y\\]"),
        ({"box": [1, 2, 3]}, "left, top, right, bottom"),
        ({"background": [[1, float("nan")]]}, "numbers in pixels"),
    ],
)
def test_json_that_is_no_guidance_is_told(content: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        Guidance.from_json(content)


@pytest.mark.parametrize(
    ("guidance", "words"),
    [
        (Guidance(foreground=[(100, 3)]), r"foreground mark \[100, 3\]: lies outside the image of 100 x 80"),
        (Guidance(background_scribbles=[[(1, 1), (2, -1)]]), r"background mark \[2, -1\]"),
        (Guidance(box=(9, 9, 3, 12)), "left < right"),
        (Guidance(previous=np.zeros((100, 80), bool)), r"the image \(80, 100\)"),
    ],
)
def test_marks_outside_the_image_are_told(guidance: Guidance, words: str) -> None:
    with pytest.raises(UserError, match=words):
        guidance.check(100, 80)
