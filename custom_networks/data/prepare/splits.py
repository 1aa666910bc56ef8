"""Deal cases into folds or fractions: groups stay together, and each part gets its share of every lesion size."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from custom_networks.errors import UserError

METHODS = ("official", "kfold", "fractions", "test")
_STRATA = 4  # quartiles of the foreground share; empty masks are a stratum of their own


def group_names(
    ids: Sequence[str],
    columns: Sequence[Mapping[str, Any]],
    group_by: str = "",
    duplicates: Iterable[tuple[str, str]] = (),
) -> list[str]:
    """Name the group of each case: what must not be torn apart.

    Args:
        ids: of the cases.
        columns: further facts of each case.
        group_by: a column, or a regular expression with one group that is searched for in the id; empty makes each
            case a group of its own.
        duplicates: pairs of ids that show the same picture, whose groups are merged.

    Returns:
        The name of each case's group; of merged groups the first name in alphabetical order.

    Raises:
        UserError: for a column that a case lacks, or a pattern that is none or does not fit an id.
    """
    names = _named(ids, columns, group_by) if group_by else list(ids)
    of_id = dict(zip(ids, names, strict=True))
    root = {name: name for name in names}

    def find(name: str) -> str:
        while root[name] != name:
            root[name] = root[root[name]]
            name = root[name]
        return name

    for one, other in duplicates:
        first, second = sorted((find(of_id[one]), find(of_id[other])))
        root[second] = first
    return [find(name) for name in names]


def _named(ids: Sequence[str], columns: Sequence[Mapping[str, Any]], group_by: str) -> list[str]:
    if any(group_by in facts for facts in columns):
        lacking = next((i for i, facts in zip(ids, columns, strict=True) if facts.get(group_by, "") == ""), None)
        if lacking is not None:
            raise UserError(f"--group_by {group_by}: {lacking} has no such column or an empty cell; fill it in")
        return [str(facts[group_by]) for facts in columns]
    known = sorted({name for facts in columns for name in facts})
    hint = f"one of the columns {', '.join(known)}, or " if known else ""
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise UserError(f"--group_by {group_by}: no regular expression ({error}); give {hint}a pattern") from None
    if pattern.groups != 1:
        raise UserError(f"--group_by {group_by}: give {hint}a pattern with one group, as in '^(.+)_[0-9]+$'")
    found = [pattern.search(name) for name in ids]
    for name, match in zip(ids, found, strict=True):
        if match is None or not match[1]:
            raise UserError(f"--group_by {group_by}: does not fit the id {name}; correct the pattern")
    return [match[1] for match in found if match is not None]


def deal(groups: Sequence[str], shares: Sequence[float], parts: Sequence[float], seed: int = 0) -> list[int]:
    """Deal cases into parts of given relative sizes.

    Groups are dealt one by one, the largest first and equal ones in an order drawn from the seed, each to the part
    that lacks it most, in the number of cases and in each stratum of the foreground share.

    Args:
        groups: group of each case; a group stays in one part.
        shares: foreground share 0..1 of each case.
        parts: relative size of each part, above 0.
        seed: of the order.

    Returns:
        Number of each case's part. The same arguments give the same numbers; the order of the cases does not matter
        where groups differ in name.

    Raises:
        UserError: when there are fewer groups than parts, or a part would stay empty.
    """
    names, group_of = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if len(names) < len(parts):
        raise UserError(f"{len(names)} groups of images cannot be dealt into {len(parts)} parts; use fewer")
    strata = _strata(np.asarray(shares, dtype=float), len(parts))
    members = np.zeros((len(names), strata.max() + 1))
    np.add.at(members, (group_of, strata), 1)
    weights = np.asarray(parts, dtype=float) / np.sum(parts)
    missing = np.outer(weights, members.sum(axis=0))  # (parts, strata): cases still wanted
    shuffled = np.random.default_rng(seed).permutation(len(names))
    order = shuffled[np.lexsort((members[shuffled].argmax(axis=1), -members[shuffled].sum(axis=1)))]
    part_of = np.zeros(len(names), dtype=int)
    for group in order:
        lack = missing @ members[group] + missing.sum(axis=1) * members[group].sum()
        part_of[group] = int(np.argmax(np.round(lack, 9)))
        missing[part_of[group]] -= members[group]
    empty = sorted(set(range(len(parts))) - set(part_of.tolist()))
    if empty:
        raise UserError(
            f"{len(names)} groups of images leave part {empty[0] + 1} of {len(parts)} empty; make that part larger or "
            "add images"
        )
    return part_of[group_of].tolist()


def _strata(shares: np.ndarray, parts: int) -> np.ndarray:
    """Stratum of each case: 0 for an empty mask, then quartiles of the share (fewer where there are few cases)."""
    filled = shares > 0
    count = int(max(1, min(_STRATA, filled.sum() // max(parts, 1))))
    strata = np.zeros(len(shares), dtype=int)
    ranks = shares[filled].argsort(kind="stable").argsort(kind="stable")
    strata[filled] = 1 + ranks * count // max(int(filled.sum()), 1)
    return strata


def parse_fractions(text: str) -> tuple[float, ...]:
    """Read "7:1:2" or "0.7,0.1,0.2" as relative sizes of training, validation and test.

    Raises:
        UserError: for other than three numbers, of which training and another are above 0.
    """
    words = re.split(r"[:,;\s]+", text.strip("()[] "))
    try:
        numbers = tuple(float(word) for word in words)
    except ValueError:
        numbers = ()
    if (
        len(numbers) != 3
        or not all(0 <= number < float("inf") for number in numbers)
        or not numbers[0]
        or not sum(numbers[1:])
    ):
        raise UserError(f"--fractions {text}: give training, validation and test, such as 7:1:2 or 0.8,0,0.2")
    return numbers
