"""`sgdnet predict` in processes of their own, to be killed; forked from one that has imported everything already."""

from __future__ import annotations

import contextlib
import os
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from warm_process import fork, may_start_others

from custom_networks.errors import UserError
from custom_networks.prediction.command import Request, predict_images


def start(request: Request, errors: Path) -> BaseProcess:
    """Start a process that predicts; what it prints goes to a file."""
    return fork(_predict, request, errors)


def _predict(request: Request, errors: Path) -> None:
    may_start_others()
    torch.set_num_threads(1)
    with errors.open("w") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        try:
            code, _ = predict_images(request)
        except UserError as error:
            print(f"Error: {error}", file=file, flush=True)
            code = 1
    os._exit(code)


def results(folder: Path) -> dict[str, bytes]:
    """Content of every file but journals and locks."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    found = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    return {name: data for name, data in found.items() if not name.endswith((".jsonl", ".lock"))}


def request_of(images: Path, output: Path, checkpoint: Path, bundle: Path, **more: Any) -> Request:
    """What a command line would ask for, on the processor."""
    return Request(
        inputs=[str(images)],
        output=str(output),
        bundle_root=str(bundle),
        checkpoint=str(checkpoint),
        device="cpu",
        num_workers=2,
        **more,
    )
