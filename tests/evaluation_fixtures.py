"""A small data set of pictures of different sizes with a test list, and its evaluation, made once in a session."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from toy_weights import write_record

from custom_networks import SGDNet
from custom_networks.weights.normalization import ISIC

SIZES = ((64, 64), (96, 72), (72, 96), (130, 64))  # width and height


def ellipse(size: tuple[int, int], share: float) -> np.ndarray:
    """Mask (H, W) of an ellipse in the middle."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    return ((x - width / 2) / (width * share)) ** 2 + ((y - height / 2) / (height * share)) ** 2 < 1


def write_set(folder: Path, count: int = 6, **extra: Any) -> Path:
    """Write pictures, masks (the last one empty) and a datalist whose items are all in "test"."""
    generator = np.random.default_rng(0)
    items = []
    for number in range(count):
        size = SIZES[number % len(SIZES)]
        mask = ellipse(size, 0.15 + 0.05 * number) & (number != count - 1)
        image = generator.normal(200, 6, (*mask.shape, 3))
        image[mask] -= 90
        for name, array in (("images", image.clip(0, 255)), ("masks", mask * 255)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array.astype(np.uint8)).save(folder / name / f"{number}.png")
        digest = hashlib.sha256((folder / "images" / f"{number}.png").read_bytes()).hexdigest()
        item = {"id": f"case {number}", "image": f"images/{number}.png", "label": f"masks/{number}.png"}
        items.append({**item, "sha256": digest, "group": f"patient {number // 2}", "site": "AB"[number % 2], "dice": 1})
    path = folder / "datalist.json"
    path.write_text(json.dumps({"name": "ellipses", "licence": "none needed", "training": [], "test": items, **extra}))
    return path


def evaluate(*words: object) -> str:
    """Run `sgdnet evaluate` in this process; returns what it printed."""
    from custom_networks.cli import main

    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        main(["evaluate", "--num_workers", "0", "--device", "cpu", *map(str, words)])
    return output.getvalue()


@pytest.fixture(scope="session")
def ellipses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Datalist of six pictures."""
    return write_set(tmp_path_factory.mktemp("ellipses"))


@pytest.fixture(scope="session")
def scaled_weights(ellipses: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Weights that find something in some of the pictures: random, with logits around 0 on them."""
    torch.manual_seed(0)
    network = SGDNet()
    pictures = [Image.open(path).resize((64, 64)) for path in sorted((ellipses.parent / "images").iterdir())]
    mean, std = (torch.tensor(values)[:, None, None] for values in (ISIC.mean, ISIC.std))
    plain = [torch.from_numpy(np.asarray(picture).astype(np.float32)).permute(2, 1, 0) for picture in pictures]
    batch = torch.stack([(picture - mean) / std for picture in plain])
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # a plain average, so that one pass settles the statistics
    head = network.heads[0]
    with torch.no_grad():
        network.train()(batch)
        head.weight /= network.eval()(batch).std()
        head.bias -= network(batch)[:3].median()
    path = tmp_path_factory.mktemp("scaled") / "model.pt"
    torch.save(network.state_dict(), path)
    write_record(path, network, image_size=64, dataset_dir="elsewhere")
    yield path
    path.unlink()


@pytest.fixture(scope="session")
def evaluated(ellipses: Path, scaled_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an evaluation at the original resolution; `printed.txt` holds what the command said."""
    folder = tmp_path_factory.mktemp("evaluated") / "ellipses"
    words = ("--datalist", ellipses, "--checkpoint", scaled_weights, "--split", "test", "--batch_size", 4, "--cases", 2)
    printed = evaluate(*words, "--subgroups", "size,contrast,skin_tone,site", "--output_dir", folder)
    (folder / "printed.txt").write_text(printed)
    return folder
