"""Everything on a GPU in one run: `python -m benchmarks.gpu [--budget 420] [--output FOLDER]` writes gpu.json, gpu.md.

First the tests marked `gpu`, then ceilings and stages, operator, network, training. After `--budget` seconds nothing
more is started, and the files are written after each room, so that a loan of a few minutes is enough.
`--device cpu --quick` checks it without a GPU.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.__main__ import OUTPUT, settings_of
from benchmarks.rooms import run_rooms


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"folder of gpu.json and gpu.md [{OUTPUT}]")
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"], help="[cuda]")
    parser.add_argument("--budget", type=float, default=420, help="seconds after which nothing is started [420]")
    parser.add_argument("--rounds", type=int, help="samples of each case [7; 2 with --quick]")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: checks the benchmark, measures nothing")
    parser.add_argument("--compile", action="store_true", help="also torch.compile, minutes more")
    parser.set_defaults(threads=None, sweep=False, no_memory=False, keep_memory=False)
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Run; 1 where a whole room failed."""
    arguments = parse(words)
    settings = settings_of(arguments, deadline=time.monotonic() + arguments.budget)
    rooms: dict[str, dict[str, Any]] = {
        "check": {},
        "operator": {"dtypes": (torch.float32, torch.bfloat16)},
        "training": {"batches": (2,) if arguments.quick else (16, 1, 64)},
        "network": {"shapes": ((256, 16), (256, 1), (256, 64))},
        "limit": {"batch": 2 if arguments.quick else 16},
        "input": {},
    }
    results = run_rooms(rooms, settings, arguments.output, "gpu")
    return int(any("error" in results[room] for room in rooms))


if __name__ == "__main__":
    sys.exit(main())
