"""JSON and Markdown of a run; `python -m benchmarks.report RESULTS.json` writes the Markdown again."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.measure import Row

NOTES = {
    "check": """
The tests marked `gpu`; the JSON has the end of their output.""",
    "operator": """
Floor: map, logits and result, and their gradients, each moved once at the rate of a large copy. max difference: to the
float32 unfold, over the result and (backward) both gradients. Call MiB: peak during the call beyond its inputs.""",
    "convolution": """
Channels-last, float32. Taken: the form that the network takes here. max error: of result and gradients to PyTorch's in
float64, as a share of the largest value.""",
    "network": """
Same weights (untrained, `benchmarks/networks.py`) and same noise for all of SGD-Net's lines. max difference: of the
logits to the literal network's; max error: to the literal network's in float64, which the literal network has too;
largest logit: for scale. Multiply-adds: `benchmarks/macs.py`. Call MiB: peak during the call beyond weights and input;
total MiB: beyond the bare process. Growth: the exponent b of y = a x^b, fitted to all sizes (batch 1) or batches (256 x
256).""",
    "complexity": """
One image, untrained, float32, batch normalisation not folded. Multiply-adds: `benchmarks/macs.py`. Published: Table 2
of the paper, whose counters differ. Call MiB: peak during the call beyond weights and input; total MiB: beyond the bare
process.""",
    "training": """
A step is zero_grad, forward, loss, backward, Adam. First loss: same weights and data for all of SGD-Net's lines. Call
MiB: peak during a step beyond weights, gradients and Adam's averages; total MiB: beyond the bare process.""",
    "input": """
From the first batch of an epoch to its last; the time to the first batch (start of the workers) stands apart. cached:
the data set as shipped, from its second epoch on; uncached: everything, from the file on.""",
    "limit": """
Floor: the larger of the multiply-accumulates at the rate of the fastest convolution or matrix product (arithmetic) and
the bytes of inputs, outputs and weights, each once a pass, and of gradients, at the rate of a large copy (memory); the
rates are medians of the same rounds. Ratio: median to floor; least ratio: the same of minima, which a busy machine
disturbs less. Above: milliseconds beyond the floor. The floor of a network is the sum of its stages'. The training step
has loss and optimiser besides, which the floor leaves out.""",
    "scale": """
Seconds of processor time with one thread, of the process and those it starts, which a busy machine changes little; MiB:
peak of the process beyond what it had before. Growth: the exponent b of seconds = a n^b between the two largest counts
(n log n: 1.08 from 10,000 to 100,000). Items are pairs of 16 x 16 pixels, 5 a patient.""",
    "export": """
One image a call, on the threads named above. Dice to float32: of the masks, to those of PyTorch in float32, mean and
least over the images; a format that differs too much for its precision is refused, as `sgdnet export` does.""",
    "engine": """
What `sgdnet predict` computes with, without reading and writing. Dice to float32: of the masks, to those of torch in
float32, mean and least over the images.""",
}


class Column(NamedTuple):
    """One column of a table.

    Attributes:
        title: its head.
        key: of the row.
        show: how a number is written.
    """

    title: str
    key: str
    show: Callable[[Any], str] = str


def digits(number: int) -> Callable[[Any], str]:
    """Write with so many digits after the point."""
    return lambda value: f"{value:,.{number}f}"


def scientific(value: float) -> str:
    """Write a difference."""
    return "0" if value == 0 else f"{value:.1e}"


TIME = [Column("ms", "median_ms", digits(2)), Column("min", "min_ms", digits(2)), Column("max", "max_ms", digits(2))]
MEMORY = [Column("call MiB", "call_mib", digits(0)), Column("total MiB", "total_mib", digits(0))]
DIFFERENCE = Column("max difference", "max_difference", scientific)
SHAPE = [Column("side", "size"), Column("batch", "batch")]
GROUP = [Column("pass", "pass"), Column("type", "dtype"), Column("batch", "batch")]
RATE = Column("images/s", "images_per_s", digits(1))

TABLES: dict[str, list[tuple[str, str, list[Column]]]] = {
    "check": [("rows", "Tests", [Column("result", "result"), Column("tests", "tests")])],
    "operator": [
        (
            "summary",
            "Sum over the three scales",
            [
                *GROUP,
                Column("backend", "name"),
                Column("sum ms", "sum_ms", digits(2)),
                Column("times the unfold's speed", "times_unfold_speed", digits(2)),
                Column("times the floor", "times_floor", digits(1)),
                Column("largest call MiB", "largest_call_mib", digits(1)),
                DIFFERENCE,
            ],
        ),
        (
            "rows",
            "Each scale",
            [
                *GROUP,
                Column("scale", "scale"),
                Column("backend", "name"),
                *TIME,
                Column("call MiB", "call_mib", digits(1)),
                DIFFERENCE,
            ],
        ),
    ],
    "convolution": [
        (
            "rows",
            "Forms",
            [
                Column("pass", "pass"),
                Column("batch", "batch"),
                Column("layer", "layer"),
                Column("form", "name"),
                Column("taken", "taken"),
                *TIME,
                Column("times PyTorch's speed", "times_plain_speed", digits(2)),
                Column("call MiB", "call_mib", digits(1)),
                Column("max error", "max_error", scientific),
            ],
        )
    ],
    "network": [
        (
            "rows",
            "Forward pass",
            [
                *SHAPE,
                Column("network", "name"),
                *TIME,
                RATE,
                *MEMORY,
                Column("parameters", "parameters", digits(0)),
                Column("GMACs an image", "gmacs", digits(2)),
                DIFFERENCE,
                Column("max error", "max_error", scientific),
                Column("largest logit", "largest_logit", digits(2)),
            ],
        ),
        ("sweep", "Sizes and batches", [*SHAPE, Column("network", "name"), *TIME, RATE, *MEMORY, DIFFERENCE]),
        (
            "growth",
            "Growth",
            [
                Column("network", "name"),
                Column("of", "what"),
                Column("against", "against"),
                Column("from", "first", digits(0)),
                Column("to", "last", digits(0)),
                Column("exponent", "slope", digits(2)),
            ],
        ),
    ],
    "complexity": [
        (
            "rows",
            "Every network",
            [
                Column("network", "name"),
                Column("side", "size"),
                Column("M parameters", "parameters", lambda number: f"{number / 1e6:.2f}"),
                Column("published", "published_mparameters", digits(2)),
                Column("GMACs", "gmacs", digits(2)),
                Column("published GFLOPs", "published_gmacs", digits(2)),
                *TIME,
                *MEMORY,
            ],
        )
    ],
    "training": [
        (
            "rows",
            "One step",
            [
                *SHAPE,
                Column("network", "name"),
                Column("s", "median_ms", lambda value: f"{value / 1000:.3f}"),
                Column("min", "min_ms", lambda value: f"{value / 1000:.3f}"),
                Column("max", "max_ms", lambda value: f"{value / 1000:.3f}"),
                RATE,
                *MEMORY,
                Column("first loss", "first_loss", digits(4)),
                Column("difference of the loss", "loss_difference", scientific),
            ],
        )
    ],
    "input": [
        (
            "rows",
            "Training transforms",
            [
                *SHAPE,
                Column("data set", "name"),
                Column("workers", "workers"),
                RATE,
                Column("min", "min_images_per_s", digits(1)),
                Column("max", "max_images_per_s", digits(1)),
                Column("first batch s", "first_batch_s", digits(2)),
            ],
        )
    ],
    "limit": [
        (
            "ceilings",
            "Ceilings",
            [
                Column("type", "dtype"),
                Column("kind", "kind"),
                Column("shape", "name"),
                *TIME,
                Column("GMACs/s at best", "gmacs_per_s", digits(1)),
                Column("GB/s at best", "gb_per_s", digits(1)),
            ],
        ),
        (
            "stages",
            "Stages",
            [
                Column("pass", "pass"),
                Column("form", "form"),
                Column("type", "dtype"),
                *SHAPE,
                Column("stage", "name"),
                Column("GMACs", "gmacs", digits(3)),
                Column("MiB moved", "moved_mib", digits(1)),
                Column("arithmetic ms", "arithmetic_ms", digits(2)),
                Column("memory ms", "memory_ms", digits(2)),
                Column("floor ms", "floor_ms", digits(2)),
                *TIME,
                Column("ratio", "ratio", digits(2)),
                Column("least ratio", "least_ratio", digits(2)),
                Column("ms above", "above_ms", digits(2)),
            ],
        ),
        (
            "worst",
            "Worst stages",
            [
                Column("pass", "pass"),
                Column("form", "form"),
                Column("type", "dtype"),
                *SHAPE,
                Column("most above their floor", "stages"),
            ],
        ),
    ],
    "scale": [
        (
            "rows",
            "Growth",
            [
                Column("what", "name"),
                *(
                    Column(f"{title} at {count:,}", f"{key}_{count}", digits(number))
                    for key, title, number in (("s", "s", 2), ("mib", "MiB", 0))
                    for count in (1_000, 10_000, 100_000)
                ),
                Column("growth", "growth", digits(2)),
            ],
        )
    ],
    "export": [
        (
            "rows",
            "Exported files",
            [
                Column("format", "name"),
                Column("precision", "precision"),
                Column("MB", "mb", digits(1)),
                *TIME,
                Column("times eager's speed", "times_eager", digits(2)),
                Column("Dice to float32", "dice", digits(4)),
                Column("least", "min_dice", digits(4)),
                Column("Dice to the truth", "truth_dice", digits(4)),
            ],
        )
    ],
    "engine": [
        (
            "rows",
            "Engines of `sgdnet predict`",
            [
                Column("engine", "name"),
                Column("precision", "precision"),
                RATE,
                *TIME,
                Column("times eager's speed", "times_eager", digits(2)),
                Column("times torch's in float32", "times_torch", digits(2)),
                Column("Dice to float32", "dice", digits(4)),
                Column("least", "min_dice", digits(4)),
            ],
        )
    ],
}


def table(columns: Sequence[Column], rows: Sequence[Row]) -> list[str]:
    """Write rows as a Markdown table; columns that no row fills are left out, reasons of failures get one."""
    columns = [column for column in columns if any(row.get(column.key) is not None for row in rows)]
    if any("error" in row for row in rows):
        columns = [*columns, Column("", "error", lambda reason: str(reason).replace("|", "/"))]
    lines = ["| " + " | ".join(column.title for column in columns) + " |", "|" + "---|" * len(columns)]
    for row in rows:
        cells = [column.show(row[column.key]) if row.get(column.key) is not None else "" for column in columns]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def header(environment: Row, settings: Row) -> list[str]:
    """Say where and how it ran, in a few lines."""
    versions = ", ".join(f"{name} {number}" for name, number in environment["versions"].items() if number)
    memory = environment["memory_gib"]
    lines = [
        f"- {environment['date']}, commit {environment['commit'] or 'unknown'}",
        f"- processor: {environment['processor']} ({', '.join(environment['processor_flags'])}), "
        f"{environment['cores']} cores, {environment['threads']} threads used"
        + (f", {memory:.0f} GiB" if memory else ""),
    ]
    if "gpu" in environment:
        lines.append(
            f"- GPU: {environment['gpu']}, {environment['gpu_memory_gib']:.0f} GiB, CUDA {environment['cuda']}, cuDNN "
            f"{environment['cudnn']}; TF32 in convolutions {environment['tf32_convolutions']}, in products "
            f"{environment['tf32_matmul']}"
        )
    if environment["keeps_freed_memory"]:
        lines.append("- freed memory is kept, as `sgdnet` does")
    lines += [f"- {environment['os']}, Python {environment['python']}, {versions}"]
    load = environment["load_average"]
    busy = f"; load average at the start {load[0]:.2f}" if load else ""
    lines.append(f"- median of {settings['rounds']} interleaved rounds, minimum and maximum beside it{busy}")
    if settings["quick"]:
        lines.append("- **`--quick`: tiny sizes, a check of the benchmark; the times mean nothing**")
    return lines


def markdown(results: Row) -> str:
    """Write the results of a run as Markdown."""
    lines = ["# Benchmarks", "", *header(results["environment"], results["settings"])]
    for room, tables in TABLES.items():
        if room not in results:
            continue
        lines += ["", f"## {room.capitalize()}", NOTES[room]]
        if "error" in results[room]:
            lines += ["", results[room]["error"]]
        for key, title, columns in tables:
            if results[room].get(key):
                lines += ["", f"### {title}", "", *table(columns, results[room][key])]
    return "\n".join(lines) + "\n"


def write(results: Row, folder: Path, name: str) -> tuple[Path, Path]:
    """Write NAME.json and NAME.md into a folder, made where it is missing, and return both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    as_json, as_markdown = folder / f"{name}.json", folder / f"{name}.md"
    as_json.write_text(json.dumps(results, indent=1) + "\n")
    as_markdown.write_text(markdown(results))
    return as_json, as_markdown


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        Path(argument).with_suffix(".md").write_text(markdown(json.loads(Path(argument).read_text())))
