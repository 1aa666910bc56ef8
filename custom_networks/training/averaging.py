"""Exponential moving average of the weights, which is what is validated and published then."""

from __future__ import annotations

from typing import Any

from ignite.engine import Events
from monai.engines.workflow import Workflow
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class AveragedWeights:
    """Handler that averages the weights after each step: `average = decay * average + (1 - decay) * weights`.

    Statistics of batch normalisation are averaged alike. The first step sets the average to the weights.

    Args:
        network: that is trained, on its device; a parallel wrapper is looked through.
        decay: 0 averages nothing, and `network` is the trained one itself.
    """

    def __init__(self, network: nn.Module, decay: float = 0.0) -> None:
        self.trained = network.module if isinstance(network, DistributedDataParallel) else network
        self.average: AveragedModel | None = None
        if decay > 0:
            self.average = AveragedModel(self.trained, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)

    @property
    def network(self) -> nn.Module:
        """Network to validate and to publish."""
        return self.trained if self.average is None else self.average.module

    def attach(self, engine: Workflow) -> None:
        """Average when a step is complete."""
        if self.average is not None:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Workflow) -> None:
        """Take the present weights into the average."""
        assert self.average is not None
        self.average.update_parameters(self.trained)

    def state_dict(self) -> dict[str, Any] | None:
        """Return what a resumed run needs; None where nothing is averaged."""
        return None if self.average is None else self.average.state_dict()

    def load_state_dict(self, state: dict[str, Any] | None) -> None:
        """Put the average back."""
        if self.average is not None and state is not None:
            self.average.load_state_dict(state)
