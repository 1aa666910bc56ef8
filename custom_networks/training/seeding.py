"""Random state that is a function of seed, epoch and process, so that a resumed run repeats an uninterrupted one."""

from __future__ import annotations

import random

import numpy as np
import torch
from ignite.engine import Events
from monai.data.utils import set_rnd
from monai.engines.workflow import Workflow
from numpy.random import SeedSequence

from custom_networks.processes import rank


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
        seed = int(SeedSequence([self.seed, engine.state.epoch, rank()]).generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 (MONAI's transforms draw from NumPy's global state)
        torch.manual_seed(seed)
        set_rnd(engine.data_loader.dataset, seed)  # type: ignore[union-attr]
