"""Rules of every split: no group torn apart, every case once, the same for the same seed, even in size and lesions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custom_networks.data.prepare.cases import Case, Stored
from custom_networks.data.prepare.lists import Split, make_lists
from custom_networks.data.prepare.splits import deal, group_names, parse_fractions
from custom_networks.errors import UserError

share_lists = st.lists(st.floats(0, 1), min_size=5, max_size=60)


@settings(max_examples=150, deadline=None)
@given(shares=share_lists, folds=st.integers(2, 5), seed=st.integers(0, 2**32 - 1))
def test_single_images_are_dealt_evenly(shares: list[float], folds: int, seed: int) -> None:
    groups = [f"g{number}" for number in range(len(shares))]
    parts = deal(groups, shares, [1] * folds, seed)
    sizes = np.bincount(parts, minlength=folds)
    assert len(parts) == len(shares)
    assert sizes.max() - sizes.min() <= 2
    assert deal(groups, shares, [1] * folds, seed) == parts


@settings(max_examples=150, deadline=None)
@given(data=st.data(), seed=st.integers(0, 1000), weights=st.sampled_from([(1, 1), (1, 1, 1, 1, 1), (7, 1, 2), (8, 2)]))
def test_groups_stay_whole_and_sizes_near(data: st.DataObject, seed: int, weights: tuple[int, ...]) -> None:
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=25, max_size=50))
    groups = [f"g{number}" for number, size in enumerate(sizes) for _ in range(size)]
    shares = data.draw(st.lists(st.floats(0, 1), min_size=len(groups), max_size=len(groups)))
    parts = deal(groups, shares, weights, seed)
    assert len(set(zip(groups, parts, strict=True))) == len(sizes)
    counts = np.bincount(parts, minlength=len(weights))
    wanted = np.array(weights) / sum(weights) * len(groups)
    assert np.abs(counts - wanted).max() <= max(sizes) + 1


def test_the_split_is_pinned() -> None:
    """The same cases must fall into the same folds on every machine and in every release."""
    shares = [0.0, 0.1, 0.5, 0.9, 0.2, 0.3, 0.05, 0.7, 0.6, 0.4]
    assert deal([f"c{number}" for number in range(10)], shares, [1] * 5, seed=0) == [0, 4, 3, 0, 1, 1, 2, 4, 3, 2]


def test_other_seeds_give_other_splits() -> None:
    groups, shares = [f"c{number}" for number in range(30)], [number / 30 for number in range(30)]
    assert len({tuple(deal(groups, shares, [1] * 5, seed)) for seed in range(5)}) == 5


def test_stratified_is_better_than_chance() -> None:
    rng = np.random.default_rng(0)
    shares = rng.beta(0.6, 2.0, 100)
    groups = [f"g{number:03d}" for number in range(100)]

    def spread(parts: list[int]) -> float:
        means = [
            np.mean([share for share, part in zip(shares, parts, strict=True) if part == fold]) for fold in range(5)
        ]
        return float(np.std(means))

    ours = np.mean([spread(deal(groups, shares.tolist(), [1] * 5, seed)) for seed in range(10)])
    blind = np.mean([spread(deal(groups, [0.5] * 100, [1] * 5, seed)) for seed in range(10)])
    assert ours < blind / 2


@settings(max_examples=60, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=20),
    width=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_near_duplicates_never_part(pairs: list[tuple[int, int]], width: int, seed: int) -> None:
    ids = [f"slide{number // width}_{number:02d}" for number in range(30)]
    duplicates = [(ids[one], ids[other]) for one, other in pairs]
    groups = group_names(ids, [{}] * 30, r"^(slide\d+)_", duplicates)
    if len(set(groups)) < 2:
        return
    part_of = dict(zip(ids, deal(groups, [0.5] * 30, [1, 1], seed), strict=True))
    assert all(part_of[one] == part_of[other] for one, other in duplicates)
    assert all(part_of[one] == part_of[other] for one in ids for other in ids if one[:7] == other[:7] and one[6] == "_")


def test_groups_from_a_column() -> None:
    columns = [{"patient": "b"}, {"patient": "a"}, {"patient": "b"}]
    assert group_names(["x", "y", "z"], columns, "patient") == ["b", "a", "b"]
    assert group_names(["x", "y", "z"], columns, "patient", [("x", "y")]) == ["a", "a", "a"]


@pytest.mark.parametrize(
    ("group_by", "sentence"),
    [
        ("age", "x2 has no such column or an empty cell"),
        ("(", "no regular expression"),
        ("x", "a pattern with one group"),
        ("(y)", "does not fit the id x1"),
    ],
)
def test_groups_that_cannot_be(group_by: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence.replace("(", r"\(")):
        group_names(["x1", "x2"], [{"age": 4}, {"age": ""}], group_by)


def test_too_few_groups() -> None:
    with pytest.raises(UserError, match="2 groups of images cannot be dealt into 3 parts"):
        deal(["a", "a", "b"], [0.1, 0.2, 0.3], [1, 1, 1])
    with pytest.raises(UserError, match="leave part 2 of 2 empty"):
        deal(["a", "b", "c"], [0.1, 0.1, 0.1], [1000, 1])


@pytest.mark.parametrize("text", ["7:1:2", "0.7,0.1,0.2", "(7, 1, 2)"])
def test_fractions_are_read(text: str) -> None:
    numbers = parse_fractions(text)
    assert numbers[0] / sum(numbers) == pytest.approx(0.7)


@pytest.mark.parametrize("text", ["7:1", "a:b:c", "1:0:0", "0:1:1", "-1:1:1", "nan:1:1"])
def test_fractions_that_cannot_be(text: str) -> None:
    with pytest.raises(UserError, match="--fractions"):
        parse_fractions(text)


def test_a_group_torn_by_official_lists_is_told() -> None:
    cases = [Case(name, Stored("i"), Stored("m"), split=where) for name, where in (("a", "training"), ("b", "test"))]
    cases += [Case(name, Stored("i"), Stored("m")) for name in "cd"]
    lists, notices = make_lists(cases, ["x", "x", "c", "d"], [0.1] * 4, Split("official", folds=2))
    assert [name for name, _ in lists["test"]] == ["b"]
    assert "1 groups lie in more than one official list, a leak: e.g. a (training) and b (test)" in notices
