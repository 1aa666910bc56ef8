"""`sgdnet`: the bundle's configurations from a friendly command line.

Each verb runs the same JSON files as `python -m monai.bundle run`, refuses what MONAI would ignore, and tells a
mistake in one sentence.
"""

from __future__ import annotations

import inspect
import itertools
import json
import logging
import os
import sys
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

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

    from custom_networks.training.processes import flag
    from custom_networks.training.setup import check_overrides, read_config, readable_errors, remember_config

    readable_errors()
    logging.getLogger("monai.bundle.workflows").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message="parsing config_file")  # these are our own files
    knobs = {name: flag(value) for name, value in knobs.items()}
    knobs |= {name: str(knobs[name]) for name in TEXT_KNOBS if knobs.get(name) is not None}
    root = Path(knobs.get("bundle_root") or default_bundle())
    knobs["bundle_root"] = str(root)
    overlays = knobs.pop("config_file", ())
    paths = [str(root / "configs" / name) for name in files]
    paths += [overlays] if isinstance(overlays, str) else list(overlays)
    config = read_config(paths)
    check_overrides(knobs, config)
    remember_config(config, knobs)
    metadata, logging_file = (str(root / "configs" / name) for name in ("metadata.json", "logging.conf"))
    workflow = ConfigWorkflow(paths, metadata, logging_file, workflow_type=workflow_type, **knobs)
    workflow.initialize()
    workflow.run()
    workflow.finalize()


def phantoms(output_dir: str = "data/phantoms", count: int = 64, size: int = 256, seed: int = 0) -> None:
    """Draw dermoscopy phantoms: sample images with masks, the same bytes for the same seed.

    Args:
        output_dir: folder that gets images/ and masks/.
        count: how many pairs.
        size: side in pixels.
        seed: of everything drawn.
    """
    from custom_networks.data.phantoms import write_phantoms

    print(f"{count} phantoms in {write_phantoms(str(output_dir), count=count, size=size, seed=seed)}")


def train(tracking: bool = True, **knobs: Any) -> None:
    """Train SGD-Net on a folder of images and masks.

    Args:
        tracking: whether the run is kept in MLflow.
        knobs: see below.
    """
    from custom_networks.training.processes import flag

    if flag(tracking) is False:
        knobs["tracking_uri"] = ""
    run_config(("train.json",), "train", knobs)


def evaluate(**knobs: Any) -> None:
    """Measure Dice, IoU and HD95 of trained weights, per image and in sum, at the network's size.

    Args:
        knobs: see below.
    """
    run_config(("train.json", "evaluate.json"), "train", knobs)


def predict(**knobs: Any) -> None:
    """Write a mask for every image of a folder.

    Args:
        knobs: see below.
    """
    run_config(("inference.json",), "infer", knobs)


def compare(
    run_a: str, run_b: str, output_dir: str = "comparison", metrics: str = "", resamples: int = 5000, seed: int = 0
) -> None:
    """Compare two evaluated runs on the same images: paired tests, effect sizes, a table and a picture.

    Args:
        run_a: folder of the first run, which holds per_image.csv.
        run_b: folder of the second.
        output_dir: new folder for comparison.csv, comparison.json and comparison.png.
        metrics: names separated by commas; all that both runs hold by default.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    from custom_networks.statistics.compare_runs import compare_runs

    print(compare_runs(str(run_a), str(run_b), str(output_dir), metrics, resamples, seed))


def check(
    *data: str,
    json: str | None = None,
    sheet: str | None = None,
    near_duplicates: bool = True,
    num_workers: int | None = None,
    dataset_dir: str | None = None,
) -> None:
    """Check data sets: every file, every label, duplicates within and across them.

    Args:
        data: datalists or folders, as in `sgdnet check A.json B`; exit code 1 when one has errors.
        json: file that gets every finding.
        sheet: PNG that gets a contact sheet, suspicious pairs first.
        near_duplicates: false leaves out the search for pictures that are nearly the same.
        num_workers: threads; one for each core by default, 8 at most.
        dataset_dir: where a datalist's files lie that are not beside it.
    """
    from custom_networks.data.checking.command import check_command
    from custom_networks.training.processes import flag

    check_command(data, json, sheet, flag(near_duplicates) is not False, num_workers, dataset_dir)


VERBS: dict[str, tuple[Callable[..., None], tuple[str, ...]]] = {
    "phantoms": (phantoms, ()),
    "check": (check, ()),
    "train": (train, ("train.json",)),
    "evaluate": (evaluate, ("train.json", "evaluate.json")),
    "predict": (predict, ("inference.json",)),
    "compare": (compare, ()),
}


def help_of(verb: str) -> str:
    """Write a verb's help: what it does, and its knobs with their defaults, as the configurations describe them."""
    from custom_networks.training.setup import DESCRIPTIONS, read_config

    function, files = VERBS[verb]
    first, *_ = (function.__doc__ or "").splitlines()
    lines = [f"sgdnet {verb} [--KNOB VALUE ...]", "", first, ""]
    if files:
        configs = default_bundle() / "configs"
        config = read_config([configs / name for name in files])
        described = dict(config[DESCRIPTIONS])
        if verb == "train":
            described["tracking"] = "false switches MLflow off"
            config["tracking"] = True
        described["config_file"] = "further JSON overlay, for what has no knob"
        for name, text in described.items():
            default = config.get(name)
            computed = isinstance(default, str) and default.startswith(("$", "@"))
            shown = "" if computed or name == "config_file" else f" [{_as_typed(default)}]"
            lines += textwrap.wrap(f"--{name}{shown}", 100, initial_indent="  ")
            lines += textwrap.wrap(text, 100, initial_indent="      ", subsequent_indent="      ")
        lines += ["", f"The knobs stand at the top of {configs / files[0]}, where their defaults can be changed too."]
    else:
        arguments = (function.__doc__ or "").partition("Args:\n")[2]
        lines += [f"  --{line.strip()}" for line in arguments.splitlines() if line.strip()]
    return "\n".join(lines)


def check_flags(verb: str, words: list[str]) -> None:
    """Refuse what is no flag, and flags that a verb without a configuration does not have.

    Raises:
        UserError: naming the word and the nearest flag.
    """
    from custom_networks.errors import UserError, nearest

    function, files = VERBS[verb]
    parameters = inspect.signature(function).parameters.values()
    known = [each.name for each in parameters if each.kind is not each.VAR_POSITIONAL]
    needed = [each.name for each in parameters if _is_positional(each)]
    any_number = any(each.kind is each.VAR_POSITIONAL for each in parameters)
    given = len(list(itertools.takewhile(lambda word: not word.startswith("--"), words)))
    missing = [name for name in needed[given:] if not any(word.split("=")[0] == f"--{name}" for word in words)]
    if missing:
        raise UserError(f"{missing[0]}: not given; write `sgdnet {verb} {' '.join(needed).upper()}`")
    if given > len(needed) and not any_number:
        first = "dataset_dir" if files else known[len(needed)]
        word = words[len(needed)]
        raise UserError(f"{word}: give a name before the value, as in `sgdnet {verb} --{first} {word}`")
    for word in words:
        name = word[2:].split("=")[0]
        if word.startswith("--") and not files and name not in known:
            raise UserError(f"--{name}: no such setting{nearest(name, known)}")


def _is_positional(argument: inspect.Parameter) -> bool:
    return argument.default is argument.empty and argument.kind is argument.POSITIONAL_OR_KEYWORD


def general_help() -> str:
    """Write what `sgdnet` and `sgdnet --help` print."""
    lines = ["sgdnet VERB [--KNOB VALUE ...]", "", "SGD-Net: segmentation where the boundary matters.", ""]
    lines += [f"  {verb:<10} {(function.__doc__ or '').splitlines()[0]}" for verb, (function, _) in VERBS.items()]
    lines += [
        "",
        "sgdnet VERB --help lists a verb's knobs. A first run:",
        "  sgdnet phantoms",
        "  sgdnet train --image_size 128 --batch_size 8 --max_epochs 10",
    ]
    return "\n".join(lines)


def _as_typed(value: Any) -> str:
    """Show a default as one would type it."""
    return f"{value:g}" if isinstance(value, float) else json.dumps(value).strip('"')


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the `sgdnet` command; exits with 1 after a user's mistake, 2 for an unknown verb."""
    import fire

    from custom_networks.errors import nearest
    from custom_networks.training.setup import find_user_error

    words = sys.argv[1:] if arguments is None else arguments
    if not words or words[0] in ("--help", "-h", "help"):
        print(general_help())
        return
    if words[0] not in VERBS:
        print(f"Error: sgdnet has no verb {words[0]!r}{nearest(words[0], VERBS)}; see `sgdnet --help`", file=sys.stderr)
        sys.exit(2)
    if any(word in ("--help", "-h") for word in words[1:]):
        print(help_of(words[0]))
        return
    try:
        check_flags(words[0], words[1:])
        fire.Fire({verb: function for verb, (function, _) in VERBS.items()}, words, name="sgdnet")
    except KeyboardInterrupt:
        print("\nStopped; `sgdnet train --resume true ...` goes on from the last complete epoch.", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        found = find_user_error(error)
        if found is None or os.environ.get("SGDNET_TRACEBACK"):
            raise
        print(f"Error: {found}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
