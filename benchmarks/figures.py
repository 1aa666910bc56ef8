"""Figures of the documentation, written from `docs/results/`: each number is stated once, in a JSON or CSV file.

The pages call these functions between `[[[cog` marks. `make figures` writes the pages again, and a test compares them
with the files.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import Row
from benchmarks.report import TABLES
from benchmarks.report import table as markdown_table
from custom_networks.metrics.policies import METRICS

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"


def load(name: str) -> Any:
    """Read a JSON file of `docs/results/` by its name without `.json`."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def rows_of(name: str, room: str, key: str = "rows") -> list[Row]:
    """Read the rows of a benchmark."""
    return load(name)[room][key]


def table(name: str, room: str, key: str, titles: Sequence[str] | None = None, /, **wanted: Any) -> str:
    """Write a benchmark's table as Markdown.

    Args:
        name: file of `docs/results/` without `.json`.
        room: of the benchmark.
        key: of the table in the room.
        titles: columns to show; all by default.
        wanted: values that a row must have.

    Raises:
        ValueError: for a title that the table does not have.
    """
    columns = next(columns for each, _, columns in TABLES[room] if each == key)
    known = [column.title for column in columns]
    unknown = set(titles or ()) - set(known)
    if unknown:
        raise ValueError(f"no column {', '.join(sorted(unknown))}; known are {', '.join(known)}")
    chosen = [column for column in columns if titles is None or column.title in titles]
    rows = [row for row in rows_of(name, room, key) if all(row.get(each) == value for each, value in wanted.items())]
    if titles is not None:  # a page shows what was measured; the JSON keeps what failed
        rows = [row for row in rows if "error" not in row]
    return "\n".join(markdown_table(chosen, rows))


def row_of(name: str, room: str, label: str, key: str = "rows") -> Row:
    """Find the row of a benchmark by its name."""
    return next(row for row in rows_of(name, room, key) if row["name"] == label)


def speed_ratio(name: str, room: str, slow: str, fast: str) -> str:
    """Say how many times as fast one row is as another, by the medians."""
    return f"{row_of(name, room, slow)['median_ms'] / row_of(name, room, fast)['median_ms']:.1f}"


def gmacs(label: str) -> str:
    """Say the multiply-accumulates of a network of the network benchmark, in G."""
    return f"{row_of('benchmark_network_cpu', 'network', label)['gmacs']:.2f} G"


def epochs(name: str) -> list[dict[str, float]]:
    """Read a training's rows from the CSV of that name."""
    with (RESULTS / f"{name}.csv").open(newline="") as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]


def best_epoch(name: str) -> dict[str, float]:
    """Return the row of the epoch with the highest validation Dice, whose weights a run keeps."""
    return max((row for row in epochs(name) if "val_mean_dice" in row), key=lambda row: row["val_mean_dice"])


def training_figures(name: str) -> str:
    """Write Dice, IoU and HD95 of a training's best epoch as cells of a table."""
    row = best_epoch(name)
    return f"{row['val_mean_dice']:.4f} | {row['val_mean_iou']:.4f} | {row['val_hd95']:.2f} px"


def evaluation(name: str, metric: str) -> dict[str, str]:
    """Return the row of one metric of an evaluation's summary."""
    with (RESULTS / f"{name}.csv").open(newline="") as file:
        return next(row for row in csv.DictReader(file) if row["metric"] == metric)


def mean(name: str, metric: str, digits: int = 3) -> str:
    """Say the mean of a metric of an evaluation."""
    return f"{float(evaluation(name, metric)['mean']):.{digits}f}"


def with_interval(name: str, metric: str, digits: int = 4) -> str:
    """Say the mean of a metric of an evaluation with its 95 % interval."""
    low, high = (float(evaluation(name, metric)[key]) for key in ("ci_low", "ci_high"))
    return f"{mean(name, metric, digits)} ({low:.{digits}f} to {high:.{digits}f})"


def seed_table(name: str, metric: str, tests: dict[str, str], digits: int) -> str:
    """Write the means of a metric over the images of each run, a column for each test set and seed.

    Args:
        name: CSV file of `docs/results/` without `.csv`, of rows, seeds, test sets and images.
        metric: a column of it.
        tests: what a test set is called, by its name.
        digits: after the point.
    """
    values: dict[str, dict[tuple[str, str], list[float]]] = {}
    with (RESULTS / f"{name}.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            values.setdefault(row["row"], {}).setdefault((row["test"], row["seed"]), []).append(float(row[metric]))
    runs = [
        (test, seed) for test in tests for seed in sorted({seed for of_row in values.values() for _, seed in of_row})
    ]
    lines = ["| | " + " | ".join(f"{tests[test]}, seed {seed}" for test, seed in runs) + " |"]
    lines.append("|---" * (1 + len(runs)) + "|")
    for label, of_row in values.items():
        lines.append(f"| {label} | " + " | ".join(f"{sum(of_row[r]) / len(of_row[r]):.{digits}f}" for r in runs) + " |")
    return "\n".join(lines)


def study_table(name: str) -> str:
    """Rows of `sgdnet table --format csv`: figures with intervals, and the difference in Dice to the reference."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    with (RESULTS / f"{name}.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if int(row["runs"]):
                found.setdefault(row["row"], {})[row["metric"]] = row
    lines = ["| network | Dice | IoU | HD95, px | Dice minus SGD-Net |", "|---" * 5 + "|"]
    for network, metrics in found.items():
        cells = [network]
        for metric, digits in (("dice", 4), ("iou", 4), ("hd95", 1)):
            mean, low, high = (f"{float(metrics[metric][key]):.{digits}f}" for key in ("mean", "ci_low", "ci_high"))
            cells.append(f"{mean} ({low} to {high})")
        keys = ("difference", "difference_ci_low", "difference_ci_high")
        numbers = [f"{float(metrics['dice'][key]):+.3f}" for key in keys if metrics["dice"][key]]
        mark = "**" if metrics["dice"]["verdict"] else ""
        cells.append(f"{mark}{numbers[0]} ({numbers[1]} to {numbers[2]}){mark}" if numbers else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def threshold_table(name: str, network: str) -> str:
    """Figures of a network by threshold, the best Dice of each set in bold."""
    shown = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    found = [row for row in load(name)["runs"][network]["threshold"] if row["threshold"] in shown]
    tests = list(dict.fromkeys(row["test"] for row in found))
    best = {test: max(row["dice"] for row in found if row["test"] == test) for test in tests}
    lines = ["| threshold | " + " | ".join(f"{test}: Dice | sensitivity | precision" for test in tests) + " |"]
    lines.append("|---" * (1 + 3 * len(tests)) + "|")
    for threshold in shown:
        cells = [f"{threshold}"]
        for test in tests:
            row = next(row for row in found if row["test"] == test and row["threshold"] == threshold)
            dice = f"{row['dice']:.4f}"
            cells += [f"**{dice}**" if row["dice"] == best[test] else dice]
            cells += [f"{row[figure]:.3f}" for figure in ("sensitivity", "precision")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def marks_table(kind: str, metric: str, files: dict[str, str], digits: int = 3) -> str:
    """Write how a metric grows with clicks or scribbles as Markdown, a row for each method.

    Args:
        kind: "clicks" or "scribbles".
        metric: "dice", "iou", "hd95" or "boundary_f".
        files: names in `docs/results/` without `.json`, by the method's name.
        digits: after the point.
    """
    summaries = {name: load(file)[kind] for name, file in files.items() if kind in load(file)}
    counts = sorted({row["marks"] for each in summaries.values() for row in each["after"]})
    lines = [f"| {METRICS[metric].label} after ... {kind} | {' | '.join(map(str, counts))} |"]
    lines.append("|---" * (1 + len(counts)) + "|")
    for name, each in summaries.items():
        found = {row["marks"]: f"{row[metric]:.{digits}f}" for row in each["after"]}
        lines.append(f"| {name} | {' | '.join(found.get(count, '') for count in counts)} |")
    return "\n".join(lines)


def metrics_table(kind: str, file: str) -> str:
    """Write how every metric grows with clicks or scribbles as Markdown, a row for each number of marks.

    Args:
        kind: "clicks" or "scribbles".
        file: name in `docs/results/` without `.json`.
    """
    digits = {"dice": 3, "iou": 3, "hd95": 1, "boundary_f": 3}
    lines = [f"| {kind} | {' | '.join(METRICS[name].label for name in digits)} |", "|---" * (1 + len(digits)) + "|"]
    for row in load(file)[kind]["after"]:
        lines.append(f"| {row['marks']} | {' | '.join(f'{row[name]:.{many}f}' for name, many in digits.items())} |")
    return "\n".join(lines)


def obedience_table(kind: str, files: dict[str, str]) -> str:
    """Write the numbers of marks that targets need, the failures, and whether marks are honoured, as Markdown."""
    summaries = {name: load(file)[kind] for name, file in files.items() if kind in load(file)}
    targets = next(iter(summaries.values()))["noc"]
    titles = [title for target in targets for title in (f"NoC@{target}", "failures")]
    titles += [f"{kind} not honoured", "changed far from the mark, for the worse"]
    lines = [f"| {kind} | {' | '.join(titles)} |", "|---" * (1 + len(titles)) + "|"]
    for name, each in summaries.items():
        cells = [cell for found in each["noc"].values() for cell in (f"{found['marks']:.2f}", str(found["failures"]))]
        cells.append(f"{each['not_honoured']} in {each['answers']} answers")
        cells.append(f"{each['far_percent']:.2f} %, {each['far_worse_percent']:.2f} %")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def loop_table(name: str) -> str:
    """Write Dice before and after the fine-tuning of `benchmarks.annotation_loop` as Markdown."""
    lines = ["| Clicks | Images | Dice before | after | Mean gain (95 % interval) | Better |", "|---" * 6 + "|"]
    for row in load(name)["unseen"]:
        gain = f"{row['after'] - row['before']:+.4f} ({row['gain_low']:+.4f} to {row['gain_high']:+.4f})"
        cells = [row["clicks"], row["images"], f"{row['before']:.4f}", f"{row['after']:.4f}", gain, row["better"]]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def loop_sentence(name: str) -> str:
    """Say what happened in `benchmarks.annotation_loop`: labels, clicks, what the server said of its fine-tuning."""
    told = load(name)
    clicks = sum(told["clicks"])
    return (
        f"{told['labels']} labels, {told['drawn_by_hand']} of them drawn by hand in the end; {clicks} clicks; "
        f'{told["epochs"]} epochs.\nThe server: "{told["message"]}".'
    )
