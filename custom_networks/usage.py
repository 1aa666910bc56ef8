"""What `--help` prints: of the command, and of a verb with its flags, their defaults and units, below headings."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from custom_networks.arguments import COMMON
from custom_networks.bundle_files import config_file, default_bundle
from custom_networks.configuration.knobs import GROUPS, UNREAD, is_computed, knob_descriptions, top_level
from custom_networks.parser import usage
from custom_networks.verbs import VERBS

WIDTH = 100


@dataclass(frozen=True)
class Line:
    """What a verb's help says of one flag.

    Args:
        names: as they are typed, `--NAME` last; the name in capitals for files given without a flag.
        text: what it is, with its unit.
        heading: below which it stands.
        default: as one would type it; empty for none.
    """

    names: tuple[str, ...]
    text: str
    heading: str
    default: str = ""


def general_help() -> str:
    """Write what `sgdnet` and `sgdnet --help` print."""
    lines = ["sgdnet VERB [--NAME VALUE ...]", "", "SGD-Net: segmentation where the boundary matters.", ""]
    lines += [f"  {name:<10} {verb.summary}" for name, verb in VERBS.items()]
    lines += [
        "",
        "sgdnet VERB --help, or sgdnet help VERB, lists a verb's flags; sgdnet --version tells the version.",
        "sgdnet completion bash, zsh or fish prints what completes verbs and flags in that shell.",
        "Exit codes: 0 done, 1 wrong input, 2 part of the images failed, 130 stopped.",
        "",
        "A first run:",
        "  sgdnet phantoms",
        "  sgdnet train --image_size 128 --batch_size 8 --max_epochs 10",
    ]
    return "\n".join(lines)


def verb_help(name: str) -> str:
    """Write a verb's help: what it does, and each flag below its heading."""
    lines = verb_lines(name)
    text = [f"{usage(name)} [--NAME VALUE ...]", "", VERBS[name].summary]
    for heading in dict.fromkeys(line.heading for line in lines):
        text += ["", heading]
        for line in lines:
            if line.heading == heading:
                flags = ", ".join(line.names) + (f" [{line.default}]" if line.default else "")
                text += textwrap.wrap(flags, WIDTH, initial_indent="  ", subsequent_indent="    ")
                text += textwrap.wrap(line.text, WIDTH, initial_indent="      ", subsequent_indent="      ")
    if VERBS[name].files:
        place: Path = config_file(default_bundle(), VERBS[name].files[0])
        text += ["", f"The knobs stand at the top of {place}, where their defaults can be changed too."]
    return "\n".join(text)


def verb_lines(name: str) -> list[Line]:
    """List what a verb takes: its own arguments, the knobs of its configuration, and what all verbs take."""
    verb = VERBS[name]
    lines = []
    for each in verb.arguments:
        names = (each.name.upper(),) if each.many else each.names
        default = each.help.default or ("" if each.required or each.many else _as_typed(each.default))
        lines.append(Line(names, each.help.text, each.help.group, "" if default == "null" else default))
    lines += _knobs(name)
    lines.append(Line(("-q", "--quiet"), "says results, warnings and errors alone", COMMON))
    if verb.json:
        what = "prints the results as JSON on standard output, all else on standard error"
        lines.append(Line(("--json",), what, COMMON))
    lines.append(Line(("-h", "--help"), "shows this", COMMON))
    return lines


def defaults(name: str) -> dict[str, Any]:
    """Top-level items of the configuration that a verb runs."""
    files = VERBS[name].files
    return top_level([config_file(default_bundle(), file) for file in files]) if files else {}


def _knobs(name: str) -> list[Line]:
    """Lines of a verb's knobs, as its configuration describes them; knobs below an empty heading are of other runs."""
    config = defaults(name)
    own = {each.name for each in VERBS[name].arguments}
    heading = {knob: group for group, knobs in config.get(GROUPS, {}).items() for knob in knobs}
    described = {knob: text for knob, text in knob_descriptions(config).items() if knob not in own} if config else {}
    described = {knob: text for knob, text in described.items() if heading.get(knob) != UNREAD}
    lines = []
    for knob in sorted(described, key=lambda knob: list(heading).index(knob) if knob in heading else len(heading)):
        names = ("-o", "--output", "--output_dir") if knob == "output_dir" else (f"--{knob}",)
        default = "" if is_computed(config.get(knob)) else _as_typed(config.get(knob))
        lines.append(Line(names, described[knob], heading.get(knob, "Further knobs"), default))
    return lines


def _as_typed(value: Any) -> str:
    """Show a default as one would type it."""
    return f"{value:g}" if isinstance(value, float) else json.dumps(value).strip('"')
