"""Groups of images (patients, near-duplicates) as the keys that are resampled together."""

from __future__ import annotations

from typing import Any

import pandas as pd


def group_key(group: Any) -> str | None:
    """Turn the value of a datalist's or a table's `group` into a key; None where there is none.

    A number is the same group whether JSON holds it, a CSV file its text, or pandas made a fraction of it beside gaps:
    3, "3" and 3.0 are one.
    """
    if group is None or (isinstance(group, float) and pd.isna(group)):
        return None
    if isinstance(group, float) and group.is_integer():
        group = int(group)
    return str(group).strip() or None


def group_column(frame: pd.DataFrame) -> list[str] | None:
    """Group of each row: the key of its column `group`, the image's own name where it is empty; None without it."""
    if "group" not in frame.columns:
        return None
    keys = [group_key(group) for group in frame["group"].tolist()]
    return [f"image {name}" if key is None else key for name, key in zip(frame.index, keys, strict=True)]
