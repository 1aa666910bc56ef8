"""Rooms, each run in a process of its own; not in `__main__`, which such a process cannot import."""

from __future__ import annotations

import importlib
import multiprocessing
import sys
import traceback
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks import drawing, environment, report
from benchmarks.measure import Row, Settings

ROOMS = ("operator", "network", "complexity", "training", "input", "limit")


def run_room(room: str, keywords: dict[str, Any], settings: Settings) -> Row:
    """Run one room in this process; a room that fails tells why under `error`."""
    print(f"== {room}", file=sys.stderr, flush=True)
    torch.set_num_threads(settings.threads)
    try:
        return importlib.import_module(f"benchmarks.{room}_cases").run(settings, **keywords)
    except Exception as error:
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}


def run_rooms(rooms: dict[str, dict[str, Any]], settings: Settings, output: Path, name: str) -> Row:
    """Run rooms one after the other, each in a process of its own, and write and draw what there is after each.

    So nothing measured is lost, and a GPU kernel that crashes takes one room with it.

    Args:
        rooms: names, and keyword arguments of their `run`.
        settings: of all.
        output: folder.
        name: of the JSON and the Markdown file and the charts.

    Returns:
        What the JSON holds.
    """
    about = asdict(settings)
    del about["deadline"]
    results: Row = {"environment": environment.describe(settings), "settings": about}
    for room, keywords in rooms.items():
        try:
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                results[room] = pool.submit(run_room, room, keywords, settings).result()
        except BrokenProcessPool:
            results[room] = {"error": "the process died"}
        paths = [*report.write(results, output, name), *drawing.draw(results, output, name)]
    print(f"wrote {' and '.join(map(str, paths))}")
    return results
