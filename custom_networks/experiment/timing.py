"""How long a run will take, from a few measured steps."""

from __future__ import annotations

import copy
import math
import time
from typing import Any

from custom_networks.bundle_run import configuration_of
from custom_networks.data.splitting import load_datalist
from custom_networks.experiment.plan import Cell
from custom_networks.flags import flag

WARM_UP, STEPS = 1, 2
START = 20.0
"""Seconds of a training and an evaluation beside their steps: imports, the check of the data, the first pictures."""
MEASURING = 0.15
"""Seconds of an evaluation for each image beside the network: metrics at the image's own size, pictures."""


def estimated_seconds(cell: Cell) -> float:
    """Measure training and validation steps of a run on random images, and add up its epochs.

    Reading and augmenting images are not counted: they run beside the steps where there are processes for them. Several
    processes that train together are taken for one.

    Args:
        cell: the run.

    Returns:
        Seconds on this machine.

    Raises:
        UserError: for a configuration or data that a training refuses.
    """
    import torch
    from monai.bundle import ConfigParser

    merged = configuration_of(("train.json",), cell.knobs, cell.row.overlays).merged
    parser = ConfigParser(copy.deepcopy(merged))
    get = parser.get_parsed_content
    training, validation = load_datalist(get("dataset_dir"), get("datalist"), int(get("fold")), seed=int(get("seed")))
    size, batch, device = int(get("image_size")), int(get("batch_size")), torch.device(get("device"))
    network, loss, optimizer, inferer = (get(name) for name in ("network", "loss", "optimizer", "inferer"))
    images = torch.rand(min(batch, len(training)), 3, size, size, device=device)
    labels = (images[:, :1] > 0.5).float()

    def step() -> None:
        optimizer.zero_grad()
        loss(inferer(images, network), labels).backward()
        optimizer.step()

    def validate() -> None:
        with torch.no_grad():
            inferer(images, network)

    trains = _seconds(network.train(), step)
    validates = _seconds(network.eval(), validate)
    epochs, interval = int(flag(merged["max_epochs"])), max(1, int(flag(merged["val_interval"])))
    validated = math.ceil(epochs / interval) + 1  # and the evaluation
    steps = math.ceil(len(training) / batch) * epochs * trains
    return START + steps + math.ceil(len(validation) / batch) * validated * validates + len(validation) * MEASURING


def _seconds(network: Any, step: Any) -> float:
    """Seconds of the fastest of some steps, after one that warms up."""
    import torch

    taken = []
    for _ in range(WARM_UP + STEPS):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        begin = time.perf_counter()
        step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - begin)
    return min(taken[WARM_UP:])
