"""Command line: `python -m benchmarks [ROOM] [--quick] [--output FOLDER]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import Settings
from benchmarks.rooms import ROOMS, failed, run_rooms

OUTPUT = Path("benchmarks/results")


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure SGD-Net and its parts.")
    parser.add_argument("room", nargs="?", default="all", choices=[*ROOMS, "all"], help="what to measure [all]")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"folder of ROOM.json and ROOM.md [{OUTPUT}]")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"], help="[cpu]")
    parser.add_argument("--threads", type=int, help="threads on a CPU [as many as torch takes]")
    parser.add_argument("--rounds", type=int, help="samples of each case [7; 2 with --quick]")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: checks the benchmark, measures nothing")
    parser.add_argument("--sweep", action="store_true", help="network: also sides 128 to 1024 and batches 1 to 16")
    parser.add_argument("--compile", action="store_true", help="network: also torch.compile")
    parser.add_argument("--size", type=int, default=256, help="limit: side of the image, a multiple of 64 [256]")
    parser.add_argument("--batch", type=int, default=1, help="limit: images a call [1]")
    parser.add_argument("--keep-memory", action="store_true", help="CPU: allocate as sgdnet's own commands do")
    parser.add_argument("--no-memory", action="store_true", help="leave peak memory out, which takes most of the time")
    return parser.parse_args(words)


def settings_of(arguments: argparse.Namespace, **others: Any) -> Settings:
    """Turn a command line into settings, and set the threads."""
    if arguments.device == "cuda" and not torch.cuda.is_available():
        sys.exit("Error: no CUDA GPU to be had here; use --device cpu")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    return Settings(
        device=arguments.device,
        threads=torch.get_num_threads(),
        rounds=arguments.rounds or (2 if arguments.quick else 7),
        quick=arguments.quick,
        sweep=arguments.sweep,
        compile=arguments.compile,
        memory=not arguments.no_memory,
        keep_memory=arguments.keep_memory,
        **others,
    )


def main(words: list[str] | None = None) -> int:
    """Run; 1 where a whole room failed."""
    arguments = parse(words)
    rooms = ROOMS if arguments.room == "all" else (arguments.room,)
    keywords = {"limit": {"size": arguments.size, "batch": arguments.batch}}
    results = run_rooms(
        {room: keywords.get(room, {}) for room in rooms}, settings_of(arguments), arguments.output, arguments.room
    )
    return int(failed(results))


if __name__ == "__main__":
    sys.exit(main())
