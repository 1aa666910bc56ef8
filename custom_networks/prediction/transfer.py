"""Images to the device and maps back, beside the work of a GPU: pinned memory, and a stream for each direction.

Two batches are under way at most: while one is computed the next is copied there and the last one back.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Arriving:
    """Maps on their way to the CPU.

    Attributes:
        host: (B, K, X, Y) where they arrive.
        event: that tells when they are there; None where they are.
    """

    host: Tensor
    event: torch.cuda.Event | None = None

    def get(self) -> Tensor:
        """Wait for them."""
        if self.event is not None:
            self.event.synchronize()
        return self.host


class Transfer:
    """Copy between the CPU and a device.

    Args:
        device: where the network runs; nothing is copied where that is the CPU.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.last: Arriving | None = None
        if device.type == "cuda":
            self.up, self.down = torch.cuda.Stream(device), torch.cuda.Stream(device)

    def current(self) -> AbstractContextManager[object]:
        """Make a GPU the current one: kernels of Triton are launched there, whatever device their tensors are on."""
        return torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext()

    def to_device(self, images: Tensor) -> Tensor:
        """Copy a batch there; work on the device's current stream waits for it."""
        if self.device.type != "cuda":
            return images.to(self.device)
        pinned = images.pin_memory()
        with torch.cuda.stream(self.up):
            moved = pinned.to(self.device, non_blocking=True)
        current = torch.cuda.current_stream(self.device)
        current.wait_stream(self.up)
        moved.record_stream(current)
        return moved

    def to_host(self, maps: Tensor) -> Arriving:
        """Begin to copy maps back, and wait for those of the call before."""
        if self.device.type != "cuda":
            return Arriving(maps.cpu())
        host = torch.empty(maps.shape, dtype=maps.dtype, pin_memory=True)
        self.down.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.down):
            host.copy_(maps, non_blocking=True)
            event = torch.cuda.Event()
            event.record(self.down)
        maps.record_stream(self.down)
        before, self.last = self.last, Arriving(host, event)
        if before is not None:
            before.get()
        return self.last
