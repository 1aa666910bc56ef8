"""Checkpoints: the best weights, and all that a killed run needs to go on as if it had never stopped.

MONAI's own saver and loader write in place, lose the best metric on resume and restore the old schedule's length;
hence this handler.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events
from monai.engines.workflow import Workflow
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from custom_networks.errors import UserError
from custom_networks.files import sha256, write_atomically, write_json
from custom_networks.network.weights import load_checkpoint, load_strictly, read_checkpoint
from custom_networks.processes import rank
from custom_networks.run.folder import lock_folder
from custom_networks.run.record import RunRecord
from custom_networks.run.resume import check_settings
from custom_networks.training.averaging import AveragedWeights
from custom_networks.weights.record import BEST, LAST, training_of


def keep_stranger(target: Path, run_id: str, own: Path) -> None:
    """Keep published weights that no run's folder holds, weights from elsewhere, as `model.previous.pt` beside.

    Whose they are is what their record (the `.json` beside them) says, as long as it fits their content.

    Args:
        target: published weights, if any.
        run_id: of the run that is about to publish.
        own: its best weights so far, if any.
    """
    if not target.is_file():
        return
    record = training_of(target)
    content = sha256(target)
    ours = record.get("run_id") == run_id and record.get("sha256") == content
    origin = Path(str((record.get("settings") or {}).get("output_dir", ""))) / BEST
    if ours or any(copy.is_file() and sha256(copy) == content for copy in (own, origin)):
        return
    target.replace(target.with_suffix(".previous.pt"))
    description = target.with_suffix(".json")
    if description.is_file():
        description.replace(target.with_suffix(".previous.json"))


def publish(best: Path, target: Path) -> None:
    """Make `target` the same file as `best` (a hard link where the disk can, else a copy), atomically.

    Args:
        best: weights in the folder of the run.
        target: where the bundle expects them.

    Raises:
        UserError: where the target cannot be written.
    """
    temporary = target.with_name(f".{target.name}-{uuid.uuid4().hex}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(best, temporary)
        temporary.replace(target)
    except OSError:
        write_atomically(target, lambda file: file.write(best.read_bytes()))
    finally:
        temporary.unlink(missing_ok=True)


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
        record: of the run; it says whether the run starts from its folder's `last.pt`.
        network: that is trained, without a parallel wrapper.
        optimizer: saved in `last.pt`.
        lr_scheduler: saved in `last.pt`.
        averaging: averaged weights, which are the ones to publish; None publishes those of `network`.
        about: further facts for `model.json`.
    """

    def __init__(
        self,
        record: RunRecord,
        network: nn.Module,
        optimizer: Optimizer,
        lr_scheduler: LRScheduler,
        averaging: AveragedWeights | None = None,
        about: dict[str, Any] | None = None,
    ) -> None:
        self.record = record
        self.network = network
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        self.averaging = averaging or AveragedWeights(network)
        self.about = about or {}
        self.ready = self.published = False

    @property
    def last(self) -> Path:
        """File with everything."""
        return self.record.folder / LAST

    @property
    def best(self) -> Path:
        """File with the best weights."""
        return self.record.folder / BEST

    def attach(self, engine: Workflow) -> None:
        """Open the run, and resume it, when it starts; save when an epoch is complete."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    def start(self, engine: Workflow) -> None:
        """Open the run's folder; load `last.pt`, or make sure that the folder is free.

        Raises:
            UserError: a folder that holds another run or cannot be written, or a finished run.
        """
        if self.ready:  # federated learning runs the same trainer once a round
            return
        self.ready = True
        self.record.open()
        if self.record.resume:
            self.load(engine)
        else:
            from_first(self.check_free)
        self.record.write_settings()

    def check_free(self) -> None:
        """Refuse a folder that holds a run."""
        if self.last.exists():
            raise UserError(
                f"{self.record.folder}: already holds a run; continue it with --resume {self.record.folder}, "
                "or choose another --output_dir"
            )

    def load(self, engine: Workflow) -> None:
        """Put network, optimizer, schedule, epoch and best metric back where `last.pt` left them."""
        state = read_checkpoint(self.last)
        needed = {"network", "optimizer", "lr_scheduler", "averaged", "epoch", "best", "settings", "run_id"}
        missing = needed - set(state)
        if missing:
            raise UserError(
                f"{self.last}: no checkpoint of a run, {', '.join(sorted(missing))} missing; resume another"
            )
        check_settings(state["settings"], self.record.settings, self.last)
        if state["epoch"] >= engine.state.max_epochs:
            raise UserError(
                f"{self.last}: this run has done {state['epoch']} epochs already; "
                f"resume it with --max_epochs above {state['epoch']}"
            )
        load_strictly(self.network, state["network"], self.last, "network")
        self.averaging.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.lr_scheduler.load_state_dict(state["lr_scheduler"])
        engine.state.epoch = state["epoch"]
        engine.state.iteration = state["epoch"] * engine.state.epoch_length
        self.record.settings = {**state["settings"], **self.record.settings}
        self.record.run_id = state["run_id"]
        self.record.best = state["best"]
        self.record.read_rows(state["epoch"])

    def save(self, engine: Workflow) -> None:
        """Write `last.pt`, and the best weights when this epoch is the best so far."""
        if rank() > 0:
            return
        if getattr(engine.state, "better", False):
            self.save_best()
        elif self.record.last_validated.get("epoch") == engine.state.epoch and self.best.is_file():
            self.describe_best()
        state = {
            "network": self.network.state_dict(),
            "averaged": self.averaging.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "lr_scheduler": self.lr_scheduler.state_dict(),
            "epoch": engine.state.epoch,
            "best": self.record.best,
            "settings": json.loads(json.dumps(self.record.settings, default=str)),
            "run_id": self.record.run_id,
        }
        write_atomically(self.last, lambda file: torch.save(state, file))

    def save_best(self) -> None:
        """Write and publish the best weights and their record."""
        target = Path(self.record.model_path)
        if not self.published:
            keep_stranger(target, self.record.run_id, self.best)
            self.published = True
        weights = self.averaging.network.state_dict()
        write_atomically(self.best, lambda file: torch.save(weights, file))
        content = sha256(self.best)
        write_json(self.best.with_suffix(".json"), self.description(content))
        with FileLock(_made(target.parent) / f".{target.name}.lock"):  # another run may publish its own just now
            publish(self.best, target)
            write_json(target.with_suffix(".json"), self.description(content))

    def describe_best(self) -> None:
        """Put the last epoch's figures beside the best one's, in the record of the best weights."""
        content = training_of(self.best).get("sha256", "")
        write_json(self.best.with_suffix(".json"), self.description(content))
        target = Path(self.record.model_path)
        if training_of(target).get("run_id") == self.record.run_id:
            write_json(target.with_suffix(".json"), self.description(content))

    def description(self, content: str) -> dict[str, Any]:
        """Describe the best weights: how they were made, and what they and the last epoch's measured.

        Args:
            content: SHA-256 of the file.
        """
        return {
            **self.about,
            "metrics": self.record.best,
            "last_metrics": self.record.last_validated,
            "run_id": self.record.run_id,
            "sha256": content,
            "settings": self.record.settings,
        }
