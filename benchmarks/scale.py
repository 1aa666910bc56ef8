"""Time and memory at 1,000 to 100,000 items: `python -m benchmarks.scale [--counts 1000 10000] [--output FILE.json]`.

Each case runs in a copy of this process with one thread (start it with OMP_NUM_THREADS=1). What counts is processor
time, of the process and of those it starts, which a busy machine changes little; the memory is the peak of the process
beyond what it had before the call. The growth is the exponent b of seconds = a n^b between the two largest counts: n
log n has 1.08 from 10,000 to 100,000. Items are pairs of 16 x 16 pixels (the work on a file, not on its pixels), 5
items a patient. The JSON is written after each case.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from scipy import ndimage

from benchmarks import environment
from benchmarks.measure import Row, Settings, _peak, _settled
from custom_networks.data.checking.read import read_data_set
from custom_networks.data.checking.run import run_check
from custom_networks.data.duplicates import near_duplicate_thumbnails
from custom_networks.data.prepare import Settings as Preparation
from custom_networks.data.prepare import prepare_dataset
from custom_networks.data.sources import checked_datalist
from custom_networks.data.splitting import load_datalist
from custom_networks.files import user_cache
from custom_networks.statistics.summary import summarise

COUNTS = (1_000, 10_000, 100_000)
SIDE, PER_PATIENT = 16, 5
OUTPUT = Path("docs/results/scale.json")
Call = Callable[[], Any]


def write_items(folder: Path, count: int) -> None:
    """Write pairs of noise and a square into images/ and masks/; their names begin with the patient."""
    generator = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        name = f"p{number // PER_PATIENT:06d}_{number % PER_PATIENT}.png"
        Image.fromarray(generator.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)).save(
            folder / "images" / name, compress_level=1
        )
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[2 : 4 + number % 10, 2:12] = 255
        Image.fromarray(mask).save(folder / "masks" / name, compress_level=1)


def thumbnails(count: int) -> np.ndarray:
    """Draw smooth noise, (N, 64, 64), each hundredth a darker copy of the one before."""
    generator = np.random.default_rng(1)
    drawn = np.zeros((count, 64, 64), np.uint8)
    for start in range(0, count, 1000):
        noise = ndimage.gaussian_filter(generator.standard_normal((min(1000, count - start), 64, 64)), (0, 4, 4))
        drawn[start : start + len(noise)] = np.clip(128 + 400 * noise, 30, 255)
    drawn[99::100] = drawn[98::100] * 0.8
    return drawn


# ---------------------------------------------------------------- cases: each prepares, and returns what is measured


def prepare(folder: Path, count: int) -> Call:
    """Measure `sgdnet prepare folder`, 5 folds by patient."""
    wanted = Preparation("folder", str(folder), group_by="^(p[0-9]+)", near_duplicates=False)
    return lambda: prepare_dataset(wanted, folder / "prepared", num_workers=1, say=lambda _: None)


def check(folder: Path, count: int) -> Call:
    """Measure `sgdnet check` without near-duplicates."""
    return lambda: run_check([read_data_set(folder / "prepared" / "datalist.json")], False, num_workers=1)


def first_check(folder: Path, count: int) -> Call:
    """Measure the check before a training that nothing is remembered for."""
    shutil.rmtree(user_cache(), ignore_errors=True)
    return lambda: checked_datalist(folder, folder / "prepared" / "datalist.json", label_kind="mask")


def next_check(folder: Path, count: int) -> Call:
    """Measure the check before the next training, another fold."""
    return lambda: checked_datalist(folder, folder / "prepared" / "datalist.json", fold=1, label_kind="mask")


def read_list(folder: Path, count: int) -> Call:
    """Measure the reading of the datalist."""
    return lambda: load_datalist(folder, folder / "prepared" / "datalist.json", fold=0)


def list_folder(folder: Path, count: int) -> Call:
    """Measure listing and dealing of a folder."""
    return lambda: load_datalist(folder)


def near_duplicates(folder: Path, count: int) -> Call:
    """Measure the search among thumbnails."""
    drawn = thumbnails(count)

    def search() -> None:
        found = near_duplicate_thumbnails(drawn)
        assert len(found) >= 0.95 * (count // 100), f"{len(found)} of {count // 100} copies found"

    return search


def statistics(folder: Path, count: int) -> Call:
    """Measure the table of an evaluation: BCa interval of one metric, resampled by patient."""
    generator = np.random.default_rng(2)
    frame = pd.DataFrame({"id": np.arange(count).astype(str), "group": np.arange(count) // PER_PATIENT})
    frame["dice"] = generator.beta(8, 2, count)
    return lambda: summarise(frame, resamples=1000)


CASES: dict[str, Callable[[Path, int], Call]] = {
    "`prepare`, without near-duplicates": prepare,
    "`check`, without near-duplicates": check,
    "first check of a training": first_check,
    "check of the next training": next_check,
    "datalist reading": read_list,
    "listing and dealing a folder": list_folder,
    "near-duplicates": near_duplicates,
    "evaluation's interval, 1,000 resamples": statistics,
}


def cpu_seconds() -> float:
    """Processor time of this process and of those it has waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def measure(name: str, folder: Path, count: int) -> Row:
    """Run one case in this process."""
    call = CASES[name](folder, count)
    before, start, wall = _settled(), cpu_seconds(), time.perf_counter()
    call()
    return {
        "count": count,
        "seconds": cpu_seconds() - start,
        "wall_seconds": time.perf_counter() - wall,
        "mib": max(0.0, _peak() - before),
    }


def growth(points: list[Row]) -> float | None:
    """Exponent of the seconds between the two largest counts."""
    if len(points) < 2:
        return None
    small, large = sorted(points, key=lambda point: point["count"])[-2:]
    return math.log(large["seconds"] / small["seconds"]) / math.log(large["count"] / small["count"])


def as_rows(measured: dict[str, list[Row]]) -> list[Row]:
    """Make a row of each case for the table: seconds and MiB at each count, and the growth."""
    rows = []
    for name, points in measured.items():
        row: Row = {"name": name, "growth": growth(points)}
        for point in points:
            row |= {f"s_{point['count']}": point["seconds"], f"mib_{point['count']}": point["mib"]}
        rows.append(row)
    return rows


def run(counts: list[int], names: list[str], output: Path) -> None:
    """Measure the cases at each count and write the JSON after each one."""
    measured: dict[str, list[Row]] = {name: [] for name in names}
    about = environment.describe(Settings(threads=1, rounds=1))
    with tempfile.TemporaryDirectory() as temporary:
        for count in counts:
            folder = Path(temporary) / str(count)
            write_items(folder, count)
            os.environ["SGDNET_CACHE"] = str(folder / "cache")
            for name in names:
                with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
                    measured[name].append(pool.submit(measure, name, folder, count).result())
                print(name, measured[name][-1], file=sys.stderr, flush=True)
                result = {"environment": about, "scale": {"rows": as_rows(measured), "points": measured}}
                output.parent.mkdir(parents=True, exist_ok=True)
                output.write_text(json.dumps(result, indent=1) + "\n")
            shutil.rmtree(folder)


def main(words: list[str] | None = None) -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description="Measure how time and memory grow.")
    parser.add_argument("--counts", type=int, nargs="+", default=list(COUNTS))
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--output", type=Path, default=OUTPUT)
    chosen = parser.parse_args(words)
    torch.set_num_threads(1)
    run(chosen.counts, chosen.cases, chosen.output)


if __name__ == "__main__":
    main()
