"""A run of the bundle's configuration files in this process, as `sgdnet train` and `sgdnet evaluate` start it."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

from custom_networks.flags import flag

TEXT_KNOBS = (
    *("bundle_root", "dataset_dir", "datalist", "output_dir", "pretrained_encoder", "device", "checkpoint"),
    "cache_dir",
)


def default_bundle() -> Path:
    """Folder of the bundle: beside the package in a checkout, else `bundle/` or the present folder."""
    candidates = [Path(__file__).resolve().parents[1] / "bundle", Path("bundle"), Path()]
    return next((path for path in candidates if (path / "configs" / "train.json").is_file()), candidates[0])


def run_config(files: tuple[str, ...], workflow_type: str, knobs: dict[str, Any]) -> None:
    """Run configuration files of the bundle with some knobs set.

    Args:
        files: names in `configs/`, overlays after what they overlay.
        workflow_type: "train" or "infer", as MONAI's `ConfigWorkflow` takes it.
        knobs: names and values; `config_file` adds overlays, paths of further JSON files.

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
    knobs = {name: flag(value) for name, value in knobs.items()}
    knobs |= {name: str(knobs[name]) for name in TEXT_KNOBS if knobs.get(name) is not None}
    root = Path(knobs.get("bundle_root") or default_bundle())
    knobs["bundle_root"] = str(root)
    overlays = knobs.pop("config_file", ())
    paths = [str(root / "configs" / name) for name in files]
    paths += [overlays] if isinstance(overlays, str) else list(overlays)
    configuration = Configuration.read(paths, knobs)
    check_overrides(configuration)
    metadata, logging_file = (str(root / "configs" / name) for name in ("metadata.json", "logging.conf"))
    arguments = {"meta_file": metadata, "logging_file": logging_file, "workflow_type": workflow_type}
    own = own_configuration(configuration)
    if own is not None:
        run_own(own, **arguments)
        return
    workflow = ConfigWorkflow(paths, **arguments, **{**knobs, "configuration": configuration})
    workflow.initialize()
    workflow.run()
    workflow.finalize()
