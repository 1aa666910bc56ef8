"""A resumed run keeps its own settings: those it was started with, whatever the command line leaves out.

Only what cannot change its result may be given anew; anything else is refused by name.
"""

from __future__ import annotations

import copy
import json
import pydoc
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow

from custom_networks.configuration.knobs import knob_descriptions
from custom_networks.configuration.merged import (
    ABSENT,
    Configuration,
    item_path,
    look_behind,
    look_up,
    read_config,
    read_json,
)
from custom_networks.errors import UserError
from custom_networks.files import write_json
from custom_networks.flags import flag
from custom_networks.run.folder import SETTINGS, folder_to_resume
from custom_networks.run.record import CONFIG, RunRecord

FREE = frozenset(
    {
        *("max_epochs", "device", "num_workers", "cache", "cache_dir", "checkpointing", "cuda_graph", "save_interval"),
        *("tracking_uri", "experiment_name", "run_name", "save_execute_config"),
        *("bundle_root", "runs_dir", "output_dir", "model_path", "resume"),
    }
)
"""Settings that a resumed run may be given anew: length, machine, tracking, and where files lie."""
CODE = re.compile(r"\bcustom_networks(?:\.\w+)+")
LENGTH = "train#trainer#max_epochs"
"""Another name of `max_epochs`, which federated learning sets. The one given last counts."""
DATA = frozenset({"dataset_dir", "datalist"})
"""Settings that may be given anew where they lead to the same images."""
PATHS = DATA | {"pretrained_encoder"}


def resumed_config(
    stored: Mapping[str, Any], settings: Mapping[str, Any], given: Mapping[str, Any], explicit: Iterable[str]
) -> dict[str, Any]:
    """Merge a run's own configuration with what its continuation is given.

    Args:
        stored: configuration that the run was started with, expressions and all.
        settings: the values that its knobs had.
        given: configuration that the command line describes now.
        explicit: ids that the command line sets, such as "max_epochs" or "network_def#dropout".

    Returns:
        The run's configuration, with the free settings (`FREE`) that were given.

    Raises:
        UserError: for another setting that was given and differs, naming it with both values.
    """
    merged = copy.deepcopy(dict(stored))
    for name in explicit:
        value, own = look_up(given, name), look_behind(stored, name)
        meanings = (own, look_up(stored, name), settings.get(name, ABSENT))
        if _is_free(name):  # the checkpoint compares the images themselves
            _set(merged, name, value)
            if name == "max_epochs":
                _set(merged, LENGTH, "@max_epochs")
        elif not any(same_setting(name, meaning, value) for meaning in meanings):
            raise UserError(_refusal(name, settings.get(name, own), value))
    return merged


def refuse_other_settings(
    stored: Mapping[str, Any], present: Mapping[str, Any], origin: Path, names: Iterable[str] | None = None
) -> None:
    """Refuse to resume with other settings, whoever drives the configuration.

    Args:
        stored: settings that the run was started with.
        present: settings of this process.
        origin: file that holds the stored ones, for the message.
        names: settings to compare; all but `FREE` and `DATA` by default.

    Raises:
        UserError: for a setting that differs, naming it with both values.
    """
    compared = {name for name in stored if not _is_free(name)} if names is None else set(names)
    for name, own in stored.items():
        if name in compared and name in present and not same_setting(name, own, present[name]):
            raise UserError(f"{origin}: {_refusal(name, own, present[name])}")


def same_setting(name: str, one: Any, other: Any) -> bool:
    """Tell whether two values of a setting mean the same: as a command line, JSON or Python spells them."""
    if ABSENT in (one, other):
        return False
    if name in PATHS and one is not None and other is not None:
        return Path(str(one)).resolve() == Path(str(other)).resolve()
    one, other = (json.loads(json.dumps(flag(value), default=str)) for value in (one, other))
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def own_configuration(configuration: Configuration) -> Configuration | None:
    """Replace what a command line describes by the configuration of the run that it resumes.

    Args:
        configuration: as given.

    Returns:
        The run's own, with the free settings that were given; None for a new run, and for one that was started
        without a command line (another program drove the bundle).

    Raises:
        UserError: where there is nothing to resume, or a setting differs.
    """
    asked = flag(configuration.overrides.get("resume", False)) and "resume" in knob_descriptions(configuration.files)
    if not asked or configuration.resumed is not None:
        return None
    parser = ConfigParser(copy.deepcopy(configuration.merged))
    overrides = configuration.overrides
    folder = folder_to_resume(parser.get_parsed_content("runs_dir"), overrides["resume"], overrides.get("output_dir"))
    if not (folder / CONFIG).is_file():
        return None
    settings = read_json(folder / SETTINGS) if (folder / SETTINGS).is_file() else {}
    explicit = [
        name for name in (*configuration.overlaid, *overrides) if not name.startswith("_") and name != "imports"
    ]
    stored = read_config([folder / CONFIG])
    for name in code_named_in(stored):
        if pydoc.locate(name) is None:
            raise UserError(
                f"{folder / CONFIG}: names {name}, which this version does not have; resume the run with the version "
                f"that began it, or train anew"
            )
    merged = resumed_config(stored, settings, configuration.merged, explicit)
    places = {"resume": str(folder), "output_dir": str(folder)}
    return Configuration({**merged, **places}, places, arguments=configuration.arguments, resumed=folder)


def code_named_in(item: Any) -> list[str]:
    """Find the names of this package's code in the expressions and targets of a configuration."""
    if isinstance(item, Mapping):
        target = item.get("_target_")
        found = CODE.findall(target) if isinstance(target, str) else []
        return sorted({*found, *(name for value in item.values() for name in code_named_in(value))})
    if isinstance(item, list):
        return sorted({name for value in item for name in code_named_in(value)})
    return CODE.findall(item) if isinstance(item, str) and item.startswith("$") else []


def continue_run(configuration: Configuration | None) -> None:
    """Go on with the run that MONAI's command resumes, with its own settings, and end the process.

    MONAI has read the configuration on the command line by now, so that the run's own needs a workflow of its own.

    Args:
        configuration: of this process; nothing is done for a new run, and where it is the run's own already.

    Raises:
        UserError: as `own_configuration`.
    """
    own = None if configuration is None else own_configuration(configuration)
    if own is not None:
        run_own(own)
        sys.exit(0)


def run_own(own: Configuration, **arguments: Any) -> ConfigWorkflow:
    """Run a resumed run's own configuration.

    Args:
        own: see `own_configuration`.
        arguments: of MONAI's `ConfigWorkflow`, beside those of the command.

    Returns:
        The workflow, which has run.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / CONFIG
        write_json(file, own.merged)
        given = {**arguments, **own.arguments}
        workflow = ConfigWorkflow(str(file), **given, configuration=own)
    return run_workflow(workflow)


def run_workflow(workflow: ConfigWorkflow) -> ConfigWorkflow:
    """Run a workflow; its run's folder is free for others in this process afterwards, however it ends."""
    try:
        workflow.initialize()
        workflow.run()
        workflow.finalize()
    finally:
        record = workflow.parser.ref_resolver.resolved_content.get("record")
        if isinstance(record, RunRecord):
            record.close()
    return workflow


def _is_free(name: str) -> bool:
    path = item_path(name)
    return path.split("#")[0] in FREE | DATA or path == LENGTH


def _set(config: dict[str, Any], name: str, value: Any) -> None:
    ConfigParser(config)[name] = value


def _refusal(name: str, own: Any, value: Any) -> str:
    had = "was started without it" if own is ABSENT else f"has {own}"
    return (
        f"--{name} {value}: the run to resume {had}; leave it out, because a resumed run keeps its own settings, or "
        "start a new run"
    )
