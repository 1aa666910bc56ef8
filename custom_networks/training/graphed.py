"""Forward and backward pass of the training as a CUDA graph: one launch each instead of thousands.

SGD-Net has some thousands of kernels a step. A GPU runs them faster than Python launches them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from custom_networks.errors import UserError
from custom_networks.flags import flag
from custom_networks.precision import MixedPrecisionInferer, in_float32, plain


class _Whole(nn.Module):
    """A network as the callable that is recorded, so that its own `forward` stays as it is."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Any:
        return self.network(image)


class TrainingInferer(MixedPrecisionInferer):
    """`MixedPrecisionInferer` of the training, which can record the network as a CUDA graph.

    The graph holds for the shape of the first batch; another one, such as the last of an epoch, is computed without.
    Recording changes neither statistics nor random state. The outputs are overwritten by the next step.

    Args:
        amp: whether to use bfloat16.
        device: where the network runs.
        cuda_graph: whether to record; on a CPU nothing is recorded.

    Raises:
        UserError: where the device has no bfloat16.
    """

    def __init__(self, amp: bool, device: torch.device | str, cuda_graph: bool = False) -> None:
        super().__init__(amp, device)
        self.records = bool(flag(cuda_graph)) and self.device_type == "cuda"
        self.recorded: Callable[[Tensor], Any] | None = None
        self.shape: torch.Size | None = None

    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return the network's output in float32; raises UserError where a network cannot be recorded."""
        if not self.records:
            return super().__call__(inputs, network, *args, **kwargs)
        inputs = plain(inputs)
        # what autocast keeps from one step to the next would be freed memory in the graph
        with torch.autocast(self.device_type, torch.bfloat16, enabled=self.amp, cache_enabled=False):
            if self.recorded is None:
                self.recorded, self.shape = record_training(network, inputs), inputs.shape
            outputs = self.recorded(inputs) if inputs.shape == self.shape else network(inputs)
        return in_float32(outputs)


def record_training(network: Any, inputs: Tensor) -> Callable[[Tensor], Any]:
    """Record the forward and the backward pass of a network in `train()`.

    Args:
        network: on a CUDA device.
        inputs: a batch (B, C, H, W) on the same device.

    Returns:
        A differentiable function of batches of this shape, under the autocast that it was recorded in.

    Raises:
        UserError: for a network that several processes train together, or that checkpoints.
    """
    if isinstance(network, DistributedDataParallel):
        raise UserError("--cuda_graph true: a training by several processes cannot be recorded; use --cuda_graph false")
    if getattr(network, "checkpointing", False):
        raise UserError("--cuda_graph true: cannot be combined with --checkpointing true; leave one of them out")
    with torch.cuda.device(inputs.device):
        buffers = [(buffer, buffer.clone()) for buffer in network.buffers()]
        random = torch.cuda.get_rng_state(inputs.device)
        sample = torch.empty_like(inputs).copy_(inputs)
        recorded = torch.cuda.make_graphed_callables(_Whole(network).train(), (sample,), allow_unused_input=True)
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
        torch.cuda.set_rng_state(random, inputs.device)
    return recorded
