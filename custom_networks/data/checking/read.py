"""What is to be checked: a datalist with all its splits, or a folder of pairs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai.config import PathLike

from custom_networks.data.checking.examine import Labels
from custom_networks.data.checking.findings import Finding, Kind
from custom_networks.data.depth import declared_depth
from custom_networks.data.folder import PARTS, find_pairs, load_datalist, read_datalist
from custom_networks.data.formats import LABEL_KINDS
from custom_networks.data.labels import with_classes
from custom_networks.data.remote import fetch_items, remote_base
from custom_networks.errors import UserError, nearest

SPLITS = ("training", "validation", "test")


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
            return DataSet(path.resolve().name, {}, findings=[Finding(Kind.FILE, str(path), str(error))])
    content = read_datalist(path)
    data_set = DataSet(
        str(content.get("name") or path.stem), {}, _labels(content, path), bit_depth=declared_depth(path)
    )
    for split in SPLITS:
        listed = content.get(split) or []
        if not isinstance(listed, list):
            raise UserError(f'{path}: "{split}" must be a list; list image and label of each pair')
        data_set.splits[split] = []
        listed = fetch_items(listed, PARTS, remote_base(path, dataset_dir))
        for number, item in enumerate(listed, start=1):
            where = f'{path}: item {number} of "{split}"'
            broken = next((key for key in ("image", "label") if not _is_name(item, key)), None)
            if broken:
                sentence = f'{where} has no "{broken}"; give one file name in quotes'
                data_set.findings.append(Finding(Kind.FILE, str(path), sentence))
            else:
                data_set.splits[split].append(_located(item, path.parent, dataset_dir))
    data_set.findings += _repeated_ids(data_set, path)
    if content["training"] and not any(finding.kind is Kind.FILE for finding in data_set.findings):
        data_set.findings += _refused_by_training(data_set, path, dataset_dir)
    return data_set


def _is_name(item: Any, key: str) -> bool:
    return isinstance(item, Mapping) and isinstance(item.get(key), str) and bool(item[key])


def _located(item: Mapping[str, Any], beside: Path, dataset_dir: PathLike | None) -> dict[str, Any]:
    """Copy an item with the paths of its files made whole: beside the datalist, or else in `dataset_dir`."""
    located = dict(item)
    for key in ("image", "label", "types"):
        if _is_name(item, key):
            name = os.path.normpath(beside / item[key])
            if dataset_dir is not None and not os.path.isfile(name):  # noqa: PTH113
                name = os.path.normpath(Path(dataset_dir) / item[key])
            located[key] = name
    return located


def _refused_by_training(data_set: DataSet, path: Path, dataset_dir: PathLike | None) -> list[Finding]:
    """Tell what training refuses of a list whose files are all there: its folds, overlaps, class maps."""
    items = [item for each in data_set.splits.values() for item in each]
    if not all(os.path.isfile(item[part]) for item in items for part in PARTS if part in item):  # noqa: PTH113
        return []  # each missing file is a finding of its own
    folds = [item["fold"] for item in data_set.splits["training"] if type(item.get("fold")) is int]
    try:
        lists = load_datalist(dataset_dir or path.parent, path, fold=min(folds, default=0), folds=2)
        for listed in lists:
            with_classes(
                listed, data_set.labels.kind, 2 if data_set.labels.classes and data_set.labels.kind != "mask" else 1
            )
    except UserError as error:
        return [Finding(Kind.LIST, str(path), str(error))]
    return []


def _labels(content: Mapping[str, Any], path: Path) -> Labels:
    kind = content.get("label_kind", "mask")
    if kind not in LABEL_KINDS:
        raise UserError(
            f'{path}: "label_kind" is {kind!r}; use one of {", ".join(LABEL_KINDS)}{nearest(str(kind), LABEL_KINDS)}'
        )
    classes = content.get("classes")
    if classes is None:
        return Labels(kind)
    try:
        return Labels(kind, frozenset(int(index) for index in classes))
    except (TypeError, ValueError):
        raise UserError(f'{path}: "classes" must name each class by its index, as in {{"1": "lesion"}}') from None


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
                findings.append(Finding(Kind.SAME_ID, item["image"], sentence, seen[name]))
            seen.setdefault(name, item["image"])
    return findings
