"""Deal cases into the training, validation and test lists of a datalist."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from custom_networks.data.datalist import SPLITS, Datalist, ListedImage
from custom_networks.data.dealing import deal
from custom_networks.data.prepare.cases import Case
from custom_networks.errors import UserError

Entry = tuple[str, int | None]  # id and fold


@dataclass(frozen=True)
class Method:
    """How a data set is split.

    Args:
        method: "official" lists (the training list in folds where there is no validation list), "kfold" of the training
            list, "fractions" of everything, or everything to "test".
        folds: of the training list.
        fractions: relative sizes of training, validation and test.
        seed: of what is dealt.
    """

    method: str
    folds: int = 5
    fractions: Sequence[float] = (0.7, 0.1, 0.2)
    seed: int = 0


def make_lists(
    cases: Sequence[Case], groups: Sequence[str], shares: Sequence[float], how: Method
) -> tuple[dict[str, list[Entry]], list[str]]:
    """Deal the cases into lists.

    Args:
        cases: with the official list of each.
        groups: group of each case, which stays in one fold and, unless the lists are official, in one list.
        shares: foreground share of each case.
        how: the method.

    Returns:
        The lists that are not empty (and "training" always), each of (id, fold); and notices for the user.

    Raises:
        UserError: when there are too few groups.
    """
    count = len(cases)
    group_of = {case.id: group for case, group in zip(cases, groups, strict=True)}
    share_of = {case.id: share for case, share in zip(cases, shares, strict=True)}
    notices: list[str] = []
    if how.method == "test":
        list_of = ["test"] * count
    elif how.method == "fractions":
        wanted = [(name, size) for name, size in zip(SPLITS, how.fractions, strict=True) if size]
        part_of = deal(group_of, [size for _, size in wanted], how.seed, share_of)
        list_of = [wanted[part_of[case.id]][0] for case in cases]
    else:
        list_of = [case.split for case in cases]
        if how.method == "kfold" and "training" not in list_of:
            list_of = ["training"] * count
    if how.method == "kfold" and "validation" in list_of:
        left_out = list_of.count("validation")
        notices.append(f"{left_out} images of the official validation list left out; --split official keeps them")
    lists: dict[str, list[Entry]] = {"training": []}
    for name in SPLITS if how.method != "kfold" else ("training", "test"):
        if name in list_of:
            lists[name] = [(case.id, None) for case, where in zip(cases, list_of, strict=True) if where == name]
    if lists["training"] and "validation" not in lists and (how.method in ("official", "kfold")):
        names = [name for name, _ in lists["training"]]
        fold_of = deal({name: group_of[name] for name in names}, [1.0] * how.folds, how.seed, share_of)
        lists["training"] = [(name, fold_of[name]) for name in names]
    return lists, [*notices, *_torn(cases, groups, lists)]


def _torn(cases: Sequence[Case], groups: Sequence[str], lists: dict[str, list[Entry]]) -> list[str]:
    """Say which groups the official lists tear apart."""
    where = {name: listed for listed, entries in lists.items() for name, _ in entries}
    places: dict[str, dict[str, str]] = {}
    for case, group in zip(cases, groups, strict=True):
        if case.id in where:
            places.setdefault(group, {}).setdefault(where[case.id], case.id)
    torn = [found for found in places.values() if len(found) > 1]
    if not torn:
        return []
    example = " and ".join(f"{name} ({listed})" for listed, name in torn[0].items())
    return [f"{len(torn)} groups lie in more than one official list, a leak: e.g. {example}"]


def external_test(path: Path, output: Path) -> list[ListedImage]:
    """Take every image of another prepared data set as test images.

    Args:
        path: its datalist.
        output: folder of the datalist to be written, from which paths shall start.

    Returns:
        The images of all its lists, without folds.

    Raises:
        UserError: when the file is no datalist or names no images.
    """
    datalist = Datalist.read(path)
    images = [
        image.model_copy(update={"fold": None, **{part: relative(file, output) for part, file in files.items()}})
        for split in SPLITS
        for image, files in zip(datalist.listed(split), datalist.located(split), strict=True)
    ]
    if not images:
        raise UserError(f"{path}: names no images; prepare that data set again")
    return images


def relative(path: str | Path, folder: Path) -> str:
    """Path as a datalist in `folder` names it, with forward slashes."""
    target, start = os.path.abspath(path), os.path.abspath(folder)  # noqa: PTH100  links stay as they are
    try:
        return Path(os.path.relpath(target, start)).as_posix()
    except ValueError:  # another drive
        return Path(target).as_posix()
