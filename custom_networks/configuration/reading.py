"""Configuration files of the bundle, merged as MONAI merges them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from custom_networks.errors import UserError, nearest

DESCRIPTIONS = "_knobs_"

_remembered: dict[str, Any] = {}


def read_config(files: Sequence[str | Path]) -> dict[str, Any]:
    """Read and merge configuration files.

    Raises:
        UserError: for a file that is missing or no JSON.
    """
    for file in map(Path, files):
        try:
            json.loads(file.read_text())
        except FileNotFoundError:
            siblings = [path.name for path in file.parent.glob("*.json")]
            raise UserError(f"{file}: no such configuration{nearest(file.name, siblings)}") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{file}: not a JSON configuration ({error}); correct it") from None
    return dict(ConfigParser.load_config_files([str(file) for file in files]))


def knobs(config: Mapping[str, Any]) -> list[str]:
    """Names of a configuration's knobs: the keys of `_knobs_`, which describes them."""
    return list(config.get(DESCRIPTIONS, {}))


def remember_config(config: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    """Keep the merged configuration of this process, for the record of the run."""
    parser = ConfigParser(dict(config))
    parser.update(dict(overrides))
    _remembered.clear()
    _remembered.update(parser.get())


def remembered_config() -> dict[str, Any]:
    """Return the merged configuration of this process; empty where another program drives the bundle."""
    return dict(_remembered)
