"""Into the network's square and back; views and their way back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from prediction_fixtures import disc

from custom_networks.data.resizing import resized
from custom_networks.data.sources import to_uint8
from custom_networks.prediction.geometry import VIEWS, place

SIDES = st.integers(1, 400)


@settings(max_examples=40, deadline=None)
@given(width=SIDES, height=SIDES, keep_aspect=st.booleans())
def test_every_size_fills_the_square_and_comes_back(width: int, height: int, keep_aspect: bool) -> None:
    placement = place((width, height), 64, keep_aspect)
    square = placement.to_square(np.full((height, width, 3), 77, np.uint8))
    assert square.shape == (3, 64, 64)
    assert square.dtype == torch.uint8
    assert square.unique().tolist() == [77]
    assert placement.to_image(torch.rand(2, 64, 64)).shape == (2, width, height)


def test_stretching_is_what_the_bundle_does() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 150, 3)).astype(np.uint8)
    expected = to_uint8(resized(torch.from_numpy(pixels.transpose(2, 1, 0).copy()), (64, 64)))
    assert torch.equal(place((150, 90), 64).to_square(pixels), expected)


@pytest.mark.parametrize("keep_aspect", [False, True])
@pytest.mark.parametrize("size", [(300, 100), (100, 300), (130, 128)])
def test_a_disc_returns_to_its_place(size: tuple[int, int], keep_aspect: bool) -> None:
    mask = disc(size[::-1], (0.4 * size[1], 0.6 * size[0]), 0.3 * min(size))
    placement = place(size, 128, keep_aspect)
    square = placement.to_square((255 * mask[..., None]).repeat(3, 2).astype(np.uint8))
    back = placement.to_image(square[:1].float())[0].T.numpy() > 127
    assert 2 * np.sum(back & mask) / (back.sum() + mask.sum()) > 0.97
    if keep_aspect:
        columns, rows = (np.ptp(np.nonzero(square[0].numpy() > 127)[axis]) for axis in (0, 1))
        assert abs(columns - rows) <= 1


def test_views_are_different_and_come_back() -> None:
    images = torch.rand(2, 3, 5, 5)
    for name, count in (("none", 1), ("flips", 4), ("all", 8)):
        seen = [view.apply(images) for view in VIEWS[name]]
        assert len(seen) == count
        assert all(not torch.equal(one, other) for i, one in enumerate(seen) for other in seen[:i])
        for view, changed in zip(VIEWS[name], seen, strict=True):
            assert torch.equal(view.undo(changed), images)
