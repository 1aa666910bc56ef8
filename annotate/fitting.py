"""Which labelled images can be learned from and exported: those that can be read and still have their label's size.

An image may be replaced or damaged after it was labelled. It is then left out, and told by its name.
"""

from __future__ import annotations

from collections.abc import Mapping

from PIL import Image

from annotate.labels import LabelStore
from annotate.studies import Studies
from custom_networks.errors import UserError


def fitting(labels: LabelStore, studies: Studies) -> tuple[list[str], dict[str, str]]:
    """Part the labelled images.

    Args:
        labels: of the folder.
        studies: the images.

    Returns:
        Names of those whose newest label fits, in the order in which they were first labelled; and why each of the
        others does not, by name.
    """
    fit: list[str] = []
    left_out: dict[str, str] = {}
    for name in labels.labelled(studies.names()):
        try:
            size = studies.size(name)
            with Image.open(labels.path(name)) as label:  # reads the header alone
                width, height = label.size
        except (UserError, OSError) as error:
            left_out[name] = str(error) if isinstance(error, UserError) else f"{name}: its label cannot be read"
            continue
        if (width, height) == (size.width, size.height):
            fit.append(name)
        else:
            left_out[name] = (
                f"{name}: {size.width} x {size.height} pixels, its label {width} x {height}; label it again"
            )
    return fit, left_out


def left_out_sentence(left_out: Mapping[str, str]) -> str:
    """Name images that are left out, three at most; empty without any."""
    if not left_out:
        return ""
    several = f" and {len(left_out) - 3} more" if len(left_out) > 3 else ""
    return f"left out, because image and label do not fit: {', '.join(list(left_out)[:3])}{several}"
