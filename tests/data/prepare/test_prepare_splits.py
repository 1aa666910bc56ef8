"""Groups of cases, near-duplicates among them, and the lists of `sgdnet prepare`."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custom_networks.data.dealing import deal
from custom_networks.data.prepare.cases import Case, Stored
from custom_networks.data.prepare.lists import Method, make_lists
from custom_networks.data.prepare.splits import group_names, parse_fractions
from custom_networks.errors import UserError


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
    part_of = deal(dict(zip(ids, groups, strict=True)), [1, 1], seed)
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


@pytest.mark.parametrize("text", ["7:1:2", "0.7,0.1,0.2", "(7, 1, 2)"])
def test_fractions_are_read(text: str) -> None:
    numbers = parse_fractions(text)
    assert numbers[0] / sum(numbers) == pytest.approx(0.7)


def test_a_clinic_may_train_nothing() -> None:
    assert parse_fractions("0:1:1") == (0, 1, 1)


@pytest.mark.parametrize("text", ["7:1", "a:b:c", "1:0:0", "0:0:1", "-1:1:1", "nan:1:1"])
def test_fractions_that_cannot_be(text: str) -> None:
    with pytest.raises(UserError, match="--fractions"):
        parse_fractions(text)


def test_a_group_torn_by_official_lists_is_told() -> None:
    cases = [Case(name, Stored("i"), Stored("m"), split=where) for name, where in (("a", "training"), ("b", "test"))]
    cases += [Case(name, Stored("i"), Stored("m")) for name in "cd"]
    lists, notices = make_lists(cases, ["x", "x", "c", "d"], [0.1] * 4, Method("official", folds=2))
    assert [name for name, _ in lists["test"]] == ["b"]
    assert "1 groups lie in more than one official list, a leak: e.g. a (training) and b (test)" in notices
