"""`inference.json` of a bundle with some weights: the trained network, and how images reach it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from monai.bundle import ConfigParser
from numpy.typing import NDArray

from custom_networks.bundle_files import config_file
from custom_networks.configuration.merged import read_config
from custom_networks.data.sources import checked_size
from custom_networks.messages import hush_absent_decoder
from custom_networks.network.segmenter import Segmenter
from custom_networks.weights.network import load_checkpoint
from custom_networks.weights.normalization import Normalization
from custom_networks.weights.reading import trained_classes, trained_depth, trained_size


@dataclass(frozen=True)
class TrainedSource:
    """A trained network as the bundle's `inference.json` has it.

    Attributes:
        network: in `eval()`.
        checkpoint: file of its weights.
        image_size: side of the square that images are resized to, pixels.
        normalization: what the weights were trained with.
        threshold: probability from which a pixel is foreground.
        about: the bundle's `metadata.json`.
        preprocessing: the configuration's transforms, on {"image": path}.
        bit_depth: of grey images stored in 16 bits; None where none was trained on.
        classes: names of the foreground classes by number; empty where there is one, without a name.
    """

    network: Segmenter
    checkpoint: Path
    image_size: int
    normalization: Normalization
    threshold: float
    about: dict[str, Any]
    preprocessing: Callable[[dict[str, str]], dict[str, Any]]
    bit_depth: int | None
    classes: dict[int, str]

    def prepare(self, path: str | Path) -> NDArray[np.float32]:
        """Read and normalise an image file, (3, X, Y); raises UserError where it cannot be read."""
        image = self.preprocessing({"image": str(path)})["image"]
        return np.ascontiguousarray(np.asarray(image, dtype=np.float32))


def usual_threshold(bundle_root: Path, checkpoint: str | Path) -> float:
    """Return the threshold that a bundle's `inference.json` names, or leaves to the weights."""
    parser = ConfigParser(read_config([config_file(bundle_root, "inference.json")]))
    parser.update({"bundle_root": str(bundle_root), "checkpoint": str(checkpoint)})
    return float(parser.get_parsed_content("threshold"))


def load_source(bundle_root: str | Path, checkpoint: str | Path | None, image_size: int | None) -> TrainedSource:
    """Load weights into the network of a bundle, which their record rebuilds.

    Args:
        bundle_root: folder with `configs/`.
        checkpoint: weights; None takes the bundle's `models/model.pt`.
        image_size: pixels; None takes what the weights were trained with, as their record says.

    Returns:
        The network and its preprocessing.

    Raises:
        UserError: for a missing configuration, missing or unfit weights, a damaged record, or a size that is no
            multiple of 64.
    """
    hush_absent_decoder()
    root = Path(bundle_root)
    checkpoint = Path(checkpoint) if checkpoint else root / "models" / "model.pt"
    config = read_config([config_file(root, "inference.json")])
    side = checked_size(trained_size(checkpoint) if image_size is None else image_size)[0]
    parser = ConfigParser(config)
    parser.update({"bundle_root": str(root), "checkpoint": str(checkpoint), "image_size": side, "device": "cpu"})
    network = parser.get_parsed_content("network_def")
    load_checkpoint(network, checkpoint)
    return TrainedSource(
        network=network.eval(),
        checkpoint=checkpoint,
        image_size=side,
        normalization=parser.get_parsed_content("normalization"),
        threshold=usual_threshold(root, checkpoint),
        about=read_config([config_file(root, "metadata.json")]),
        preprocessing=parser.get_parsed_content("preprocessing"),
        bit_depth=trained_depth(checkpoint),
        classes=trained_classes(checkpoint),
    )
