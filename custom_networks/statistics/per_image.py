"""The per-image table of a run: `per_image.csv`, a row for each image; and how tables are named, checked and shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from custom_networks.errors import UserError
from custom_networks.metrics.policies import METRICS

PER_IMAGE = "per_image.csv"
MEASURED = ("resolution", "unit", "tolerance")
"""Columns that say how a row was measured; only rows that agree in them can be compared."""


def read_per_image(run: str | Path) -> pd.DataFrame:
    """Read the table of a run.

    Args:
        run: the run's folder, or the file itself.

    Returns:
        A frame indexed by `id` (text), metrics as numbers, NaN where the cell is empty or says nan; other columns as
        they are, `group` as text.

    Raises:
        UserError: when there is no such file, it is no CSV, lacks the column id or any metric, has an id twice, or
            text where a metric's number should be.
    """
    path = Path(run)
    if path.is_dir():
        path = path / PER_IMAGE
    if not path.is_file():
        raise UserError(f"{path}: no such file; run `sgdnet evaluate` with this folder as its --output_dir first")
    try:
        text = {"id": str, "group": str}  # an image may be called 007 or NA
        frame = pd.read_csv(path, dtype=text, encoding="utf-8", keep_default_na=False, na_values=["", "nan"])
    except (ValueError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: not a table with commas between values ({reason}); evaluate the run again") from error
    if "id" not in frame.columns or frame["id"].isna().any():
        raise UserError(f"{path}: each row needs the image's name in a column `id`; evaluate the run again")
    twice = frame["id"][frame["id"].duplicated()].tolist()
    if twice:
        raise UserError(f"{path}: {twice[0]} has more than one row; keep one")
    metrics = metric_columns(frame)
    if not metrics:
        raise UserError(f"{path}: no column is named as a metric ({', '.join(METRICS)}); evaluate the run again")
    for name in metrics:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            raise UserError(f"{path}: the column {name} holds something else than numbers; evaluate the run again")
    return frame.set_index("id")


def metric_columns(frame: pd.DataFrame) -> list[str]:
    """Names of the metrics that a per-image table holds, in the order of the metrics' table."""
    return [name for name in METRICS if name in frame.columns]


def group_column(frame: pd.DataFrame) -> list[str] | None:
    """Group of each row: the column `group`, the image's own name where it is empty; None without the column."""
    if "group" not in frame.columns:
        return None
    return [group if isinstance(group, str) else f"image {name}" for name, group in frame["group"].items()]


def check_measured_alike(frames: Sequence[pd.DataFrame], names: Sequence[str]) -> None:
    """Refuse tables that were measured in different ways; a table of another program, without the columns, passes.

    Args:
        frames: as `read_per_image` returns.
        names: of their runs, for the message.

    Raises:
        UserError: naming two runs and what differs.
    """
    for column in MEASURED:
        found = {
            name: str(frame[column].iloc[0])
            for name, frame in zip(names, frames, strict=True)
            if column in frame.columns and len(frame)
        }
        first = next(iter(found), "")
        other = next((name for name, value in found.items() if value != found[first]), None)
        if other:
            raise UserError(
                f"{first} and {other}: measured differently, {column} {found[first]} and {found[other]}; evaluate both "
                "with the same settings"
            )


def short_names(runs: Sequence[Path]) -> list[str]:
    """Short names of runs: of their folders, or the whole paths where two are the same."""
    short = [(path if path.is_dir() else path.parent).resolve().name for path in runs]
    return short if len(set(short)) == len(short) else [str(path) for path in runs]


def plain(value: Any) -> Any:
    """A value as JSON knows it: of NumPy's numbers Python's, of what is not finite null."""
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_rows(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Rows of a table by name, as JSON knows them."""
    return {
        str(name): {str(key): plain(value) for key, value in row.items()}
        for name, row in table.to_dict("index").items()
    }


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Lay rows of cells out in columns, two spaces between them."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
