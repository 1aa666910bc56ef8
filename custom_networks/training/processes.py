"""One process or several: rank, process group, and where a run writes."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from custom_networks.errors import UserError
from custom_networks.trained import LAST


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


def flag(value: Any) -> Any:
    """Read "true", "false" and "null" as a command line passes them; anything else unchanged."""
    if isinstance(value, str) and value.lower() in ("true", "false", "null", "none"):
        return {"true": True, "false": False}.get(value.lower())
    return value


def run_folder(runs_dir: str | Path, resume: bool | str | Path = False) -> str:
    """Choose the folder of a run, without making it.

    Args:
        runs_dir: folder of all runs.
        resume: False for a new run, named by the time; True for the newest run there is; or the path of a
            `last.pt` or of the folder that holds it.

    Returns:
        The folder's path.

    Raises:
        UserError: where there is nothing to resume.
    """
    resume = flag(resume)
    if resume is True:
        found = sorted(Path(runs_dir).glob(f"*/{LAST}"), key=lambda path: path.stat().st_mtime)
        if not found:
            raise UserError(f"{runs_dir}: no run to resume, no {LAST} in its folders; start one without --resume")
        return str(found[-1].parent)
    if resume:
        path = Path(resume)
        folder = path.parent if path.suffix == ".pt" else path
        if not (folder / LAST).is_file():
            raise UserError(f"{resume}: no {LAST} to resume from; give the folder of a run")
        return str(folder)
    return str(Path(runs_dir) / datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))
