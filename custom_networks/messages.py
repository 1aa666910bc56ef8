"""A user's mistake is told in one sentence: what prints it, and what else stays silent."""

from __future__ import annotations

import errno
import logging
import os
import re
import sys
import warnings
from types import TracebackType

from custom_networks.errors import UserError

TRACEBACK = "SGDNET_TRACEBACK"
"""Environment variable that, set, shows the traceback of a user's mistake, too."""
_INSTANTIATING = re.compile(r"Failed to instantiate component '([^']+)'")
"""How MONAI begins the error of a component of a configuration."""
_UNKNOWN_TARGET = re.compile(r"Cannot locate class or function path: '([^']+)'")
"""How MONAI says that a component's class does not exist."""
_FIXES = {
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EACCES: "check its permissions, or choose another place",
    errno.EPERM: "check its permissions, or choose another place",
    errno.EROFS: "choose another place",
    errno.ENOSPC: "free some space, or choose another place",
    errno.EDQUOT: "free some space, or choose another place",
    errno.ELOOP: "correct the symlink",
    errno.ENOTDIR: "a file lies where a folder should be; choose another place",
    errno.EISDIR: "give a file",
}
"""What helps against the faults of a disk that a path or its permissions can cause."""


def find_user_error(error: BaseException | None) -> UserError | None:
    """Find the UserError behind what MONAI wrapped around it, or make one of what a component or the disk refused.

    Args:
        error: that ended a command.

    Returns:
        The error; None where the user made no mistake.
    """
    told = _of_disk(error)
    refused, seen = None, set[int]()
    while error is not None and id(error) not in seen:
        if isinstance(error, UserError):
            return error
        seen.add(id(error))
        component = _INSTANTIATING.match(str(error)) if isinstance(error, RuntimeError) else None
        if component and isinstance(error.__cause__, ValueError):
            refused = UserError(f"{component[1].rpartition('.')[2]}: {error.__cause__}; correct the configuration")
        unknown = _UNKNOWN_TARGET.match(str(error)) if isinstance(error, ModuleNotFoundError) else None
        if unknown:
            refused = UserError(f"_target_ {unknown[1]}: no such class or function; correct the configuration")
        error = error.__cause__ or error.__context__
    return refused or told


def _of_disk(error: BaseException | None) -> UserError | None:
    """Tell what the disk said of a path, where that is the cause; an error that was dealt with before is none."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FIXES and error.filename is not None:
            return UserError(f"{error.filename}: {str(error.strerror).lower()}; {_FIXES[error.errno]}")
        error = error.__cause__
    return None


def error_line(error: UserError) -> str:
    """The line that tells of a mistake; line breaks and the like, which names of files may hold, are escaped."""
    escaped = (sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in str(error))
    return f"Error: {''.join(escaped)}"


def _print_sentence(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    found = find_user_error(error)
    if found is None or os.environ.get(TRACEBACK):
        sys.__excepthook__(kind, error, traceback)
    else:
        print_error(found)


def print_error(error: UserError) -> None:
    """Say a user's mistake on standard error, on a line of its own: progress bars that still stand there are closed."""
    bars = getattr(sys.modules.get("tqdm"), "tqdm", None)
    for bar in list(getattr(bars, "_instances", ())):
        bar.close()
    print(error_line(error), file=sys.stderr)


def readable_errors() -> None:
    """Print a user's mistake as one sentence instead of a traceback; still the process ends with code 1."""
    sys.excepthook = _print_sentence
    for name in ("monai", "py.warnings", "highdicom", "pydicom"):
        logging.getLogger(name).setLevel(logging.WARNING)
    hush_absent_decoder()
    logging.getLogger("ignite").setLevel(logging.CRITICAL)  # the exception itself says what ignite would
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=DeprecationWarning)


def hush_absent_decoder() -> None:
    """Silence MONAI, which tells of an absent GPU decoder for DICOM at every LoadImaged where pydicom is installed."""
    logging.getLogger("monai.data.nvimgcodec_pydicom_plugin").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="NvImgCodecPydicomReader")
