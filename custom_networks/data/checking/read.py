"""What is to be checked: a datalist with all its splits, or a folder of pairs."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from custom_networks.data.checking.examine import Labels
from custom_networks.data.checking.findings import Finding, FindingKind
from custom_networks.data.datalist import SPLITS, Datalist, Split
from custom_networks.data.labels import with_classes
from custom_networks.data.pairing import Item, find_pairs
from custom_networks.data.splitting import split_datalist, torn_groups
from custom_networks.errors import UserError
from custom_networks.files import PathLike


@dataclass
class DataSet:
    """One data set to check.

    Attributes:
        name: for the report.
        splits: the items of each split; a folder has one, "pairs".
        labels: what its labels should hold.
        findings: about the list itself.
        bit_depth: declared for grey images that are stored in 16 bits; None where the files are to tell.
    """

    name: str
    splits: dict[str, list[dict[str, Any]]]
    labels: Labels = field(default_factory=Labels)
    findings: list[Finding] = field(default_factory=list)
    bit_depth: int | None = None


def read_data_set(source: PathLike, dataset_dir: PathLike | None = None) -> DataSet:
    """Read a datalist or a folder.

    Args:
        source: a MONAI datalist (JSON) or a folder with images and masks.
        dataset_dir: where relative paths start that are not beside the datalist.

    Returns:
        The data set; a partner missing in a folder and a malformed item are findings, so that the rest is checked.

    Raises:
        UserError: when there is no such file or folder, or the datalist cannot be read.
    """
    path = Path(os.path.expanduser(source))  # noqa: PTH111
    if path.suffix.lower() != ".json":
        try:
            return DataSet(path.resolve().name, {"pairs": [dict(item) for item in find_pairs(source)]})
        except UserError as error:
            if not path.is_dir():
                raise
            return DataSet(path.resolve().name, {}, findings=[Finding(FindingKind.FILE, str(path), str(error))])
    datalist = Datalist.read(path)
    classes = frozenset(datalist.class_names()) if datalist.classes is not None else None
    data_set = DataSet(
        datalist.name or path.stem, {}, Labels(datalist.label_kind, classes), bit_depth=datalist.bit_depth
    )
    for split in SPLITS:
        located = datalist.located(split, dataset_dir)
        data_set.splits[split] = [
            {**image.columns(), **files} for image, files in zip(datalist.listed(split), located, strict=True)
        ]
    try:
        _try_to_train(datalist, dataset_dir)
    except UserError as error:
        data_set.findings.append(Finding(FindingKind.LIST, str(path), str(error)))
    data_set.findings += _repeated_ids(data_set, path)
    data_set.findings += _torn_groups(data_set)
    return data_set


def _torn_groups(data_set: DataSet) -> list[Finding]:
    """Say once of each group in which two splits or folds it lies; folds mean nothing beside a validation list."""
    by_fold = not data_set.splits["validation"]
    torn = torn_groups(
        ((split, item.get("fold") if by_fold else None), item["image"], item.get("group"))
        for split, items in data_set.splits.items()
        for item in items
    )
    findings = []
    for group, ((split, fold), path, (other_split, other_fold), other) in torn.items():
        apart = split != other_split
        where = f"{split} and {other_split}" if apart else f"folds {fold} and {other_fold}"
        kind = FindingKind.TORN_SPLITS if apart else FindingKind.TORN_FOLDS
        findings.append(Finding(kind, other, f"group {group} is in {where}", path))
    return findings


def _try_to_train(datalist: Datalist, dataset_dir: PathLike | None) -> None:
    """Raise what a training would raise of the lists; the files are examined one by one."""

    def items_of(split: Split) -> list[Item]:
        datalist.require_labels(split)
        return datalist.located(split, dataset_dir)

    if datalist.training or not datalist.test:
        fold = min((image.fold for image in datalist.training if image.fold is not None), default=0)
        with_types = datalist.label_kind == "instances" and any(image.types for image in datalist.training)
        classes = 2 if with_types else 1
        for listed in split_datalist(datalist, items_of, fold):
            with_classes(listed, datalist.label_kind, classes)


def _repeated_ids(data_set: DataSet, path: Path) -> list[Finding]:
    seen: dict[str, str] = {}
    findings = []
    for items in data_set.splits.values():
        for item in items:
            name = str(item.get("id", ""))
            if name and name in seen:
                sentence = (
                    f"{item['image']}: its id {name!r} in {path} is also that of {seen[name]}; give every item an id "
                    "of its own"
                )
                findings.append(Finding(FindingKind.SAME_ID, item["image"], sentence, seen[name]))
            seen.setdefault(name, item["image"])
    return findings
