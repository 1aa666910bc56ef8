"""`sgdnet`: the bundle's configurations from a friendly command line.

Each verb refuses what it does not know, and tells a mistake in one sentence.
"""

from __future__ import annotations

import inspect
import io
import itertools
import json
import os
import sys
import textwrap
from typing import Any

from custom_networks.bundle_run import default_bundle
from custom_networks.verbs import MASK_KNOBS, VERBS

GOES_ON = dict.fromkeys(("prepare", "predict"), "the same command goes on where it was.")


STORES = ("s3:/", "gs:/", "gcs:/", "az:/", "abfs:/", "abfss:/")
REMOTE = {
    "prepare": ("source",),
    "check": ("data", "dataset_dir"),
    "train": ("dataset_dir", "datalist"),
    "evaluate": ("dataset_dir", "datalist"),
}


def usage(verb: str) -> str:
    """Write a verb with what it cannot do without."""
    words = ["sgdnet", verb]
    for each in inspect.signature(VERBS[verb][0]).parameters.values():
        if each.kind is each.VAR_POSITIONAL:
            words.append(f"{each.name.upper()} ...")
        elif _is_required(each):
            words.append(f"--{each.name} {each.name.upper()}" if each.kind is each.KEYWORD_ONLY else each.name.upper())
    return " ".join(words)


def help_of(verb: str) -> str:
    """Write a verb's help: what it does, and its knobs with their defaults, as the configurations describe them."""
    from custom_networks.configuration.knobs import knob_descriptions
    from custom_networks.configuration.merged import read_config

    function, files = VERBS[verb]
    first, *_ = (function.__doc__ or "").splitlines()
    lines = [f"{usage(verb)} [--KNOB VALUE ...]", "", first, ""]
    if files:
        configs = default_bundle() / "configs"
        config = read_config([configs / name for name in files])
        described = knob_descriptions(config)
        if verb == "train":
            described["tracking"] = "false switches MLflow off"
            config["tracking"] = True
        if verb == "evaluate":
            described |= MASK_KNOBS
            described["clicks"] = "measures an interactive model after up to that many simulated clicks an image"
            described["scribbles"] = "the same with scribbles"
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
    places = [each.name for each in parameters if _is_required(each) and each.kind is not each.KEYWORD_ONLY]
    any_number = any(each.kind is each.VAR_POSITIONAL for each in parameters)
    unnamed = list(itertools.takewhile(lambda word: not word.startswith("--"), words))
    named = {_flag_name(word) for word in words if word.startswith("--")}
    given = {*places[: len(unnamed)], *named}
    missing = next((each for each in parameters if _is_required(each) and each.name not in given), None)
    if missing is not None:
        name = f"--{missing.name}" if missing.kind is missing.KEYWORD_ONLY else missing.name.upper()
        raise UserError(f"{name} is missing; write `{usage(verb)}`")
    if len(unnamed) > len(places) and not any_number:
        first = "dataset_dir" if files else known[len(places)]
        word = unnamed[len(places)]
        raise UserError(f"{word}: give a name before the value, as in `sgdnet {verb} --{first} {word}`")
    _refuse_remote(verb, words, places)
    for word in words:
        name = _flag_name(word)
        if word.startswith("--") and not files and name not in known:
            raise UserError(f"--{name}: no such setting{nearest(name, known)}")


def _refuse_remote(verb: str, words: list[str], places: list[str]) -> None:
    """Refuse a store's address where none is read: as a folder's name it would mean a folder `s3:` of this disk."""
    from custom_networks.errors import UserError

    name = ""
    for number, word in enumerate(words):
        value = word.partition("=")[2] if word.startswith("--") else word
        if word.startswith("--"):
            name = _flag_name(word)
        elif not name:
            name = places[number] if number < len(places) else "data"
        if value.startswith(STORES) and name not in REMOTE.get(verb, ()):
            readable = "; ".join(f"{each}: {', '.join(names)}" for each, names in REMOTE.items())
            raise UserError(f"{name} {value}: must be on a disk; what may lie in a store is {readable}")
        if not word.startswith("--"):
            name = ""


def _flag_name(word: str) -> str:
    """Name of a flag such as --dry-run=true; fire, too, reads a hyphen as an underscore."""
    return word[2:].split("=")[0].replace("-", "_")


def _is_required(argument: inspect.Parameter) -> bool:
    return argument.default is argument.empty and argument.kind in (
        argument.POSITIONAL_OR_KEYWORD,
        argument.KEYWORD_ONLY,
    )


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
    from fire.decorators import SetParseFn

    from custom_networks.errors import nearest
    from custom_networks.messages import find_user_error

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name of a file may be no UTF-8
            stream.reconfigure(errors="backslashreplace")
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
        for function, _ in VERBS.values():  # a path or a pattern is never a number or a tuple
            parameters = inspect.signature(function).parameters.values()
            texts = [each.name for each in parameters if "str" in str(each.annotation)]
            if texts:  # SetParseFn without names would mean all
                SetParseFn(str, *texts)(function)
        fire.Fire({verb: function for verb, (function, _) in VERBS.items()}, words, name="sgdnet")
    except KeyboardInterrupt:
        hint = "`sgdnet train --resume true ...` goes on from the last complete epoch."
        print(f"\nStopped; {GOES_ON.get(words[0], hint)}", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        found = find_user_error(error)
        if found is None or os.environ.get("SGDNET_TRACEBACK"):
            raise
        print(f"Error: {found}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
