"""One process or several: rank, device and process group."""

from __future__ import annotations

import os

import torch
import torch.distributed as dist

from custom_networks.errors import UserError


def rank() -> int:
    """Number of this process among those that train together; 0 when it is alone."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def local_device() -> torch.device:
    """Device of this process under torchrun: its GPU where there is one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def start_process_group() -> None:
    """Join the processes that torchrun started: NCCL among GPUs, gloo among CPUs.

    Raises:
        UserError: when torchrun did not start this process.
    """
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
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
