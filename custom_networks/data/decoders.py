"""What decodes pictures, by version: part of the name of everything that is remembered of a decoded picture."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from custom_networks.software import installed

DECODERS = ("sgdnet", "monai", "torch", "numpy", "pillow", "pydicom", "highdicom", "nibabel")


@functools.cache
def decoders() -> str:
    """Versions of the packages that decode pictures, and a hash of this package's code of `data`, for the cache's key.

    The version alone would not tell a changed checkout.
    """
    code = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        code.update(path.read_bytes())
    return f"{installed(DECODERS)} {code.hexdigest()}"
