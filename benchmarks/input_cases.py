"""Images a second of the training transforms of `bundle/configs/train.json`, on phantoms.

"cached" is the data set as shipped, in its second and later epochs; "uncached" does everything, from the file on, as a
first epoch or a validation without cache does. An epoch is timed from its first batch to its last, since the start of
the workers, which is listed apart, does not grow with the data set.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.data import DataLoader, Dataset

from benchmarks.measure import NO_TIME, Row, Settings
from custom_networks.data.phantoms import write_phantoms

BUNDLE = Path(__file__).parents[1] / "bundle"
WORKERS = (0, 2)
BATCH = 8
REPEATS = 4
"""How often an epoch goes through the phantoms, so that it is long against its first batch."""


def datasets(folder: str, size: int) -> dict[str, Any]:
    """Make the training data set of the bundle, as shipped and without a cache."""
    parser = ConfigParser()
    parser.read_config(BUNDLE / "configs" / "train.json")
    parser.update({"bundle_root": str(BUNDLE), "dataset_dir": folder, "image_size": size, "output_dir": folder})
    items = list(parser.get_parsed_content("pairs")["training"]) * REPEATS
    parser["train#dataset#data"] = items
    shipped = parser.get_parsed_content("train#dataset")
    return {"cached": shipped, "uncached": Dataset(items, parser.get_parsed_content("train#preprocessing"))}


def epoch(dataset: Any, workers: int) -> tuple[float, float]:
    """Go through a data set once: seconds to the first batch, images a second after it."""
    loader = DataLoader(dataset, batch_size=BATCH, shuffle=True, num_workers=workers)
    start = time.perf_counter()
    batches = iter(loader)
    first = next(batches)
    arrival = time.perf_counter()
    count = sum(len(batch["image"]) for batch in batches)
    end = time.perf_counter()
    if not isinstance(first["image"], torch.Tensor) or count == 0:
        raise RuntimeError("the training transforms gave no second batch")
    return arrival - start, count / (end - arrival)


def run(settings: Settings) -> Row:
    """Measure both data sets with each number of workers, in turns."""
    size, count, rounds = (64, 16, 1) if settings.quick else (256, 64, max(3, settings.rounds // 2))
    with tempfile.TemporaryDirectory() as folder:
        write_phantoms(folder, count=count, size=size)
        made = datasets(folder, size)
        groups = [(name, workers) for name in made for workers in WORKERS]
        samples: dict[tuple[str, int], list[tuple[float, float]]] = {group: [] for group in groups}
        for _ in range(rounds):
            for name, workers in groups:
                if time.monotonic() > settings.deadline:
                    continue
                print(f"  {name}, {workers} workers", file=sys.stderr, flush=True)
                samples[name, workers].append(epoch(made[name], workers))
    rows: list[Row] = []
    for (name, workers), taken in samples.items():
        row: Row = {"name": name, "workers": workers, "size": size, "batch": BATCH}
        if taken:
            rates = [rate for _, rate in taken]
            row |= {
                "images_per_s": statistics.median(rates),
                "min_images_per_s": min(rates),
                "max_images_per_s": max(rates),
                "first_batch_s": statistics.median(seconds for seconds, _ in taken),
            }
        else:
            row["error"] = NO_TIME
        rows.append(row)
    return {"images": count, "repeats": REPEATS, "rows": rows}
