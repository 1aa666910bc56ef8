"""The handler that measures every image of an evaluation, and the second pass over the few that a report shows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Events
from monai.data import decollate_batch
from monai.data.dataset import Dataset
from monai.engines.utils import IterationEvents
from monai.engines.workflow import Workflow
from monai.utils import ensure_tuple
from numpy.typing import NDArray
from torch import Tensor

from custom_networks.array_types import Map
from custom_networks.data.formats import read
from custom_networks.errors import UserError, nearest
from custom_networks.evaluation.case_maps import CASES, case_maps, write_case_maps
from custom_networks.evaluation.columns import subgroup_edges
from custom_networks.evaluation.instances import tune_watershed
from custom_networks.evaluation.items import EvaluationSet
from custom_networks.evaluation.maps import (
    RESOLUTIONS,
    MapsInferer,
    at_size,
    original_size,
    to_picture,
)
from custom_networks.evaluation.measuring import Measurement, Sample
from custom_networks.evaluation.pictures import ShownCase, choose_cases, resize_picture, small_size
from custom_networks.evaluation.threshold import THRESHOLD_JSON, best_threshold, check_tunable, record_threshold
from custom_networks.files import write_json
from custom_networks.flags import flag
from custom_networks.metrics.decision import class_probabilities, foreground
from custom_networks.metrics.watershed import WATERSHED, split_instances, watershed_parameters
from custom_networks.network.segmenter import Segmenter
from custom_networks.weights.normalization import Normalization


class Evaluation(Measurement):
    """Measure what a network predicts, image by image, as an evaluator runs it.

    Args:
        evaluation_set: what is evaluated.
        network: that predicts.
        inferer: that the evaluator uses.
        dataset: that the evaluator's loader reads, in the same order.
        normalization: of its images.
        output_dir: new folder of the evaluation.
        resolution: "original" (predictions are resized to each image's own size) or "network" (the truth is resized).
        subgroups: columns to summarise by, with "size", "contrast" and "skin_tone", which are computed; `age:30:60`
            cuts a column of numbers.
        watershed: parameters, or the file that tuning wrote, see `watershed_parameters`.
        tune_watershed: whether to tune them first, on the validation split.
        tune_threshold: whether to choose the threshold first, on the validation split, and record it with the weights.
        cases: how many best, median and worst images get pictures of every map.
        options: tolerance, thumbnails, detection_iou, overwrite, settings, weights and threshold, see `Measurement`.

    Raises:
        UserError: for an impossible setting, or a folder that holds an evaluation.
    """

    def __init__(
        self,
        evaluation_set: EvaluationSet,
        network: Segmenter,
        inferer: MapsInferer,
        dataset: Dataset,
        normalization: Normalization,
        output_dir: str | Path,
        resolution: str = "original",
        subgroups: Sequence[str] | str | None = ("size", "contrast"),
        watershed: Mapping[str, Any] | str | None = None,
        tune_watershed: bool = False,
        tune_threshold: bool = False,
        cases: int = 6,
        **options: Any,
    ) -> None:
        if resolution not in RESOLUTIONS:
            raise UserError(
                f"--resolution {resolution}: must be original or network{nearest(str(resolution), RESOLUTIONS)}"
            )
        if isinstance(cases, bool) or not isinstance(cases, int) or cases < 0:
            raise UserError(f"--cases {cases}: must be a whole number from 0 up")
        edges = subgroup_edges(subgroups, evaluation_set.column_names())
        self.tunes_threshold = flag(tune_threshold) is True
        self.recorded_with: str | Path = options.get("weights") or ""
        if self.tunes_threshold:
            check_tunable(self.recorded_with, evaluation_set.label_kind, options.get("threshold"))
            # by which one that was killed is known again: the threshold of the weights may be its own already
            options["settings"] = {**(options.get("settings") or {}), "threshold": None}
        super().__init__(evaluation_set, output_dir, resolution, edges, **options)
        self.network, self.inferer, self.dataset = network, inferer, dataset
        self.normalization, self.cases = normalization, cases
        self.parameters = watershed_parameters(flag(watershed))
        self.tune = flag(tune_watershed) is True
        self.tried: dict[str, Any] = {}  # content of the file of a tuning
        self.thresholds: dict[str, Any] = {}  # of the choice of a threshold
        if self.tune and not self.counts_instances:
            raise UserError(f"--tune_watershed: the labels are of kind {self.set.label_kind}; it needs instances")
        self.inferred: tuple[Map, Map | None] | None = None  # probability and edge map of the last sample
        self.labels = {item["image"]: item["label"] for item in evaluation_set.items}

    def used(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Say the precision that the processor allows."""
        return {**settings, "amp": self.inferer.amp}

    def watershed(self) -> dict[str, Any]:
        """Parameters as given, or as tuned."""
        return dict(self.parameters.as_dict())

    def attach(self, engine: Workflow) -> None:
        """Listen to the start, each forward pass, the end and a failure."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self.step)
        engine.add_event_handler(Events.COMPLETED, self.finish)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.fail)

    def fail(self, engine: Workflow, error: BaseException) -> None:
        """Let the folder go, and raise what went wrong."""
        self.place.release()
        raise error

    def start(self, engine: Workflow) -> None:
        """Begin, tuning the watershed first where that is asked for."""
        if self.tunes_threshold:
            maps = ((sample.prediction, sample.truth > 0) for _, sample in self.samples(range(len(self.dataset))))
            self.threshold, self.thresholds = best_threshold(maps, self.set.split)
            self.set.notes.append(f"the threshold {self.threshold:g} was chosen on these images, which flatters it")
        if self.tune:
            samples = (
                (*self.inferred, sample.truth) for _, sample in self.samples(range(len(self.dataset))) if self.inferred
            )
            self.parameters, self.tried = tune_watershed(samples, self.parameters, self.set.split)
        self.begin()

    def step(self, engine: Workflow) -> None:
        """Measure the images of a batch."""
        output = engine.state.output
        logits = output["pred"].cpu()  # waits for the device, so that the time below is that of the metrics
        begin = time.perf_counter()
        pairs = decollate_batch({"image": output["image"], "label": output["label"]})
        for sample in self.of_batch(pairs, logits):
            self.add(sample)
        self.seconds["metrics"] += time.perf_counter() - begin

    def of_batch(self, pairs: Sequence[Mapping[str, Any]], logits: Tensor) -> Iterator[Sample]:
        """Bring a batch to the size that is measured, one image after the other.

        Args:
            pairs: "image" (3, W, H), normalised, with its metadata, and "label" (1 or 2, W, H), of each.
            logits: (B, C, W, H); the edge map of the same pass is taken from the inferer.

        Yields:
            A sample for each pair.
        """
        probabilities = class_probabilities(logits.cpu()).transpose(2, 3)
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
            probability = foreground(maps[None])[0].numpy()
            self.inferred = probability, edge
            yield Sample(
                path=path,
                size=size,
                prediction=probability,
                truth=truths[0],
                instances=split_instances(probability, edge, self.parameters) if self.counts_instances else None,
                class_map=(maps[1:].argmax(0) + 1).numpy() if several else None,
                types=truths[-1] if several else None,
                picture=resize_picture(to_picture(image, self.normalization), small_size(size)),
                threshold=self.threshold,
            )

    def truths(self, path: str, label: Tensor) -> list[NDArray[np.int32]]:
        """True maps (H, W) of an image at the size that is measured: one, or instances and classes."""
        if self.resolution == "network":
            return [part.T.cpu().numpy().astype(np.int32) for part in torch.as_tensor(label)]
        paths = self.labels[path]
        return [np.array(read(each, self.set.label_kind).image, np.int32) for each in ensure_tuple(paths)]

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
        if self.tried:
            write_json(self.folder / WATERSHED, self.tried)
        if self.thresholds:
            write_json(self.folder / THRESHOLD_JSON, self.thresholds)
            record_threshold(self.recorded_with, self.threshold)
        self.end()
        chosen = choose_cases(self.frame(), self.cases, self.rank_by)
        self.drawn = []
        for index, sample in self.samples(list(chosen)):
            case = ShownCase(self.rows[index]["id"], chosen[index], f"{CASES}/{index:06d}.npz")
            original = np.asarray(read(sample.path, "image", self.set.bit_depth).image)
            masks = sample.truth > 0, sample.mask
            write_case_maps(self.folder / case.file, case_maps(original, *masks, self.inferer.maps))
            self.drawn.append(case)
