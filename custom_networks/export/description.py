"""What an exported file says about itself, so that it can be used with nothing else at hand."""

from __future__ import annotations

from typing import Any

from custom_networks.configuration.inference import TrainedSource
from custom_networks.export.common import INPUT, OUTPUT, Metadata
from custom_networks.files import sha256
from custom_networks.software import installed

PACKAGES = ("torch", "monai", "numpy", "onnx", "onnxruntime", "openvino")
LICENCE = "Apache-2.0; weights also under the terms of the data they were trained on"


def describe(source: TrainedSource, name: str, precision: str, sizes: str) -> Metadata:
    """Describe an export.

    Args:
        source: what is exported.
        name: of the format.
        precision: of the weights.
        sizes: what X and Y may be, in words.

    Returns:
        What JSON can hold: licence, input, preprocessing, output, versions.
    """
    data_format: dict[str, Any] = source.about["network_data_format"]
    channels = source.network.heads[0].out_channels
    activation = "sigmoid" if channels == 1 else "softmax"
    side = source.image_size
    named = {"0": "background", **{str(number): name for number, name in source.classes.items()}}
    classes = named if source.classes else {}
    decision = "; foreground where those of all classes but 0 add up to the threshold, there the most probable class"
    return {
        "name": source.about["name"],
        "version": source.about["version"],
        "description": source.about["description"],
        "intended_use": source.about["intended_use"],
        "licence": LICENCE,
        "format": name,
        "precision": precision,
        "checkpoint_sha256": sha256(source.checkpoint),
        "input": {
            "name": INPUT,
            "dtype": "float32",
            "axes": ["batch", "channel", "x", "y"],
            "sizes": f"x = y = {side}" if sizes == "fixed" else f"x and y: {sizes}",
        },
        "preprocessing": {
            "colour": "RGB, 0 to 255, upright as EXIF says, transparent parts on white",
            "bit_depth": source.bit_depth,
            "grey_in_16_bits": "values * 255 / (2^bit_depth - 1); without bit_depth the least of 8, 10, 12, 14 and 16 "
            "that holds the image's values",
            "resize": f"to {side} x {side} pixels, bilinear, anti-aliased as Pillow does it on floating-point bands, "
            "rounded to whole numbers once",
            "size": side,
            "mean": list(source.normalization.mean),
            "std": list(source.normalization.std),
            "order": "subtract mean, divide by std, put the channel first, x (width) before y (height)",
        },
        "output": {
            "name": OUTPUT,
            "dtype": "float32",
            "axes": ["batch", "class", "x", "y"],
            "meaning": f"logits; {activation} makes probabilities of them{decision if classes else ''}",
            "activation": activation,
            "threshold": source.threshold,
            "classes": classes or data_format["outputs"]["pred"]["channel_def"],
        },
        "versions": installed(PACKAGES),
    }
