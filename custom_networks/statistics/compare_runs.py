"""`sgdnet compare`: read two runs, compare them, write a table, JSON and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from custom_networks.errors import UserError
from custom_networks.files import write_atomically, write_json
from custom_networks.metrics.policies import METRICS
from custom_networks.statistics.compare import compare
from custom_networks.statistics.comparison_plot import plot_comparison
from custom_networks.statistics.per_image import as_rows, check_measured_alike, read_per_image, short_names, text_table

FILES = ("comparison.csv", "comparison.json", "comparison.png")


def compare_runs(
    run_a: str | Path,
    run_b: str | Path,
    output_dir: str | Path,
    metrics: str | Sequence[str] = "",
    resamples: int = 5000,
    seed: int = 0,
) -> str:
    """Compare two runs and write the results.

    Args:
        run_a: folder with `per_image.csv`, or such a file.
        run_b: the other.
        output_dir: folder for comparison.csv, .json and .png; it must not hold a comparison yet.
        metrics: names, a sequence or separated by commas; empty compares all.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        The table as text.

    Raises:
        UserError: for tables that cannot be read or compared, an impossible number of resamples, or a folder that holds
            a comparison already.
    """
    folder = Path(output_dir)
    there = [name for name in FILES if (folder / name).exists()]
    if there:
        raise UserError(f"{folder / there[0]}: already there; choose another --output_dir")
    if isinstance(resamples, bool) or not isinstance(resamples, int) or resamples < 100:
        raise UserError(f"--resamples {resamples}: must be a whole number from 100 up")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise UserError(f"--seed {seed}: must be a whole number from 0 up")
    a, b = read_per_image(run_a), read_per_image(run_b)
    check_measured_alike([a, b], [str(run_a), str(run_b)])
    name_a, name_b = short_names([Path(run_a), Path(run_b)])
    names = (name_a, name_b)
    chosen = [name.strip() for name in metrics.split(",") if name.strip()] if isinstance(metrics, str) else metrics
    table = compare(a, b, names, chosen or None, resamples, seed)
    about = {"a": str(run_a), "b": str(run_b), "names": names, "images": len(a), "resamples": resamples, "seed": seed}
    write_atomically(folder / FILES[0], lambda file: file.write(table.to_csv(index_label="metric").encode()))
    write_json(folder / FILES[1], {**about, "difference": f"{names[1]} minus {names[0]}", "metrics": as_rows(table)})
    picture = plot_comparison(a, b.loc[a.index], table, names)
    write_atomically(folder / FILES[2], lambda file: picture.savefig(file, format="png", dpi=120))
    return f"{table_text(table, names)}\n\n{len(a)} images; in {folder}: {', '.join(FILES)}"


def table_text(table: pd.DataFrame, names: tuple[str, str]) -> str:
    """Lay the comparison out for a terminal.

    Args:
        table: from `compare`.
        names: of the runs.

    Returns:
        A line for each metric, and what the columns mean.
    """
    lines = [["", "A", "B", "B - A", "95 % interval", "p", "p (Holm)", "p bootstrap", "rank r", "dz", "n", "better"]]
    for name, row in table.iterrows():
        undefined = f" ({row['undefined']} undefined)" if row["undefined"] else ""
        lines.append(
            [
                METRICS[str(name)].label,
                *(f"{row[key]:.4g}" for key in ("mean_a", "mean_b")),
                f"{row['difference']:+.4g}",
                f"{row['ci_low']:+.4g} to {row['ci_high']:+.4g}",
                *(f"{row[key]:.2g}" for key in ("wilcoxon_p", "wilcoxon_p_holm", "bootstrap_p")),
                *(f"{row[key]:+.2f}" for key in ("rank_biserial", "cohen_dz")),
                f"{row['units']}{undefined}",
                row["better"],
            ]
        )
    notes = f"A: {names[0]}, B: {names[1]}. p: Wilcoxon's signed-rank test; better: at 5 % after Holm's correction."
    return f"{text_table(lines)}\n\n{notes}"
