"""One process or several: rank, device, process group, and what all of them must agree on."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from custom_networks.errors import UserError

if TYPE_CHECKING:  # what measures masks and writes reports needs no torch to know that it is alone
    import torch
    from torch.distributed import ProcessGroup

PATIENCE = timedelta(days=1)


def _group() -> Any:
    """`torch.distributed` where it has been imported and this process is in a group; else None."""
    dist = sys.modules.get("torch.distributed")
    return dist if dist is not None and dist.is_available() and dist.is_initialized() else None


def rank() -> int:
    """Number of this process among those that train together; 0 when it is alone."""
    group = _group()
    return group.get_rank() if group else 0


def process_count() -> int:
    """How many processes train together; 1 for one that is alone."""
    group = _group()
    return group.get_world_size() if group else 1


def from_first(function: Callable[[], Any]) -> Any:
    """Call a function in the first process and return its result in all of them.

    Args:
        function: without arguments; its result must be one that pickles.

    Returns:
        What it returned.

    Raises:
        UserError: in every process, where the first one raised it, so that none waits for another.
    """
    if process_count() == 1:
        return function()
    shared: list[Any] = [None, None]
    if rank() == 0:
        try:
            shared[0] = function()
        except UserError as error:
            shared[1] = str(error)
    _group().broadcast_object_list(shared, src=0, group=_patient_group())
    if shared[1] is not None:
        raise UserError(shared[1])
    return shared[0]


def from_all(value: Any) -> list[Any]:
    """Return every process's value, by rank; it must be one that pickles."""
    if process_count() == 1:
        return [value]
    gathered: list[Any] = [None] * process_count()
    _group().all_gather_object(gathered, value)
    return gathered


def summed(values: torch.Tensor) -> torch.Tensor:
    """Add up a tensor over all processes."""
    if process_count() > 1:
        values = values.clone()
        _group().all_reduce(values)
    return values


def share_buffers(network: torch.nn.Module) -> None:
    """Give every process the first one's buffers: the statistics of batch normalisation.

    DistributedDataParallel does so at the start of a step, so that they differ after an epoch's last one.
    """
    if process_count() > 1:
        for buffer in network.buffers():
            _group().broadcast(buffer, src=0)


@functools.cache
def _patient_group() -> ProcessGroup | None:
    """All processes once more, with patience: what the first one does for all may take hours, as the check of files."""
    from torch.distributed import new_group

    return new_group(backend="gloo", timeout=PATIENCE)


def synchronised(network: torch.nn.Module, device: torch.device) -> torch.nn.Module:
    """Let batch normalisation take its statistics over the batches of all processes, on a GPU.

    PyTorch's synchronised normalisation does not run on a CPU, where each process keeps those of its own batch.

    Args:
        network: whose layers are replaced in place; its weights' names stay.
        device: that it is trained on.

    Returns:
        The network.
    """
    from torch.nn import SyncBatchNorm

    converted: torch.nn.Module = SyncBatchNorm.convert_sync_batchnorm(network) if device.type == "cuda" else network
    return converted


def local_device() -> torch.device:
    """Device of this process under torchrun: its GPU where there is one, else the CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def start_process_group(distributed: bool = True) -> None:
    """Join the processes that torchrun started: NCCL among GPUs, gloo among CPUs.

    Args:
        distributed: whether several processes train together; False does nothing.

    Raises:
        UserError: when torchrun did not start this process.
    """
    import torch.distributed as dist

    if not distributed:
        return
    if "WORLD_SIZE" not in os.environ:
        raise UserError(
            "multi_gpu_train.json is for several processes; start it with "
            "`torchrun --nproc_per_node N -m monai.bundle run training --config_file ...`"
        )
    device = local_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")


def leave_process_group() -> None:
    """End of every run: leave the process group."""
    group = _group()
    if group:
        group.destroy_process_group()
    _patient_group.cache_clear()
