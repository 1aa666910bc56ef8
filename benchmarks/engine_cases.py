"""Engines of `sgdnet predict` beside eager PyTorch: images a second, and Dice of the masks to those of float32."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.measure import Row, Settings, summarize, time_interleaved
from custom_networks.configuration.inference import load_source
from custom_networks.errors import UserError
from custom_networks.export.images import listed_images, spread
from custom_networks.prediction import SGDNetPredictor
from custom_networks.prediction.choice import agreement, masks_of
from custom_networks.prediction.engine import ENGINES
from custom_networks.prediction.reading import read_file
from custom_networks.processor import bfloat16_pays

BUNDLE = Path(__file__).parents[1] / "bundle"
EAGER, TORCH = "PyTorch, eager", "torch, float32"


def squares_of(predictor: SGDNetPredictor, paths: list[str]) -> list[Tensor]:
    """Read images as the network sees them, (1, 3, X, Y) of uint8."""
    prepared = (predictor.prepare(read_file(Path(path))) for path in paths)
    return [one[None] for one in prepared if isinstance(one, Tensor)]


def run(
    settings: Settings,
    checkpoint: str,
    images: str,
    image_size: int | None = None,
    count: int = 50,
    batch_size: int = 1,
) -> Row:
    """Measure.

    Args:
        settings: threads, rounds, quick.
        checkpoint: weights, with their `.json` beside them; exported files are kept there.
        images: folder of images to compare on.
        image_size: pixels; the training's by default.
        count: how many images, evenly spread.
        batch_size: images a call.

    Returns:
        A row for eager PyTorch and for each engine, without and with bfloat16.
    """
    paths = spread(listed_images(images), 3 if settings.quick else count)
    source = load_source(BUNDLE, checkpoint, image_size)
    mean, std = (torch.tensor(each)[:, None, None] for each in (source.normalization.mean, source.normalization.std))

    def eager(batch: Tensor) -> Tensor:
        with torch.inference_mode():
            return source.network((batch.float() - mean) / std)

    rows: list[Row] = [{"name": EAGER, "precision": "float32"}]
    predictors: dict[str, SGDNetPredictor] = {}
    for amp in (False, True) if bfloat16_pays() else (False,):
        for name in ENGINES:
            row: Row = {"name": name, "precision": "bfloat16" if amp else "float32"}
            print(f"  {name}, {row['precision']}", file=sys.stderr, flush=True)
            try:
                one = SGDNetPredictor.from_bundle(
                    BUNDLE, checkpoint, device="cpu", edge=False, image_size=image_size, amp=amp, engine=name
                )
                one.choose_engine([read_file(Path(path)) for path in paths[:4]])
                predictors[f"{name}, {row['precision']}"] = one
            except UserError as error:
                row["error"] = str(error)
            rows.append(row)
    exact = predictors[TORCH]
    batches = squares_of(exact, paths)
    threshold = exact.options.threshold
    expected = [masks_of(exact.maps(batch), exact.maps.channels, threshold)[0] for batch in batches]
    batch = torch.cat((batches * batch_size)[:batch_size])
    calls: dict[str, Any] = {f"{EAGER}, float32": lambda: eager(batch)}
    for row in rows:
        label = f"{row['name']}, {row['precision']}"
        if label in predictors:
            maps = predictors[label].maps
            calls[label] = lambda maps=maps: maps(batch)
            got = (masks_of(maps(one), maps.channels, threshold)[0] for one in batches)
            scores = [agreement(one, other) for one, other in zip(got, expected, strict=True)]
            row |= {"dice": statistics.mean(scores), "min_dice": min(scores)}
    times = {label: summarize(samples) for label, samples in time_interleaved(calls, settings).items()}
    for row in rows:
        row |= (found := times.get(f"{row['name']}, {row['precision']}", {}))
        if found:
            row["images_per_s"] = 1000 * batch_size / found["median_ms"]
            row["times_eager"] = times[f"{EAGER}, float32"]["median_ms"] / found["median_ms"]
            row["times_torch"] = times[TORCH]["median_ms"] / found["median_ms"]
    return {"images": len(paths), "size": exact.options.image_size, "batch": batch_size, "rows": rows}
