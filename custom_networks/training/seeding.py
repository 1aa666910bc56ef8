"""Seeds, and what a GPU may trade for speed: choice of algorithms by trial, TF32, or the same numbers each time.

Random state is a function of seed, epoch and process, so that a resumed run repeats an uninterrupted one.
"""

from __future__ import annotations

import itertools
import os
import random
from typing import Any

import numpy as np
import torch
from ignite.engine import Events
from monai.data.utils import set_rnd
from monai.engines.workflow import Workflow
from monai.utils import set_determinism
from numpy.random import SeedSequence

from custom_networks.flags import flag
from custom_networks.processes import rank

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


def set_gpu_math(cudnn_benchmark: bool | str = True, tf32: bool | str = True) -> None:
    """Set what a GPU may trade for speed, for the whole process.

    Args:
        cudnn_benchmark: whether cuDNN tries out its algorithms for each shape.
        tf32: whether matrix products and convolutions in float32 take 10-bit mantissas on GPUs that can.
    """
    torch.backends.cudnn.benchmark = bool(flag(cudnn_benchmark))
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = bool(flag(tf32))


def set_seed(seed: int, deterministic: bool | str = False) -> None:
    """Seed the whole process; call it after `set_gpu_math`.

    On a CPU the same seed gives the same numbers anyway.

    Args:
        seed: of Python, NumPy and torch.
        deterministic: whether a GPU, too, repeats to the bit: slower, without cuDNN's choice by trial, and torch
            refuses an operation that has no such form.
    """
    repeats = bool(flag(deterministic))
    if repeats:
        os.environ.setdefault(WORKSPACE, ":4096:8")  # read when cuBLAS starts
        torch.backends.cudnn.benchmark = False
    benchmark = torch.backends.cudnn.benchmark
    set_determinism(seed, use_deterministic_algorithms=repeats)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = repeats, benchmark


def epoch_seed(seed: int, epoch: int) -> int:
    """Seed of an epoch, from 1, in this process."""
    return int(SeedSequence([seed, epoch, rank()]).generate_state(1)[0])


class EpochSeed:
    """Handler that seeds Python, NumPy, torch and the dataset's random transforms at the start of every epoch.

    Shuffling, augmentation (in this process or in workers, which take their seeds from torch's) and dropout of an
    epoch then depend on nothing that happened before it.

    Args:
        seed: the run's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def attach(self, engine: Workflow) -> None:
        """Seed when an epoch starts, before its first batch is drawn."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Workflow) -> None:
        """Seed for the engine's present epoch."""
        seed = epoch_seed(self.seed, engine.state.epoch)
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 (MONAI's transforms draw from NumPy's global state)
        torch.manual_seed(seed)
        set_rnd(engine.data_loader.dataset, seed)  # type: ignore[union-attr]


def images_of_step(engine: Workflow, seed: int, step: int) -> list[Any]:
    """Name the images of one step of the present epoch, whose order follows from the seed.

    Args:
        engine: trainer, seeded by `EpochSeed`.
        seed: the run's seed.
        step: its number in the epoch, from 0.

    Returns:
        What the data list has as "image" of each, a path.
    """
    loader: Any = engine.data_loader
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(epoch_seed(seed, engine.state.epoch))
        torch.empty((), dtype=torch.int64).random_()  # a loader draws the base seed of its workers first
        indices = next(itertools.islice(loader.batch_sampler, step, None))
    return [loader.dataset.data[index]["image"] for index in indices]
