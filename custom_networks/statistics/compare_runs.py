"""`sgdnet compare`: read two runs or more, compare them, write tables, JSON and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from custom_networks.errors import UserError, nearest
from custom_networks.files import write_atomically, write_json
from custom_networks.metrics.policies import METRICS
from custom_networks.statistics.bootstrap import check_seed
from custom_networks.statistics.compare import CONFLICT, ONE_TEST, Frames, aligned, compare, compare_misses, tail
from custom_networks.statistics.comparison_plot import plot_comparison, plot_ranking
from custom_networks.statistics.per_image import (
    as_records,
    check_measured_alike,
    read_per_image,
    run_folders,
    short_names,
    text_table,
)
from custom_networks.statistics.ranking import rank_runs

FILES = ("comparison.csv", "comparison.json", "comparison.png", "ranking.csv")


def compare_runs(
    runs: Sequence[str | Path],
    output_dir: str | Path,
    metrics: str | Sequence[str] = "",
    margin: str | float = "",
    resamples: int = 5000,
    seed: int = 0,
) -> str:
    """Compare runs on the same images and write the results.

    Args:
        runs: folders with `per_image.csv`, or such files, two or more.
        output_dir: folder for comparison.csv, .json and .png and, of more than two runs, ranking.csv; it must not hold
            a comparison yet.
        metrics: names, a sequence or separated by commas; empty compares all.
        margin: of non-inferiority: how much worse each later run may be than each earlier one; a number where one
            metric is compared, else `dice=0.02,hd95=1`; empty tests none.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        The tables as text.

    Raises:
        UserError: for tables that cannot be read or compared, an impossible setting, or a folder that holds a
            comparison already.
    """
    folder, paths = Path(output_dir), run_folders(runs, "compare")
    there = [name for name in FILES if (folder / name).exists()]
    if there:
        raise UserError(f"{folder / there[0]}: already there; choose another --output_dir")
    if not isinstance(resamples, int) or resamples < 100:
        raise UserError(f"--resamples {resamples}: must be a whole number from 100 up")
    check_seed(seed)
    tables = [read_per_image(path) for path in paths]
    check_measured_alike(tables, [str(path) for path in paths])
    names = short_names(paths)
    frames = aligned(dict(zip(names, tables, strict=True)))
    chosen = [name.strip() for name in metrics.split(",") if name.strip()] if isinstance(metrics, str) else metrics
    margins = read_margins(margin, chosen)
    table = compare(frames, chosen or None, margins, resamples, seed)
    misses = compare_misses(frames)
    about: dict[str, Any] = {
        "runs": {name: str(path) for name, path in zip(names, paths, strict=True)},
        "images": len(tables[0]),
        "resamples": resamples,
        "seed": seed,
        "difference": "b minus a",
        "pairs": as_records(table),
        "misses": as_records(misses),
        "conflicts": [
            {"a": a, "b": b, "metric": name, "tail": dict(tail(frames[a], frames[b], name, row))}
            for (a, b, name), row in table[table["verdict"] == CONFLICT].iterrows()
        ],
    }
    written = [*FILES[:3]]
    texts = [comparison_text(table, frames), misses_text(misses)]
    if len(names) > 2:
        ranking = rank_runs(frames, list(table.index.unique("metric")), resamples, seed)
        about["ranking"] = as_records(ranking)
        write_csv(folder / FILES[3], ranking)
        written.append(FILES[3])
        texts.insert(0, ranking_text(ranking))
        picture = plot_ranking(frames, ranking)
    else:
        a, b = frames.values()
        picture = plot_comparison(a, b, table.droplevel(["a", "b"]), (names[0], names[1]))
    write_csv(folder / FILES[0], table)
    write_json(folder / FILES[1], about)
    write_atomically(folder / FILES[2], lambda file: picture.savefig(file, format="png", dpi=120))
    texts.append(f"{len(tables[0])} images; in {folder}: {', '.join(written)}")
    return "\n\n".join(text for text in texts if text)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table with its index, atomically."""
    write_atomically(path, lambda file: file.write(table.to_csv().encode()))


def read_margins(margin: str | float, metrics: Sequence[str]) -> dict[str, float]:
    """Read the knob `margin`.

    Args:
        margin: a number, or `dice=0.02,hd95=1`.
        metrics: that are compared; empty for all.

    Returns:
        Margins by metric.

    Raises:
        UserError: for what is no positive number, or not of one metric.
    """
    margins = {}
    for part in (part.strip() for part in str(margin).split(",") if part.strip()):
        name, _, number = part.rpartition("=")
        name = name.strip() or (metrics[0] if len(metrics) == 1 else "")
        if not name:
            raise UserError(
                f"--margin {margin}: of which metric? write --margin dice={part}, or --metrics with one name"
            )
        if name not in METRICS or (metrics and name not in metrics):
            known = metrics or METRICS
            raise UserError(f"--margin {part}: {name} is not a metric that is compared{nearest(name, known)}")
        try:
            margins[name] = float(number)
        except ValueError:
            margins[name] = 0.0
        if not 0 < margins[name] < float("inf"):
            raise UserError(f"--margin {part}: must be a number above 0, in the unit of {METRICS[name].label}")
    return margins


def comparison_text(table: pd.DataFrame, frames: Frames) -> str:
    """Lay the pairs of runs out for a terminal, with a sentence wherever a run must not be called better.

    Args:
        table: from `compare`.
        frames: that it was made of.

    Returns:
        For each pair a line a metric, then what conflicts, what is non-inferior, and what the columns mean.
    """
    parts = []
    for (a, b), part in table.groupby(["a", "b"], sort=False):
        lines = [["", "A", "B", "B - A", "95 % interval", "p ranks", "p mean", "rank r", "dz", "n", "better"]]
        for (_, _, name), row in part.iterrows():
            undefined = f" ({row['undefined']} undefined)" if row["undefined"] else ""
            verdict = row["better"] or {CONFLICT: "CONFLICT", ONE_TEST: "unsure"}.get(row["verdict"], "")
            lines.append(
                [
                    METRICS[name].label,
                    *(f"{row[key]:.4g}" for key in ("mean_a", "mean_b")),
                    f"{row['difference']:+.4g}",
                    _interval(row),
                    *(_p(row[f"{key}_holm"]) for key in ("wilcoxon_p", "bootstrap_p")),
                    *(f"{row[key]:+.2f}" for key in ("rank_biserial", "cohen_dz")),
                    f"{row['units']}{undefined}",
                    verdict,
                ]
            )
        notes = [
            *(
                conflict_sentence(frames[a], frames[b], (a, b), name, part.loc[a, b, name])
                for name in _of(part, CONFLICT)
            ),
            *(margin_sentence((a, b), name, row) for (_, _, name), row in part.iterrows() if pd.notna(row["margin"])),
        ]
        parts.append("\n".join([f"A: {a}, B: {b}", "", text_table(lines), *([""] if notes else []), *notes]))
    tests = f"{len(table)} comparisons" if table.index.nunique() > 1 else "one comparison"
    parts.append(
        "p: Wilcoxon's signed-rank test (ranks) and a paired bootstrap test (mean), after Holm's correction over "
        f"{tests}. A run is called better where both are below 0.05 and agree; unsure: one of them is."
    )
    return "\n\n".join(parts)


def conflict_sentence(a: pd.DataFrame, b: pd.DataFrame, names: tuple[str, str], metric: str, row: pd.Series) -> str:
    """Say that mean and ranks favour different runs, and which images make the difference."""
    higher = METRICS[metric].better == "higher"
    favoured = 1 if (row["rank_biserial"] > 0) == higher else 0
    count = row["better_b"] if favoured else row["better_a"]
    images = ", ".join(f"{name} ({value:+.3g})" for name, value in tail(a, b, metric, row))
    return (
        f"{METRICS[metric].label}: mean and ranks conflict, so neither run is called better. "
        f"{names[favoured]} is better on {count} of {row['pairs'] - row['undefined']} images (median difference "
        f"{row['median_difference']:+.3g}), "
        f"{names[1 - favoured]} in the mean ({row['difference']:+.3g}, interval {_interval(row)}). The images against "
        f"{names[favoured]}: {images}."
    )


def margin_sentence(names: tuple[str, str], metric: str, row: pd.Series) -> str:
    """Say whether B is non-inferior to A."""
    label, margin = METRICS[metric].label, f"{row['margin']:g}"
    if pd.isna(row["non_inferior"]):
        return f"{label}: too few groups to say whether {names[1]} is non-inferior to {names[0]}."
    found = "is non-inferior to" if row["non_inferior"] else "is not shown to be non-inferior to"
    return f"{label}: {names[1]} {found} {names[0]} by a margin of {margin} (interval of B - A {_interval(row)})."


def misses_text(misses: pd.DataFrame) -> str:
    """Say for each pair of runs how many objects only one of them misses."""
    return "\n".join(
        f"Missed altogether: {a} {row['missed_a']:.0f}, {b} {row['missed_b']:.0f}; {row['only_a']:.0f} by {a} alone, "
        f"{row['only_b']:.0f} by {b} alone (McNemar's exact test, p {_p(row['p_holm'])})."
        for (a, b), row in misses.iterrows()
    )


def ranking_text(ranking: pd.DataFrame) -> str:
    """Lay the ranks out for a terminal."""
    lines = [["", "rank", "run", "mean", "95 % of ranks", "first in"]]
    for (metric, run), row in ranking.iterrows():
        known = pd.notna(row["rank 1"])
        span = f"{row['rank_low']:.0f} to {row['rank_high']:.0f}" if known else "too few groups"
        first = f"{row['rank 1']:.0%}" if known else ""
        rank = "" if pd.isna(row["rank"]) else f"{row['rank']:.0f}"
        lines.append([METRICS[str(metric)].label, rank, str(run), f"{row['mean']:.4g}", span, first])
    return f"{text_table(lines)}\n\nRanks by the mean; beside them those in resampled sets of images."


def _of(part: pd.DataFrame, verdict: str) -> list[str]:
    return [str(name) for (_, _, name) in part.index[part["verdict"] == verdict]]


def _interval(row: Mapping[str, float] | pd.Series) -> str:
    if pd.isna(row["ci_low"]):
        return "too few groups"
    return f"{row['ci_low']:+.4g} to {row['ci_high']:+.4g}"


def _p(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.2g}"
