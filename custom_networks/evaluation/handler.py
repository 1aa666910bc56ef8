"""The handler that measures every image of an evaluation, and the second pass over the few that a report shows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from ignite.engine import Events
from monai.data import decollate_batch
from monai.data.dataset import Dataset
from monai.engines.utils import IterationEvents
from monai.engines.workflow import Workflow
from monai.utils import ensure_tuple
from numpy.typing import NDArray
from torch import Tensor

from custom_networks.data.formats import read
from custom_networks.errors import UserError, nearest
from custom_networks.evaluation.classes import class_row
from custom_networks.evaluation.columns import add_classes, computed_columns, subgroup_names
from custom_networks.evaluation.instances import PooledInstances, tune_watershed
from custom_networks.evaluation.items import EvaluationSet
from custom_networks.evaluation.maps import (
    RESOLUTIONS,
    Map,
    MapsInferer,
    at_size,
    class_probabilities,
    foreground,
    original_size,
    to_picture,
)
from custom_networks.evaluation.pictures import (
    CASES,
    THUMBNAILS,
    Case,
    choose_cases,
    resize_mask,
    resize_picture,
    small_size,
    write_case,
    write_thumbnail,
)
from custom_networks.flags import flag
from custom_networks.metrics.image_metrics import measure
from custom_networks.metrics.policies import FLAGS, METRICS
from custom_networks.metrics.probability import Calibration
from custom_networks.metrics.watershed import watershed_parameters
from custom_networks.network.sgdnet import SGDNet
from custom_networks.statistics.lesion import lesion_size
from custom_networks.statistics.per_image import PER_IMAGE
from custom_networks.weights.normalization import Normalization

THRESHOLD = 0.5  # a pixel is foreground from this probability up, as in training and inference


@dataclass(frozen=True)
class Sample:
    """One image, everything (H, W) at the size that is measured.

    Attributes:
        path: of the image.
        size: its own height and width.
        probability: of the foreground.
        truth: whole numbers, above 0 foreground.
        edge: edge probability; None for a network without edge map.
        class_map: most probable foreground class, outside the mask too; None for one class.
        types: true class of each pixel; None for one class.
        picture: (h, w, 3) RGB, 256 pixels at most, at the image's own aspect ratio.
    """

    path: str
    size: tuple[int, int]
    probability: Map
    truth: NDArray[np.int32]
    edge: Map | None
    class_map: NDArray[np.intp] | None
    types: NDArray[np.int32] | None
    picture: NDArray[np.uint8]


class Evaluation:
    """Measure each image as it comes, keep one row of figures of it, and nothing else.

    Args:
        evaluation_set: what is evaluated.
        network: that predicts.
        inferer: that the evaluator uses.
        dataset: that the evaluator's loader reads, in the same order.
        normalization: of its images.
        output_dir: new folder of the evaluation.
        resolution: "original" (predictions are resized to each image's own size) or "network" (the truth is resized).
        subgroups: columns to summarise by, with "size", "contrast" and "skin_tone", which are computed.
        tolerance: of NSD and boundary F, in pixels.
        watershed: parameters, or the file that tuning wrote, see `watershed_parameters`.
        tune_watershed: whether to tune them first, on the validation split.
        cases: how many best, median and worst images get pictures of every map.
        thumbnails: how many images get a thumbnail.
        overwrite: whether an evaluation in `output_dir` may be replaced.

    Raises:
        UserError: for an impossible setting, or a folder that holds an evaluation.
    """

    def __init__(
        self,
        evaluation_set: EvaluationSet,
        network: SGDNet,
        inferer: MapsInferer,
        dataset: Dataset,
        normalization: Normalization,
        output_dir: str | Path,
        resolution: str = "original",
        subgroups: Sequence[str] | str | None = ("size", "contrast"),
        tolerance: float = 2.0,
        watershed: Mapping[str, Any] | str | None = None,
        tune_watershed: bool = False,
        cases: int = 6,
        thumbnails: int = 1000,
        overwrite: bool = False,
    ) -> None:
        if resolution not in RESOLUTIONS:
            raise UserError(
                f"--resolution {resolution}: must be original or network{nearest(str(resolution), RESOLUTIONS)}"
            )
        for name, value in (("cases", cases), ("thumbnails", thumbnails)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise UserError(f"--{name} {value}: must be a whole number from 0 up")
        if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 <= tolerance < float("inf"):
            raise UserError(f"--tolerance {tolerance}: must be a number of pixels from 0 up")
        self.set, self.network, self.inferer, self.dataset = evaluation_set, network, inferer, dataset
        self.normalization, self.resolution, self.tolerance = normalization, resolution, float(tolerance)
        self.folder, self.cases, self.thumbnails = Path(output_dir), cases, thumbnails
        self.subgroups = subgroup_names(subgroups, evaluation_set.column_names())
        self.parameters = watershed_parameters(flag(watershed))
        self.tune = flag(tune_watershed) is True
        if self.tune and not self.counts_instances:
            raise UserError(f"--tune_watershed: the labels are of kind {self.set.label_kind}; it needs instances")
        if (self.folder / PER_IMAGE).exists() and flag(overwrite) is not True:
            raise UserError(
                f"{self.folder}: already holds an evaluation; choose another --output_dir, or add --overwrite true"
            )
        self.labels = {item["image"]: item["label"] for item in evaluation_set.items}
        self.rows: list[dict[str, Any]] = []
        self.drawn: list[Case] = []
        self.calibration = Calibration()
        self.pooled = PooledInstances(self.parameters, self.set.classes)
        self.seconds = {"metrics": 0.0, "all": 0.0}

    @property
    def counts_instances(self) -> bool:
        """Whether PQ and AJI apply."""
        return self.set.label_kind == "instances"

    @property
    def unit(self) -> str:
        """Unit of the distances."""
        return "mm" if self.set.spacing and self.resolution == "original" else "px"

    def attach(self, engine: Workflow) -> None:
        """Listen to the start, each forward pass and the end."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self.step)
        engine.add_event_handler(Events.COMPLETED, self.finish)

    def start(self, engine: Workflow) -> None:
        """Begin, tuning the watershed first where that is asked for."""
        self.rows, self.calibration = [], Calibration()
        for stale in (*self.folder.glob(f"{CASES}/[0-9]*.npz"), *self.folder.glob(f"{THUMBNAILS}/[0-9]*.jpg")):
            stale.unlink()
        if self.tune:
            samples = ((each.probability, each.edge, each.truth) for _, each in self.samples(range(len(self.dataset))))
            self.parameters = tune_watershed(samples, self.parameters, self.folder, self.set.split)
        self.pooled = PooledInstances(self.parameters, self.set.classes)
        self.seconds = {"metrics": 0.0, "all": -time.perf_counter()}

    def step(self, engine: Workflow) -> None:
        """Measure the images of a batch."""
        output = engine.state.output
        logits = output["pred"].cpu()  # waits for the device, so that the time below is that of the metrics
        begin = time.perf_counter()
        pairs = decollate_batch({"image": output["image"], "label": output["label"]})
        for sample in self.of_batch(pairs, logits):
            self.add(sample)
        self.seconds["metrics"] += time.perf_counter() - begin

    def add(self, sample: Sample) -> None:
        """Measure one image and keep its row."""
        path, true = sample.path, sample.truth > 0
        spacing = self.set.spacing.get(path) if self.unit == "mm" else None
        row: dict[str, Any] = dict(self.set.columns[path])
        row |= {"height": sample.size[0], "width": sample.size[1]}
        small = small_size(sample.size)
        true_small = resize_mask(true, small)
        row |= computed_columns(sample.picture, true_small, self.subgroups)
        row["lesion_size"] = lesion_size(true)  # at full size, where no small lesion vanishes
        figures = measure(sample.probability, sample.truth, spacing, tolerance=self.tolerance, threshold=THRESHOLD)
        if self.counts_instances:
            counts = self.pooled.add(sample.probability, sample.edge, sample.truth, sample.class_map, sample.types)
            figures |= counts.row()
        row |= {name: figures[name] for name in (*METRICS, *FLAGS) if name in figures}
        if sample.class_map is not None and sample.types is not None:
            predicted = np.where(sample.probability >= THRESHOLD, sample.class_map, 0)
            row |= class_row(predicted, sample.types, self.set.classes, spacing, self.tolerance)
        self.calibration.add(sample.probability, true)
        if len(self.rows) < self.thumbnails:
            row["thumbnail"] = f"{THUMBNAILS}/{len(self.rows):06d}.jpg"
            masks = true_small, resize_mask(sample.probability >= THRESHOLD, small)
            write_thumbnail(self.folder / row["thumbnail"], sample.picture, *masks)
        self.rows.append(row)

    def of_batch(self, pairs: Sequence[Mapping[str, Any]], logits: Tensor) -> Iterator[Sample]:
        """Bring a batch to the size that is measured, one image after the other.

        Args:
            pairs: "image" (3, W, H), normalised, with its metadata, and "label" (1 or 2, W, H), of each.
            logits: (B, C, W, H); the edge map of the same pass is taken from the inferer.

        Yields:
            A sample for each pair.
        """
        probabilities = class_probabilities(logits.cpu())
        edges = self.inferer.maps.edge.float().cpu() if self.counts_instances else torch.zeros(0)
        for index, pair in enumerate(pairs):
            image = pair["image"]
            path = str(image.meta["filename_or_obj"])
            size = original_size(image)
            truths = self.truths(path, pair["label"])
            shape = (int(truths[0].shape[0]), int(truths[0].shape[1]))
            maps = at_size(probabilities[index], shape)
            edge = at_size(torch.sigmoid(edges[index]).transpose(1, 2), shape)[0].numpy() if edges.numel() else None
            several = len(maps) > 1
            yield Sample(
                path=path,
                size=size,
                probability=foreground(maps[None])[0].numpy(),
                truth=truths[0],
                edge=edge,
                class_map=(maps[1:].argmax(0) + 1).numpy() if several else None,
                types=truths[-1] if several else None,
                picture=resize_picture(to_picture(image, self.normalization), small_size(size)),
            )

    def truths(self, path: str, label: Tensor) -> list[NDArray[np.int32]]:
        """True maps (H, W) of an image at the size that is measured: one, or instances and classes."""
        if self.resolution == "network":
            return [part.T.cpu().numpy().astype(np.int32) for part in torch.as_tensor(label)]
        paths = self.labels[path]
        return [np.asarray(read(each, self.set.label_kind).image, np.int32) for each in ensure_tuple(paths)]

    def samples(self, indices: Sequence[int]) -> Iterator[tuple[int, Sample]]:
        """Run the network again over some images, one at a time; the inferer then holds the maps of each."""
        self.network.eval()
        device = next(self.network.parameters()).device
        for index in indices:
            item = self.dataset[index]
            with torch.no_grad():
                logits = self.inferer(torch.as_tensor(item["image"])[None].to(device), self.network)
            yield index, next(self.of_batch([item], logits))

    def finish(self, engine: Workflow) -> None:
        """Draw the cases that stand out, once the figures of all are known."""
        if len(self.rows) != len(self.set.items):
            raise RuntimeError(f"{len(self.rows)} of {len(self.set.items)} images were measured")
        self.seconds["all"] += time.perf_counter()
        chosen = choose_cases(self.frame(), self.cases, "pq" if self.counts_instances else "dice")
        self.drawn = [
            write_case(
                self.folder,
                index,
                self.rows[index]["id"],
                chosen[index],
                sample.picture,
                (sample.truth > 0, sample.probability >= THRESHOLD),
                self.inferer.maps,
            )
            for index, sample in self.samples(list(chosen))
        ]

    def frame(self) -> pd.DataFrame:
        """The table, indexed by id."""
        frame = add_classes(pd.DataFrame(self.rows).set_index("id"))
        measured = {"resolution": self.resolution, "unit": self.unit, "tolerance": self.tolerance}
        for name, value in measured.items():
            frame.insert(frame.columns.get_loc("dice"), name, value)
        return frame
