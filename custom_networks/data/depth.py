"""How many bits a data set's grey images hold, where their files store 16: decided once, the same ever after.

Cameras and scanners give 10, 12 or 14 bits, and files hold them in 16. Scaled by what the file could hold, 12 bits
would come down to 17 grey levels; scaled image by image, the same brightness would differ from one to the next. So the
depth belongs to the set: `sgdnet prepare` writes it into the datalist, training decides it where there is none and
records it beside the normalisation, and evaluation and prediction take it from there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from custom_networks.data.datalist import Datalist
from custom_networks.data.images import DEPTHS
from custom_networks.errors import UserError
from custom_networks.files import PathLike


class Items(list[dict[str, Any]]):
    """Items that are trained on or evaluated, and the bit depth of their images.

    Args:
        items: as from `load_datalist`.
        bit_depth: None where no image stores its grey in 16 bits.
    """

    def __init__(self, items: Iterable[dict[str, Any]], bit_depth: int | None = None) -> None:
        super().__init__(items)
        self.bit_depth = bit_depth


def checked_depth(value: Any, where: str = "--bit_depth") -> int | None:
    """Return a declared depth, None where none is declared.

    Args:
        value: that was given.
        where: it was given, for the message.

    Raises:
        UserError: for other than a whole number from 8 to 16.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not DEPTHS[0] <= value <= DEPTHS[-1]:
        raise UserError(f"{where} {value}: must be a whole number of bits from {DEPTHS[0]} to {DEPTHS[-1]}, such as 12")
    return value


def declared_depth(datalist: PathLike | None, knob: Any = None) -> int | None:
    """Return the depth that the knob or else the datalist declares, None without either; UserError as above."""
    if knob is not None or datalist is None:
        return checked_depth(knob)
    return Datalist.read(datalist).bit_depth


def decided_depth(declared: int | None, needed: Iterable[int]) -> int | None:
    """Decide the depth of a set.

    Args:
        declared: by the user or the datalist; it holds.
        needed: bits, by each image whose grey is stored in 16.

    Returns:
        The smallest of `DEPTHS` that holds every image; None where no image needs one and none is declared.
    """
    return declared or max(needed, default=None)
