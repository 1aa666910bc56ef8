"""A run of the bundle's configuration files in this process, as `sgdnet train` and `sgdnet evaluate` start it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any


def default_bundle() -> Path:
    """Folder of the bundle: beside the package in a checkout, else `bundle/` or the present folder."""
    candidates = [Path(__file__).resolve().parents[1] / "bundle", Path("bundle"), Path()]
    return next((path for path in candidates if (path / "configs" / "train.json").is_file()), candidates[0])


def run_config(
    files: tuple[str, ...], workflow_type: str, knobs: dict[str, Any], config_file: str | None = None
) -> Callable[[str], Any]:
    """Run configuration files of the bundle with some knobs set.

    Args:
        files: names in `configs/`, overlays after what they overlay.
        workflow_type: "train" or "infer", as MONAI's `ConfigWorkflow` takes it.
        knobs: names and values.
        config_file: overlays, paths of further JSON files with commas.

    Returns:
        Tells what the run took for an item, by its id.

    Raises:
        UserError: for a knob that does not exist.
    """
    from monai.bundle import ConfigWorkflow

    from custom_networks.configuration import Configuration, check_overrides
    from custom_networks.messages import readable_errors
    from custom_networks.run.resume import own_configuration, run_own

    readable_errors()
    logging.getLogger("monai.bundle.workflows").setLevel(logging.ERROR)  # it warns of overlays in other folders
    warnings.filterwarnings("ignore", message="parsing config_file")  # these are our own files
    root = Path(knobs.get("bundle_root") or default_bundle())
    knobs = {**knobs, "bundle_root": str(root)}
    paths = [str(root / "configs" / name) for name in files]
    paths += config_file.split(",") if config_file else []
    configuration = Configuration.read(paths, knobs)
    check_overrides(configuration)
    metadata, logging_file = (str(root / "configs" / name) for name in ("metadata.json", "logging.conf"))
    arguments = {"meta_file": metadata, "logging_file": logging_file, "workflow_type": workflow_type}
    own = own_configuration(configuration)
    if own is not None:
        return run_own(own, **arguments).parser.get_parsed_content
    workflow = ConfigWorkflow(paths, **arguments, **{**knobs, "configuration": configuration})
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    return workflow.parser.get_parsed_content
