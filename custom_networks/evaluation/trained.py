"""Whether weights may be measured on some images, and where their training can be found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from custom_networks.errors import UserError
from custom_networks.files import write_bytes
from custom_networks.run.folder import RUN_ID, SETTINGS
from custom_networks.run.record import METRICS
from custom_networks.weights.reading import record_of, trained_outputs
from custom_networks.weights.record import BEST
from custom_networks.weights.training import image_hashes, image_paths

TRAINING = "training"
"""Folder of an evaluation that keeps the training's curves and settings."""
DatalistItems = Sequence[Mapping[str, Any]]
SHOWN = 3
"""How many files an error names."""
NO_ESTIMATE = "no estimate of quality on new ones"


def training_folder(checkpoint: str | Path) -> Path | None:
    """Folder of the run that trained a checkpoint: its own, or the one that its record names, if it is the same run."""
    own = Path(checkpoint).parent
    if (own / METRICS).is_file():
        return own
    record = record_of(checkpoint)
    written = record.settings.get("output_dir")
    folder = Path(written) if isinstance(written, str) else None
    if folder is None or record.run_id is None or not (folder / METRICS).is_file():
        return None
    return folder if record_of(folder / BEST).run_id == record.run_id else None


def keep_training(checkpoint: str | Path, folder: Path) -> None:
    """Copy the curves, settings and MLflow identity of a checkpoint's run into an evaluation's folder.

    A report then needs nothing outside that folder, which may be sent to somebody else.

    Args:
        checkpoint: that was evaluated.
        folder: of the evaluation; gets `training/` where the run's own folder is found.
    """
    source, target = training_folder(checkpoint), folder / TRAINING
    for name in (METRICS, SETTINGS, RUN_ID):
        (target / name).unlink(missing_ok=True)  # of an evaluation that is replaced
        if source is not None and (source / name).is_file():
            write_bytes(target / name, (source / name).read_bytes())


def check_settings(checkpoint: str | Path, settings: Mapping[str, Any]) -> list[str]:
    """Compare how weights are to be evaluated with how they were trained.

    Args:
        checkpoint: the weights.
        settings: label_kind, classes and image_size of the evaluation.

    Returns:
        Sentences worth knowing, such as another image size than in training.

    Raises:
        UserError: for weights of more or fewer classes, or a record that cannot be read.
    """
    if not Path(checkpoint).is_file():  # the loader says that it is missing
        return []
    outputs, classes = trained_outputs(checkpoint), settings["classes"]
    if outputs > 1 >= classes:
        raise UserError(
            f"{checkpoint}: tells {outputs - 1} classes apart, and one is to be evaluated; add --config_file "
            "bundle/configs/multi_class.json"
        )
    if outputs != classes:
        raise UserError(
            f"{checkpoint}: has {outputs} output{'s' * (outputs > 1)}, and {classes} classes are to be evaluated, "
            "background included; " + (f"use --classes {outputs}" if outputs > 1 else "leave multi_class.json out")
        )
    trained = record_of(checkpoint).settings
    if not trained:
        return [f"{checkpoint}: no .json beside it tells how it was trained; make sure that settings and fold agree"]
    notes = []
    size, kind = trained.get("image_size"), trained.get("label_kind")
    if size not in (None, settings["image_size"]):
        notes.append(f"{checkpoint} was trained at {size} pixels and is evaluated at {settings['image_size']}")
    if kind not in (None, settings["label_kind"]):
        notes.append(f"{checkpoint} was trained on labels of kind {kind}, not {settings['label_kind']}")
    return notes


def check_images(
    checkpoint: str | Path,
    items: DatalistItems,
    settings: Mapping[str, Any],
    listed: Callable[[str, int, int], DatalistItems],
) -> list[str]:
    """Refuse to measure weights on images that they were trained on, whatever list or folder these come from.

    The record of the weights has the images by content. An older one has not; then fold and seed are compared where
    both name the same data.

    Args:
        checkpoint: the weights.
        items: what is to be evaluated, `{"image": path, ...}` each.
        settings: dataset_dir, datalist, split, fold and seed of the evaluation.
        listed: lists the items of another split, fold and seed of the same data, to find one that may be measured.

    Returns:
        Sentences worth knowing: how many images were trained on where `split` asks for them.

    Raises:
        UserError: naming how many images were trained on, the first of them, and what to do.
    """
    if not Path(checkpoint).is_file():
        return []
    record, split = record_of(checkpoint), settings["split"]
    wanted = split in ("training", "all")
    if record.data is None:
        if not record.settings or not _same_data(record.settings, settings):
            return []
        if wanted:
            return [f"these images include those that the weights were trained on: {NO_ESTIMATE}"]
        _check_fold(checkpoint, record.settings, settings)
        return []
    trained = {*record.data.images, *(record.data.earlier or ())}

    def seen_among(some: DatalistItems) -> list[str]:
        paths = image_paths(some)
        hashes = image_hashes(paths)
        return [path for path in paths if hashes[path] in trained]

    seen = seen_among(items)
    if not seen:
        unknown = f"{checkpoint} started from weights whose training images are not known, so these may be among them"
        return [unknown] if record.data.earlier is None else []
    count = f"{len(seen)} of these {len(items)} images"
    if wanted:
        return [f"{count} are among those that the weights were trained on: {NO_ESTIMATE}"]
    fix = "give images that they were not trained on"
    fold, seed = (record.settings.get(name, settings[name]) for name in ("fold", "seed"))
    changed = "".join(
        f" --{name} {value}" for name, value in (("fold", fold), ("seed", seed)) if value != settings[name]
    )
    for choice, option in (
        (("validation", fold, seed), f"--split validation{changed}" if split != "validation" else changed.strip()),
        (("test", settings["fold"], settings["seed"]), "--split test"),
    ):
        with suppress(UserError):  # no such list, or no such fold
            if option and not seen_among(listed(*choice)):
                fix = f"use {option}"
                break
    names = ", ".join(seen[:SHOWN]) + (", ..." if len(seen) > SHOWN else "")
    raise UserError(
        f"{checkpoint}: was trained on {count} ({names}), so this would not measure it on new ones; {fix}, or --split "
        "all to measure it all the same"
    )


def _check_fold(checkpoint: str | Path, trained: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Compare fold and seed, for weights whose images are not known."""
    for name in ("fold", "seed") if settings["split"] == "validation" else ():
        if trained.get(name, settings[name]) != settings[name]:
            raise UserError(
                f"{checkpoint}: trained with {name} {trained.get(name)}, so {name} {settings[name]} would measure "
                f"it on images it was trained on; use --{name} {trained.get(name)}, or --split test"
            )


def _same_data(trained: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Whether both name the same data set."""

    def resolved(path: Any) -> Path | None:
        return Path(path).resolve() if path else None

    name = "datalist" if trained.get("datalist") or settings.get("datalist") else "dataset_dir"
    return resolved(trained.get(name)) == resolved(settings.get(name))
