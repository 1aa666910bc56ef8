"""Rooms, run in processes of their own; not in `__main__`, which such a process cannot import."""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks import drawing, environment, report
from benchmarks.measure import NO_TIME, Row, Settings
from custom_networks.allocator import keep_freed_memory

ROOMS = ("operator", "convolution", "network", "complexity", "training", "input", "limit")


def run_room(room: str, keywords: dict[str, Any], settings: Settings) -> Row:
    """Run one room in this process; a room that fails tells why under `error`."""
    print(f"== {room}", file=sys.stderr, flush=True)
    torch.set_num_threads(settings.threads)
    if settings.keep_memory:
        keep_freed_memory()
    try:
        return importlib.import_module(f"benchmarks.{room}_cases").run(settings, **keywords)
    except Exception as error:
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}
    finally:
        gc.collect()
        if settings.device.startswith("cuda"):
            torch.cuda.empty_cache()


def failed(results: Row) -> bool:
    """Whether a whole room failed; one for which no time was left did not."""
    return any(part.get("error", NO_TIME) != NO_TIME for part in results.values())


def run_rooms(rooms: dict[str, dict[str, Any]], settings: Settings, output: Path, name: str) -> Row:
    """Run rooms one after the other, in processes of their own, and write what there is after each.

    So nothing measured is lost, and a GPU kernel that crashes takes one room with it. On a CPU, where memory is that of
    the process, each room has a fresh one; on a GPU the next room goes on in the same, since a start takes long.

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
    pool: ProcessPoolExecutor | None = None
    for room, keywords in rooms.items():
        begin = time.monotonic()
        if begin >= settings.deadline:
            results[room] = {"error": NO_TIME}
            continue
        pool = pool or ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        try:
            results[room] = pool.submit(run_room, room, keywords, settings).result()
        except BrokenProcessPool:
            results[room] = {"error": "the process died"}
        results[room]["seconds"] = time.monotonic() - begin
        if not settings.device.startswith("cuda") or "error" in results[room]:
            pool.shutdown()
            pool = None
        report.write(results, output, name)
    if pool is not None:
        pool.shutdown()
    paths = [*report.write(results, output, name), *drawing.draw(results, output, name)]
    print(f"wrote {' and '.join(map(str, paths))}")
    return results
