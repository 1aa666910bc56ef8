"""`sgdnet predict`: check what was asked for, predict, tell what happened."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from custom_networks.bundle_files import default_bundle
from custom_networks.configuration.inference import usual_threshold
from custom_networks.errors import UserError
from custom_networks.files import sha256
from custom_networks.metrics.watershed import watershed_parameters
from custom_networks.precision import MixedPrecisionInferer
from custom_networks.prediction.execution import dry_run_lines, execute
from custom_networks.prediction.inputs import find_sources
from custom_networks.prediction.journal import ENGINES, INSTANCES, has_instances
from custom_networks.prediction.options import Options, Request
from custom_networks.prediction.outputs import chosen_outputs
from custom_networks.prediction.parts import Part, absolute, predict_shared
from custom_networks.prediction.plan import make_plan, settings_of
from custom_networks.prediction.predictor import SGDNetPredictor
from custom_networks.weights.network import trained_edge
from custom_networks.weights.reading import (
    trained_classes,
    trained_codes,
    trained_depth,
    trained_normalization,
    trained_size,
)
from custom_networks.weights.record import Software

SOME_FAILED = 2


def predict_images(request: Request) -> tuple[int, dict[str, Any]]:
    """Predict images and print what happened.

    Args:
        request: what is asked for.

    Returns:
        Exit code, 0, or 2 when some images failed; and what happened, for machines.

    Raises:
        UserError: for a mistake that concerns all images.
    """
    if request.cluster and not request.dry_run:
        return _by_cluster(request)
    part = Part.parse(request.part)
    root, checkpoints, inputs, output = _places(request)
    checkpoint, *others = checkpoints
    options = Options(
        **{
            "image_size": trained_size(checkpoint),
            "threshold": usual_threshold(root, checkpoint),
            "bit_depth": trained_depth(checkpoint),
            "watershed": watershed_parameters(request.watershed),
            **request.options,
        }
    )
    device = request.device or ("cuda" if torch.cuda.is_available() else "cpu")
    options = replace(options, amp=MixedPrecisionInferer(options.amp, device).amp)  # what is used is recorded
    names = trained_classes(checkpoint)
    kept = [INSTANCES] if has_instances(output, part) else []  # further images get theirs too
    outputs = chosen_outputs(request.outputs, options.tta, names, kept, trained_edge(checkpoint))
    hashes = ",".join(map(sha256, checkpoints))
    normalizations = [trained_normalization(one) for one in checkpoints]
    settings = settings_of(options, hashes, outputs, request.spacing, request.axis, normalizations, names)
    more = {name: getattr(request, name) for name in ("spacing", "overwrite", "axis")} | {
        "settings": settings,
        "names": names,
        "codes": trained_codes(checkpoint),
        "part": part,
    }
    plan = make_plan(inputs, output, outputs, **more)
    if request.dry_run:
        lines = dry_run_lines(plan)
        print("\n".join(lines))
        return 0, {"output": str(output), "dry_run": lines}

    def load() -> SGDNetPredictor:
        return SGDNetPredictor.from_bundle(
            root,
            checkpoints if others else checkpoint,
            device=device,
            edge=bool({"edge", "instances"} & set(outputs)),
            batch_size=request.batch_size,
            cuda_graphs=request.cuda_graphs,
            engine=request.engine,
            **vars(options),
        )

    outcome = execute(plan, load, request.batch_size, request.num_workers, lambda line: print(line, file=sys.stderr))
    print(f"{output}: {outcome}", flush=True)
    found = {
        "output": str(output),
        "software": Software.at_work().as_dict(),
        "settings": {name: value for name, value in settings.items() if name != ENGINES},
        "predicted": outcome.done,
        "done_before": outcome.skipped,
        "failed": [{"image": str(source.path), "reason": reason} for source, reason in outcome.failures],
        "review": outcome.review,
        "engine": outcome.engine,
    }
    return SOME_FAILED if outcome.failures else 0, found


def _by_cluster(request: Request) -> tuple[int, dict[str, Any]]:
    """Let the workers of a cluster predict, and print what they did."""
    root, checkpoints, inputs, folder = _places(request)
    output = absolute(str(folder))
    whole = replace(
        request,
        inputs=[absolute(one) for one in inputs],
        dataset_dir=None,
        output=output,
        checkpoint=",".join(absolute(str(one)) for one in checkpoints),
        bundle_root=absolute(str(root)),
        watershed=absolute(request.watershed) if request.watershed else None,
    )
    code, found = predict_shared(whole, predict_images, len(find_sources(whole.inputs, Path(output))))
    for one in found["failed"]:
        print(f"Error: {one['reason']}", file=sys.stderr)
    counts = f"{found['predicted']} predicted, {found['done_before']} done before, {len(found['failed'])} failed"
    print(f"{output}: {counts}, {found['review']} to review, by {found['engine'] or 'none'}", flush=True)
    return code, found


def _places(request: Request) -> tuple[Path, list[Path], list[str], Path]:
    """Bundle, weights, inputs and output folder; the bundle's own where the request names none."""
    root = Path(request.bundle_root or default_bundle())
    weights = _checkpoints(request.checkpoint or str(root / "models" / "model.pt"))
    inputs = [*request.inputs, *([_image_folder(request.dataset_dir)] if request.dataset_dir else [])]
    output = Path(os.path.expanduser(request.output or root / "predictions"))  # noqa: PTH111  ~nouser stays as it is
    return root, weights, inputs, output


def _checkpoints(text: str) -> list[Path]:
    """Paths of the weights: one, or several separated by commas."""
    paths = [Path(text)] if Path(text).is_file() else [Path(one.strip()) for one in text.split(",") if one.strip()]
    for path in paths or [Path(text)]:
        if not path.is_file():
            raise UserError(f"{path}: no such weights; train first, or give the model.pt of a run as --checkpoint")
    return paths


def _image_folder(dataset_dir: str) -> str:
    """Return the folder's `images/` where it has one, else itself."""
    images = Path(os.path.expanduser(dataset_dir)) / "images"  # noqa: PTH111  ~nouser stays as it is
    return str(images if images.is_dir() else dataset_dir)
