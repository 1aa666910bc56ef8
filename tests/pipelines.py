"""The transforms and data sets of `bundle/configs/train.json`, built from the file itself, and tiny data sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from conftest import CONFIGS
from monai.bundle import ConfigParser
from monai.transforms import Compose
from PIL import Image


def training_config(*overlays: str, **knobs: Any) -> ConfigParser:
    """Parser of `train.json` with overlays and knobs, as a run has it."""
    parser = ConfigParser(ConfigParser.load_config_files([str(CONFIGS / name) for name in ("train.json", *overlays)]))
    parser.update({"bundle_root": ".", "num_workers": 0, "image_depth": None, **knobs})
    return parser


def compose(parser: ConfigParser, *ids: str) -> Compose:
    """Compose some of the lists of transforms that the file has."""
    return Compose([transform for name in ids for transform in parser.get_parsed_content(name)])


def save(path: Path, array: np.ndarray) -> str:
    """Save an array (H, W[, 3]) as a picture of its own type."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return str(path)


def nuclei(side: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw touching squares: an RGB image, a 16-bit instance map with ids above 255, a class map of 1 and 2."""
    generator = np.random.default_rng(seed)
    labels, types = np.zeros((side, side), np.uint16), np.zeros((side, side), np.uint8)
    size = side // 6
    for number in range(count):
        row, column = size * (1 + number // 3), size * (1 + number % 3)
        labels[row : row + size, column : column + size] = 1000 + number
        types[row : row + size, column : column + size] = 1 + number % 2
    image = generator.integers(150, 200, (side, side, 3)).astype(np.uint8)
    image[labels > 0] -= 100
    return image, labels, types


def write_nuclei(folder: Path, count: int = 6, side: int = 64) -> Path:
    """Write a data set of nuclei; returns its datalist, with instances, types and two classes."""
    items = []
    for number in range(count):
        image, labels, types = nuclei(side, 6, seed=number)
        save(folder / f"images/{number}.png", image)
        save(folder / f"labels/{number}.png", labels)
        save(folder / f"types/{number}.png", types)
        parts = {"image": "images", "label": "labels", "types": "types"}
        items.append({part: f"{name}/{number}.png" for part, name in parts.items()})
    datalist = folder / "datalist.json"
    content = {
        "label_kind": "instances",
        "classes": {"1": "round", "2": "long"},
        "training": items[:-2],
        "validation": items[-2:],
    }
    datalist.write_text(json.dumps(content))
    return datalist
