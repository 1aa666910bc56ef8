"""What the tests of the server share besides fixtures: pictures, labels, requests, and a server in its own process."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fastapi.testclient import TestClient
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[2]
BUNDLE = REPOSITORY / "bundle"
SIZE = 96
HERE = "http://127.0.0.1:8000"
Start = Callable[..., TestClient]


class Running:
    """A server in a process of its own.

    Args:
        folder: of the studies.
        words: further words of the command line.
    """

    def __init__(self, folder: Path, *words: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "custom_networks.cli", "annotate", "--studies", str(folder), "--port", "0"]
        self.process = subprocess.Popen(
            [*command, *words],
            cwd=REPOSITORY,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        self.said: list[str] = []
        for line in self.process.stdout:
            self.said.append(line)
            if line.startswith("Open "):
                self.address = line.split()[1].partition("/ui/")[0]
                return
        raise AssertionError("".join(self.said))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.terminate()
        try:
            return self.process.wait(timeout=20)
        finally:
            self.process.kill()


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def square(low: int = 20, high: int = 60, value: int = 1, size: int = SIZE) -> np.ndarray:
    """A label with a square of one class."""
    pixels = np.zeros((size, size), np.uint8)
    pixels[low:high, low:high] = value
    return pixels


def put_label(
    client: TestClient, image: str, pixels: np.ndarray, base: int = 0, by: str = "ada", auth: Any = None, **about: Any
) -> Any:
    return client.put(
        f"/api/images/{image}/label",
        files={"label": ("label.png", png(pixels), "image/png")},
        data={"about": json.dumps({"base_version": base, **about})},
        headers={"X-Annotator": by},
        auth=auth,
    )


def finished(client: TestClient, job: str) -> dict[str, Any]:
    """Wait for a job."""
    for _ in range(20):
        told = client.get(f"/api/jobs/{job}", params={"wait": 30}).json()
        if told["state"] not in ("queued", "running"):
            return dict(told)
    raise AssertionError(told)
