"""Rules of every deal: no group torn apart, the order of images without effect, even in size and lesions."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custom_networks.data.dealing import deal
from custom_networks.errors import UserError

SHARES = st.sampled_from([0.0, 0.1, 0.1, 0.5, 0.9]) | st.floats(0, 1)  # with ties


@settings(max_examples=200, deadline=None)
@given(
    data=st.data(),
    sizes=st.lists(st.integers(1, 4), min_size=25, max_size=40),
    weights=st.sampled_from([(1, 1), (1, 1, 1, 1, 1), (7, 1, 2), (8, 2)]),
    seed=st.integers(0, 2**32 - 1),
    stratified=st.booleans(),
)
def test_groups_stay_whole_and_the_order_of_images_has_no_effect(
    data: st.DataObject, sizes: list[int], weights: tuple[int, ...], seed: int, stratified: bool
) -> None:
    group_of = {f"{number}_{i}": f"g{number}" for number, size in enumerate(sizes) for i in range(size)}
    drawn = data.draw(st.lists(SHARES, min_size=len(group_of), max_size=len(group_of)))
    shares = dict(zip(group_of, drawn, strict=True)) if stratified else None
    part_of = deal(group_of, weights, seed, shares)
    assert set(part_of) == set(group_of)
    assert len({(group_of[image], part) for image, part in part_of.items()}) == len(sizes)
    shuffled = data.draw(st.permutations(list(group_of)))
    assert deal({image: group_of[image] for image in shuffled}, weights, seed, shares) == part_of
    counts = Counter(part_of.values())
    wanted = {part: weight / sum(weights) * len(group_of) for part, weight in enumerate(weights)}
    assert max(abs(counts[part] - wanted[part]) for part in wanted) <= max(sizes) + (1 if stratified else 0)


@settings(max_examples=60, deadline=None)
@given(count=st.integers(2, 60), folds=st.integers(2, 10), seed=st.integers(0, 2**32 - 1))
def test_single_images_are_dealt_evenly(count: int, folds: int, seed: int) -> None:
    names = {f"{number}.png": f"{number}.png" for number in range(count)}
    if count < folds:
        with pytest.raises(UserError, match=f"{count} groups of images cannot be dealt into {folds} parts"):
            deal(names, [1.0] * folds, seed)
        return
    sizes = Counter(deal(names, [1.0] * folds, seed).values())
    assert max(sizes.values()) - min(sizes.values()) <= 1


def test_the_deal_is_pinned() -> None:
    """The same images must fall into the same folds on every machine and in every release."""
    shares = dict(zip("abcdefghij", [0.0, 0.1, 0.5, 0.9, 0.2, 0.3, 0.05, 0.7, 0.6, 0.4], strict=True))
    alone = {name: name for name in shares}
    assert [name for name, part in deal(alone, [1] * 5).items() if part == 0] == ["c", "g"]
    assert "".join(map(str, deal(alone, [1] * 5, 0, shares).values())) == "0013341224"


def test_other_seeds_give_other_splits() -> None:
    names = {f"c{number}": f"c{number}" for number in range(30)}
    shares = {name: number / 30 for number, name in enumerate(names)}
    assert len({tuple(deal(names, [1] * 5, seed, shares).values()) for seed in range(5)}) == 5


def test_stratified_is_better_than_chance() -> None:
    rng = np.random.default_rng(0)
    names = {f"g{number:03d}": f"g{number:03d}" for number in range(100)}
    shares = dict(zip(names, rng.beta(0.6, 2.0, 100).tolist(), strict=True))

    def spread(part_of: dict[str, int]) -> float:
        means = [np.mean([shares[name] for name, part in part_of.items() if part == fold]) for fold in range(5)]
        return float(np.std(means))

    ours = np.mean([spread(deal(names, [1] * 5, seed, shares)) for seed in range(10)])
    blind = np.mean([spread(deal(names, [1] * 5, seed)) for seed in range(10)])
    assert ours < blind / 2


def test_too_few_groups() -> None:
    with pytest.raises(UserError, match="2 groups of images cannot be dealt into 3 parts"):
        deal({"x": "a", "y": "a", "z": "b"}, [1, 1, 1])
    with pytest.raises(UserError, match="leave part 2 of 2 empty"):
        deal({"x": "a", "y": "b", "z": "c"}, [1000, 1])
