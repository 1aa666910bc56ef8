"""Gradient clipping, and a stop where loss or weights are no longer finite."""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Events
from monai.engines.utils import IterationEvents
from monai.engines.workflow import Workflow
from torch import nn

from custom_networks.errors import UserError
from custom_networks.processes import from_all, process_count
from custom_networks.training.seeding import images_of_step

CHECK_EVERY = 32  # steps, on a GPU and among processes: looking at the loss waits for them
_NEVER = torch.iinfo(torch.int64).max
SHOWN = 16  # images named


class GradientClipping:
    """Handler that scales gradients down to a norm before the optimizer's step.

    Args:
        network: whose gradients.
        norm: largest norm of all gradients together; 0 leaves them as they are.
    """

    def __init__(self, network: nn.Module, norm: float = 0.0) -> None:
        self.network = network
        self.norm = norm

    def attach(self, engine: Workflow) -> None:
        """Clip between backward pass and step."""
        if self.norm > 0:
            engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self)

    def __call__(self, engine: Workflow) -> None:
        """Clip the gradients in place."""
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.norm)


class FiniteCheck:
    """Handler that stops a training whose loss or weights are infinite or no number, before anything is saved.

    Put it before the validation. The loss is looked at after each step on a CPU; on a GPU, and among several processes,
    every `CHECK_EVERY` steps and at the end of the epoch.

    Args:
        network: whose weights are looked at when an epoch is complete.
        seed: the run's seed, from which the images of a step follow.
    """

    def __init__(self, network: nn.Module, seed: int) -> None:
        self.network = network
        self.seed = seed
        self.first: torch.Tensor | None = None

    def attach(self, engine: Workflow) -> None:
        """Listen to steps and epochs."""
        engine.add_event_handler(Events.EPOCH_STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.step)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.finish)

    def start(self, engine: Workflow) -> None:
        """Start an epoch."""
        self.first = None

    def step(self, engine: Workflow) -> None:
        """Note, on the device, the epoch's first step whose loss is not finite."""
        loss = engine.state.output[0]["loss"].detach()
        step = _step(engine)
        seen = torch.where(torch.isfinite(loss), _NEVER, step)
        self.first = seen if self.first is None else torch.minimum(self.first, seen)
        if (loss.device.type == "cpu" and process_count() == 1) or (step + 1) % CHECK_EVERY == 0:
            self.check(engine)

    def finish(self, engine: Workflow) -> None:
        """Look at the loss, and at the weights that the epoch's last step left."""
        self.check(engine)
        norms = torch._foreach_norm([each.detach() for each in self.network.parameters()], float("inf"))
        if not bool(torch.isfinite(torch.stack(norms)).all()):
            self.stop(engine, _step(engine), "the weights are", images_of_step(engine, self.seed, _step(engine)))

    def check(self, engine: Workflow) -> None:
        """Stop all processes where one of them met such a loss; raises UserError."""
        first = _NEVER if self.first is None else int(self.first)
        images = [] if first == _NEVER else images_of_step(engine, self.seed, first)
        step, named = min(from_all((first, images)), key=lambda pair: pair[0])
        if step != _NEVER:
            self.stop(engine, step, "the loss is", named)

    def stop(self, engine: Workflow, step: int, what: str, images: list[Any]) -> None:
        """Raise the UserError that names the images."""
        more = f" and {len(images) - SHOWN} more" if len(images) > SHOWN else ""
        raise UserError(
            f"{what} not finite in step {step + 1} of epoch {engine.state.epoch}, with the images "
            f"{', '.join(str(image) for image in images[:SHOWN])}{more}; nothing of this epoch is saved; look at them, "
            "lower --learning_rate or set --clip_norm 1"
        )


def _step(engine: Workflow) -> int:
    """Number of the present step in its epoch, from 0."""
    return (engine.state.iteration - 1) % engine.state.epoch_length
