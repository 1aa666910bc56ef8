"""The images to evaluate: files, names, groups and every other column that the datalist has of them."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from custom_networks.data.checking.examine import Labels
from custom_networks.data.checking.findings import FindingKind
from custom_networks.data.checking.read import DataSet
from custom_networks.data.checking.run import run_check
from custom_networks.data.datalist import SPLITS, Datalist, ListedImage, Split
from custom_networks.data.depth import declared_depth
from custom_networks.data.labels import with_classes
from custom_networks.data.pairing import find_images, find_pairs
from custom_networks.data.splitting import load_datalist, load_test_list
from custom_networks.errors import UserError, nearest
from custom_networks.evaluation.classes import class_columns
from custom_networks.evaluation.trained import check_images, check_settings
from custom_networks.files import PathLike, printable
from custom_networks.metrics.instances import INSTANCE_COLUMNS, LESION_COLUMNS
from custom_networks.metrics.policies import FLAGS, METRICS
from custom_networks.statistics.per_image import MEASURED

CHOICES = ("validation", "training", "test", "all")
FILES = ("image", "label", "types", "spacing")  # of an item; not columns of the table
COMPUTED = (
    "lesion_size",
    "size",
    "border_contrast",
    "contrast",
    "ita",
    "skin_tone",
    "skin_lightness",
    "width",
    "height",
    "thumbnail",
    *LESION_COLUMNS,
    *INSTANCE_COLUMNS.values(),
    *("area_true", "area_predicted"),
    *MEASURED,
)


@dataclass(frozen=True)
class EvaluationSet:
    """What is to be evaluated.

    Attributes:
        items: `{"image": path, "label": path or [instances, types]}` for the loader.
        columns: of each image's path: id, group, fold, source and further columns, in the order of the items.
        spacing: of each image's path, (row, column) in millimetres; empty unless known for every image.
        label_kind: "mask", "instances" or "classes".
        classes: names of the classes by number; empty for one class.
        split: which list.
        about: name, description, licence and reference of the data, and where they lie.
        notes: sentences worth knowing.
        bit_depth: of grey images stored in 16 bits; None where there are none.
    """

    items: list[dict[str, Any]]
    columns: dict[str, dict[str, Any]]
    spacing: dict[str, tuple[float, float]]
    label_kind: str
    classes: dict[int, str]
    split: str
    about: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    bit_depth: int | None = None

    def labels(self) -> dict[str, str]:
        """File of each image's label, of instances where there are types, too."""
        return {item["image"]: str(_first(item["label"])) for item in self.items}

    def column_names(self) -> list[str]:
        """Names of all columns, in the order of their first appearance."""
        return list(dict.fromkeys(name for row in self.columns.values() for name in row))


def evaluation_set(
    dataset_dir: PathLike,
    datalist: PathLike | None,
    checkpoint: PathLike | None,
    split: str = "validation",
    fold: int = 0,
    seed: int = 0,
    label_kind: str = "mask",
    classes: int = 1,
    image_size: int = 256,
    bit_depth: int | None = None,
) -> EvaluationSet:
    """List the images of a split and read every file once.

    Args:
        dataset_dir: see `load_datalist`.
        datalist: see `load_datalist`.
        checkpoint: weights that will be evaluated; what they were trained on is compared. None for masks of others.
        split: "validation" (the fold), "training", "test" (the datalist's test list) or "all" (every labelled pair of
            training and validation).
        fold: see `load_datalist`.
        seed: see `load_datalist`.
        label_kind: "mask", "instances" or "classes".
        classes: how many to tell apart, background included; 1 for object or background.
        image_size: side of the network's input in pixels.
        bit_depth: of grey images stored in 16 bits, as in the training; None takes what holds every image.

    Returns:
        The set.

    Raises:
        UserError: for a split that is not there, labels that are missing, images that changed since the datalist was
            written or are listed twice, and whatever is wrong with a folder, list or file.
    """
    if split not in CHOICES:
        raise UserError(f"--split {split}: must be one of {', '.join(CHOICES)}{nearest(str(split), CHOICES)}")
    notes: list[str] = []
    if checkpoint is not None:
        notes = check_settings(
            str(checkpoint), {"label_kind": label_kind, "classes": classes, "image_size": image_size}
        )
    content = Datalist.read(datalist) if datalist is not None else None
    _need_labels(dataset_dir, content, split)
    items = _listed(dataset_dir, datalist, content, split, fold, seed)
    settings = {"dataset_dir": dataset_dir, "datalist": datalist, "fold": fold, "seed": seed, "split": split}
    if checkpoint is not None:
        others = functools.partial(_listed, dataset_dir, datalist, content)
        notes += check_images(str(checkpoint), items, settings, others)
    lists: tuple[Split, ...] = ("test",) if split == "test" else ("training", "validation")
    listed = content.columns(dataset_dir, *lists) if content is not None else {}
    paths = Counter(item["image"] for item in items)
    twice = next((path for path, count in paths.items() if count > 1), None)
    if twice:
        raise UserError(f"{twice}: listed more than once in {datalist}; list it once, so that it counts once")
    odd = next((path for path in paths if printable(path) != path), None)
    if odd:
        raise UserError(f"{printable(odd)}: its name is not UTF-8, as the tables of an evaluation are; rename the file")
    labels = Labels(label_kind, frozenset(range(1, classes)) if classes > 1 else None)
    depth = _check_files(items, listed, labels, datalist, declared_depth(datalist, bit_depth))
    spacing = {path: (found[0], found[1]) for path in paths if path in listed and (found := listed[path].spacing)}
    if spacing and len(spacing) < len(items):
        notes.append(
            f"{len(items) - len(spacing)} of {len(items)} images have no pixel spacing, so all distances are in pixels"
        )
        spacing = {}
    names = content.class_names() if content is not None else {}
    named = {number: names.get(number, str(number)) for number in range(1, classes)}
    about: dict[str, Any] = dict(content.facts()) if content is not None else {}
    about |= {"datalist": str(datalist) if datalist is not None else None, "dataset_dir": str(dataset_dir)}
    card = Path(datalist).parent / "data_card.md" if datalist is not None else None
    if card is not None and card.is_file():
        about["card"] = card.read_text(encoding="utf-8")
    return EvaluationSet(
        items=with_classes(items, label_kind, classes),
        columns=_columns(items, listed, notes, class_columns(named)),
        spacing=spacing,
        label_kind=label_kind,
        classes=named,
        split=split,
        about=about,
        notes=notes,
        bit_depth=depth,
    )


def _need_labels(dataset_dir: PathLike, content: Datalist | None, split: str) -> None:
    """Say where there is nothing to compare with that `sgdnet predict` is the verb to use."""
    fix = "there is nothing to compare a prediction with; use `sgdnet predict` for images without masks"
    if content is not None:
        for name in SPLITS:
            items = content.listed(name) if split in (name, "all") and (name, split) != ("test", "all") else []
            bare = [item for item in items if item.label is None]
            if bare:
                count = f"{len(bare)} of {len(items)}" if len(bare) < len(items) else "none"
                raise UserError(
                    f'{content.source}: {count} of the items of "{name}" '
                    f'{"lack" if len(bare) < len(items) else "has"} a "label"; {fix}'
                )
        return
    try:
        find_pairs(dataset_dir)
    except UserError as error:
        try:
            images = find_images(dataset_dir)
        except UserError:
            raise error from None
        if " no image and mask pairs" in str(error) or " masks/ is missing" in str(error):
            raise UserError(f"{dataset_dir}: {len(images)} images and no masks, so {fix}") from None
        raise


def _listed(
    dataset_dir: PathLike, datalist: PathLike | None, content: Datalist | None, split: str, fold: int, seed: int
) -> list[dict[str, Any]]:
    """Items of a split with absolute paths."""
    if split == "test":
        if datalist is None:
            raise UserError(f"--split test: {dataset_dir} is a folder, without a test list; give a --datalist")
        return [dict(item) for item in load_test_list(dataset_dir, datalist)]
    if content is not None and split == "validation" and not content.training and content.validation:
        return [dict(item) for item in content.pairs("validation", dataset_dir)]  # of a clinic that trains nothing
    if content is not None and not content.training and content.test:
        raise UserError(f"{datalist}: its pairs are all in the test list; use --split test")
    training, validation = load_datalist(dataset_dir, datalist, fold=fold, seed=seed)
    chosen = {"training": training, "validation": validation, "all": [*training, *validation]}[split]
    return [dict(item) for item in chosen]


def _check_files(
    items: list[dict[str, Any]],
    listed: dict[str, ListedImage],
    labels: Labels,
    datalist: PathLike | None,
    depth: int | None,
) -> int | None:
    """Read every file; returns the bit depth. An image that the datalist was not written for is an error here."""
    known = {path: image.sha256 for path, image in listed.items()}
    hashed = [{**item, "sha256": known.get(item["image"])} for item in items]
    data_set = DataSet("data", {"evaluation": hashed}, labels, bit_depth=depth)
    report = run_check([data_set], near_duplicates=False, remembered=True)
    findings = report.findings
    errors = [finding for finding in findings if finding.kind.is_error]
    if errors:
        more = f" (and {len(errors) - 1} more with errors)" if len(errors) > 1 else ""
        raise UserError(f"{errors[0].sentence}{more}")
    changed = [finding.path for finding in findings if finding.kind is FindingKind.HASH]
    if changed:
        more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        raise UserError(
            f"{changed[0]}: not the file that {datalist} was written for{more}, its sha256 differs; put the original "
            "back, or make the datalist again with `sgdnet prepare`"
        )
    return report.bit_depth[0]


def _columns(
    items: list[dict[str, Any]], listed: dict[str, ListedImage], notes: list[str], of_classes: list[str]
) -> dict[str, dict[str, Any]]:
    """Columns of each image: id, group, fold, source, image, label, then the datalist's own."""
    names = _names(items, listed)
    reserved = {*METRICS, *FLAGS, *COMPUTED, *of_classes}
    renamed: set[str] = set()
    columns: dict[str, dict[str, Any]] = {}
    for item in items:
        raw = listed[item["image"]].columns() if item["image"] in listed else {}
        row: dict[str, Any] = {"id": names[item["image"]]}
        row |= {name: raw[name] for name in ("group", "fold", "source") if name in raw}
        row |= {"image": item["image"], "label": item["label"]}
        for name, value in raw.items():
            if name in row or name in FILES or name == "sha256":
                continue
            if name in reserved:
                renamed.add(name)
            plain = value if isinstance(value, str | int | float | bool) or value is None else str(value)
            row[f"datalist_{name}" if name in reserved else name] = plain
        columns[item["image"]] = row
    if renamed:
        notes.append(f"columns named as computed ones are called datalist_*: {', '.join(sorted(renamed))}")
    return columns


def _names(items: list[dict[str, Any]], listed: dict[str, ListedImage]) -> dict[str, str]:
    """Name of each image: the datalist's id, else the file's name, with its folder or whole path where it must."""
    paths = [item["image"] for item in items]
    candidates = [
        [(listed[path].id if path in listed else None) or Path(path).stem for path in paths],
        [Path(path).name for path in paths],
        [f"{Path(path).parent.name}/{Path(path).name}" for path in paths],
        paths,
    ]
    unique = next(names for names in candidates if len(set(names)) == len(names))
    return dict(zip(paths, unique, strict=True))


def _first(files: Any) -> Any:
    return files[0] if isinstance(files, list | tuple) else files
