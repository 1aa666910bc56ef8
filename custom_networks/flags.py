"""Switches as a command line passes them."""

from __future__ import annotations

from typing import Any

from custom_networks.errors import UserError


def flag(value: Any) -> Any:
    """Read "true", "false" and "null" as a command line passes them; anything else unchanged."""
    if isinstance(value, str) and value.lower() in ("true", "false", "null", "none"):
        return {"true": True, "false": False}.get(value.lower())
    return value


def switch(name: str, value: Any) -> bool:
    """Read a flag of a command that is on or off, off where it is not given.

    Raises:
        UserError: for anything else.
    """
    read = flag(value)
    if read is None or isinstance(read, bool):
        return bool(read)
    raise UserError(f"--{name} {value}: must be true or false")
