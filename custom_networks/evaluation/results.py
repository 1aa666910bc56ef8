"""The files of an evaluation: per_image, summary, subgroups and classes as CSV, summary.json; and what is printed."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from custom_networks.configuration.merged import Configuration
from custom_networks.evaluation.agreement import area_figures, detection_figures, plot_areas, reader_figures
from custom_networks.evaluation.begun import SUMMARY_JSON
from custom_networks.evaluation.classes import CLASS_METRICS, summarise_classes
from custom_networks.evaluation.columns import limits_text
from custom_networks.evaluation.measuring import READER_METRICS, Measurement
from custom_networks.evaluation.trained import keep_training
from custom_networks.files import sha256, write_atomically
from custom_networks.metrics.policies import FLAGS, METRICS
from custom_networks.processes import rank
from custom_networks.software import commit, installed
from custom_networks.statistics.bootstrap import group_column
from custom_networks.statistics.per_image import PER_IMAGE, as_rows, json_value, metric_columns, text_table
from custom_networks.statistics.subgroups import subgroup_differences, summarise_subgroups, weakness_sentences
from custom_networks.statistics.summary import summarise
from custom_networks.weights.reading import record_of

SUMMARY_CSV, SUBGROUPS_CSV, CLASSES_CSV = "summary.csv", "subgroups.csv", "classes.csv"
AREA_PNG = "area.png"
SUBGROUP_METRICS = ("dice", "iou", "hd95", "boundary_iou", "pq")
PACKAGES = ("sgdnet", "torch", "monai", "numpy", "scipy", "scikit-image", "pandas", "pillow")


def conclude(
    evaluation: Measurement,
    checkpoint: str | Path | None,
    settings: dict[str, Any],
    configuration: Configuration | None = None,
    device: Any = None,
    seed: int = 0,
    extra: dict[str, Any] | None = None,
) -> None:
    """Write the tables of an evaluation that has run, and print what they say.

    Args:
        evaluation: that has measured every image.
        checkpoint: that was evaluated; None where another program made the masks.
        settings: every knob of the evaluation.
        configuration: that it was started with; None where another program than a command line drives it.
        device: that it ran on.
        seed: of the bootstrap.
        extra: further keys of summary.json.
    """
    if rank() > 0:
        return
    try:
        _write_tables(evaluation, checkpoint, settings, configuration, device, seed, extra)
    finally:
        evaluation.place.release()


def _write_tables(
    evaluation: Measurement,
    checkpoint: str | Path | None,
    settings: dict[str, Any],
    configuration: Configuration | None,
    device: Any,
    seed: int,
    extra: dict[str, Any] | None,
) -> None:
    frame = evaluation.frame()
    table = summarise(frame, seed=seed)
    parts = subgroup_tables(frame, evaluation.subgroups, seed)
    folder = evaluation.folder
    about = {
        **description(evaluation, frame),
        "checkpoint": checkpoint_facts(checkpoint) if checkpoint is not None else {},
        "settings": evaluation.used(settings),
        "config": configuration.merged if configuration else {},
        "made": provenance(device),
        "metrics": as_rows(table),
        "subgroups": {
            name: {"meaning": limits_text(name), "rows": _keyed_rows(part, "subgroup")} for name, part in parts.items()
        },
        "subgroup_differences": [
            {name: json_value(value) for name, value in row.items()}
            for row in subgroup_differences(frame, evaluation.subgroups, evaluation.rank_by, seed=seed)
        ],
        "calibration": {  # of all pixels together; the columns ece and border_ece are of each image
            "ece": json_value(evaluation.calibration.error),
            "border_ece": json_value(evaluation.border_calibration.error),
            "curve": evaluation.calibration.curve(),
        },
        "detection": detection_figures(frame, evaluation.detection_iou, seed),
        "area": area_figures(frame, evaluation.unit, seed),
        "reader": reader_figures(frame, evaluation.reader, seed) if evaluation.reader else {},
        "cases": [asdict(case) for case in evaluation.drawn],
        **(extra or {}),
    }
    if evaluation.counts_instances:
        about["instances"] = {
            "watershed": evaluation.watershed(),
            "tuned_here": evaluation.tune,
            "pooled": {name: json_value(value) for name, value in evaluation.pooled.pooled.summary().items()},
        }
    for stale in (SUBGROUPS_CSV, CLASSES_CSV):  # of an evaluation that is replaced
        (folder / stale).unlink(missing_ok=True)
    if parts:
        _write_csv(
            folder / SUBGROUPS_CSV,
            pd.concat(parts, names=["column", "subgroup", "metric"]).reset_index([1, 2]),
            "column",
        )
    if evaluation.set.classes:
        of_classes = summarise_classes(frame, evaluation.set.classes, seed)
        about["per_class"] = _keyed_rows(of_classes, "class")
        _write_csv(folder / CLASSES_CSV, of_classes.reset_index("metric"), "class")
    if checkpoint is not None:
        keep_training(checkpoint, folder)
    _write_csv(folder / SUMMARY_CSV, table, "metric")
    picture = plot_areas(frame, evaluation.unit)
    write_atomically(folder / AREA_PNG, lambda file: picture.savefig(file, format="png", dpi=120))
    evaluation.place.end(about)
    print(summary_text(about, folder), flush=True)


def subgroup_tables(
    frame: pd.DataFrame, columns: Mapping[str, tuple[float, ...]], seed: int = 0
) -> dict[str, pd.DataFrame]:
    """Summarise by each of some columns, with the metrics of `SUBGROUP_METRICS` that there are."""
    metrics = [name for name in SUBGROUP_METRICS if name in frame.columns]
    return {
        name: summarise_subgroups(frame, name, metrics, seed=seed, edges=edges)
        for name, edges in columns.items()
        if name in frame.columns
    }


def description(evaluation: Measurement, frame: pd.DataFrame) -> dict[str, Any]:
    """Say what was measured and how."""
    seconds = {name: round(value, 3) for name, value in evaluation.seconds.items()}
    return {
        "images": len(frame),
        "groups": len(set(groups)) if (groups := group_column(frame)) else None,
        "counts": {name: int(frame[name].sum()) for name in FLAGS},
        "undefined": {
            name: int(frame[name].isna().sum()) for name in metric_columns(frame) if frame[name].isna().any()
        },
        "split": evaluation.set.split,
        "label_kind": evaluation.set.label_kind,
        "classes": evaluation.set.classes,
        "data": evaluation.set.about,
        "notes": evaluation.set.notes,
        "resolution": evaluation.resolution,
        "unit": evaluation.unit,
        "threshold": evaluation.threshold,
        "tolerance_pixels": evaluation.tolerance,
        "rank_by": evaluation.rank_by,
        "seconds": seconds,
    }


def checkpoint_facts(checkpoint: str | Path) -> dict[str, Any]:
    """Path, SHA-256 and training of the weights."""
    path = Path(checkpoint)
    return {
        "path": str(path),
        "sha256": sha256(path),
        "training": record_of(path).summary(),
    }


def provenance(device: Any = None) -> dict[str, Any]:
    """Versions, commit, command and time: what it takes to run the same again."""
    versions = {"python": platform.python_version(), **dict.fromkeys(PACKAGES, "not installed"), **installed(PACKAGES)}
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit() or "unknown",
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "device": str(device),
        "versions": versions,
    }


def resolution_text(about: dict[str, Any]) -> str:
    """Say at which size and in which unit was measured."""
    where = "at each image's own resolution" if about["resolution"] == "original" else "at the network's resolution"
    unit = "millimetres" if about["unit"] == "mm" else "pixels"
    return f"measured {where}, distances in {unit}"


def summary_text(about: dict[str, Any], folder: Path) -> str:
    """Lay the figures out for a terminal."""
    counts, metrics = about["counts"], about["metrics"]
    of_groups = f" of {about['groups']} groups" if about["groups"] is not None else ""
    empty = counts["false_alarm"] + counts["both_empty"]
    shown = {"with object": "mean_with_object"} if empty else {}
    shown |= {"of groups": "mean_of_groups"} if about["groups"] is not None else {}
    lines = [
        f"{about['images']} images{of_groups} ({about['split']}), {resolution_text(about)}",
        f"missed {counts['missed']}   false alarms {counts['false_alarm']}   both empty {counts['both_empty']}",
        "",
    ]
    rows = [["", "mean", "95 % interval", "n", *shown, "median", "quartiles", "undefined"]]
    for name, row in metrics.items():
        rows.append(
            [
                _label(name, about["unit"]),
                *(_figure(row["mean"]), _interval(row), str(row["groups"])),
                *(_figure(row[name]) for name in shown.values()),
                *(_figure(row["median"]), f"{_figure(row['q1'])} to {_figure(row['q3'])}", str(row["undefined"])),
            ]
        )
    lines.append(text_table(rows))
    if about.get("per_class"):
        lines += _class_lines(about["per_class"], about["unit"])
    if "instances" in about:
        pooled = about["instances"]["pooled"]
        lines += ["", "pooled: " + "   ".join(f"{name} {_figure(value)}" for name, value in pooled.items())]
    lines += ["", *agreement_lines(about), *weakness_sentences(about["subgroup_differences"])]
    lines += [f"Note: {note}" for note in about["notes"]]
    written = (PER_IMAGE, SUMMARY_CSV, SUBGROUPS_CSV, CLASSES_CSV, SUMMARY_JSON, AREA_PNG)
    names = ", ".join(name for name in written if (folder / name).is_file())
    lines += ["", f"In {folder}: {names}; `sgdnet report {folder}` makes a page of it."]
    return "\n".join(lines)


def agreement_lines(about: dict[str, Any]) -> list[str]:
    """Say in a line each how means are formed, how many lesions are detected, how areas and probabilities agree."""
    found, area, calibration = about["detection"], about["area"], about["calibration"]
    sensitivity, false = found["sensitivity"], found["false_per_image"]
    low, high = area["limits_of_agreement"]
    lines = [
        "n: groups (or images) that are resampled. with object: mean over the images whose truth is not empty. of "
        "groups: mean of the groups' means.",
        f"Lesions at an IoU of {found['iou']:g}: {found['detected']} of {found['lesions']} detected, sensitivity "
        f"{_figure(sensitivity['value'])} ({_interval(sensitivity)}); {_figure(false['value'])} false ones an image "
        f"({_interval(false)}).",
        f"Area, predicted - true: {_figure(area['mean_difference'])} {area['unit']} ({_interval(area)}), limits of "
        f"agreement {_figure(low)} to {_figure(high)}; mean relative error {_figure(area['relative_error'])}.",
    ]
    if about["reader"]:
        dice, distance = (about["reader"][name] for name in READER_METRICS)
        lines.append(
            f"The other reader against the same labels: Dice {_figure(dice['mean'])} ({_interval(dice)}), HD95 "
            f"{_figure(distance['mean'])} {about['unit']} ({_interval(distance)}): what two readers agree on."
        )
    if calibration["ece"] is not None:
        lines.append(
            f"ECE of all pixels together {_figure(calibration['ece'])}, of those near the border "
            f"{_figure(calibration['border_ece'])}; Image ECE above is the mean of each image's own."
        )
    return lines


def _class_lines(rows: list[dict[str, Any]], unit: str) -> list[str]:
    """Mean of each metric of each class, as a table."""
    names = list(dict.fromkeys(row["class"] for row in rows))
    labels = [
        f"{METRICS[name].label} ({unit})" if METRICS[name].is_distance else METRICS[name].label
        for name in CLASS_METRICS
    ]
    cells = [["class", *labels, "images with it", "missed", "false alarms"]]
    for name in names:
        own = {row["metric"]: row for row in rows if row["class"] == name}
        first = own[CLASS_METRICS[0]]
        counts = (str(first[key]) for key in ("images_with", "missed", "false_alarm"))
        cells.append([name, *(_figure(own[metric]["mean"]) for metric in CLASS_METRICS), *counts])
    return ["", text_table(cells)]


def _keyed_rows(table: pd.DataFrame, key: str) -> list[dict[str, Any]]:
    """Rows of a table indexed by a key and the metric, as JSON knows them."""
    rows = as_rows(table.reset_index(drop=True)).values()
    return [
        {key: str(name), "metric": str(metric), **row} for (name, metric), row in zip(table.index, rows, strict=True)
    ]


def _label(name: str, unit: str) -> str:
    return f"{METRICS[name].label} ({unit})" if METRICS[name].is_distance else METRICS[name].label


def _interval(row: Mapping[str, Any]) -> str:
    if row["ci_low"] is None:
        return "too few groups"
    return f"{_figure(row['ci_low'])} to {_figure(row['ci_high'])}"


def _figure(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"


def _write_csv(path: Path, frame: pd.DataFrame, index: str) -> None:
    text = frame.to_csv(index_label=index)
    write_atomically(path, lambda file: file.write(text.encode()))
