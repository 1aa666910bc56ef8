"""A function recorded once as a CUDA graph and replayed: one launch for a whole network.

At small batches a GPU computes faster than Python launches its kernels; a graph takes the launches out. It holds for
one shape, that of the first call; others, such as a last batch that is smaller, are computed as usual.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

WARM_UP = 3  # calls before recording, so that libraries have chosen their kernels


@dataclass(frozen=True)
class Recording:
    """A graph and the memory that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    given: Tensor
    result: Tensor


class CudaGraph:
    """Call a function through a CUDA graph; as it is, with a warning, where it cannot be recorded.

    Args:
        function: of a tensor on a CUDA device; it must do the same work for every input of a shape.
    """

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function
        self.recording: Recording | None = None
        self.failed = False

    def __call__(self, given: Tensor) -> Tensor:
        """Return the function's result in memory of its own."""
        if self.recording is None and not self.failed:
            try:
                self.recording = self._record(given)
            except (RuntimeError, AssertionError) as error:
                self.failed = True
                reason = str(error).splitlines()[0]
                warnings.warn(f"no CUDA graph could be recorded ({reason}); going on without", stacklevel=2)
        recording = self.recording
        if recording is None or recording.given.shape != given.shape or recording.given.dtype != given.dtype:
            return self.function(given)
        recording.given.copy_(given)
        recording.graph.replay()
        return recording.result.clone()

    def _record(self, given: Tensor) -> Recording:
        """Warm up on a stream of its own, as PyTorch asks for, then record."""
        place = torch.empty_like(given).copy_(given)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self.function(place)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = self.function(place)
        return Recording(graph, place, result)
