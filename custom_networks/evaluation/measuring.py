"""The table of an evaluation: a row of figures for each image as it comes, whoever made the prediction."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from custom_networks.data.formats import read
from custom_networks.data.pairing import find_partners
from custom_networks.errors import UserError
from custom_networks.evaluation.begun import EvaluationFolder
from custom_networks.evaluation.case_maps import CASES
from custom_networks.evaluation.classes import class_row
from custom_networks.evaluation.columns import add_classes, computed_columns
from custom_networks.evaluation.instances import PooledInstances
from custom_networks.evaluation.items import EvaluationSet
from custom_networks.evaluation.pictures import THUMBNAILS, ShownCase, resize_mask, small_size, write_thumbnail
from custom_networks.evaluation.trained import TRAINING
from custom_networks.files import remove_unfinished, sha256, write_atomically
from custom_networks.flags import flag
from custom_networks.metrics.image_metrics import measure
from custom_networks.metrics.instances import DETECTION_IOU, INSTANCE_COLUMNS, detect
from custom_networks.metrics.policies import FLAGS, METRICS
from custom_networks.metrics.probability import Calibration, border_band
from custom_networks.statistics.lesion import lesion_size
from custom_networks.statistics.per_image import PER_IMAGE
from custom_networks.weights.record import THRESHOLD

READER_METRICS = ("dice", "hd95")  # of another reader's masks


def check_size(path: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Refuse a mask of another size than its label's; both are (H, W)."""
    if shape != expected:
        sizes = [f"{width} x {height}" for height, width in (shape, expected)]
        raise UserError(f"{path}: {sizes[0]} pixels, and its label has {sizes[1]}; resize it to the label's size")


@dataclass(frozen=True)
class Sample:
    """One image, everything (H, W) at the size that is measured.

    Attributes:
        path: of the image.
        size: its own height and width.
        prediction: probability of the foreground, or a boolean mask.
        truth: whole numbers, above 0 foreground.
        instances: predicted instances, where these are counted.
        class_map: most probable foreground class, outside the mask too; None for one class.
        types: true class of each pixel; None for one class.
        picture: (h, w, 3) RGB, 256 pixels at most, at the image's own aspect ratio; None where only labels are there.
        threshold: probability from which a pixel of `prediction` is foreground.
    """

    path: str
    size: tuple[int, int]
    prediction: NDArray[Any]
    truth: NDArray[np.int32]
    instances: NDArray[np.integer] | None
    class_map: NDArray[np.integer] | None
    types: NDArray[np.int32] | None
    picture: NDArray[np.uint8] | None
    threshold: float = THRESHOLD

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The predicted foreground, (H, W)."""
        return np.asarray(self.prediction if self.prediction.dtype == bool else self.prediction >= self.threshold)


class Measurement:
    """Measure images one after the other, keep a row of figures of each, and nothing else.

    Args:
        evaluation_set: what is evaluated.
        output_dir: new folder of the evaluation.
        resolution: "original" or "network", at which the samples come.
        subgroups: columns that must be computed, and their edges, see `columns.subgroup_edges`.
        tolerance: of NSD and boundary F, in pixels.
        thumbnails: how many images get a thumbnail.
        detection_iou: from which a predicted lesion counts as a true one.
        reader: folder with the masks of another human reader, measured against the truth in the same way; what two
            readers agree on is the most that can be asked of a network.
        overwrite: whether an evaluation in `output_dir` may be replaced.
        settings: every knob of the evaluation, by which one that was stopped is known again.
        weights: their file; None where another program made the masks.
        threshold: probability from which a pixel is foreground.

    Raises:
        UserError: for an impossible setting, or a folder that holds an evaluation.
    """

    tune = False

    def __init__(
        self,
        evaluation_set: EvaluationSet,
        output_dir: str | Path,
        resolution: str,
        subgroups: Mapping[str, tuple[float, ...]],
        tolerance: float = 2.0,
        thumbnails: int = 1000,
        detection_iou: float = DETECTION_IOU,
        reader: str | Path | None = None,
        overwrite: bool = False,
        settings: Mapping[str, Any] | None = None,
        weights: str | Path | None = None,
        threshold: float = THRESHOLD,
    ) -> None:
        if isinstance(thumbnails, bool) or not isinstance(thumbnails, int) or thumbnails < 0:
            raise UserError(f"--thumbnails {thumbnails}: must be a whole number from 0 up")
        if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 <= tolerance < float("inf"):
            raise UserError(f"--tolerance {tolerance}: must be a number of pixels from 0 up")
        if isinstance(detection_iou, bool) or not isinstance(detection_iou, int | float) or not 0 < detection_iou <= 1:
            raise UserError(f"--detection_iou {detection_iou}: must be a number above 0, 1 at most")
        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 < threshold < 1:
            raise UserError(f"--threshold {threshold}: must be a probability above 0 and below 1")
        self.threshold = float(threshold)
        self.set, self.folder, self.resolution = evaluation_set, Path(output_dir), resolution
        self.subgroups, self.tolerance, self.thumbnails = dict(subgroups), float(tolerance), thumbnails
        self.detection_iou = float(detection_iou)
        known = {"weights": sha256(weights)} if weights and Path(weights).is_file() else {}
        self.place = EvaluationFolder(self.folder, {**(settings or {}), **known}, flag(overwrite) is True)
        labels = evaluation_set.labels()
        found = find_partners(labels.values(), reader, "mask of the other reader") if reader else {}
        self.reader, self.readers = reader, {image: found[label] for image, label in labels.items() if found}
        self.drawn: list[ShownCase] = []
        self._forget()

    @property
    def counts_instances(self) -> bool:
        """Whether PQ and AJI apply."""
        return self.set.label_kind == "instances"

    def used(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Say the settings that were used, where they are not those that were asked for."""
        return dict(settings)

    def watershed(self) -> dict[str, Any]:
        """Parameters by which probabilities became instances; empty where the instances were given."""
        return {}

    @property
    def rank_by(self) -> str:
        """Metric that says which images are best and worst."""
        return "pq" if self.counts_instances else "dice"

    @property
    def unit(self) -> str:
        """Unit of the distances."""
        return "mm" if self.set.spacing and self.resolution == "original" else "px"

    def begin(self) -> None:
        """Forget what was measured; the folder stays as it is until the first image is."""
        self._forget()

    def _clear(self) -> None:
        """Take the folder, without rows, summary and pictures of an earlier evaluation, and what a killed one left."""
        self.place.begin()
        for name in ("", CASES, THUMBNAILS, TRAINING):
            remove_unfinished(self.folder / name)
        for stale in (*self.folder.glob(f"{CASES}/[0-9]*.npz"), *self.folder.glob(f"{THUMBNAILS}/[0-9]*.jpg")):
            stale.unlink()

    def _forget(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.calibration, self.border_calibration = Calibration(), Calibration()
        self.pooled = PooledInstances(self.set.classes)
        self.seconds = {"metrics": 0.0, "all": -time.perf_counter()}

    def add(self, sample: Sample) -> None:
        """Measure one image and keep its row; the first one takes the folder."""
        if not self.rows:
            self._clear()
        path, true, mask = sample.path, sample.truth > 0, sample.mask
        spacing = self.set.spacing.get(path) if self.unit == "mm" else None
        row: dict[str, Any] = dict(self.set.columns[path])
        row |= {"height": sample.size[0], "width": sample.size[1]}
        small = small_size(sample.size)
        true_small = resize_mask(true, small)
        row |= computed_columns(sample.picture, true_small, self.subgroups)
        row["lesion_size"] = lesion_size(true)  # at full size, where no small lesion vanishes
        figures = measure(sample.prediction, sample.truth, spacing, tolerance=self.tolerance, threshold=self.threshold)
        found, there = (mask, true) if sample.instances is None else (sample.instances, sample.truth)
        if sample.instances is not None:
            counts = self.pooled.add(sample.instances, sample.truth, sample.class_map, sample.types)
            figures |= counts.row()
            row |= {column: asdict(counts)[name] for name, column in INSTANCE_COLUMNS.items()}
        row |= {name: figures[name] for name in (*METRICS, *FLAGS) if name in figures}
        if self.readers:
            row |= self._of_reader(self.readers[path], true, spacing)
        row |= detect(found, there, self.detection_iou)
        pixel = spacing[0] * spacing[1] if spacing else 1
        row |= {"area_true": np.count_nonzero(true) * pixel, "area_predicted": np.count_nonzero(mask) * pixel}
        if sample.class_map is not None and sample.types is not None:
            predicted = np.where(mask, sample.class_map, 0)
            row |= class_row(predicted, sample.types, self.set.classes, spacing, self.tolerance)
        if sample.prediction.dtype != bool:
            self.calibration.add(sample.prediction, true)
            self.border_calibration.add(sample.prediction, true, border_band(true))
        if len(self.rows) < self.thumbnails and sample.picture is not None:
            row["thumbnail"] = f"{THUMBNAILS}/{len(self.rows):06d}.jpg"
            write_thumbnail(self.folder / row["thumbnail"], sample.picture, true_small, resize_mask(mask, small))
        self.rows.append(row)

    def _of_reader(self, path: str, true: NDArray[np.bool_], spacing: tuple[float, float] | None) -> dict[str, float]:
        """Measure the other reader's mask against the truth."""
        mask = np.asarray(read(path, self.set.label_kind).image) > 0
        if mask.shape != true.shape and self.resolution == "network":
            mask = resize_mask(mask, (true.shape[0], true.shape[1]))
        check_size(path, mask.shape, true.shape)
        figures = measure(mask, true, spacing, tolerance=self.tolerance)
        return {f"reader_{name}": figures[name] for name in READER_METRICS}

    def end(self) -> None:
        """Write the rows, before any statistics: whatever goes wrong after it, what was measured is there."""
        if len(self.rows) != len(self.set.items):
            raise RuntimeError(f"{len(self.rows)} of {len(self.set.items)} images were measured")
        self.seconds["all"] += time.perf_counter()
        text = self.frame().to_csv(index_label="id")
        write_atomically(self.folder / PER_IMAGE, lambda file: file.write(text.encode()))

    def frame(self) -> pd.DataFrame:
        """The table, indexed by id."""
        frame = add_classes(pd.DataFrame(self.rows).set_index("id"))
        measured = {"resolution": self.resolution, "unit": self.unit, "tolerance": self.tolerance}
        for name, value in measured.items():
            frame.insert(frame.columns.get_loc("dice"), name, value)
        return frame
