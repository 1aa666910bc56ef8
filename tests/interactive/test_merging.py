"""The mask respects the user: marks are honoured, corrections stay, what is far does not change."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from prediction_fixtures import disc
from scipy import ndimage

from custom_networks.interactive.merging import contradicted, honour, touched_change

NONE = np.empty((0, 2), np.intp)


def points(*pairs: tuple[int, int]) -> np.ndarray:
    return np.array(pairs, np.intp).reshape(-1, 2)


def grown(mask: np.ndarray) -> np.ndarray:
    return ndimage.binary_dilation(mask, np.ones((3, 3), bool))


def test_only_the_region_that_a_mark_touches_changes() -> None:
    previous = disc((60, 60), (30, 30), 8)
    near, far = disc((60, 60), (10, 10), 5), disc((60, 60), (50, 50), 5)
    added, removed = touched_change(previous, previous | near | far, points((10, 10)), NONE)
    assert np.array_equal(added, grown(near))
    assert not removed.any()


def test_a_thin_ring_does_not_carry_a_change_around() -> None:
    previous = disc((80, 80), (40, 40), 20)
    bump = disc((80, 80), (40, 62), 6)
    new = disc((80, 80), (40, 40), 21) | bump
    added, _ = touched_change(previous, new, points((40, 62)), NONE)
    assert added[bump & ~previous].all()
    assert not added[:, :30].any()


def test_a_background_mark_removes_and_does_not_add() -> None:
    previous = disc((60, 60), (30, 30), 12)
    new = disc((60, 60), (30, 36), 12)
    added, removed = touched_change(previous, new, NONE, points((30, 19)))
    assert removed.any()
    assert not added.any()


def test_marks_that_agree_with_the_mask_change_nothing() -> None:
    previous = disc((60, 60), (30, 30), 12)
    assert not np.any(touched_change(previous, ~previous, points((30, 30)), points((1, 1))))


def test_honour_draws_a_disc_as_far_as_no_opposite_mark_is_nearer() -> None:
    mask = honour(np.zeros((40, 40), bool), points((20, 20)), points((20, 24)), 3)
    assert mask[20, 20]
    assert mask[20, 17]
    assert not mask[20, 23]
    assert not mask[20, 24]
    assert mask.sum() < 29


def test_the_background_has_a_pixel_with_both_marks() -> None:
    assert not honour(np.ones((9, 9), bool), points((4, 4)), points((4, 4)), 2)[4, 4]


coordinates = st.tuples(st.integers(0, 19), st.integers(0, 15))


@settings(max_examples=200, deadline=None)
@given(st.sets(coordinates, max_size=6), st.sets(coordinates, max_size=6), st.integers(1, 5), st.integers(0, 9))
def test_every_mark_is_honoured(foreground: set, background: set, radius: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((20, 16)) < 0.5
    inside, outside = points(*(foreground - background)), points(*background)
    found = honour(mask, inside, outside, radius)
    assert not any(map(len, contradicted(found, inside, outside)))
