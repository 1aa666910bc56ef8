"""`sgdnet annotate`: the server of `annotate/`, in the environment that `make annotate` makes for it."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from custom_networks.errors import UserError

REPOSITORY = Path(__file__).resolve().parents[1]
AGAIN = "SGDNET_ANNOTATE"  # set in the environment's own process, so that it never looks for another


def annotate_images(knobs: Mapping[str, Any]) -> None:
    """Start the server in this process where MONAI Label is installed, else in the environment that has it.

    Args:
        knobs: of `verbs.annotate`.

    Raises:
        UserError: where there is no such environment, or the server cannot start.
    """
    if not (REPOSITORY / "annotate").is_dir():
        raise UserError("sgdnet annotate: runs from a checkout of the repository, where annotate/ lies; get one")
    if all(importlib.util.find_spec(name) for name in ("monailabel", "fastapi")):
        if str(REPOSITORY) not in sys.path:
            sys.path.insert(0, str(REPOSITORY))
        from annotate.serve import serve

        serve(dict(knobs))
        return
    python = REPOSITORY / "annotate" / ".venv" / "bin" / "python"
    if os.environ.get(AGAIN) or not python.is_file():
        raise UserError(f"{python.parents[1]}: MONAI Label is not installed there; `make annotate` installs it")
    given = {name: value for name, value in knobs.items() if value not in (None, "")}
    words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    os.execve(  # the same process goes on, so that Ctrl-C and its id stay what they are
        python, [str(python), "-m", "custom_networks.cli", "annotate", *words], _environment()
    )


def _environment() -> dict[str, str]:
    paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, AGAIN: "1", "PYTHONPATH": os.pathsep.join(paths)}
