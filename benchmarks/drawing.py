"""Charts of a run, beside its JSON: what a stage takes and could take, and how a network grows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.measure import Row

GROWTHS = (("pixels", "median_ms"), ("pixels", "call_mib"), ("batch", "median_ms"), ("batch", "call_mib"))
"""Panels of the sweep: what grows, and what is drawn against it."""
LABELS = {"pixels": "pixels, batch 1", "batch": "batch", "median_ms": "ms", "call_mib": "MiB beyond weights and input"}


def _draw_stages(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw time and floor of the stages of one form, the first on top."""
    stages = [row for row in rows if row.get("stage")][::-1]
    places = range(len(stages))
    axes.barh(places, [row["median_ms"] for row in stages], color="#c9d4e3", label="measured")
    axes.barh(places, [row["arithmetic_ms"] for row in stages], 0.4, color="#2b5c9e", label="arithmetic floor")
    axes.barh(places, [row["memory_ms"] for row in stages], 0.15, color="#d9822b", label="memory floor")
    for place, row in zip(places, stages, strict=True):
        axes.annotate(f" {row['ratio']:.1f} x", (row["median_ms"], place), va="center", fontsize=8)
    axes.set_yticks(places, [row["name"] for row in stages])
    first = rows[0]
    network = next(row for row in rows if row["name"] == "network")
    title = (
        f"{first['pass']}, {first['form']}, {first['dtype']}, {first['size']} x {first['size']}, batch {first['batch']}"
    )
    axes.set_title(f"{title}\n{network['median_ms']:.0f} ms, {network['ratio']:.2f} x its floor", fontsize=9)
    axes.set_xlabel("ms")
    axes.margins(x=0.12)


def draw_limit(result: Row, file: Path) -> bool:
    """Draw the stages of each form of the limit room; False where there are none."""
    forms: dict[tuple[str, ...], list[Row]] = {}
    for row in result["stages"]:
        forms.setdefault((row["pass"], row["form"], row["dtype"]), []).append(row)
    forms = {key: rows for key, rows in forms.items() if any(row.get("stage") for row in rows)}
    if not forms:
        return False
    lines = -(-len(forms) // 2)
    figure = Figure(figsize=(12, 3.4 * lines), layout="constrained")
    panels = figure.subplots(lines, 2, squeeze=False).flatten()
    for axes, rows in zip(panels, forms.values(), strict=False):
        _draw_stages(axes, rows)
    for axes in panels[len(forms) :]:
        axes.set_axis_off()
    panels[0].legend(fontsize=8)
    figure.savefig(file, dpi=110)
    return True


def draw_sweep(result: Row, file: Path) -> bool:
    """Draw the growth of the network room's sweep with its slopes; False where nothing was swept."""
    growth = result.get("growth")
    if not growth:
        return False
    figure = Figure(figsize=(11, 8), layout="constrained")
    for axes, (against, what) in zip(figure.subplots(2, 2).flatten(), GROWTHS, strict=True):
        for row in growth:
            if row["against"] == against and row["what"] == what:
                axes.loglog(row["x"], row["y"], "o-", label=f"{row['name']}: slope {row['slope']:.2f}")
        axes.set_xlabel(LABELS[against])
        axes.set_ylabel(LABELS[what])
        axes.grid(True, which="both", alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=8)
    figure.savefig(file, dpi=110)
    return True


CHARTS: dict[str, tuple[str, Callable[[Row, Path], bool]]] = {
    "limit": ("stages", draw_limit),
    "network": ("growth", draw_sweep),
}
"""Room: what is added to the name of its chart, and what draws it."""


def draw(results: dict[str, Any], folder: Path, name: str) -> list[Path]:
    """Draw the charts of the rooms that a run has, NAME_stages.png and NAME_growth.png, and return their paths."""
    drawn: list[Path] = []
    for room, (what, chart) in CHARTS.items():
        file = folder / f"{name}_{what}.png"
        if "error" not in results.get(room, {"error": ""}) and chart(results[room], file):
            drawn.append(file)
    return drawn
