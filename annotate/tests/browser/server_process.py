"""The annotation server in a process of its own, which can be killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[3]
STARTING_S = 60
SERVE = """
import json, sys
from annotate.serve import serve
serve(json.loads(sys.argv[1]))
"""


class Server:
    """The annotation server, which can be killed and started again at the same address."""

    def __init__(self, studies: Path, checkpoint: Path | None, **knobs: Any) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.studies = studies
        self.url = f"http://127.0.0.1:{self.port}"
        self.knobs = {
            "studies": str(studies),
            "checkpoint": str(checkpoint) if checkpoint else None,
            "host": "127.0.0.1",
            "port": self.port,
            "token": "",
            "classes": "",
            "device": "cpu",
            "image_size": None,
            "max_upload_mb": 64,
            "score": False,
            "bundle_root": str(REPOSITORY / "bundle"),
            **knobs,
        }
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> Server:
        """Start, and wait until it answers."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])}
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, json.dumps(self.knobs)], env=environment, text=True, start_new_session=True
        )
        until = time.monotonic() + STARTING_S
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"{self.url}/ui/", timeout=2):
                    return self
            except OSError:
                assert self.process.poll() is None, "the server ended while it started"
                time.sleep(0.1)
        raise AssertionError("the server does not answer")

    def kill(self) -> None:
        """End it and all its processes at once, as a power cut would."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def label(self, name: str, version: int) -> NDArray[np.uint8]:
        """Read a version of a label from the disk."""
        return np.asarray(Image.open(self.studies / "annotations" / "labels" / name / f"{version:04}.png"))

    def about(self, name: str, version: int) -> dict[str, Any]:
        """Read what is written beside a label."""
        return json.loads((self.studies / "annotations" / "labels" / name / f"{version:04}.json").read_text())
