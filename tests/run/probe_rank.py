"""`python -m monai.bundle run ...` of one process that also writes down what it saw: FOLDER/rankN.json."""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any

from ignite.engine import Events

from custom_networks.training import BatchTrainer, EpochValidation

folder = Path(sys.argv[1])
seen: dict[str, Any] = {"losses": []}


class Probed(BatchTrainer):
    """The trainer, watched."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.add_event_handler(Events.EPOCH_STARTED, lambda engine: seen["losses"].append([]))
        self.add_event_handler(Events.ITERATION_COMPLETED, self.note)
        self.add_event_handler(Events.EPOCH_STARTED(once=1), self.order)
        self.add_event_handler(Events.COMPLETED, self.write)

    def note(self) -> None:
        seen["losses"][-1].append(self.state.output[0]["loss"].item())

    def order(self) -> None:
        seen["order"] = list(self.data_loader.sampler)

    def write(self) -> None:
        (folder / f"rank{os.environ['RANK']}.json").write_text(json.dumps(seen))


validate = EpochValidation.validate


def validated(self: EpochValidation, engine: BatchTrainer) -> None:
    """Validate, then note the statistics that it was done with."""
    validate(self, engine)
    buffers = [each for name, each in self.validator.network.named_buffers() if name.endswith("running_mean")]
    seen["statistics"] = [each.double().sum().item() for each in buffers]


EpochValidation.validate = validated  # type: ignore[method-assign]
sys.modules["custom_networks.training"].BatchTrainer = Probed  # type: ignore[attr-defined]
sys.argv = ["monai.bundle", *sys.argv[2:]]
runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
