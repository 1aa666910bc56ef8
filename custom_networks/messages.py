"""A user's mistake is told in one sentence: what prints it, and what else stays silent."""

from __future__ import annotations

import logging
import re
import sys
import warnings
from types import TracebackType

from custom_networks.errors import UserError

_INSTANTIATING = re.compile(r"Failed to instantiate component '([^']+)'")
"""How MONAI begins the error of a component of a configuration."""


def find_user_error(error: BaseException | None) -> UserError | None:
    """Find the UserError behind what MONAI wrapped around it, or make one of an argument that a component refused.

    Returns:
        The error; None where the user made no mistake.
    """
    refused, seen = None, set[int]()
    while error is not None and id(error) not in seen:
        if isinstance(error, UserError):
            return error
        seen.add(id(error))
        component = _INSTANTIATING.match(str(error)) if isinstance(error, RuntimeError) else None
        if component and isinstance(error.__cause__, ValueError):
            refused = UserError(f"{component[1].rpartition('.')[2]}: {error.__cause__}; correct the configuration")
        error = error.__cause__ or error.__context__
    return refused


def _print_sentence(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    found = find_user_error(error)
    if found is None:
        sys.__excepthook__(kind, error, traceback)
    else:
        print(f"Error: {found}", file=sys.stderr)


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
