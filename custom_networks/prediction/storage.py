"""Which faults concern the output folder as a whole, so that no further image could be written."""

from __future__ import annotations

import errno

from custom_networks.errors import UserError

_NUMBERS = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EROFS", "EIO", "ENODEV", "ENXIO", "ESTALE", "ENOTCONN", "EHOSTDOWN", "ETIMEDOUT")
    if hasattr(errno, name)
}


class StorageError(UserError):
    """The storage of the results is full, read-only or gone; it ends the run."""


def of_storage(error: BaseException | None) -> bool:
    """Tell whether an error, or what caused it, is such a fault of the disk."""
    while error is not None:
        if isinstance(error, StorageError) or (isinstance(error, OSError) and error.errno in _NUMBERS):
            return True
        error = error.__cause__
    return False
