"""The training, validation and test pairs of a folder or a datalist."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from custom_networks.data.datalist import Datalist, Split
from custom_networks.data.dealing import deal
from custom_networks.data.pairing import Item, and_more, existing_folder, find_pairs
from custom_networks.errors import UserError
from custom_networks.files import PathLike

FOLDS = 5
logger = logging.getLogger(__name__)
Lists = tuple[list[Item], list[Item]]
Located = TypeVar("Located")


def load_datalist(
    dataset_dir: PathLike, datalist: PathLike | None = None, fold: int = 0, folds: int = FOLDS, seed: int = 0
) -> Lists:
    """List the training and the validation pairs.

    Without `datalist`, the pairs of the folder are dealt into `folds` folds, see `deal`. With it, the file decides: by
    its "validation" list when it has one (`fold` is then unused), or else by the "fold" of each item, or else its
    pairs are dealt likewise, and no "group" of it is torn apart.

    Args:
        dataset_dir: the data set folder, from which relative paths in `datalist` start where the file does not lie
            beside the datalist.
        datalist: a MONAI datalist, a JSON file `{"training": [{"image": ..., "label": ..., "fold": 0}, ...]}`.
        fold: the fold to validate on; all others train.
        folds: how many folds to deal when the data have none.
        seed: the seed of that deal.

    Returns:
        (training, validation), each a list of `{"image": path, "label": path}` with absolute paths, and "types" where
        the datalist has it. Its other keys are left out.

    Raises:
        UserError: for a folder as in `find_pairs`; for a datalist that cannot be read, lacks keys, names missing files
            or gives only some items a fold; for a fold out of range or empty; for an image in both lists.
    """
    if datalist is None:
        pairs = find_pairs(dataset_dir)
        return _dealt(
            pairs, [Path(pair["image"]).name for pair in pairs], fold, folds, seed, existing_folder(dataset_dir)
        )
    content = Datalist.read(datalist)
    group_of: dict[str, str | None] = {}

    def items_of(split: Split) -> list[Item]:
        items = content.pairs(split, dataset_dir)
        group_of.update(_groups(content, split, items))
        return items

    training, validation = split_datalist(content, items_of, fold, folds, seed)
    _tell_torn({"training": training, "validation": validation}, group_of, content.source)
    return training, validation


def split_datalist(
    datalist: Datalist, items_of: Callable[[Split], list[Item]], fold: int, folds: int = FOLDS, seed: int = 0
) -> Lists:
    """Split a datalist as `load_datalist` does.

    Args:
        datalist: the datalist.
        items_of: gives the files of one of its lists, such as `Datalist.pairs`.
        fold: see `load_datalist`.
        folds: see `load_datalist`.
        seed: see `load_datalist`.
    """
    training = items_of("training")
    numbers = [image.fold for image in datalist.training]
    if datalist.validation is not None:
        split = training, items_of("validation")
    elif any(number is not None for number in numbers):
        split = _select_fold(training, numbers, fold, datalist.source)
    else:
        groups = [
            f"image {image.image}" if image.group is None else f"group {image.group}" for image in datalist.training
        ]
        split = _dealt(training, groups, fold, folds, seed, datalist.source)
    _refuse_overlap(*split, source=datalist.source)
    return split


def load_test_list(dataset_dir: PathLike, datalist: PathLike) -> list[Item]:
    """List the test pairs of a datalist.

    Args:
        dataset_dir: see `load_datalist`.
        datalist: see `load_datalist`; its "training" list may be empty here.

    Returns:
        `{"image": path, "label": path}` for each item of "test", with absolute paths.

    Raises:
        UserError: for a datalist that cannot be read, has no test list, lacks keys or names missing files; for an image
            that is also in its training or validation list.
    """
    content = Datalist.read(datalist)
    test = content.pairs("test", dataset_dir)
    group_of = _groups(content, "test", test)
    for split in ("training", "validation"):
        trained = content.located(split, dataset_dir)
        _refuse_overlap(trained, test, content.source, "testing")
        _tell_torn({split: trained, "test": test}, group_of | _groups(content, split, trained), content.source)
    return test


def torn_groups(placed: Iterable[tuple[Located, str, str | None]]) -> dict[str, tuple[Located, str, Located, str]]:
    """Find groups with images in two places.

    Args:
        placed: place, path and group of each image; None is a group of its own.

    Returns:
        Located and path of two images of each such group, which lie apart.
    """
    first: dict[str, tuple[Located, str]] = {}
    torn: dict[str, tuple[Located, str, Located, str]] = {}
    for place, path, group in placed:
        if group is not None and first.setdefault(group, (place, path))[0] != place:
            torn.setdefault(group, (*first[group], place, path))
    return torn


def _groups(datalist: Datalist, split: Split, items: list[Item]) -> dict[str, str | None]:
    """Group of each image of a list, by the image's path."""
    return {item["image"]: image.group for image, item in zip(datalist.listed(split), items, strict=True)}


def _tell_torn(lists: Mapping[str, list[Item]], group_of: Mapping[str, str | None], source: Path) -> None:
    """Warn of groups with images in two lists, which the datalist itself puts there."""
    torn = torn_groups(
        (name, item["image"], group_of[item["image"]]) for name, items in lists.items() for item in items
    )
    if torn:
        text = "%s: %s have groups in common (%d, such as %s), so figures come out too good; keep each group in one"
        logger.warning(text, source, " and ".join(lists), len(torn), min(torn))


def _dealt(items: list[Item], groups: Sequence[str], fold: int, folds: int, seed: int, source: Path) -> Lists:
    """Deal items into seeded folds that keep groups whole; both lists keep the order of `items`."""
    if folds < 2:
        raise UserError(f"{source}: folds is {folds}; set it to 2 or more")
    if fold not in range(folds):
        raise UserError(f"{source}: fold is {fold}, but there are {folds} folds; set fold from 0 to {folds - 1}")
    if not 0 <= seed < 2**32:
        raise UserError(f"{source}: the seed of the folds is {seed}; set it from 0 to {2**32 - 1}")
    group_of: dict[str, str] = {}
    for item, group in zip(items, groups, strict=True):
        if item["image"] in group_of:
            raise UserError(f"{item['image']}: listed twice in {source}; list it once, so that it lands in one fold")
        group_of[item["image"]] = group
    count, what = len(set(groups)), "pair" if len(set(groups)) == len(items) else "group"
    if count < folds:
        fix = f"set folds to {count} or add {what}s" if count > 1 else f"add {what}s, 2 at least"
        raise UserError(f"{source}: {count} {what}{'s' * (count != 1)} cannot be dealt into {folds} folds; {fix}")
    part_of = deal(group_of, [1.0] * folds, seed)
    return _apart(items, [part_of[item["image"]] for item in items], fold)


def _select_fold(items: list[Item], numbers: list[int | None], fold: int, source: Path) -> Lists:
    """Take the items of one fold for validation and all others for training."""
    if None in numbers:
        image = items[numbers.index(None)]["image"]
        raise UserError(f'{source}: {image} has no "fold", but other items have; give every item one')
    known = sorted({number for number in numbers if number is not None})
    if fold not in known:
        raise UserError(f"{source}: fold {fold} has no items; set fold to one that has: {', '.join(map(str, known))}")
    if len(known) == 1:
        raise UserError(f"{source}: every item is in fold {fold}, so none is left to train on; use at least two folds")
    return _apart(items, numbers, fold)


def _apart(items: list[Item], numbers: Sequence[int | None], fold: int) -> Lists:
    return (
        [item for item, number in zip(items, numbers, strict=True) if number != fold],
        [item for item, number in zip(items, numbers, strict=True) if number == fold],
    )


def _refuse_overlap(training: list[Item], validation: list[Item], source: Path, purpose: str = "validation") -> None:
    trained = {item["image"] for item in training}
    both = [item["image"] for item in validation if item["image"] in trained]
    if both:
        raise UserError(
            f"{both[0]}: in {source} for training and for {purpose}{and_more(both)}; keep it in one of them"
        )
