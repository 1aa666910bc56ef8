"""`sgdnet evaluate --predictions`: masks that any program or reader wrote, measured as a network's predictions are."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from custom_networks.configuration.checking import check_values
from custom_networks.data.formats import read
from custom_networks.data.images import WIDE_MODES
from custom_networks.data.labels import class_count, label_kind
from custom_networks.data.pairing import find_partners, find_pictures
from custom_networks.errors import UserError
from custom_networks.evaluation.columns import subgroup_edges
from custom_networks.evaluation.items import EvaluationSet, evaluation_set
from custom_networks.evaluation.measuring import Measurement, Sample, check_size
from custom_networks.evaluation.pictures import resize_picture, small_size
from custom_networks.evaluation.results import conclude
from custom_networks.run.folder import claim_folder

FEW_LEVELS = 32
"""A folder whose grey maps all stay below this level holds classes, not probabilities."""


def evaluate_masks(
    predictions: str | Path,
    labels: str | Path | None = None,
    *,
    images: str | Path | None = None,
    datalist: str | Path | None = None,
    dataset_dir: str | Path = "",
    split: str = "test",
    fold: int = 0,
    seed: int = 0,
    kind: str | None = None,
    classes: int | None = None,
    subgroups: str | None = None,
    output_dir: str | Path | None = None,
    **options: Any,
) -> Path:
    """Measure the masks of a folder and write rows, summary and what a report and a comparison need.

    Args:
        predictions: folder of masks (0 and 255, or 0 and 1), grey probability maps, class maps or instance maps, named
            as the labels are, see `find_partners`.
        labels: folder of the true masks; None takes those of `datalist`.
        images: folder of the images, for thumbnails, contrast and skin tone.
        datalist: a MONAI datalist, whose groups, spacing and columns count.
        dataset_dir: see `load_datalist`.
        split: of the datalist.
        fold: of the datalist, for the splits validation and training.
        seed: of folds that are dealt, and of the bootstrap.
        kind: of labels and predictions; what the datalist says, or mask, by default.
        classes: how many there are, background included, for the kind classes.
        subgroups: columns to summarise by, with commas.
        output_dir: new folder of the evaluation.
        options: tolerance, thumbnails, detection_iou, reader and overwrite, see `Measurement`.

    Returns:
        The folder of the evaluation.

    Raises:
        UserError: for folders that do not pair, masks that cannot be read, sizes that differ, impossible settings.
    """
    check_values({"fold": fold, "seed": seed})
    what = label_kind(kind, datalist)
    count = class_count(datalist, classes) if what == "classes" else 1
    if (labels is None) == (datalist is None):
        raise UserError("--predictions: needs either --labels, a folder of true masks, or --datalist")
    if datalist is not None:
        listed = evaluation_set(dataset_dir, datalist, None, split, fold, seed, what, count)
    else:
        listed = _labels_only(str(labels), images, what, count)
    true = listed.labels()
    partners = find_partners(true.values(), predictions, "prediction")
    others = len(find_pictures(predictions)) - len(partners)
    if others:
        listed.notes.append(f"{others} pictures in {predictions} are of no label and were not measured")
    chosen = subgroups if subgroups is not None else "size"
    edges = subgroup_edges(chosen, listed.column_names())
    folder = Path(output_dir or claim_folder("eval"))
    settings: dict[str, Any] = {
        "predictions": str(predictions),
        "labels": labels,
        "images": images,
        "datalist": datalist,
    }
    settings |= {
        "split": listed.split,
        "subgroups": chosen,
        "label_kind": what,
        "output_dir": str(folder),
        **options,
        "seed": seed,
    }
    measured = Measurement(listed, folder, "original", edges, **options, settings=settings)
    scale = _probability_scale(list(partners.values())) if what == "mask" else None
    measured.begin()
    begin = time.perf_counter()
    try:
        for sample in _samples(listed, {path: partners[label] for path, label in true.items()}, true, scale):
            measured.add(sample)
        measured.seconds["metrics"] = time.perf_counter() - begin
        measured.end()
        extra = {"predictions": {"folder": str(predictions), "probabilities": scale is not None}}
        conclude(measured, None, settings, seed=seed, extra=extra)
    finally:
        measured.place.release()
    return folder


def _labels_only(labels: str, images: str | Path | None, kind: str, classes: int) -> EvaluationSet:
    """The set of a folder of labels, with the images of another where that is given."""
    paths = find_pictures(labels)
    pictures = find_partners(paths, images, "image") if images else {}
    items = [{"image": pictures.get(path, path), "label": path} for path in paths]
    columns = {
        item["image"]: {"id": Path(item["label"]).stem, "image": pictures.get(item["label"]), "label": item["label"]}
        for item in items
    }
    about = {"datalist": None, "dataset_dir": labels}
    names = {number: str(number) for number in range(1, classes)}
    return EvaluationSet(items, columns, {}, kind, names, "all labels", about)


def _samples(
    listed: EvaluationSet, predictions: dict[str, str], labels: dict[str, str], scale: int | None
) -> Iterator[Sample]:
    """Read the prediction, the label and, where there is one, the picture of each image."""
    for item in listed.items:
        path, kind = item["image"], listed.label_kind
        truth = np.asarray(read(labels[path], kind).image).astype(np.int32)
        opened = read(predictions[path], kind)
        found = np.asarray(opened.image)
        check_size(predictions[path], found.shape, truth.shape)
        prediction: NDArray = found > 0
        if listed.label_kind == "classes":
            for name, numbers in ((labels[path], truth), (predictions[path], found)):
                _refuse_undeclared(name, numbers, listed.classes)
        if scale and opened.mode in ("L", *WIDE_MODES):  # as stored: the largest level of a faint map may be 1
            white = np.float32(scale if opened.mode in WIDE_MODES else 255)
            prediction = np.asarray(read(predictions[path], "instances").image).astype(np.float32) / white
        elif scale and opened.levels is not None:
            prediction = np.asarray(opened.levels).astype(np.float32) / 255
        size = (int(truth.shape[0]), int(truth.shape[1]))
        picture = None
        if path != labels[path]:
            image = read(path, "image")
            picture = resize_picture(np.asarray(image.rgb(path)), small_size(size))
        yield Sample(
            path=path,
            size=size,
            prediction=prediction,
            truth=truth,
            instances=found.astype(np.int64) if kind == "instances" else None,
            class_map=found.astype(np.int64) if kind == "classes" else None,
            types=truth if kind == "classes" else None,
            picture=picture,
        )


def _refuse_undeclared(path: str, numbers: NDArray, classes: Mapping[int, str]) -> None:
    """Raise UserError for a class map with a number that no class has."""
    undeclared = sorted(set(np.unique(numbers).tolist()) - {0, *classes})
    if undeclared:
        raise UserError(
            f"{path}: holds class {undeclared[0]}, but the classes are 0 to {max(classes, default=0)}; correct it, or "
            f"give --classes, which counts the background"
        )


def _probability_scale(paths: list[str]) -> int | None:
    """Value that stands for a probability of 1 in the maps of a folder, 255 or 65535; None where all are masks.

    Decided for the folder, not for a file: a map on which hardly anything is likely holds small numbers only.
    """
    largest, wide = 0, False
    for path in paths:
        opened = read(path, "mask")
        counts = opened.levels.histogram() if opened.levels is not None else [0] * 256
        if any(counts[1:255]):
            largest = max(largest, *(level for level, count in enumerate(counts) if count))
        wide = wide or (opened.mode in WIDE_MODES and np.asarray(read(path, "instances").image).max() > 255)
    if 0 < largest < FEW_LEVELS:
        raise UserError(
            f"{Path(paths[0]).parent}: the masks hold other numbers than 0 and 255 or 0 and 1, none above "
            f"{largest}; "
            "if these are classes or instances, add --label_kind classes or --label_kind instances"
        )
    return (65535 if wide else 255) if largest else None
