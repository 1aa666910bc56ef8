"""The per-image table of a run: `per_image.csv`, a row for each image; and how tables are named, checked and shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from custom_networks.errors import UserError
from custom_networks.metrics.policies import FLAGS, METRICS
from custom_networks.typed_files import read_table

PER_IMAGE = "per_image.csv"
TEXT = ("id", "group")  # columns that stay text, as an image may be called 007 or NA
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
        UserError: when there is no such file, it is no CSV, lacks the column id or any metric, has an id or a column
            twice, or something else than finite numbers in the column of a metric or a flag.
    """
    path = Path(run)
    if path.is_dir():
        path = path / PER_IMAGE
    again = "evaluate the run again"
    if not path.is_file():
        raise UserError(f"{path}: no such file; run `sgdnet evaluate` with this folder as its --output_dir first")
    frame = pd.DataFrame(read_table(path, ["id"], fix=again))
    if frame.empty or (frame["id"] == "").any():
        raise UserError(f"{path}: each row needs the image's name in the column `id`; {again}")
    for name in frame.columns.difference(TEXT):
        known = frame[name].where(~frame[name].isin(["", "nan"]))
        numbers = pd.to_numeric(known, errors="coerce")
        frame[name] = known if (numbers.isna() & known.notna()).any() else numbers.astype(float)
    if "group" in frame.columns:
        frame["group"] = frame["group"].where(frame["group"] != "")
    twice = frame["id"][frame["id"].duplicated()].tolist()
    if twice:
        raise UserError(f"{path}: {twice[0]} has more than one row; keep one")
    metrics = metric_columns(frame)
    if not metrics:
        raise UserError(f"{path}: no column is named as a metric ({', '.join(METRICS)}); evaluate the run again")
    for name in (*metrics, *(flag for flag in FLAGS if flag in frame.columns)):
        wrong = frame.index[pd.to_numeric(frame[name].fillna(0), errors="coerce").abs().lt(np.inf).eq(False)]
        if len(wrong):
            row, value = frame["id"][wrong[0]], frame[name][wrong[0]]
            raise UserError(f"{path}: {row}, column {name}: {value} is no finite number; {again}")
    return frame.set_index("id")


def metric_columns(frame: pd.DataFrame) -> list[str]:
    """Names of the metrics that a per-image table holds, in the order of the metrics' table."""
    return [name for name in METRICS if name in frame.columns]


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
            if column in frame.columns
        }
        first = next(iter(found), "")
        other = next((name for name, value in found.items() if value != found[first]), None)
        if other:
            raise UserError(
                f"{first} and {other}: measured differently, {column} {found[first]} and {found[other]}; evaluate both "
                "with the same settings"
            )


def run_folders(runs: Sequence[str | Path], verb: str) -> list[Path]:
    """Check the runs that a verb is given.

    Args:
        runs: folders, or files.
        verb: of `sgdnet`, for the message.

    Returns:
        Their paths.

    Raises:
        UserError: for fewer than two, or one that is named twice.
    """
    paths = [Path(run) for run in runs]
    if len(paths) < 2:
        raise UserError(f"sgdnet {verb}: needs at least two evaluated runs, got {len(paths)}; name their folders")
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise UserError(f"{path}: named twice; name each run once")
        seen.add(path.resolve())
    return paths


def short_names(runs: Sequence[Path]) -> list[str]:
    """Short names of runs: of their folders, or the whole paths where two are the same."""
    short = [(path if path.is_dir() else path.parent).resolve().name for path in runs]
    return short if len(set(short)) == len(short) else [str(path) for path in runs]


def json_value(value: Any) -> Any:
    """A value as JSON knows it: of NumPy's numbers Python's, of what is not finite null."""
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_rows(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Rows of a table by name, as JSON knows them."""
    return {
        str(name): {str(key): json_value(value) for key, value in row.items()}
        for name, row in table.to_dict("index").items()
    }


def as_records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table with the levels of its index as columns, as JSON knows them."""
    return list(as_rows(table.reset_index()).values())


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Lay rows of cells out in columns, two spaces between them."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
