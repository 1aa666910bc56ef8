"""Exported files beside PyTorch: size, time of an image, Dice to float32 and, where masks are given, to the truth."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.measure import Row, Settings, summarize, time_interleaved
from custom_networks.configuration.inference import TrainedSource, load_source
from custom_networks.errors import UserError
from custom_networks.export import FORMATS, export_model
from custom_networks.export.format import KEPT, Compute, Images
from custom_networks.export.images import listed_images, spread
from custom_networks.export.verify import mask_dice, probabilities

BUNDLE = Path(__file__).parents[1] / "bundle"
BASELINE = "PyTorch, eager"
QUICK = (("torchscript", "float32"), ("onnx", "float32"))
LEFT_OUT = "tensorrt"  # the ONNX graph again, until a GPU makes an engine of it


def cases(quick: bool, formats: Sequence[str] | None = None) -> list[tuple[str, str]]:
    """List formats with their precisions; all but TensorRT where none is named."""
    if quick:
        return list(QUICK)
    names = formats or [name for name in FORMATS if name != LEFT_OUT]
    return [(name, precision) for name in names for precision in FORMATS[name].precisions]


def in_torch(network: torch.nn.Module) -> Compute:
    """Make a function on arrays of a module."""

    def run(images: Images) -> Images:
        with torch.no_grad():
            return network(torch.from_numpy(images)).numpy()

    return run


def truth_of(paths: list[str], masks: Path | None, side: int) -> list[Images] | None:
    """Read the masks of the images, (1, X, Y) of 0 and 1 at the network's size; None without a folder."""
    if masks is None:
        return None
    found = []
    for path in paths:
        name = next((file for file in sorted(masks.iterdir()) if file.stem.startswith(Path(path).stem)), None)
        if name is None:
            raise UserError(f"{masks}: no mask for {Path(path).name}; put it there")
        mask = Image.open(name).convert("L").resize((side, side), Image.Resampling.NEAREST)
        found.append((np.asarray(mask).T > 127).astype(np.float32)[None])
    return found


def score(
    run: Compute, inputs: list[Images], expected: list[Images], truth: list[Images] | None, threshold: float
) -> Row:
    """Compare masks with those of float32 PyTorch, and with the truth."""
    got = [probabilities(run(image))[0] for image in inputs]
    scores = [mask_dice(one, other, threshold) for one, other in zip(got, expected, strict=True)]
    row: Row = {"dice": statistics.mean(scores), "min_dice": min(scores)}
    if truth is not None:
        row["truth_dice"] = statistics.mean(
            mask_dice(one, other, threshold) for one, other in zip(got, truth, strict=True)
        )
    return row


def opened(
    source: TrainedSource, settings: Settings, folder: Path, calibration: Path, formats: Sequence[str] | None
) -> tuple[dict[str, Compute], list[Row]]:
    """Export and open every case; one that is refused keeps its row, with the reason."""
    runs: dict[str, Compute] = {BASELINE: in_torch(source.network)}
    rows: list[Row] = [{"name": BASELINE, "precision": "float32", "mb": source.checkpoint.stat().st_size / 1e6}]
    for name, precision in cases(settings.quick, formats):
        print(f"  {name}, {precision}", file=sys.stderr, flush=True)
        label, row = f"{name}, {precision}", {"name": name, "precision": precision}
        try:
            output = folder / precision / FORMATS[name].name
            words = (name, source.checkpoint, output, precision, calibration, source.image_size)
            passes = dict.fromkeys(("least_mean_dice", "least_dice"), 0.0)  # the row has the figures
            written = export_model(BUNDLE, *words, **({} if precision == "int8" else passes))  # made to keep limits
            runs[label] = FORMATS[name].open(written.files[0], settings.threads)
            row["mb"] = sum(path.stat().st_size for path in written.files) / 1e6
            row |= {KEPT: written.metadata[KEPT]} if KEPT in written.metadata else {}
        except UserError as error:
            row["error"] = str(error)
        rows.append(row)
    return runs, rows


def run(
    settings: Settings,
    checkpoint: str,
    images: str,
    masks: str | None = None,
    calibration: str | None = None,
    image_size: int | None = None,
    count: int = 50,
    formats: Sequence[str] | None = None,
    timed_size: int | None = None,
) -> Row:
    """Measure.

    Args:
        settings: threads, rounds, quick.
        checkpoint: weights, with their `.json` beside them.
        images: folder of images to compare on.
        masks: folder of their masks.
        calibration: folder or datalist for int8; other images than these.
        image_size: pixels; the training's by default.
        count: how many images, evenly spread.
        formats: of `FORMATS`; all but TensorRT by default.
        timed_size: side of the image that is timed; `image_size` by default. Formats of a fixed size are not timed at
            another.

    Returns:
        A row for PyTorch and for each format and precision.
    """
    source = load_source(BUNDLE, checkpoint, image_size)
    paths = spread(listed_images(images), 3 if settings.quick else count)
    inputs = [source.prepare(path)[None] for path in paths]
    expected = [probabilities(in_torch(source.network)(image))[0] for image in inputs]
    truth = truth_of(paths, Path(masks) if masks else None, source.image_size)
    with tempfile.TemporaryDirectory() as folder:
        runs, rows = opened(source, settings, Path(folder), Path(calibration or images), formats)
        for row in rows:
            label = BASELINE if row["name"] == BASELINE else f"{row['name']}, {row['precision']}"
            if label in runs:
                row |= score(runs[label], inputs, expected, truth, source.threshold)
        side = timed_size or source.image_size
        image = np.asarray(torch.nn.functional.interpolate(torch.from_numpy(inputs[0]), (side, side), mode="bilinear"))
        timed = {label: run for label, run in runs.items() if side == source.image_size or _takes_any_size(label)}
        calls: dict[str, Any] = {label: lambda run=run: run(image) for label, run in timed.items()}
        times = {label: summarize(samples) for label, samples in time_interleaved(calls, settings).items()}
    for row in rows:
        row |= times.get(BASELINE if row["name"] == BASELINE else f"{row['name']}, {row['precision']}", {})
        if "median_ms" in row:
            row["times_eager"] = times[BASELINE]["median_ms"] / row["median_ms"]
    return {"images": len(paths), "size": source.image_size, "timed_size": side, "rows": rows}


def _takes_any_size(label: str) -> bool:
    name = label.partition(",")[0]
    return name not in FORMATS or FORMATS[name].any_size
