"""What may not be torn apart, and the relative sizes of the lists."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from custom_networks.errors import UserError

METHODS = ("official", "kfold", "fractions", "test")
NONE = "none"
"""As `--group_by`: each image is a group of its own."""


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
        group_by: a column, or a regular expression with one group that is searched for in the id; empty or `NONE`
            makes each case a group of its own.
        duplicates: pairs of ids that show the same picture, whose groups are merged.

    Returns:
        The name of each case's group; of merged groups the first name in alphabetical order.

    Raises:
        UserError: for a column that a case lacks, or a pattern that is none or does not fit an id.
    """
    names = _named(ids, columns, group_by) if group_by not in ("", NONE) else list(ids)
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


def parse_fractions(text: str) -> tuple[float, ...]:
    """Read "7:1:2" or "0.7,0.1,0.2" as relative sizes of training, validation and test.

    Raises:
        UserError: for other than three numbers, of which validation, or training and test, are above 0.
    """
    words = re.split(r"[:,;\s]+", text.strip("()[] "))
    try:
        numbers = tuple(float(word) for word in words)
    except ValueError:
        numbers = ()
    if (
        len(numbers) != 3
        or not all(0 <= number < float("inf") for number in numbers)
        or not (numbers[0] or numbers[1])
        or not sum(numbers[1:])
    ):
        raise UserError(f"--fractions {text}: give training, validation and test, such as 7:1:2 or 0.8,0,0.2")
    return numbers
