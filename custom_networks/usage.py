"""What `--help` prints: of the command, and of a verb with its flags, their defaults and units, below headings."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

from custom_networks.arguments import COMMON
from custom_networks.bundle_files import config_file, default_bundle
from custom_networks.configuration.knobs import GROUPS, is_computed, knob_descriptions, top_level
from custom_networks.parser import usage
from custom_networks.verbs import VERBS

WIDTH = 100
Line = tuple[str, str, str]  # flag with its default, what it is, heading


def general_help() -> str:
    """Write what `sgdnet` and `sgdnet --help` print."""
    lines = ["sgdnet VERB [--NAME VALUE ...]", "", "SGD-Net: segmentation where the boundary matters.", ""]
    lines += [f"  {name:<10} {verb.summary}" for name, verb in VERBS.items()]
    lines += [
        "",
        "sgdnet VERB --help, or sgdnet help VERB, lists a verb's flags; sgdnet --version tells the version.",
        "Exit codes: 0 done, 1 wrong input, 2 part of the images failed, 130 stopped.",
        "",
        "A first run:",
        "  sgdnet phantoms",
        "  sgdnet train --image_size 128 --batch_size 8 --max_epochs 10",
    ]
    return "\n".join(lines)


def verb_help(name: str) -> str:
    """Write a verb's help: what it does, and each flag below its heading."""
    verb = VERBS[name]
    knobs, place = _knobs(name)
    own = []
    for each in verb.arguments:
        flags = each.name.upper() if each.many else ", ".join(each.names)
        default = each.help.default or ("" if each.required or each.many else _as_typed(each.default))
        own.append(
            (flags + (f" [{default}]" if default and default != "null" else ""), each.help.text, each.help.group)
        )
    lines = own + knobs
    lines.append(("-q, --quiet", "says results, warnings and errors alone", COMMON))
    if verb.json:
        lines.append(("--json", "prints the results as JSON on standard output, all else on standard error", COMMON))
    lines.append(("-h, --help", "shows this", COMMON))
    text = [f"{usage(name)} [--NAME VALUE ...]", "", verb.summary]
    for heading in dict.fromkeys(group for _, _, group in lines):
        text += ["", heading]
        for flag, what, group in lines:
            if group == heading:
                text += textwrap.wrap(flag, WIDTH, initial_indent="  ", subsequent_indent="    ")
                text += textwrap.wrap(what, WIDTH, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(text + place)


def defaults(name: str) -> dict[str, Any]:
    """Top-level items of the configuration that a verb runs."""
    files = VERBS[name].files
    return top_level([config_file(default_bundle(), file) for file in files]) if files else {}


def _knobs(name: str) -> tuple[list[Line], list[str]]:
    """Lines of a verb's knobs, as its configuration describes them, and where they stand."""
    config = defaults(name)
    if not config:
        return [], []
    own = {each.name for each in VERBS[name].arguments}
    heading = {knob: group for group, knobs in config.get(GROUPS, {}).items() for knob in knobs}
    described = {knob: text for knob, text in knob_descriptions(config).items() if knob not in own}
    lines = []
    for knob in sorted(described, key=lambda knob: list(heading).index(knob) if knob in heading else len(heading)):
        flags = "-o, --output, --output_dir" if knob == "output_dir" else f"--{knob}"
        default = "" if is_computed(config.get(knob)) else f" [{_as_typed(config.get(knob))}]"
        lines.append((flags + default, described[knob], heading.get(knob, "Further knobs")))
    file: Path = config_file(default_bundle(), VERBS[name].files[0])
    return lines, ["", f"The knobs stand at the top of {file}, where their defaults can be changed too."]


def _as_typed(value: Any) -> str:
    """Show a default as one would type it."""
    return f"{value:g}" if isinstance(value, float) else json.dumps(value).strip('"')
