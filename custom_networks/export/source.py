"""What is exported: weights in the network that the bundle's configuration describes, and how images reach it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from monai.bundle import ConfigParser

from custom_networks.configuration.reading import read_config
from custom_networks.data.folder import find_images
from custom_networks.data.normalization import Normalization
from custom_networks.data.sources import checked_size
from custom_networks.errors import UserError
from custom_networks.export.common import Images
from custom_networks.messages import hush_absent_decoder
from custom_networks.network.sgdnet import SGDNet
from custom_networks.network.weights import load_checkpoint
from custom_networks.weights.record import trained_classes, trained_size

CALIBRATION_IMAGES = 32


@dataclass(frozen=True)
class Source:
    """A trained network as the bundle's `inference.json` has it.

    Attributes:
        network: in `eval()`.
        checkpoint: file of its weights.
        image_size: side of the square that images are resized to, pixels.
        normalization: what the weights were trained with.
        threshold: probability from which a pixel is foreground.
        about: the bundle's `metadata.json`.
        preprocessing: the configuration's transforms, on {"image": path}.
        classes: names of the foreground classes by number; empty where there is one, without a name.
    """

    network: SGDNet
    checkpoint: Path
    image_size: int
    normalization: Normalization
    threshold: float
    about: dict[str, Any]
    preprocessing: Callable[[dict[str, str]], dict[str, Any]]
    classes: dict[int, str]

    def prepare(self, path: str | Path) -> Images:
        """Read and normalise an image file, (3, X, Y); raises UserError where it cannot be read."""
        image = self.preprocessing({"image": str(path)})["image"]
        return np.ascontiguousarray(np.asarray(image, dtype=np.float32))


def load_source(bundle_root: str | Path, checkpoint: str | Path | None, image_size: int | None) -> Source:
    """Load weights into the network of a bundle.

    Args:
        bundle_root: folder with `configs/`.
        checkpoint: weights; None takes the bundle's `models/model.pt`.
        image_size: pixels; None takes what the weights were trained with, as the `.json` beside them says.

    Returns:
        The network and its preprocessing.

    Raises:
        UserError: for a missing configuration, missing or unfit weights, or a size that is no multiple of 64.
    """
    hush_absent_decoder()
    root = Path(bundle_root)
    checkpoint = Path(checkpoint) if checkpoint else root / "models" / "model.pt"
    config = read_config([root / "configs" / "inference.json"])
    side = checked_size(image_size or trained_size(checkpoint))[0]
    parser = ConfigParser(config)
    classes = trained_classes(checkpoint)
    parser.update({"bundle_root": str(root), "checkpoint": str(checkpoint), "image_size": side, "device": "cpu"})
    if classes:
        parser.update({"network_def#out_channels": 1 + len(classes)})
    network = parser.get_parsed_content("network_def")
    load_checkpoint(network, checkpoint)
    return Source(
        network.eval(),
        checkpoint,
        side,
        parser.get_parsed_content("normalization"),
        float(config["threshold"]),
        read_config([root / "configs" / "metadata.json"]),
        parser.get_parsed_content("preprocessing"),
        classes,
    )


def listed_images(source: str | Path) -> list[str]:
    """List the images of a folder or of a datalist, training images where it tells them apart.

    Args:
        source: a folder, or a MONAI datalist whose relative paths start at its own folder.

    Returns:
        Paths of images.

    Raises:
        UserError: for a file that is no datalist, or lists nothing.
    """
    path = Path(source)
    if path.suffix != ".json":
        return [item["image"] for item in find_images(path)]
    content = read_config([path])
    items = next((content[key] for key in ("training", "validation", "test") if content.get(key)), None)
    if not isinstance(items, list) or not all(isinstance(item, dict) and item.get("image") for item in items):
        raise UserError(f'{path}: no datalist; it needs "training": [{{"image": "PATH"}}, ...]')
    return [str(path.parent / item["image"]) for item in items]


def spread(paths: Sequence[str], count: int = CALIBRATION_IMAGES) -> list[str]:
    """Pick `count` of a list, evenly spread; all of a shorter one."""
    if len(paths) <= count:
        return list(paths)
    return [paths[position] for position in np.linspace(0, len(paths) - 1, count).round().astype(int)]
