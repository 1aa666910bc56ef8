"""`sgdnet predict` in processes of their own, to be killed."""

from __future__ import annotations

import sys
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import killing

from custom_networks.errors import UserError
from custom_networks.prediction.command import Request, predict_images


def start(request: Request, errors: Path) -> BaseProcess:
    """Start a process that predicts; what it prints goes to a file."""
    return killing.start(_predict, (request,), errors)


def _predict(request: Request) -> int:
    try:
        return predict_images(request)[0]
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


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
