"""Switches as a command line passes them."""

from __future__ import annotations

from typing import Any


def flag(value: Any) -> Any:
    """Read "true", "false" and "null" as a command line passes them; anything else unchanged."""
    if isinstance(value, str) and value.lower() in ("true", "false", "null", "none"):
        return {"true": True, "false": False}.get(value.lower())
    return value
