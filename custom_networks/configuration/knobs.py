"""The knobs of a configuration: `_knobs_` maps each name to its value and a description.

The value is written as a reference, `["@fold", "fold to validate on"]`, so that MONAI's parser gives the values that a
run has taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KNOBS = "_knobs_"


def knob_values(knobs: Mapping[str, tuple[Any, str]]) -> dict[str, Any]:
    """Return the value of each knob.

    Args:
        knobs: `_knobs_` of a configuration, as MONAI's parser resolves it.
    """
    return {name: value for name, (value, _) in knobs.items()}


def knob_descriptions(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the description of each knob.

    Args:
        config: a configuration as its files have it.
    """
    return {name: description for name, (_, description) in config.get(KNOBS, {}).items()}
