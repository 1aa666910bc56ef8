"""The folder in which this package keeps, for a user, what can always be made again."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path:
    """Return `$SGDNET_CACHE` where that is set, else `sgdnet` in `$XDG_CACHE_HOME` or `~/.cache`, as PyTorch does."""
    chosen = os.environ.get("SGDNET_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "sgdnet"
