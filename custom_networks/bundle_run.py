"""A run of the bundle's configuration files in this process, as `sgdnet train` and `sgdnet evaluate` start it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from custom_networks.bundle_files import HERE, default_bundle
from custom_networks.bundle_files import config_file as bundle_file

if TYPE_CHECKING:
    from custom_networks.configuration import Configuration


def run_config(
    files: tuple[str, ...], workflow_type: str, knobs: dict[str, Any], overlays: Sequence[str] = ()
) -> Callable[[str], Any]:
    """Run configuration files of the bundle with some knobs set.

    Args:
        files: names in `configs/`, overlays after what they overlay.
        workflow_type: "train" or "infer", as MONAI's `ConfigWorkflow` takes it.
        knobs: names and values.
        overlays: paths of further JSON files; those of the bundle by their names in `configs/`, too.

    Returns:
        Tells what the run took for an item, by its id.

    Raises:
        UserError: for a knob that does not exist.
    """
    from monai.bundle import ConfigWorkflow

    from custom_networks.configuration import check_overrides
    from custom_networks.messages import readable_errors
    from custom_networks.run.resume import own_configuration, run_own, run_workflow

    readable_errors()
    logging.getLogger("monai.bundle.workflows").setLevel(logging.ERROR)  # it warns of overlays in other folders
    warnings.filterwarnings("ignore", message="parsing config_file")  # these are our own files
    root = Path(knobs.get("bundle_root") or default_bundle())
    if root == HERE:  # what lies beside it, as ../data, must be found
        root.mkdir(exist_ok=True)
    configuration = configuration_of(files, knobs, overlays)
    paths, knobs = configuration.paths, dict(configuration.overrides)
    check_overrides(configuration)
    metadata, logging_file = (str(bundle_file(root, name)) for name in ("metadata.json", "logging.conf"))
    arguments = {"meta_file": metadata, "logging_file": logging_file, "workflow_type": workflow_type}
    own = own_configuration(configuration)
    if own is not None:
        return run_own(own, **arguments).parser.get_parsed_content
    workflow = ConfigWorkflow(list(paths), **arguments, **{**knobs, "configuration": configuration})
    return run_workflow(workflow).parser.get_parsed_content


def configuration_of(files: Sequence[str], knobs: Mapping[str, Any], overlays: Sequence[str] = ()) -> Configuration:
    """Read what `run_config` runs, without running it; the same arguments."""
    from custom_networks.configuration import Configuration

    root = Path(knobs.get("bundle_root") or default_bundle())
    paths = [str(bundle_file(root, name)) for name in files]
    paths += [_overlay(root, name) for name in overlays]
    return Configuration.read(paths, {**knobs, "bundle_root": str(root)})


def _overlay(root: Path, name: str) -> str:
    """The file of that name, or the bundle's own in `configs/` where there is none."""
    own = bundle_file(root, name)
    return str(own) if not Path(name).exists() and own.is_file() else name
