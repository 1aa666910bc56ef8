"""Evaluation with a simulated user: how good a mask is after each click or scribble, and whether it obeys.

The user marks the largest error, see `simulation`, at the image's own resolution, and passes each mask on as the
previous one. NoC@85 is the number of marks until the IoU reaches 0.85, `limit` where it never does, which is counted
as a failure beside it (Sofiiuk et al., RITM, 2022).

Symbols: H and W the image's height and width.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from custom_networks.array_types import Point
from custom_networks.data.formats import read
from custom_networks.errors import UserError
from custom_networks.files import remove_unfinished, write_atomically, write_json
from custom_networks.interactive.guidance import Guidance, Points
from custom_networks.interactive.simulation import click_in, largest_error, scribble_in
from custom_networks.metrics import overlap
from custom_networks.metrics.image_metrics import measure
from custom_networks.statistics.per_image import text_table

KINDS = ("clicks", "scribbles")
SHOWN = (0, 1, 2, 3, 5, 10)
TARGETS = (0.85, 0.90)
LIMIT = 20
FAR = 0.125
"""Share of the image's longer side from which a changed pixel counts as far from the mark."""
ROWS, SUMMARY = "per_mark.csv", "interactive.json"


class InteractiveMethod(Protocol):
    """What is evaluated: `InteractivePredictor`, or a method that is compared with it."""

    def embed(self, image: NDArray[np.uint8]) -> Any:
        """Take an image (H, W, 3)."""

    def answer(self, state: Any, guidance: Guidance | None = None) -> Any:
        """Segment it: an object with `mask` (H, W)."""


def evaluate_image(
    segmenter: InteractiveMethod,
    image: NDArray[np.uint8],
    truth: NDArray[np.bool_],
    kind: str = "clicks",
    limit: int = LIMIT,
    tolerance: float = 2.0,
) -> list[dict[str, Any]]:
    """Correct one image mark by mark.

    Args:
        segmenter: that answers.
        image: (H, W, 3) uint8 RGB.
        truth: (H, W).
        kind: "clicks" or "scribbles".
        limit: most marks.
        tolerance: of boundary F, in pixels.

    Returns:
        A row for each number of marks from 0 to `limit`: iou, at the numbers of `SHOWN` every metric of
        `metrics.measure`; far, the share of the image's pixels that changed although they are far from the mark;
        far_worse, those of them that were right before; not_honoured, marks that the mask contradicts, of all so far;
        seconds. Once a mask has no error its row is repeated. After the last of `SHOWN` the user stops at the highest
        of `TARGETS`.
    """
    begin = time.perf_counter()
    state = segmenter.embed(image)
    guidance = Guidance()
    mask = np.asarray(segmenter.answer(state, guidance).mask)
    rows = [_row(0, mask, truth, tolerance, seconds=time.perf_counter() - begin)]
    for count in range(1, limit + 1):
        error = largest_error(mask, truth)
        if error is None:
            rows.append(_row(count, mask, truth, tolerance))
            continue
        marked = click_in(error) if kind == "clicks" else scribble_in(error)
        guidance = replace(_added(guidance, marked, error.positive, kind), previous=mask)
        begin = time.perf_counter()
        answered = np.asarray(segmenter.answer(state, guidance).mask)
        seconds = time.perf_counter() - begin
        far = (answered != mask) & (_distance(mask.shape, marked) > FAR * max(mask.shape))
        rows.append(
            _row(
                count,
                answered,
                truth,
                tolerance,
                seconds=seconds,
                far=float(far.mean()),
                far_worse=float((far & (mask == truth)).mean()),
                not_honoured=not_honoured(answered, guidance),
            )
        )
        mask = answered
        if count >= max(SHOWN) and rows[-1]["iou"] >= max(TARGETS):
            break
    return rows


def not_honoured(mask: NDArray[np.bool_], guidance: Guidance) -> int:
    """Count the clicks, and the corners of scribbles, that a mask (H, W) contradicts."""
    inside = [*guidance.foreground, *(p for stroke in guidance.foreground_scribbles for p in stroke)]
    outside = [*guidance.background, *(p for stroke in guidance.background_scribbles for p in stroke)]
    missed = sum(not mask[int(y), int(x)] for x, y in inside)
    return missed + sum(bool(mask[int(y), int(x)]) for x, y in outside)


def evaluate_images(
    segmenter: InteractiveMethod,
    items: Iterable[dict[str, Any]],
    kind: str = "clicks",
    limit: int = LIMIT,
    tolerance: float = 2.0,
    label_kind: str = "mask",
    depth: int | None = None,
) -> pd.DataFrame:
    """Correct the images of a list.

    Args:
        segmenter: that answers.
        items: `{"image": path, "label": path}`.
        kind: "clicks" or "scribbles".
        limit: most marks an image.
        tolerance: of boundary F, in pixels.
        label_kind: "mask" or another kind of label, of which everything above 0 is the object.
        depth: bits of grey that is stored in 16.

    Returns:
        The rows of `evaluate_image` with a column `id`.

    Raises:
        UserError: for a kind of mark that there is not, or a file that cannot be read.
    """
    if kind not in KINDS:
        raise UserError(f"marks {kind!r}: must be one of {', '.join(KINDS)}")
    rows: list[dict[str, Any]] = []
    for item in items:
        image = np.asarray(read(item["image"], "image", depth).image)
        truth = np.asarray(read(item["label"], label_kind).image) > 0
        name = Path(item["image"]).stem
        rows += [{"id": name, **row} for row in evaluate_image(segmenter, image, truth, kind, limit, tolerance)]
    return pd.DataFrame(rows)


def summarise_marks(frame: pd.DataFrame, limit: int = LIMIT) -> dict[str, Any]:
    """Summarise the rows of `evaluate_images`.

    Args:
        frame: the rows.
        limit: most marks an image.

    Returns:
        `after`: means of Dice, IoU, HD95 and boundary F after each number of `SHOWN`; `noc`: for each target of
        `TARGETS` the mean number of marks and the failures; changes far from the mark, marks not honoured of all.
    """
    after = [
        {"marks": count, **{name: float(rows[name].mean()) for name in ("dice", "iou", "hd95", "boundary_f")}}
        for count in SHOWN
        if count <= limit and len(rows := frame[frame["marks"] == count])
    ]
    noc = {}
    for target in TARGETS:
        reached = frame[frame["iou"] >= target].groupby("id")["marks"].min()
        counts = reached.reindex(frame["id"].unique())
        failures = int(counts.isna().sum())
        noc[f"{round(100 * target)}"] = {"marks": float(counts.fillna(limit).mean()), "failures": failures}
    marked = frame[frame["seconds"].notna() & (frame["marks"] > 0)]
    return {
        "images": int(frame["id"].nunique()),
        "limit": limit,
        "after": after,
        "noc": noc,
        "far_percent": 100 * float(marked["far"].mean()),
        "far_worse_percent": 100 * float(marked["far_worse"].mean()),
        "answers": len(marked),
        "not_honoured": int(marked["not_honoured"].sum()),
        "seconds_first": float(frame.loc[frame["marks"] == 0, "seconds"].median()),
        "seconds": float(marked["seconds"].median()),
    }


def interactive_summary_text(summary: dict[str, Any], kind: str) -> str:
    """Lay a summary out for a terminal."""
    names = ("dice", "iou", "hd95", "boundary_f")
    rows = [[kind, "Dice", "IoU", "HD95 (px)", "boundary F"]]
    rows += [[str(row["marks"]), *(f"{row[name]:.4g}" for name in names)] for row in summary["after"]]
    lines = [f"{summary['images']} images, up to {summary['limit']} {kind}", "", text_table(rows), ""]
    for target, found in summary["noc"].items():
        lines.append(
            f"NoC@{target} (IoU): {found['marks']:.2f}; {found['failures']} images never reach it"
            f" within {summary['limit']}"
        )
    lines += [
        f"{kind} not honoured: {summary['not_honoured']} in {summary['answers']} answers",
        f"pixels changed far from the mark: {summary['far_percent']:.3f} % of the image an answer, "
        f"{summary['far_worse_percent']:.3f} % for the worse",
        f"median seconds: {summary['seconds_first']:.3f} with the first, {summary['seconds']:.3f} an answer",
    ]
    return "\n".join(lines)


def evaluate_interaction(
    segmenter: InteractiveMethod,
    items: Sequence[dict[str, Any]],
    output_dir: str | Path,
    clicks: int = 10,
    scribbles: int = 0,
    tolerance: float = 2.0,
    label_kind: str = "mask",
    about: dict[str, Any] | None = None,
    bit_depth: int | None = None,
    overwrite: bool = False,
) -> None:
    """Evaluate clicks and scribbles, write the tables and print them.

    Args:
        segmenter: that answers.
        items: `{"image": path, "label": path}`.
        output_dir: new folder for `per_mark.csv` and `interactive.json`.
        clicks: most clicks an image; 0 leaves them out.
        scribbles: most scribbles an image; 0 leaves them out.
        tolerance: of boundary F, in pixels.
        label_kind: kind of the labels.
        about: facts to keep in the JSON.
        bit_depth: of grey images stored in 16 bits.
        overwrite: whether an evaluation in the folder may be replaced.

    Raises:
        UserError: for numbers that cannot be, or a folder that holds an evaluation.
    """
    limits = dict(zip(KINDS, (clicks, scribbles), strict=True))
    for name, limit in limits.items():
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
            raise UserError(f"--{name} {limit}: must be a whole number from 0 up")
    if not any(limits.values()):
        raise UserError("--clicks 0 and --scribbles 0: nothing to evaluate; set one of them above 0")
    folder = Path(output_dir)
    if (folder / ROWS).exists() and not overwrite:
        raise UserError(f"{folder}: already holds an evaluation; choose another --output_dir, or add --overwrite true")
    frames, summaries = [], {}
    for kind, limit in limits.items():
        if limit:
            frame = evaluate_images(segmenter, items, kind, limit, tolerance, label_kind, bit_depth)
            summaries[kind] = summarise_marks(frame, limit)
            frames.append(frame.assign(kind=kind))
            print(f"\n{interactive_summary_text(summaries[kind], kind)}", flush=True)
    text = pd.concat(frames).to_csv(index=False, float_format="%.6g")
    remove_unfinished(folder)
    (folder / ROWS).unlink(missing_ok=True)  # of an evaluation that is replaced
    write_json(folder / SUMMARY, {**(about or {}), "tolerance_pixels": tolerance, "far": FAR, **summaries})
    write_atomically(folder / ROWS, lambda file: file.write(text.encode()))  # last: it tells that all is there
    print(f"\nIn {folder}: {ROWS}, {SUMMARY}", flush=True)


def _row(
    count: int,
    mask: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    tolerance: float,
    seconds: float = np.nan,
    **changes: float,
) -> dict[str, Any]:
    figures = {"iou": overlap.iou(overlap.confusion(mask, truth))}
    if count in SHOWN:
        figures = measure(mask, truth, tolerance=tolerance)
    return {"marks": count, **figures, "seconds": seconds, **changes}


def _added(guidance: Guidance, marked: Points, positive: bool, kind: str) -> Guidance:
    """Guidance with one more mark, given as rows and columns."""
    points: list[Point] = [(int(column), int(row)) for row, column in marked]
    name = ("foreground" if positive else "background") + ("" if kind == "clicks" else "_scribbles")
    more: list[Any] = points if kind == "clicks" else [points]
    changes: dict[str, Any] = {name: [*getattr(guidance, name), *more]}
    return replace(guidance, **changes)


def _distance(shape: tuple[int, ...], points: Points) -> NDArray[np.float64]:
    """Distance of each pixel to the nearest of some points."""
    free = np.ones(shape, bool)
    free[tuple(points.T)] = False
    return ndimage.distance_transform_edt(free)
