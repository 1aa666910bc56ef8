"""Post-training quantisation to int8: convolutions, which are nearly all of the work, with ranges from real images."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from custom_networks.export.common import Images


def quantise(path: Path, calibration: Sequence[Images], name: str) -> None:
    """Quantise an ONNX file in place: QDQ nodes around its convolutions, weights per channel.

    Weights are symmetric int8, activations uint8: the pair that x86 processors multiply in one instruction.

    Args:
        path: the float32 file.
        calibration: normalised images (3, X, Y) of one size.
        name: of the graph's input.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        """Hands out one image after the other."""

        def __init__(self) -> None:
            self.images: Iterator[Images] = iter(calibration)

        def get_next(self) -> dict[str, Any] | None:
            """Return the next input, None after the last."""
            image = next(self.images, None)
            return None if image is None else {name: image[None]}

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it recommends a step that changes nothing here
    try:
        quantize_static(
            str(path),
            str(path),
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    finally:
        root.setLevel(level)
