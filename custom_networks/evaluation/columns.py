"""Columns for subgroups that are computed from image and truth, see `statistics.lesion` and `statistics.skin_tone`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Sequence
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
from custom_networks.statistics.skin_tone import SKIN_TONES, UNKNOWN_TONES, estimate_skin_tone

COMPUTED = {"size": "lesion_size", "contrast": "border_contrast", "skin_tone": "ita"}


def subgroup_edges(given: Sequence[str] | str | None, columns: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """Read the knob `subgroups`.

    Args:
        given: names, or one text with commas; `age:30:60` cuts a column of numbers at 30 and 60.
        columns: that the datalist has.

    Returns:
        The names, each once, with the edges that were stated.

    Raises:
        UserError: for a name that is no column, or edges that are not rising numbers.
    """
    words = given.split(",") if isinstance(given, str) else list(given or ())
    known = [*COMPUTED, *columns]
    found: dict[str, tuple[float, ...]] = {}
    for word in (word.strip() for word in words if word.strip()):
        name, *limits = [word] if word in known else word.split(":")
        if name not in known:
            raise UserError(f"--subgroups {name}: no such column{nearest(name, known)}; there are {', '.join(known)}")
        try:
            edges = tuple(float(limit) for limit in limits)
        except ValueError:
            edges = (math.nan,)
        if not all(low < high for low, high in itertools.pairwise((-math.inf, *edges, math.inf))):
            raise UserError(f"--subgroups {word}: edges must be rising numbers, as in {name}:30:60")
        if edges and name in COMPUTED:
            raise UserError(f"--subgroups {word}: {name} has classes of its own; leave the edges out")
        found[name] = edges
    return found


def computed_columns(
    image: NDArray[np.uint8] | None, truth: NDArray[np.bool_], names: Collection[str]
) -> dict[str, Any]:
    """Compute what some subgroups are made of.

    Args:
        image: (H, W, 3) sRGB, at the image's own aspect ratio; None computes the share alone.
        truth: (H, W) boolean.
        names: of the subgroups.

    Returns:
        The share of the lesion, and the border's contrast and the skin's angle with its class where asked for.
    """
    columns: dict[str, Any] = {"lesion_size": lesion_size(truth)}
    if image is None:
        return columns
    if "contrast" in names:
        columns["border_contrast"] = border_contrast(image, truth)
    if "skin_tone" in names:
        tone = estimate_skin_tone(image, truth)
        columns |= {"ita": tone.ita, "skin_lightness": tone.lightness, "skin_tone": tone.name}
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
        classed["skin_tone"] = pd.Categorical(frame["skin_tone"], [*SKIN_TONES, *UNKNOWN_TONES], ordered=True)
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
            "the picture, which light, camera and gel change, not of the person, and no Fitzpatrick type; pictures "
            "without a class stand by their lightness L*"
        )
    return ""
