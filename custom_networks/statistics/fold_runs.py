"""`sgdnet folds`: several evaluated runs as one cross-validation, mean and standard deviation over the folds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from custom_networks.errors import UserError
from custom_networks.files import write_atomically, write_json
from custom_networks.metrics.instances import INSTANCE_COLUMNS, InstanceCounts
from custom_networks.metrics.policies import FLAGS, METRICS
from custom_networks.statistics.bootstrap import check_seed
from custom_networks.statistics.per_image import (
    PER_IMAGE,
    as_rows,
    check_measured_alike,
    json_value,
    metric_columns,
    read_per_image,
    run_folders,
    short_names,
    text_table,
)
from custom_networks.statistics.summary import summarise, summarise_folds
from custom_networks.typed_files import FileModel, read_model

FILES = ("folds.csv", "folds.json")
FOLD = "fold"


def fold_runs(runs: Sequence[str | Path], output_dir: str | Path, seed: int = 0) -> str:
    """Summarise the evaluations of several trainings: of the folds of one data set, or all on one test set.

    Args:
        runs: folders with `per_image.csv`, or such files.
        output_dir: folder for folds.csv and folds.json and, where each run has images of its own, per_image.csv with
            all of them; it must not hold any of these yet.
        seed: of the bootstrap of the pooled images.

    Returns:
        The table as text.

    Raises:
        UserError: for fewer than two runs, tables that cannot be read, were measured differently or share some of their
            images only, or a folder that holds results already.
    """
    folder, paths = Path(output_dir), run_folders(runs, "folds")
    there = next((name for name in (*FILES, PER_IMAGE) if (folder / name).exists()), None)
    if there:
        raise UserError(f"{folder / there}: already there; choose another --output_dir")
    check_seed(seed)
    frames = [read_per_image(path) for path in paths]
    check_measured_alike(frames, [str(path) for path in paths])
    names = fold_names(paths)
    own_images = _have_own_images(frames, paths)
    pooled = pd.concat([frame.assign(**{FOLD: name}) for frame, name in zip(frames, names, strict=True)])
    missing = [name for name in metric_columns(pooled) if any(name not in frame.columns for frame in frames)]
    table = summarise_folds(pooled.drop(columns=missing))
    about: dict[str, Any] = {
        "runs": {name: str(path) for name, path in zip(names, paths, strict=True)},
        "images": {name: len(frame) for name, frame in zip(names, frames, strict=True)},
        "counts": {
            name: {flag: int(frame[flag].sum()) for flag in FLAGS if flag in frame.columns}
            for name, frame in zip(names, frames, strict=True)
        },
        "same_images": not own_images,
        "metrics": as_rows(table),
    }
    written = [*FILES]
    if own_images:
        about["pooled"] = as_rows(summarise(pooled, seed=seed))
        about["instances"] = pooled_instances(pooled)
        written.append(PER_IMAGE)
        write_atomically(folder / PER_IMAGE, lambda file: file.write(pooled.to_csv(index_label="id").encode()))
    write_atomically(folder / FILES[0], lambda file: file.write(table.to_csv(index_label="metric").encode()))
    write_json(folder / FILES[1], about)
    return f"{_text(table, about)}\n\nIn {folder}: {', '.join(written)}"


def pooled_instances(frame: pd.DataFrame) -> dict[str, Any]:
    """PQ, SQ, DQ and AJI of the instances of all images together, as the CoNIC challenge pools them.

    Args:
        frame: per-image table with the counts of each image.

    Returns:
        The figures; empty for a table without the counts.
    """
    if any(column not in frame.columns for column in INSTANCE_COLUMNS.values()):
        return {}
    sums = {name: frame[column].sum() for name, column in INSTANCE_COLUMNS.items()}
    counts = InstanceCounts(**sums)
    return {name: json_value(float(getattr(counts, name))) for name in ("pq", "sq", "dq", "aji")}


def fold_names(paths: Sequence[Path]) -> list[str]:
    """Name of each run's fold: the one its weights were trained with, else the run's own short name."""
    folds = [_trained_fold(path if path.is_dir() else path.parent) for path in paths]
    if None not in folds and len(set(folds)) == len(folds):
        return [str(fold) for fold in folds]
    return short_names(paths)


class _Settings(FileModel):
    fold: int | None = None


class _Training(FileModel):
    settings: _Settings = _Settings()


class _Checkpoint(FileModel):
    training: _Training = _Training()


class _Summary(FileModel):
    """What of an evaluation's summary.json says which fold its weights were trained with."""

    checkpoint: _Checkpoint = _Checkpoint()


def _trained_fold(folder: Path) -> int | None:
    """Fold of the weights of an evaluation; None where nothing says it."""
    path = folder / "summary.json"
    if not path.exists():
        return None
    return read_model(path, _Summary, fix="evaluate the run again").checkpoint.training.settings.fold


def _have_own_images(frames: Sequence[pd.DataFrame], paths: Sequence[Path]) -> bool:
    """Whether no image is in two runs; raises UserError where some are and some are not."""
    first = set(frames[0].index)
    if all(set(frame.index) == first for frame in frames[1:]):
        return False
    seen: dict[str, Path] = {}
    for frame, path in zip(frames, paths, strict=True):
        twice = next((name for name in frame.index if name in seen), None)
        if twice is not None:
            raise UserError(
                f"{path}: {twice} is in {seen[twice]} too, but not all images are; give the folds of one split, each "
                "image in one of them, or runs on one test set"
            )
        seen |= dict.fromkeys(frame.index, path)
    return True


def _text(table: pd.DataFrame, about: dict[str, Any]) -> str:
    """Lay the table out for a terminal."""
    names = list(about["runs"])
    rows = [["", "mean", "sd", *(f"fold {name}" for name in names)]]
    for metric, row in table.iterrows():
        each = (row[f"fold {name}"] for name in names)
        rows.append([METRICS[str(metric)].label, f"{row['mean']:.4g}", f"{row['sd']:.2g}", *(f"{v:.4g}" for v in each)])
    rows += [["images", "", "", *(str(count) for count in about["images"].values())]]
    for flag in FLAGS:
        counts = [str(each.get(flag, "")) for each in about["counts"].values()]
        rows.append([flag.replace("_", " "), "", "", *counts])
    pooled = ""
    if about.get("instances"):
        figures = ", ".join(
            f"{name.upper()} {value:.4g}" for name, value in about["instances"].items() if value is not None
        )
        pooled = f"\nInstances of all folds together: {figures}."
    note = "the same images in every run" if about["same_images"] else "each image in one run"
    return f"{text_table(rows)}\n\n{len(names)} runs, {note}; sd: over the runs' means (n - 1).{pooled}"
