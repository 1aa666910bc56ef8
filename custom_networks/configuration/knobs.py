"""The knobs of a configuration: `_knobs_` maps each name to its value and a description.

The value is written as a reference, `["@fold", "fold to validate on"]`, so that MONAI's parser gives the values that a
run has taken.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from custom_networks.flags import flag

KNOBS = "_knobs_"
GROUPS = "_groups_"
UNREAD = ""
"""Heading in `_groups_` of the knobs that a configuration inherits and does not read; not shown by `--help`."""
PATHS = (
    *("bundle_root", "dataset_dir", "datalist", "output_dir", "pretrained_encoder", "device", "checkpoint"),
    *("cache_dir", "reader", "model_path", "runs_dir", "tracking_uri", "label_kind"),
)
"""Knobs that are text whatever it looks like, though their defaults are null or computed."""


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


def knob_items(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the item that a run takes each knob's value from, where that is not the item of the knob's own name.

    Args:
        config: a configuration as its files have it.
    """
    items = {name: str(value).removeprefix("@") for name, (value, _) in config.get(KNOBS, {}).items()}
    return {name: item for name, item in items.items() if item != name}


def top_level(files: Sequence[Path]) -> dict[str, Any]:
    """Merge configuration files as MONAI does, at their top alone, for what reads no more: knobs and their help.

    Raises:
        UserError: for a file that is missing or no JSON.
    """
    from custom_networks.configuration.merged import read_json

    merged: dict[str, Any] = {}
    for name, value in (pair for file in files for pair in read_json(file).items()):
        known = merged.get(name.lstrip("+"))
        if name.startswith("+") and isinstance(known, dict):
            value = {**known, **value}
        elif name.startswith("+") and isinstance(known, list):
            value = [*known, *value]
        merged[name.lstrip("+")] = value
    return merged


def is_computed(default: Any) -> bool:
    """Whether a default is an expression or a reference of MONAI's, not a value."""
    return isinstance(default, str) and default.startswith(("$", "@"))


def typed_override(name: str, text: str, default: Any = None) -> Any:
    """Read the value of an override from a command line, as MONAI's own command line does.

    Text stays text where the default is text or names a file, so that no path becomes a number or a tuple.

    Args:
        name: id of the item that is set.
        text: as it was typed.
        default: of the item, in its configuration file.
    """
    if name in PATHS or (isinstance(default, str) and not is_computed(default)):
        return None if text.lower() in ("null", "none") else text
    value = flag(text)
    if not isinstance(value, str):
        return value
    if text.startswith(("[", "{", "(")):
        try:
            return json.loads(text)  # true is a word, and so a text, to fire
        except (ValueError, RecursionError):
            from fire.parser import DefaultParseValue

            return DefaultParseValue(text)
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
