"""The configuration of a run: its files and its overrides, merged as MONAI merges them."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, JsonValue, RootModel

from custom_networks.typed_files import read_model

REFERENCE = re.compile(r"@\w+((#|::)\w+)*")
"""A value that is another item's."""
ABSENT = object()
"""What `look_up` finds where there is nothing."""


class _Content(RootModel[dict[Annotated[str, Field(min_length=1)], JsonValue]]):
    """A configuration, whose keys are the bundle's own."""


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON configuration; raises UserError as `read_model`."""
    return read_model(file, _Content, fix="correct it, or give another configuration").root


def read_config(files: Sequence[str | Path]) -> dict[str, Any]:
    """Read and merge configuration files.

    Raises:
        UserError: for a file that is missing or no JSON.
    """
    from monai.bundle import ConfigParser

    for file in map(Path, files):
        read_json(file)
    return dict(ConfigParser.load_config_files([str(file) for file in files]))


@dataclass(frozen=True)
class Configuration:
    """What a run was started with; nothing in it is resolved or instantiated.

    Attributes:
        files: the content of the configuration files, merged.
        overrides: what the command line sets, by the id of the item.
        overlaid: ids that overlays set, the configuration files after the first.
        arguments: what else MONAI's command was given, such as `run_id`, by the names of `ConfigWorkflow`.
        paths: of the configuration files.
        resumed: folder of the run that this configuration resumes; None for a new run.
    """

    files: Mapping[str, Any]
    overrides: Mapping[str, Any]
    overlaid: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    paths: tuple[str, ...] = ()
    resumed: Path | None = None

    @classmethod
    def read(
        cls, files: Sequence[str | Path], overrides: Mapping[str, Any], arguments: Mapping[str, Any] | None = None
    ) -> Configuration:
        """Read configuration files, overlays after what they overlay; raises UserError as `read_config`."""
        content = read_config(files)
        overlaid = [name.lstrip("+") for file in files[1:] for name in read_json(Path(file))]
        return cls(content, overrides, tuple(dict.fromkeys(overlaid)), arguments or {}, tuple(map(str, files)))

    @cached_property
    def merged(self) -> dict[str, Any]:
        """The files with the overrides set in them, as the run takes them."""
        from monai.bundle import ConfigParser

        parser = ConfigParser(copy.deepcopy(dict(self.files)))
        parser.update(dict(self.overrides))
        return dict(parser.get())


def item_path(name: str) -> str:
    """Write the id of an item as MONAI's parser does, by `#`; a command line may have `::`."""
    return name.replace("::", "#")


def look_up(config: Mapping[str, Any], name: str) -> Any:
    """Find an item as a merged configuration has it, an expression as its text; `ABSENT` where there is none."""
    value: Any = config
    for part in item_path(name).split("#"):
        if isinstance(value, Mapping):
            value = value.get(part, ABSENT)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return ABSENT
    return value


def look_behind(config: Mapping[str, Any], name: str) -> Any:
    """Find an item as `look_up`, and where it only refers to another one (`"@max_epochs"`), that one."""
    value = look_up(config, name)
    seen: set[str] = set()
    while isinstance(value, str) and REFERENCE.fullmatch(value) and value not in seen:
        seen.add(value)
        value = look_up(config, value[1:])
    return value
