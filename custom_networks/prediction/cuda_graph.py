"""A function recorded as CUDA graphs and replayed: one launch for a whole network.

At small batches a GPU computes faster than Python launches its kernels; a graph takes the launches out. It holds for
one shape on one device, so that each shape gets its own, such as that of a last batch that is smaller.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

WARM_UP = 3  # calls before recording, so that libraries have chosen their kernels
MOST = 4  # graphs, each of which keeps the memory of a batch; further shapes are computed as they are
TOLERANCE = 1e-2
"""Largest difference between a replay and the function that passes: of a probability, in bfloat16 too."""

Function = Callable[[Tensor], Tensor]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Recording(Generic[Result]):
    """A call as a CUDA graph.

    Attributes:
        call: what was recorded; it keeps the memory alive that the graph reads.
        graph: the recording.
        result: what the call returned; each replay overwrites it.
    """

    call: Callable[[], Result]
    graph: torch.cuda.CUDAGraph
    result: Result

    def replay(self) -> Result:
        """Compute once more."""
        self.graph.replay()
        return self.result


def capture(call: Callable[[], Result], device: torch.device) -> Recording[Result]:
    """Record a call as a CUDA graph.

    Args:
        call: that does the same work on the same memory every time.
        device: of CUDA, which need not be the current one.
    """
    with torch.cuda.device(device):  # streams and graphs are made on the current device
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # warmed up on a stream of its own, as PyTorch asks for
            for _ in range(WARM_UP):
                call()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):  # without it, a stream of the device that was current first
            result = call()
    return Recording(call, graph, result)


def record(function: Function, given: Tensor) -> Function:
    """Record a function as a CUDA graph for tensors like one.

    Args:
        function: that does the same work for every input of a shape.
        given: on a CUDA device, which need not be the current one.

    Returns:
        A function that replays the graph; its result is in memory of its own.
    """
    place = torch.empty_like(given).copy_(given)
    recording = capture(lambda: function(place), given.device)

    def replay(given: Tensor) -> Tensor:
        with torch.cuda.device(given.device):
            place.copy_(given)
            return recording.replay().clone()

    return replay


class CudaGraph:
    """Call a function through CUDA graphs; as it is, with a warning, where it cannot be recorded or replays wrongly.

    Args:
        function: of a tensor on a CUDA device; it must do the same work for every input of a shape.
        record: makes the replay of a function for one shape.
    """

    def __init__(self, function: Function, record: Callable[[Function, Tensor], Function] = record) -> None:
        self.function, self.record = function, record
        self.replays: dict[tuple[torch.Size, torch.dtype, torch.device], Function] = {}
        self.failed = False

    def __call__(self, given: Tensor) -> Tensor:
        """Return the function's result in memory of its own."""
        key = (given.shape, given.dtype, given.device)
        if key not in self.replays and len(self.replays) < MOST and not self.failed:
            try:
                self.replays[key] = self._checked(given)
            except (RuntimeError, ValueError, AssertionError) as error:
                self.failed = True
                self.replays.clear()
                reason = str(error).splitlines()[0]
                warnings.warn(f"no CUDA graph could be recorded ({reason}); going on without", stacklevel=2)
        return self.replays.get(key, self.function)(given)

    def _checked(self, given: Tensor) -> Function:
        """Record, and compare a replay with the function on another input than the one recorded with."""
        replay = self.record(self.function, given)
        other = 0.5 - given.flip(-1)
        difference = (replay(other).float() - self.function(other).float()).abs().max().item()
        if not difference <= TOLERANCE:
            raise RuntimeError(f"a replay differs from the network by {difference:.1e}")
        return replay
