"""The verbs that train, evaluate and predict."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, NoReturn

from custom_networks.arguments import FILES, Help, arguments_of
from custom_networks.bundle_run import run_config
from custom_networks.verbs.result import Result, found_in

MASKS = "Masks that any program or reader wrote"
INTERACTIVE = "Interactive models"


def train(
    *,
    config_file: Annotated[str | None, Help("further JSON overlays, with commas, for what has no knob", FILES)] = None,
    tracking: Annotated[bool, Help("false switches MLflow off", "Run")] = True,
    **knobs: Any,
) -> None:
    """Train SGD-Net on a folder of images and masks."""
    if not tracking:
        knobs["tracking_uri"] = ""
    run_config(("train.json",), "train", knobs, _paths(config_file))


def evaluate(
    *,
    config_file: Annotated[str | None, Help("further JSON overlays, with commas, for what has no knob", FILES)] = None,
    predictions: Annotated[
        str | None, Help("measures masks that any program made, from this folder; no weights are loaded", MASKS)
    ] = None,
    labels: Annotated[
        str | None,
        Help("with predictions: folder of the true masks, of the same names", MASKS, "the datalist's"),
    ] = None,
    images: Annotated[
        str | None, Help("with predictions: folder of the images, for thumbnails, contrast and skin tone", MASKS)
    ] = None,
    clicks: Annotated[
        int | None,
        Help("measures an interactive model after up to that many simulated clicks an image", INTERACTIVE),
    ] = None,
    scribbles: Annotated[int | None, Help("the same with scribbles", INTERACTIVE)] = None,
    **knobs: Any,
) -> Result:
    """Measure trained weights on every image of a split, or any masks (--predictions), per image and in sum."""
    masks = {"predictions": predictions, "labels": labels, "images": images}
    masks = {name: value for name, value in masks.items() if value is not None}
    interactive = {"clicks": clicks, "scribbles": scribbles}
    knobs |= {name: value for name, value in interactive.items() if value is not None}
    if predictions is not None:
        folder = _evaluate_masks(masks | ({"config_file": config_file} if config_file else {}) | knobs)
    elif masks:
        _need_predictions(next(iter(masks)), knobs)
    else:
        overlay = ("evaluate_interactive.json",) if {"clicks", "scribbles"} & set(knobs) else ()
        files = ("train.json", "evaluate.json", *overlay)
        folder = Path(run_config(files, "train", knobs, _paths(config_file))("output_dir"))
    return Result(found=found_in(folder, "summary.json", "interactive.json"))


def _paths(config_file: str | None) -> list[str]:
    return config_file.split(",") if config_file else []


def _need_predictions(name: str, knobs: Iterable[str]) -> NoReturn:
    """Say that a flag goes with `--predictions`, which may be among the knobs in another spelling."""
    from custom_networks.errors import UserError, nearest

    misspelt = next((knob for knob in knobs if nearest(knob, ["predictions"])), None)
    if misspelt:
        raise UserError(f"--{misspelt}: no such setting; did you mean 'predictions'?")
    raise UserError(f"--{name}: goes with --predictions, the folder of the masks that are measured; give it, too")


def _evaluate_masks(knobs: dict[str, Any]) -> Path:
    """Measure masks that are there; see `evaluation.masks`."""
    from custom_networks.errors import UserError, nearest
    from custom_networks.evaluation.masks import evaluate_masks

    known = ["predictions", "labels", "images", "datalist", "dataset_dir", "split", "fold", "seed", "label_kind"]
    known += ["classes", "subgroups", "output_dir", "tolerance", "thumbnails", "detection_iou", "reader", "overwrite"]
    for name in knobs:
        if name not in known:
            raise UserError(f"--{name}: no such setting with --predictions{nearest(name, known)}")
    return evaluate_masks(**{"kind" if name == "label_kind" else name: value for name, value in knobs.items()})


def predict(**values: Any) -> Result:
    """Write a mask for every image: files, folders to the bottom, patterns; what is done already stays."""
    from custom_networks.prediction.command import predict_images
    from custom_networks.prediction.options import Options, Request

    names = {each.name for each in arguments_of(Options)}
    options = {name: value for name, value in values.items() if name in names}
    more = {name: value for name, value in values.items() if name not in names}
    return Result(*predict_images(Request(**more, options=options)))
