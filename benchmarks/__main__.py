"""Command line: `python -m benchmarks [operator|network|training|input|all] [--quick] [--output FOLDER]`."""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import sys
import traceback
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.measure import Row, Settings

ROOMS = ("operator", "network", "training", "input")
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
    parser.add_argument("--no-memory", action="store_true", help="leave peak memory out, which takes most of the time")
    return parser.parse_args(words)


def settings_of(arguments: argparse.Namespace, **others: Any) -> Settings:
    """Turn a command line into settings, and set the threads."""
    import torch

    from benchmarks.measure import Settings

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
        **others,
    )


def run_room(room: str, keywords: dict[str, Any], settings: Settings) -> Row:
    """Run one room in this process; a room that fails tells why under `error`."""
    import torch

    print(f"== {room}", file=sys.stderr, flush=True)
    torch.set_num_threads(settings.threads)
    try:
        return importlib.import_module(f"benchmarks.{room}_cases").run(settings, **keywords)
    except Exception as error:
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}


def run_rooms(rooms: dict[str, dict[str, Any]], settings: Settings, output: Path, name: str) -> Row:
    """Run rooms one after the other, each in a process of its own, and write what there is after each.

    So nothing measured is lost, and a GPU kernel that crashes takes one room with it.

    Args:
        rooms: names, and keyword arguments of their `run`.
        settings: of all.
        output: folder.
        name: of the JSON and the Markdown file.

    Returns:
        What the JSON holds.
    """
    from benchmarks import environment, report

    about = asdict(settings)
    del about["deadline"]
    results: Row = {"environment": environment.describe(settings), "settings": about}
    for room, keywords in rooms.items():
        try:
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                results[room] = pool.submit(run_room, room, keywords, settings).result()
        except BrokenProcessPool:
            results[room] = {"error": "the process died"}
        paths = report.write(results, output, name)
    print(f"wrote {' and '.join(map(str, paths))}")
    return results


def main(words: list[str] | None = None) -> int:
    """Run; 1 where a whole room failed."""
    arguments = parse(words)
    rooms = ROOMS if arguments.room == "all" else (arguments.room,)
    results = run_rooms({room: {} for room in rooms}, settings_of(arguments), arguments.output, arguments.room)
    return int(any("error" in results[room] for room in rooms))


if __name__ == "__main__":
    sys.exit(main())
