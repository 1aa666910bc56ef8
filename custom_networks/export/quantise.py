"""Post-training quantisation to int8: convolutions, which are nearly all of the work, with ranges from real images.

Some stages lose accuracy in int8: the quantisation error of the first blocks reaches all that follow. Each stage is
therefore quantised alone, and those that change the probabilities most stay in floating point, worst first, until the
masks agree on images that no range was taken from.

Weights have 7 bits. Processors without VNNI add two products of 8 bits in 16 bits, which saturates and changes the
masks; with 7 bits it cannot, so that a file gives the same masks on all of them, whichever it was made on.
"""

from __future__ import annotations

import copy
import logging
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from custom_networks.export.format import DiceLimits, ExportJob, Images
from custom_networks.export.verify import mask_dice, probabilities

OPERATORS = ["Conv", "Relu"]
"""A ReLU becomes the lower end of its convolution's output range: all 256 steps are spent on what it lets through."""
HEADROOM = 1.5
"""How much wider ranges are than what calibration saw: clipping another camera's maps costs more than coarser steps."""
SHARE = 0.5
"""Part of what `DiceLimits` allow that may be used up here; the rest is for other images."""
PROBES = 4
"""Images that rank the stages."""
CONTROL = 4
"""Every so many of the calibration images, one controls the masks and sets no range."""
CHILDREN = ("encoder", "dual_attention", "reduce", "sge", "refine", "decoder", "heads")


def stage_of(node: str) -> str:
    """Name the stage that a node belongs to, as in "encoder.layer1" for "/network/encoder/layer1/layer1.0/conv1/Conv".

    Args:
        node: name that tracing gave it, modules from the outside in.

    Returns:
        A child of the network, of the encoder one of its stages; what has no child's name is StitchViT's, whose
        method `resized` is called instead of the module and so leaves no trace in names.
    """
    words = node.strip("/").split("/")[1:]
    child = words[0].partition(".")[0] if len(words) > 1 else ""
    if child not in CHILDREN:
        return "stitch_vit"
    return f"{child}.{words[1]}" if child == "encoder" else words[0]


@contextmanager
def quiet() -> Iterator[None]:
    """Silence ONNX Runtime's advice to run a step that changes nothing here."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)


def measure_ranges(path: Path, images: Sequence[Images], name: str) -> Any:
    """Measure the least and largest value of every map that is to be quantised, widened by `HEADROOM`."""
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod
    from onnxruntime.quantization.calibrate import TensorData, TensorsData, create_calibrator

    class Reader(CalibrationDataReader):
        """Hands out one image after the other."""

        def __init__(self) -> None:
            self.images = iter(images)

        def get_next(self) -> dict[str, Any] | None:
            """Return the next input, None after the last."""
            image = next(self.images, None)
            return None if image is None else {name: image[None]}

    def widened(value: Any) -> Any:
        return np.float32(HEADROOM * float(np.squeeze(value)))

    with tempfile.TemporaryDirectory() as folder:
        calibrator = create_calibrator(path, OPERATORS, str(Path(folder) / "augmented.onnx"))
        calibrator.collect_data(Reader())
        measured = calibrator.compute_data()
        del calibrator  # lets go of its file
    found = {
        key: TensorData(lowest=widened(data.range_value[0]), highest=widened(data.range_value[1]))
        for key, data in measured.items()
    }
    return TensorsData(CalibrationMethod.MinMax, found)


@dataclass(frozen=True)
class Quantiser:
    """Quantises a graph as often as asked, each time with other stages left alone.

    Attributes:
        graph: float32, with shapes inferred.
        stages: the convolutions that can be quantised, by stage.
        fixed: names of the convolutions that cannot: their kernels (Sobel) are computed, not stored.
        ranges: of the maps.
        float_outputs: whether convolutions give floating point, for engines that need no rounding there.
    """

    graph: Any
    stages: Mapping[str, Sequence[str]]
    fixed: Sequence[str]
    ranges: Any
    float_outputs: bool

    def __call__(self, kept: Collection[str]) -> Any:
        """Return the graph, quantised but for the stages `kept`: weights -64..64, symmetric per channel, uint8 maps."""
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

        left_out = [*self.fixed, *(node for stage in kept for node in self.stages[stage])]
        extra = {"OpTypesToExcludeOutputQuantization": ["Conv"]} if self.float_outputs else {}
        quantiser = QDQQuantizer(
            copy.deepcopy(self.graph),
            per_channel=True,
            reduce_range=True,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=self.ranges,
            nodes_to_quantize=[],
            nodes_to_exclude=left_out,
            op_types_to_quantize=OPERATORS,
            extra_options=extra,
        )
        quantiser.quantize_model()
        return quantiser.model.model


def segment(graph: Any, images: Sequence[Images], name: str) -> list[Images]:
    """Run a graph, (3, X, Y) to probabilities (classes, X, Y), image by image."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [probabilities(session.run(None, {name: image[None]})[0])[0] for image in images]


def stages_to_keep(
    stages: Collection[str],
    run: Callable[[Collection[str], int], list[Images]],
    exact: list[Images],
    limits: DiceLimits,
    threshold: float,
) -> list[str]:
    """Choose the stages that stay in floating point.

    Args:
        stages: all that can be quantised.
        run: gives the probabilities (classes, X, Y) of so many images, first come first, with the stages named kept.
        exact: the probabilities in float32.
        limits: of Dice between the masks, mean and worst.
        threshold: probability from which a pixel is foreground.

    Returns:
        The stages that change the probabilities most when quantised alone, worst first: as few as let the masks keep
        `SHARE` of the way from the limits to 1; all but the least harmful one where that is never reached.
    """
    mean, worst = (1 - SHARE * (1 - limit) for limit in (limits.mean, limits.worst))

    def damage(stage: str) -> float:
        got = run([other for other in stages if other != stage], PROBES)
        return float(np.mean([np.abs(one - other).mean() for one, other in zip(got, exact, strict=False)]))

    def agrees(kept: Collection[str]) -> bool:
        got = run(kept, len(exact))
        scores = [mask_dice(one, other, threshold) for one, other in zip(got, exact, strict=True)]
        return float(np.mean(scores)) >= mean and min(scores) >= worst

    if agrees([]):
        return []
    ranked = sorted(stages, key=damage, reverse=True)[:-1]
    return next((ranked[:count] for count in range(1, len(ranked)) if agrees(ranked[:count])), ranked)


def quantise(path: Path, job: ExportJob, name: str, float_outputs: bool = False) -> list[str]:
    """Quantise an ONNX file in place, with QDQ nodes around its convolutions.

    Args:
        path: the float32 file, traced.
        job: with its images, and the limits of Dice.
        name: of the graph's input.
        float_outputs: whether convolutions give floating point (OpenVINO), not int8 (ONNX Runtime's kernels).

    Returns:
        The stages that stay in floating point, worst first.
    """
    import onnx
    from onnxruntime.quantization.quant_utils import load_model_with_shape_infer

    graph = load_model_with_shape_infer(path)
    stored = {weights.name for weights in graph.graph.initializer}
    convolutions = [node for node in graph.graph.node if node.op_type == "Conv"]
    stages: dict[str, list[str]] = {}
    for node in convolutions:
        if node.input[1] in stored:
            stages.setdefault(stage_of(node.name), []).append(node.name)
    fixed = [node.name for node in convolutions if node.input[1] not in stored]
    checks = job.calibration[::CONTROL]
    samples = [image for number, image in enumerate(job.calibration) if number % CONTROL] or job.calibration
    with quiet():
        ranges = measure_ranges(path, samples, name)
        quantised = lru_cache(maxsize=1)(
            Quantiser(graph, stages, fixed, ranges, float_outputs)
        )  # the last may be chosen
        exact = segment(graph, checks, name)
        kept = stages_to_keep(
            stages,
            lambda kept, count: segment(quantised(tuple(kept)), checks[:count], name),
            exact,
            job.limits,
            job.threshold,
        )
        onnx.save(quantised(tuple(kept)), str(path))
    return kept
