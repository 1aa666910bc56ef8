"""Regular files only: a named pipe or a device in place of a file would be read for ever."""

from __future__ import annotations

import os
import stat

from monai.config import PathLike

from custom_networks.errors import UserError

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_regular(path: PathLike) -> os.stat_result:
    """Look at a file before it is opened.

    Args:
        path: the file, or a symlink to it.

    Returns:
        What the file system says of it.

    Raises:
        UserError: when there is no such file, it cannot be looked at, or it is no regular file.
    """
    try:
        status = os.stat(path)  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path}: no such file; put it there or take the pair out of the data set") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check its name and its permissions") from None
    except ValueError as error:  # a null byte
        raise UserError(f"{str(path)!r}: cannot be the name of a file ({error}); correct it") from None
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "no regular file")
        raise UserError(f"{path}: this is {kind}; give an image file")
    return status
