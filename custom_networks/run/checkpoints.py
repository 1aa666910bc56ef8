"""Checkpoints: the best weights, and all that a killed run needs to go on as if it had never stopped.

MONAI's own saver and loader write in place, lose the best metric on resume and restore the old schedule's length;
hence this handler.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events
from monai.engines.workflow import Workflow
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from custom_networks.errors import UserError
from custom_networks.files import write_atomically, write_json
from custom_networks.flags import flag
from custom_networks.network.weights import load_checkpoint, load_strictly, read_checkpoint
from custom_networks.processes import rank
from custom_networks.run.record import RunRecord
from custom_networks.weights.record import BEST, LAST


def keep_stranger(target: Path) -> None:
    """Keep published weights that no run's folder holds, weights from elsewhere, as `model.previous.pt` beside."""
    if target.is_file() and target.stat().st_nlink == 1:
        target.replace(target.with_suffix(".previous.pt"))


def publish(best: Path, target: Path) -> None:
    """Make `target` the same file as `best` (a hard link where the disk can, else a copy), atomically.

    Args:
        best: weights in the folder of the run.
        target: where the bundle expects them.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}-{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        os.link(best, temporary)
    except OSError:
        write_atomically(temporary, lambda file: file.write(best.read_bytes()))
    temporary.replace(target)


class CheckpointLoader:
    """Handler that loads trained weights before an evaluation, with an error that names file and keys.

    Args:
        network: with the arguments the weights were trained with.
        path: `model.pt` or `last.pt` of a run.
    """

    def __init__(self, network: nn.Module, path: str | Path) -> None:
        self.network = network
        self.path = path

    def attach(self, engine: Workflow) -> None:
        """Load when the engine starts."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Workflow) -> None:
        """Load the weights; raises UserError for a missing file or weights of another architecture."""
        load_checkpoint(self.network, self.path)


class Checkpoints:
    """Handler that writes `model.pt` (best weights) and `last.pt` (everything) after each epoch.

    Put it last. `model.pt` is a plain state dict; `model.json` beside it says how it was made and how its input is
    normalised. The random state needs no file: it follows from seed and epoch, see `EpochSeed`.

    Args:
        record: of the run.
        network: whose weights are saved, without a parallel wrapper.
        optimizer: saved in `last.pt`.
        lr_scheduler: saved in `last.pt`.
        resume: whether the run starts from its folder's `last.pt`.
        about: further facts for `model.json`.
    """

    def __init__(
        self,
        record: RunRecord,
        network: nn.Module,
        optimizer: Optimizer,
        lr_scheduler: LRScheduler,
        resume: bool | str = False,
        about: dict[str, Any] | None = None,
    ) -> None:
        self.record = record
        self.network = network
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        self.resume = bool(flag(resume))
        self.about = about or {}
        self.ready = self.published = False

    @property
    def last(self) -> Path:
        """File with everything."""
        return self.record.folder / LAST

    def attach(self, engine: Workflow) -> None:
        """Resume or claim the folder when the run starts, save when an epoch is complete."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    def start(self, engine: Workflow) -> None:
        """Load `last.pt`, or make sure that the folder is free and can be written.

        Raises:
            UserError: a folder that holds another run or cannot be written, or a finished run.
        """
        if self.ready:  # federated learning runs the same trainer once a round
            return
        self.ready = True
        if self.resume:
            self.load(engine)
        elif self.last.exists():
            raise UserError(
                f"{self.record.folder}: already holds a run; continue it with --resume {self.record.folder}, "
                "or choose another --output_dir"
            )
        if rank() == 0:
            self.record.write_settings()

    def load(self, engine: Workflow) -> None:
        """Put network, optimizer, schedule, epoch and best metric back where `last.pt` left them."""
        state = read_checkpoint(self.last)
        missing = {"network", "optimizer", "lr_scheduler", "epoch", "best", "seed"} - set(state)
        if missing:
            raise UserError(
                f"{self.last}: no checkpoint of a run, {', '.join(sorted(missing))} missing; resume another"
            )
        if state["seed"] != self.record.settings.get("seed"):
            raise UserError(
                f"{self.last}: this run has seed {state['seed']}; resume it with --seed {state['seed']} "
                "so that it goes on as it would have"
            )
        if state["epoch"] >= engine.state.max_epochs:
            raise UserError(
                f"{self.last}: this run has done {state['epoch']} epochs already; "
                f"resume it with --max_epochs above {state['epoch']}"
            )
        load_strictly(self.network, state["network"], self.last, "network")
        self.optimizer.load_state_dict(state["optimizer"])
        self.lr_scheduler.load_state_dict(state["lr_scheduler"])
        engine.state.epoch = state["epoch"]
        engine.state.iteration = state["epoch"] * engine.state.epoch_length
        self.record.best = state["best"]
        self.record.read_rows(state["epoch"])

    def save(self, engine: Workflow) -> None:
        """Write `last.pt`, and the best weights when this epoch is the best so far."""
        if rank() > 0:
            return
        weights = self.network.state_dict()
        if getattr(engine.state, "better", False):
            best = self.record.folder / BEST
            if not self.published:
                keep_stranger(Path(self.record.model_path))
                self.published = True
            write_atomically(best, lambda file: torch.save(weights, file))
            about = {**self.about, "metrics": self.record.best, "settings": self.record.settings}
            write_json(best.with_suffix(".json"), about)
            publish(best, Path(self.record.model_path))
            write_json(Path(self.record.model_path).with_suffix(".json"), about)
        state = {
            "network": weights,
            "optimizer": self.optimizer.state_dict(),
            "lr_scheduler": self.lr_scheduler.state_dict(),
            "epoch": engine.state.epoch,
            "best": self.record.best,
            "seed": self.record.settings.get("seed"),
        }
        write_atomically(self.last, lambda file: torch.save(state, file))
