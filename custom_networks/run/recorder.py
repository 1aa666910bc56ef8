"""Handler that turns an epoch into a row of figures: loss terms, rate, speed, validation metrics, of all processes."""

from __future__ import annotations

import time

import torch
from ignite.engine import Events
from monai.engines.workflow import Workflow
from torch.optim import Optimizer

from custom_networks.processes import process_count, summed
from custom_networks.run.record import EpochRow, RunRecord


class EpochRecorder:
    """Sum the loss and its terms on the device, without waiting for it, and record their means per epoch.

    Put it after the validation, whose metrics it reads, and before what reads the row. An epoch that was not validated
    gets no metrics. Loss terms are means over the steps of all processes, images are counted in all of them.

    Args:
        record: of the run.
        optimizer: read for its learning rate.
        evaluator: engine of the validation.
    """

    def __init__(self, record: RunRecord, optimizer: Optimizer, evaluator: Workflow | None = None) -> None:
        self.record = record
        self.optimizer = optimizer
        self.evaluator = evaluator
        self.sums: dict[str, torch.Tensor] = {}
        self.metrics: EpochRow = {}
        self.images = self.steps = 0
        self.started = self.stopped = 0.0

    def attach(self, engine: Workflow) -> None:
        """Listen to epochs and iterations."""
        engine.add_event_handler(Events.EPOCH_STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.step)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.finish)
        if self.evaluator is not None:
            self.evaluator.add_event_handler(Events.COMPLETED, self.validated)

    def start(self, engine: Workflow) -> None:
        """Start an epoch."""
        self.sums, self.metrics, self.images, self.steps = {}, {}, 0, 0
        self.started = self.stopped = time.perf_counter()

    def step(self, engine: Workflow) -> None:
        """Add an iteration's loss terms."""
        output = engine.state.output[0]
        terms = {"loss": output["loss"].detach(), **getattr(engine.loss_function, "terms", {})}  # type: ignore
        for name, value in terms.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value.clone()
        self.images += len(output["image"])
        self.steps += 1
        self.stopped = time.perf_counter()

    def validated(self, evaluator: Workflow) -> None:
        """Keep the metrics of a validation."""
        self.metrics = {name: float(value) for name, value in evaluator.state.metrics.items()}

    def finish(self, engine: Workflow) -> None:
        """Record the epoch; `engine.state.better` tells whether it is the best so far."""
        names = list(self.sums)
        means = summed(torch.stack([self.sums[name].detach() for name in names])) / (self.steps * process_count())
        images = float(summed(torch.tensor(float(self.images), device=means.device)))
        row: EpochRow = {"epoch": engine.state.epoch, **dict(zip(names, means.tolist(), strict=True))}
        row["learning_rate"] = self.optimizer.param_groups[0]["lr"]
        row["images_per_second"] = images / max(self.stopped - self.started, 1e-9)
        row.update(self.metrics)
        engine.state.better = self.record.add(row)
