"""Columns for subgroups that are computed from image and truth, see `statistics.lesion` and `statistics.skin_tone`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from custom_networks.errors import UserError, nearest
from custom_networks.statistics.lesion import (
    border_contrast,
    contrast_classes,
    lesion_size,
    size_classes,
)
from custom_networks.statistics.skin_tone import SKIN_TONES, estimate_skin_tone

COMPUTED = {"size": "lesion_size", "contrast": "border_contrast", "skin_tone": "ita"}


def subgroup_names(given: Sequence[str] | str | None, columns: Sequence[str]) -> list[str]:
    """Read the knob `subgroups`.

    Args:
        given: names, or one text with commas.
        columns: that the datalist has.

    Returns:
        The names, each once.

    Raises:
        UserError: for a name that is no column.
    """
    words = given.split(",") if isinstance(given, str) else list(given or ())
    names = list(dict.fromkeys(word.strip() for word in words if word.strip()))
    known = [*COMPUTED, *columns]
    for name in names:
        if name not in known:
            raise UserError(f"--subgroups {name}: no such column{nearest(name, known)}; there are {', '.join(known)}")
    return names


def computed_columns(image: NDArray[np.uint8], truth: NDArray[np.bool_], names: Sequence[str]) -> dict[str, Any]:
    """Compute what some subgroups are made of.

    Args:
        image: (H, W, 3) sRGB, at the image's own aspect ratio.
        truth: (H, W) boolean.
        names: of the subgroups.

    Returns:
        The share of the lesion, and the border's contrast and the skin's angle with its class where asked for.
    """
    columns: dict[str, Any] = {"lesion_size": lesion_size(truth)}
    if "contrast" in names:
        columns["border_contrast"] = border_contrast(image, truth)
    if "skin_tone" in names:
        tone = estimate_skin_tone(image, truth)
        columns |= {"ita": tone.ita, "skin_tone": tone.name}
    return columns


def add_classes(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the classes of size and contrast beside their numbers, and put those of skin tone in order."""
    classed = frame.copy()
    if "lesion_size" in frame.columns:
        classed.insert(frame.columns.get_loc("lesion_size") + 1, "size", size_classes(frame["lesion_size"]))
    if "border_contrast" in frame.columns:
        place = classed.columns.get_loc("border_contrast") + 1
        classed.insert(place, "contrast", contrast_classes(frame["border_contrast"]))
    if "ita" in frame.columns:
        classed["skin_tone"] = pd.Categorical(frame["skin_tone"], [*SKIN_TONES, "unknown"], ordered=True)
    return classed


def limits_text(name: str) -> str:
    """Say what the classes of a computed column mean."""
    if name == "size":
        return "share of the image: small up to 5 %, medium up to 20 %, large"
    if name == "contrast":
        return "colour difference across the border (CIELAB): low up to 10, medium up to 20, high"
    if name == "skin_tone":
        angles = ", ".join(f"{tone} above {angle:g}" for tone, angle in SKIN_TONES.items() if tone != "dark")
        return (
            f"individual typology angle of the skin around the lesion in degrees ({angles}, else dark): a property of "
            "the picture, which light, camera and gel change, not of the person, and no Fitzpatrick type"
        )
    return ""
