"""Checkpoints: the best weights, and all that a killed run needs to resume as if it had never stopped.

MONAI's own saver and loader write in place, lose the best metric on resume and restore the old schedule's length;
hence this handler.
"""

from __future__ import annotations

import logging
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
from custom_networks.flags import flag
from custom_networks.network.weights import load_strictly, read_checkpoint
from custom_networks.processes import from_first, rank
from custom_networks.run.publishing import keep_stranger, publish, publishing
from custom_networks.run.record import SHEET, RunRecord
from custom_networks.run.resume import DATA, refuse_other_settings
from custom_networks.training.averaging import AveragedWeights
from custom_networks.weights.network import check_network, load_checkpoint
from custom_networks.weights.reading import check_content, record_of
from custom_networks.weights.record import BEST, KEY, LAST, WeightsRecord, kept_by_json, parse_record
from custom_networks.weights.training import About

logger = logging.getLogger(__name__)


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
    """Handler that writes `model.pt` (best weights) and `last.pt` (everything) after an epoch.

    `last.pt` is written every `interval` epochs, with every `model.pt`, and after the last epoch.

    Put it last. `model.pt` is a plain state dict; `model.json` beside it, which `last.pt` holds too, is the record of
    the weights. The random state needs no file: it follows from seed and epoch, see `EpochSeed`.

    Args:
        record: of the run; it says whether the run starts from its folder's `last.pt`.
        network: that is trained, without a parallel wrapper.
        optimizer: saved in `last.pt`.
        lr_scheduler: saved in `last.pt`.
        averaging: averaged weights, which are the ones to publish; None publishes those of `network`.
        about: normalisation, classes and images of the training, for the record of the weights.
        interval: epochs from one `last.pt` to the next.
    """

    def __init__(
        self,
        record: RunRecord,
        network: nn.Module,
        optimizer: Optimizer,
        lr_scheduler: LRScheduler,
        averaging: AveragedWeights | None = None,
        about: About | None = None,
        interval: int = 1,
    ) -> None:
        self.record = record
        self.network = network
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        self.averaging = averaging or AveragedWeights(network)
        self.about = about or About()
        self.interval = max(1, int(flag(interval)))
        self.ready = False

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
        if rank() == 0:
            self.weights_record()  # hashes the training images as they are now

    def check_free(self) -> None:
        """Refuse a folder that holds a run."""
        if self.last.exists():
            raise UserError(
                f"{self.record.folder}: already holds a run; continue it with --resume {self.record.folder}, "
                "or choose another --output_dir"
            )

    def load(self, engine: Workflow) -> None:
        """Put network, optimizer, schedule, epoch and best metric back where `last.pt` left them.

        A run that was killed after its last epoch, before its sheet was drawn, is only brought to its end.
        """
        state = read_checkpoint(self.last)
        needed = {"network", "averaged", "optimizer", "lr_scheduler", "epoch", "best", KEY}
        missing = needed - set(state)
        if missing:
            raise UserError(
                f"{self.last}: no checkpoint of a run, {', '.join(sorted(missing))} missing; resume another"
            )
        stored = parse_record(state[KEY], self.last)
        refuse_other_settings(stored.settings, self.record.settings, self.last)
        from_first(lambda: self.check_data(stored))
        if state["epoch"] >= engine.state.max_epochs and (self.record.folder / SHEET).is_file():
            raise UserError(
                f"{self.last}: this run has done {state['epoch']} epochs already; "
                f"resume it with --max_epochs above {state['epoch']}"
            )
        check_network(self.network, stored, self.last)
        load_strictly(self.network, state["network"], self.last, "network")
        self.averaging.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.lr_scheduler.load_state_dict(state["lr_scheduler"])
        engine.state.epoch = state["epoch"]
        engine.state.iteration = state["epoch"] * engine.state.epoch_length
        best = state["best"] if from_first(self.has_best) else {}
        self.record.resume_at(state["epoch"], best, stored)

    def has_best(self) -> bool:
        """Tell whether the best weights are those of their record.

        They are not where the run was killed between the two files, or a file was damaged since: the next epoch that
        is validated then counts as the best, and replaces them.
        """
        try:
            check_content(self.best)
        except UserError as error:
            logger.warning("%s; the next epoch replaces them", error)
            return False
        return True

    def check_data(self, stored: WeightsRecord) -> None:
        """Refuse other training images or labels than the run's; the same ones may lie elsewhere."""
        if stored.data is not None and self.about.data is not None:
            for part in ("images", "labels"):
                if getattr(stored.data, part) not in (None, getattr(self.about.data, part)):
                    raise UserError(
                        f"{self.last}: the training {part} are not those that this run was started with; "
                        "give it the same ones, or start a new run"
                    )
        else:
            refuse_other_settings(stored.settings, self.record.settings, self.last, names=DATA)

    def weights_record(self, content: str | None = None) -> WeightsRecord:
        """Record what the weights are: the network's arguments, every setting and override, and their figures.

        Args:
            content: SHA-256 of the best weights' file.
        """
        described = self.about.record(self.network, self.record.settings, self.record.best)
        further = {"run_id": self.record.run_id, "last_metrics": self.record.last_validated, "sha256": content}
        return described.model_copy(update=further)

    def save(self, engine: Workflow) -> None:
        """Write the best weights when this epoch is the best so far, and `last.pt` where it is time."""
        if rank() > 0:
            return
        better = bool(getattr(engine.state, "better", False))
        if better:
            self.save_best()
        elif self.record.last_validated.get("epoch") == engine.state.epoch and self.best.is_file():
            self.describe_best(record_of(self.best).sha256)
        if not better and engine.state.epoch % self.interval and engine.state.epoch < engine.state.max_epochs:
            return
        state: dict[str, Any] = {
            "network": self.network.state_dict(),
            "averaged": self.averaging.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "lr_scheduler": self.lr_scheduler.state_dict(),
            "epoch": engine.state.epoch,
            "best": self.record.best,
            KEY: kept_by_json(self.weights_record().as_dict()),
        }
        write_atomically(self.last, lambda file: torch.save(state, file))

    def save_best(self) -> None:
        """Write and publish the best weights and their record."""
        target = Path(self.record.model_path)
        with publishing(target):
            keep_stranger(target, self.record.run_id, self.best)
            weights = self.averaging.network.state_dict()
            write_atomically(self.best, lambda file: torch.save(weights, file))
            publish(self.best, target)
            self.describe_best(sha256(self.best), new=True)

    def describe_best(self, content: str | None, new: bool = False) -> None:
        """Write the record of the best weights, the last epoch's figures beside theirs.

        Args:
            content: SHA-256 of their file.
            new: whether they have just been published; else the published record is left to the run that it names.
        """
        record = self.weights_record(content)
        _describe(self.best, record, new)
        target = Path(self.record.model_path)
        if new or (target.is_file() and record_of(target).run_id == self.record.run_id):
            _describe(target, record, new)


def _describe(weights: Path, record: WeightsRecord, new: bool) -> None:
    """Write the record of weights; a threshold that was chosen for them stays unless they are new."""
    before = None if new else record_of(weights)
    if before is not None and before.sha256 == record.sha256:
        record = record.model_copy(update={"threshold": before.threshold})
    write_json(weights.with_suffix(".json"), record.as_dict())
