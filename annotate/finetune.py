"""One fine-tuning, in a process of its own (`tethered`); spec.json in the folder of the run says what to do.

It measures the weights in use on the held-out images, trains through the bundle's `train.json`, and measures again what
the last epoch left. No epoch is chosen by the held-out images, so that the comparison favours neither side.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from custom_networks.bundle_run import run_config
from custom_networks.data.formats import read
from custom_networks.errors import UserError
from custom_networks.files import sha256, write_atomically, write_json
from custom_networks.messages import find_user_error
from custom_networks.metrics.overlap import confusion, dice
from custom_networks.network.weights import read_checkpoint
from custom_networks.prediction.predictor import SGDNetPredictor
from custom_networks.prediction.reading import read_file
from custom_networks.weights import record_of, trained_outputs
from custom_networks.weights.reading import trained_codes
from custom_networks.weights.record import BEST, LAST

OVERLAY, OVERLAY_INTERACTIVE = (Path(__file__).with_name(f"finetune{each}.json") for each in ("", "_interactive"))
SPEC, RESULT, WEIGHTS = "spec.json", "result.json", "model.pt"


def finetune(run: Path) -> None:
    """Do what `spec.json` in the folder says, and leave `model.pt`, `model.json` and `result.json` there."""
    spec = json.loads((run / SPEC).read_text())
    before = heldout_dice(spec, spec["checkpoint"]) if spec["checkpoint"] else None
    measured: dict[str, Any] = {"before": None if before is None else float(before.mean())}
    if before is not None:
        print(f"before: Dice {before.mean():.4f} on {len(before)} held-out images", flush=True)
    write_json(run / RESULT, measured)
    several = spec["classes"] > 1 or (spec["checkpoint"] and trained_outputs(spec["checkpoint"]) > 1)
    knobs: dict[str, Any] = {
        "bundle_root": spec["bundle_root"],
        "datalist": str(run / "datalist.json"),
        "dataset_dir": str(run),
        "label_kind": "classes" if several else "mask",
        "output_dir": str(run / "run"),
        "model_path": str(run / "best" / BEST),
        "max_epochs": spec["epochs"],
        "image_size": spec["image_size"],
        "batch_size": spec["batch_size"],
        "num_workers": 0,
        "cache": "memory",
        "tracking_uri": "",
    }
    if spec["device"]:
        knobs["device"] = spec["device"]
    overlays: list[str] = []
    files = ["train.json", "multi_class.json"] if several else ["train.json"]
    if spec["interactive"]:
        files.append("train_interactive.json")
        knobs["automatic"] = spec["checkpoint"]
        overlays = [str(OVERLAY_INTERACTIVE)]
    elif spec["checkpoint"]:
        knobs["start_from"] = spec["checkpoint"]
        overlays = [str(OVERLAY)]
    if spec["checkpoint"]:
        knobs["learning_rate"] = spec["learning_rate"]
    run_config(tuple(files), "train", knobs, overlays)
    state = read_checkpoint(run / "run" / LAST)
    write_atomically(run / WEIGHTS, lambda file: torch.save(state["network"], file))
    record = record_of(run / "run" / LAST)
    codes = trained_codes(spec["checkpoint"]) if spec["checkpoint"] else {}
    segments = {str(number): code for number, code in codes.items()}
    update = {"sha256": sha256(run / WEIGHTS), "metrics": record.last_metrics, "segments": segments}
    record = record.model_copy(update=update)
    write_json((run / WEIGHTS).with_suffix(".json"), record.as_dict())
    after = heldout_dice(spec, str(run / WEIGHTS))
    print(f"after: Dice {after.mean():.4f}", flush=True)
    better = 0 if before is None else int((after > before).sum())
    write_json(run / RESULT, {**measured, "after": float(after.mean()), "better": better})


def heldout_dice(spec: dict[str, Any], checkpoint: str) -> NDArray[np.float64]:
    """Dice of weights on each held-out image at its own size; of several classes, of all foreground."""
    predict = _predictor(spec, checkpoint)
    figures = []
    for item in spec["heldout"]:
        truth = np.asarray(read(item["label"], "classes").image) > 0
        figures.append(dice(confusion(predict(item["image"]), truth)))
    return np.asarray(figures, np.float64)


def _predictor(spec: dict[str, Any], checkpoint: str) -> Callable[[str], NDArray[np.bool_]]:
    """What makes a mask (H, W) of an image's path, without guidance."""
    device, size = spec["device"], spec["image_size"]
    if spec["interactive"]:
        from custom_networks.interactive import InteractivePredictor

        guided = InteractivePredictor(checkpoint, device=device, image_size=size)
        return lambda path: guided.answer(guided.embed(read_file(Path(path), guided.bit_depth).pixels)).mask
    automatic = SGDNetPredictor.from_bundle(spec["bundle_root"], checkpoint, device=device, edge=False, image_size=size)
    return lambda path: automatic(path).mask


def main(run: Path) -> int:
    """Fine-tune; tells a mistake in one sentence in `result.json`."""
    os.nice(10)
    try:
        finetune(run)
    except Exception as error:
        found = find_user_error(error)
        write_json(run / RESULT, {"error": str(found or f"{type(error).__name__}: {error}")[:1000]})
        if isinstance(error, UserError) or found is not None:
            print(f"Error: {found}", flush=True)
            return 1
        raise
    return 0
