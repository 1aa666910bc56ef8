"""Whether a checkpoint belongs to what is to be evaluated, and where its training can be found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from custom_networks.errors import UserError
from custom_networks.weights.record import setting_of, training_of


def training_folder(checkpoint: str | Path) -> Path | None:
    """Folder of the run that trained a checkpoint, where it can still be found."""
    candidates = [Path(checkpoint).parent]
    written = setting_of(checkpoint, "output_dir", None)
    candidates += [Path(written)] if written else []
    return next((folder for folder in candidates if (folder / "metrics.csv").is_file()), None)


def check_belongs(checkpoint: str | Path, settings: dict[str, Any]) -> list[str]:
    """Compare what is to be evaluated with what the checkpoint was trained on.

    Args:
        checkpoint: the weights.
        settings: dataset_dir, datalist, fold, seed, split, label_kind and image_size of the evaluation.

    Returns:
        Sentences worth knowing, such as another image size than in training.

    Raises:
        UserError: when validation images were among those that the weights were trained on.
    """
    if not Path(checkpoint).is_file():  # the loader says that it is missing
        return []
    trained = training_of(checkpoint).get("settings")
    if not isinstance(trained, dict):
        return [f"{checkpoint}: no .json beside it tells how it was trained; make sure that settings and fold agree"]
    if settings["split"] == "validation" and _same_data(trained, settings):
        for name in ("fold", "seed"):
            if trained.get(name, settings[name]) != settings[name]:
                raise UserError(
                    f"{checkpoint}: trained with {name} {trained.get(name)}, so {name} {settings[name]} would measure "
                    f"it on images it was trained on; use --{name} {trained.get(name)}, or --split test"
                )
    notes = []
    if trained.get("image_size", settings["image_size"]) != settings["image_size"]:
        notes.append(
            f"{checkpoint} was trained at {trained['image_size']} pixels and is evaluated at {settings['image_size']}"
        )
    kind = trained.get("label_kind")
    if kind and kind != settings["label_kind"]:
        notes.append(f"{checkpoint} was trained on labels of kind {kind}, not {settings['label_kind']}")
    if settings["split"] in ("training", "all") and _same_data(trained, settings):
        notes.append("these images include those that the weights were trained on: no estimate of quality on new ones")
    return notes


def _same_data(trained: dict[str, Any], settings: dict[str, Any]) -> bool:
    """Whether both name the same data set."""

    def resolved(path: Any) -> Path | None:
        return Path(path).resolve() if path else None

    name = "datalist" if trained.get("datalist") or settings.get("datalist") else "dataset_dir"
    return resolved(trained.get(name)) == resolved(settings.get(name))
