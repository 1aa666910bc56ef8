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
from benchmarks.limit_cases import ON_A_GPU
from benchmarks.rooms import failed, run_rooms


def rooms(quick: bool) -> dict[str, dict[str, Any]]:
    """What is measured, and how."""
    return {
        "check": {},
        "operator": {"dtypes": (torch.bfloat16, torch.float32)},
        "training": {"batches": (2,) if quick else (16, 1, 64)},
        "network": {"shapes": ((256, 16), (256, 1), (256, 64))},
        "limit": {"batch": 2 if quick else 16, "forms": ON_A_GPU},
        "input": {},
    }


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"folder of gpu.json and gpu.md [{OUTPUT}]")
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"], help="[cuda]")
    parser.add_argument("--budget", type=float, default=420, help="seconds after which nothing is started [420]")
    parser.add_argument("--rooms", nargs="+", choices=[*rooms(False)], help="some of them, in this order [all]")
    parser.add_argument("--rounds", type=int, help="samples of each case [7; 2 with --quick]")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: checks the benchmark, measures nothing")
    parser.add_argument("--compile", action="store_true", help="also torch.compile, minutes more")
    parser.set_defaults(threads=None, sweep=False, no_memory=False, keep_memory=False)
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Run; 1 where a whole room failed."""
    arguments = parse(words)
    settings = settings_of(arguments, deadline=time.monotonic() + arguments.budget)
    every = rooms(arguments.quick)
    chosen = {room: every[room] for room in arguments.rooms or every}
    results = run_rooms(chosen, settings, arguments.output, "gpu")
    return int(failed(results))


if __name__ == "__main__":
    sys.exit(main())
