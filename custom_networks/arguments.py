"""What a command can be told: arguments declared once, as annotations of the function or the options that take them."""

from __future__ import annotations

import collections.abc
import inspect
import sys
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

COMMON = "Common"
FILES = "Input and output"


@dataclass(frozen=True)
class Help:
    """What `--help` says of an argument: `count: Annotated[int, Help("how many pairs")] = 64`.

    Args:
        text: what it is, with its unit.
        group: heading below which it stands.
        default: what counts where it is not given, in words, when the annotated default does not say it.
        names: further names of the flag, as they are typed.
    """

    text: str
    group: str = "Options"
    default: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Argument:
    """An argument of a command.

    Args:
        name: in Python, and after the hyphens.
        kind: int, float, bool or str; Any for a value of a configuration.
        help: what `--help` says.
        default: what counts where it is not given; None for a required one.
        required: whether it must be given.
        position: whether it is given without a name, as an image to predict.
        many: whether it takes any number of values.
    """

    name: str
    kind: Any
    help: Help
    default: Any = None
    required: bool = False
    position: bool = False
    many: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The flag as it is typed, its own name last."""
        usual = {"output": ("-o", "--output_dir"), "output_dir": ("-o", "--output")}.get(self.name, ())
        return tuple(dict.fromkeys((*usual, *self.help.names, f"--{self.name}")))


def arguments_of(takes: Callable[..., Any]) -> list[Argument]:
    """Read the arguments of a function or a dataclass from its annotations; those without `Help` are left out."""
    names = vars(sys.modules[takes.__module__])
    found = []
    for each in inspect.signature(takes).parameters.values():
        if "Annotated[" not in str(each.annotation):  # others may name what is not imported for a help alone
            continue
        hint, *notes = typing.get_args(eval(each.annotation, dict(names)))
        help_ = next(note for note in notes if isinstance(note, Help))
        needed = each.default is each.empty and each.kind is not each.VAR_POSITIONAL
        many = each.kind is each.VAR_POSITIONAL or typing.get_origin(hint) is collections.abc.Sequence
        found.append(
            Argument(
                each.name,
                str if many else _plain(hint),
                help_,
                None if each.default is each.empty else each.default,
                required=needed and not many,
                position=many or (needed and each.kind is each.POSITIONAL_OR_KEYWORD),
                many=many,
            )
        )
    return found


def _plain(hint: Any) -> Any:
    """`int` of `int | None`."""
    if isinstance(hint, types.UnionType):
        return next(each for each in typing.get_args(hint) if each is not type(None))
    return hint
