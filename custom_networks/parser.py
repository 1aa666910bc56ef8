"""From the words of a command line to the arguments of a verb; each mistake is one sentence."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from custom_networks.arguments import Argument
from custom_networks.errors import UserError, nearest
from custom_networks.flags import flag
from custom_networks.verbs import VERBS, Verb

STORES = ("s3:/", "gs:/", "gcs:/", "az:/", "abfs:/", "abfss:/")
_NUMBER = re.compile(r"-(\d|\.\d|inf|nan)", re.IGNORECASE)


def parse(verb: str, words: Sequence[str], knobs: Mapping[str, Any]) -> dict[str, Any]:
    """Read the words after a verb.

    Args:
        verb: its name.
        words: as they were typed, `--quiet` and `--json` of all verbs taken out.
        knobs: default of each item that a configuration has; empty for a verb without one.

    Returns:
        What was given, by name; the rest is the verb's own default.

    Raises:
        UserError: for what is no flag, a value of another type, or what is missing.
    """
    takes = VERBS[verb]
    arguments = {each.name: each for each in takes.arguments}
    parser = _parser(verb, arguments.values())
    canonical = {name.lstrip("-"): each.name for each in arguments.values() for name in each.names}
    if takes.files:
        canonical["output"] = "output_dir"
    tidied = _tidied(words, canonical)
    if not takes.files:
        _refuse_unknown(tidied, canonical)
    known, rest = parser.parse_known_args(tidied)
    given = {name: _converted(arguments[name], text) for name, text in vars(known).items()}
    overrides, bare = _split(rest) if takes.files else ({}, [word for word in rest if word != "--"])
    given |= {name: typed_knob(name, text, knobs) for name, text in overrides.items()}
    given = _placed(verb, takes, given, bare)
    _refuse_remote(verb, given)
    return given


def typed_knob(name: str, text: str | None, knobs: Mapping[str, Any]) -> Any:
    """Read the value of a knob; a flag without one is on."""
    from custom_networks.configuration.knobs import typed_override

    return True if text is None else typed_override(name, text, knobs.get(name))


def usage(verb: str) -> str:
    """Write a verb with what it cannot do without."""
    words = ["sgdnet", verb]
    for each in VERBS[verb].arguments:
        if each.many:
            words.append(f"{each.name.upper()} ...")
        elif each.required:
            words.append(each.name.upper() if each.position else f"--{each.name} {each.name.upper()}")
    return " ".join(words)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong in this package's way."""
        raise UserError(re.sub(r"^argument (--\w+): expected one argument$", r"\1: its value is missing", message))


def _parser(verb: str, arguments: Iterable[Argument]) -> _Parser:
    parser = _Parser(prog=f"sgdnet {verb}", add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    for each in arguments:
        if each.many:
            continue
        if each.kind is bool:
            parser.add_argument(f"--{each.name}", nargs="?", const="true")
        else:
            parser.add_argument(f"--{each.name}")
    return parser


def _converted(argument: Argument, text: str) -> Any:
    """Read a value as the type that its argument has."""
    if argument.kind is str:
        return text
    value = flag(text)
    if value is None and argument.default is None and not argument.required:
        return None
    if argument.kind is bool:
        if not isinstance(value, bool):
            raise UserError(f"--{argument.name} {text}: must be true or false; files and folders come before the flags")
        return value
    try:
        return argument.kind(text)
    except ValueError:
        wanted = "a whole number" if argument.kind is int else "a number"
        raise UserError(f"--{argument.name} {text}: must be {wanted}") from None


def _tidied(words: Sequence[str], canonical: Mapping[str, str]) -> list[str]:
    """Write hyphens in names as underscores, further names as the one, and a negative number with its flag."""
    tidied: list[str] = []
    for word in words:
        if word.startswith("--") and len(word) > 2:
            name, sign, value = word[2:].partition("=")
            name = name.replace("-", "_")
            tidied.append(f"--{canonical.get(name, name)}{sign}{value}")
        elif _NUMBER.match(word) and tidied and tidied[-1].startswith("--") and "=" not in tidied[-1]:
            tidied[-1] += f"={word}"
        elif word[:2] == "-o":
            tidied.append(f"--{canonical.get('o', canonical.get('output', 'o'))}")
            tidied += [word[2:].lstrip("=")] if len(word) > 2 else []
        else:
            tidied.append(word)
    return tidied


def _refuse_unknown(words: Sequence[str], canonical: Mapping[str, str]) -> None:
    for word in words:
        name = word[2:].partition("=")[0]
        if word.startswith("--") and name and name not in canonical:
            raise UserError(f"--{name}: no such setting{nearest(name, set(canonical.values()))}")
        if word.startswith("-") and len(word) > 1 and not word.startswith("--"):
            raise UserError(f"{word}: no such flag; write --NAME VALUE")


def _split(words: Sequence[str]) -> tuple[dict[str, str | None], list[str]]:
    """Take overrides, as --name value or --name=value, out of the words that are left."""
    overrides: dict[str, str | None] = {}
    bare = []
    waiting = ""
    for word in words:
        if word.startswith("--"):
            name, sign, value = word[2:].partition("=")
            overrides[name] = value if sign else None
            waiting = "" if sign else name
        elif waiting:
            overrides[waiting] = word
            waiting = ""
        else:
            bare.append(word)
    return overrides, bare


def _placed(verb: str, takes: Verb, given: dict[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """Give values without a name to the arguments that take them, in order."""
    left = list(words)
    arguments = takes.arguments
    for each in arguments:
        if each.many:
            given[each.name], left = left, []
        elif each.position and each.name not in given and left:
            given[each.name] = left.pop(0)
    missing = next((each for each in arguments if each.required and each.name not in given), None)
    if missing is not None:
        name = missing.name.upper() if missing.position else f"--{missing.name}"
        raise UserError(f"{name} is missing; write `{usage(verb)}`")
    if left:
        flags = [each.name for each in arguments if not each.position]
        first = "dataset_dir" if takes.files else flags[0]
        raise UserError(f"{left[0]}: give a name before the value, as in `sgdnet {verb} --{first} {left[0]}`")
    return given


def _refuse_remote(verb: str, given: Mapping[str, Any]) -> None:
    """Refuse a store's address where none is read: as a folder's name it would mean a folder `s3:` of this disk."""
    for name, value in given.items():
        for each in value if isinstance(value, list | tuple) else [value]:
            if isinstance(each, str) and each.startswith(STORES) and name not in VERBS[verb].remote:
                readable = "; ".join(f"{key}: {', '.join(verb.remote)}" for key, verb in VERBS.items() if verb.remote)
                raise UserError(f"{name} {each}: must be on a disk; what may lie in a store is {readable}")
