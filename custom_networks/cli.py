"""`sgdnet`: the bundle's configurations from a friendly command line.

Each verb runs the same JSON files as `python -m monai.bundle run`, refuses what MONAI would ignore, and tells a
mistake in one sentence.
"""

from __future__ import annotations

import inspect
import json
import logging
import os
import sys
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

TEXT_KNOBS = ("bundle_root", "dataset_dir", "datalist", "output_dir", "pretrained_encoder", "device", "checkpoint")


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


def export(
    format: str = "onnx",
    checkpoint: str | None = None,
    output: str | None = None,
    precision: str = "float32",
    calibration: str | None = None,
    image_size: int | None = None,
    overwrite: bool = False,
    bundle_root: str | None = None,
) -> None:
    """Write trained weights as TorchScript, ONNX, torch.export, OpenVINO or TensorRT, checked against PyTorch.

    Args:
        format: torchscript, onnx, torch-export, openvino or tensorrt.
        checkpoint: weights, model.pt of a run; models/model.pt of the bundle by default.
        output: the file; in the bundle's models/ by default.
        precision: float32, float16, bfloat16 or int8.
        calibration: folder or datalist of some 32 images like yours, which int8 needs; three of them check the file.
        image_size: side in pixels of the square the network sees, a multiple of 64; the training's by default.
        overwrite: true replaces a file that is there.
        bundle_root: folder of the bundle, the one that holds configs/.
    """
    from custom_networks.export import export_model
    from custom_networks.training.processes import flag

    root = bundle_root or default_bundle()
    print(export_model(root, format, checkpoint, output, precision, calibration, image_size, bool(flag(overwrite))))


def package(
    output: str = "sgdnet_2d_segmentation.zip",
    checkpoint: str | None = None,
    overwrite: bool = False,
    bundle_root: str | None = None,
) -> None:
    """Pack bundle, weights and code into one archive, which runs wherever it is unzipped.

    Args:
        output: the archive.
        checkpoint: weights, model.pt of a run; models/model.pt of the bundle by default.
        overwrite: true replaces an archive that is there.
        bundle_root: folder of the bundle, the one that holds configs/.
    """
    from custom_networks.export import write_archive
    from custom_networks.training.processes import flag

    print(write_archive(bundle_root or default_bundle(), output, checkpoint, bool(flag(overwrite))))


VERBS: dict[str, tuple[Callable[..., None], tuple[str, ...]]] = {
    "phantoms": (phantoms, ()),
    "train": (train, ("train.json",)),
    "evaluate": (evaluate, ("train.json", "evaluate.json")),
    "predict": (predict, ("inference.json",)),
    "export": (export, ()),
    "package": (package, ()),
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
    known = list(inspect.signature(function).parameters)
    if words and not words[0].startswith("--"):
        first = "dataset_dir" if files else known[0]
        raise UserError(f"{words[0]}: give a name before the value, as in `sgdnet {verb} --{first} {words[0]}`")
    for word in words:
        name = word[2:].split("=")[0]
        if word.startswith("--") and not files and name not in known:
            raise UserError(f"--{name}: no such setting{nearest(name, known)}")


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
