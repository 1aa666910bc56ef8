"""`sgdnet completion SHELL`: completion of verbs, flags and files, written by shtab from the help's lines."""

from __future__ import annotations

import argparse
import re

from custom_networks.arguments import COMMON
from custom_networks.errors import UserError, nearest
from custom_networks.usage import Line, verb_lines
from custom_networks.verbs import VERBS

NUMBER = re.compile(r"-?\d+(\.\d*)?(e-?\d+)?")
SHELLS = ("bash", "zsh", "fish")
SUMMARY = "prints what completes verbs and flags in that shell: bash, zsh or fish"


def completion(shell: str) -> str:
    """Write the script for a shell, to be read at its start.

    Args:
        shell: one of `SHELLS`.

    Raises:
        UserError: for another shell.
    """
    if shell not in SHELLS:
        known = ", ".join(SHELLS)
        raise UserError(f"completion {shell}: no such shell{nearest(shell, SHELLS)}; there are {known}")
    import shtab

    return str(shtab.complete(_command(), shell))


def _command() -> argparse.ArgumentParser:
    """Declare all verbs with all their flags, knobs included; it parses nothing, for values are read by `parser`."""
    command = argparse.ArgumentParser("sgdnet")
    command.add_argument("--version", action="store_true", help="tells the version")
    verbs = command.add_subparsers()
    for name, verb in VERBS.items():
        taken = verbs.add_parser(name, help=_plain(verb.summary), add_help=False)
        for line in verb_lines(name):
            if line.names[-1].startswith("-"):
                _add(taken, line)
        if any(each.position for each in verb.arguments):
            _with_files(taken.add_argument("files", nargs="*", help="files and folders"))
    verbs.add_parser("help", help="lists a verb's flags", add_help=False).add_argument("of", choices=tuple(VERBS))
    verbs.add_parser("completion", help=SUMMARY, add_help=False).add_argument("shell", choices=SHELLS)
    return command


def _add(parser: argparse.ArgumentParser, line: Line) -> None:
    """Declare a flag: a switch, true or false, a number, or text, which may be a file."""
    help_ = _plain(line.text)
    if line.heading == COMMON:
        parser.add_argument(*line.names, action="store_true", help=help_)
    elif line.default in ("true", "false"):
        parser.add_argument(*line.names, nargs="?", choices=("true", "false"), help=help_)
    else:
        action = parser.add_argument(*line.names, help=help_)
        if not NUMBER.fullmatch(line.default):
            _with_files(action)


def _with_files(action: argparse.Action) -> None:
    import shtab

    action.complete = shtab.FILE  # type: ignore[attr-defined]


def _plain(text: str) -> str:
    """Text of a help in which argparse finds nothing to fill in."""
    return text.replace("%", "%%")
