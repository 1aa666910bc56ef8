"""The files of a data set: regular ones alone, since a named pipe or a device would be read for ever."""

from __future__ import annotations

import os

from custom_networks.errors import UserError
from custom_networks.files import PathLike, printable, status_of_regular


def check_regular(path: PathLike) -> os.stat_result:
    """Look at a file of a data set before it is opened.

    Args:
        path: the file, or a symlink to it.

    Returns:
        What the file system says of it.

    Raises:
        UserError: when there is no such file, it cannot be looked at, or it is no regular file.
    """
    try:
        return status_of_regular(os.fspath(path))
    except FileNotFoundError:
        raise UserError(
            f"{printable(os.fspath(path))}: no such file; put it there or take the pair out of the data set"
        ) from None
