"""A process that has imported the server, and forks one for each line `STUDIES CHECKPOINT` that it reads.

Starting a server takes seconds of imports; a forked one starts at once, and is killed like any other.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import annotate.app
import annotate.label_app
import annotate.serve
from custom_networks.bundle_files import default_bundle

annotate.label_app._shim_torchvision()
import annotate.tasks  # noqa: E402


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    for line in sys.stdin:
        studies, checkpoint = line.split()
        child = os.fork()
        if child:
            print(child, flush=True)
            continue
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        knobs = {"studies": studies, "checkpoint": None if checkpoint == "-" else checkpoint, "host": "127.0.0.1"}
        knobs |= {"port": 0, "token": "", "classes": "", "device": "cpu", "image_size": None, "max_upload_mb": 8}
        try:
            annotate.serve.serve({**knobs, "score": False, "bundle_root": str(default_bundle())})
        except Exception as error:
            print(f"Error: {error}", flush=True)
        os._exit(0)


if __name__ == "__main__":
    main()
