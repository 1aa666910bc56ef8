"""What weights say of their own training: the `.json` that `training.checkpoints` writes beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from custom_networks.network.weights import read_state_dict

BEST, LAST = "model.pt", "last.pt"
"""Files of a run: the best weights, whose `.json` holds for both, and what is needed to resume."""
IMAGE_SIZE = 256


def training_of(checkpoint: str | Path) -> dict[str, Any]:
    """Read the `.json` beside a checkpoint.

    Args:
        checkpoint: weights, or `last.pt` of a run.

    Returns:
        normalization, classes, metrics of the best epoch and settings of the training; empty where there is no such
        file, or it cannot be read.
    """
    path = Path(checkpoint)
    beside = path.with_name(BEST) if path.name == LAST else path
    try:
        content = json.loads(beside.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def setting_of(checkpoint: str | Path, name: str, default: Any) -> Any:
    """Look up one setting of a checkpoint's training, so that what comes after follows it.

    Args:
        checkpoint: the weights.
        name: of the knob.
        default: where the training is not known.

    Returns:
        The value.
    """
    settings = training_of(checkpoint).get("settings")
    return settings.get(name, default) if isinstance(settings, dict) else default


def trained_size(checkpoint: str | Path) -> int:
    """Return the image size that weights were trained at, pixels; the paper's where that is not known."""
    size = setting_of(checkpoint, "image_size", IMAGE_SIZE)
    return size if isinstance(size, int) else IMAGE_SIZE


def trained_classes(checkpoint: str | Path) -> dict[int, str]:
    """Name the foreground classes that weights tell apart.

    Args:
        checkpoint: the weights; the `.json` beside them has the names, numbers stand in for them where it has none.

    Returns:
        Names by number from 1; empty for weights of one class.

    Raises:
        UserError: where neither says it and the weights cannot be read.
    """
    names = training_of(checkpoint).get("classes")
    if isinstance(names, dict) and all(str(number).isdecimal() for number in names):
        return {int(number): str(name) for number, name in names.items()}
    head = read_state_dict(checkpoint).get("heads.0.weight")
    return {number: str(number) for number in range(1, 1 if head is None else len(head))}
