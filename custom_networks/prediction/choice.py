"""Which engine computes a job: the fastest whose masks on the first images are PyTorch's."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from custom_networks.errors import UserError, nearest
from custom_networks.export.format import DiceLimits
from custom_networks.export.verify import dice_by_class
from custom_networks.metrics.decision import class_numbers
from custom_networks.prediction.engine import AUTO, ENGINES, EngineJob, TorchEngine
from custom_networks.prediction.maps import CLASS, MapSource

CHECKED = 4
"""Images of the job, at least, on which the masks of an engine are compared with PyTorch's in float32."""
LIMITS = {False: DiceLimits(0.999, 0.99), True: DiceLimits(0.98, 0.9)}
"""Dice that passes, mean over the images and of the worst, without and with bfloat16."""
FEW = 5e-4
"""Share of an image's pixels; masks that differ in no more are the same: of tiny ones Dice says nothing."""
WORTH = 300
"""Images, views counted, from which `auto` spends some half a minute on exporting and timing."""
MARGIN = 1.05
"""How much faster than PyTorch an engine must be, for `auto` to take it."""
ROUNDS = 3

Build = Callable[[str, bool], MapSource]


@dataclass(frozen=True)
class Choice:
    """An engine that was chosen.

    Attributes:
        name: of `ENGINES`.
        maps: computed by it.
    """

    name: str
    maps: MapSource


def checked_engine(name: str) -> str:
    """Return a name of an engine, or `auto`; raises UserError for another."""
    known = (AUTO, *ENGINES)
    if name not in known:
        raise UserError(f"--engine {name}: must be one of {', '.join(known)}{nearest(str(name), known)}")
    return name


def choose_engine(
    wanted: str,
    build: Build,
    jobs: Sequence[EngineJob],
    batches: Sequence[Tensor],
    threshold: float,
    images: int,
    earlier: str | None,
    say: Callable[[str], None],
) -> Choice:
    """Choose an engine.

    Args:
        wanted: name, or `auto`.
        build: makes the maps of an engine by its name, with or without bfloat16.
        jobs: of the engines, one for each network.
        batches: first images of the work, (B, 3, X, Y) of uint8, of the shape that most of it has.
        threshold: probability from which a pixel is foreground.
        images: how many there are to compute, windows and views counted.
        earlier: engine that computed the first part of the work; `auto` keeps it.
        say: called with a line where PyTorch is used in place of another engine.

    Returns:
        The engine.

    Raises:
        UserError: where the one that is wanted is missing, or its masks differ from PyTorch's.
    """
    amp = jobs[0].amp
    if wanted == TorchEngine.name:
        return Choice(wanted, build(wanted, amp))
    if wanted != AUTO and not batches:
        say(f"--engine {wanted}: none of the first images can be read to check it on; PyTorch is used")
        return Choice(TorchEngine.name, build(TorchEngine.name, amp))
    if wanted != AUTO:
        found = build(wanted, amp)
        _check(wanted, found, build, batches, threshold, amp)
        return Choice(wanted, found)
    best = Choice(TorchEngine.name, build(TorchEngine.name, amp))
    others = [earlier] if earlier in ENGINES else [*ENGINES] if images >= WORTH else []
    for name in others:
        if name == best.name or not batches or not _able(name, jobs):
            continue
        try:
            found = build(name, amp)
            _check(name, found, build, batches, threshold, amp)
        except UserError as error:
            say(f"{error}; PyTorch is used")
            continue
        if name == earlier or _seconds(best.maps, batches[0]) > MARGIN * _seconds(found, batches[0]):
            best = Choice(name, found)
        break  # the others are slower than the first that is able and right, and a file of each takes room
    return best


def masks_of(maps: Tensor, channels: Sequence[str], threshold: float) -> Tensor:
    """Number of the class at each pixel, (B, X, Y), 0 for background.

    Args:
        maps: (B, K, X, Y).
        channels: their names.
        threshold: probability from which a pixel is foreground.
    """
    by_name = dict(zip(channels, maps.unbind(1), strict=True))
    classes = [values for name, values in by_name.items() if name.startswith(CLASS)]
    return class_numbers(by_name["probability"], classes, threshold)


def agreement(got: Tensor, expected: Tensor) -> float:
    """Dice of two masks (X, Y), of the worst class; 1 where they differ in hardly a pixel, see `FEW`."""
    if (got != expected).float().mean() <= FEW:
        return 1.0
    return min(dice_by_class(got.numpy(), expected.numpy()))


def _check(name: str, maps: MapSource, build: Build, batches: Sequence[Tensor], threshold: float, amp: bool) -> None:
    """Raise UserError where the masks of an engine are not PyTorch's in float32."""
    exact = build(TorchEngine.name, False)
    scores = []
    for batch in batches:
        expected = exact(batch)
        try:
            got = maps(batch)
        except Exception as error:  # each runtime has its own
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"--engine {name}: cannot compute ({reason}); use --engine torch") from error
        if not bool(got.isfinite().all()):
            raise UserError(f"--engine {name}: gives numbers that are not finite; use --engine torch")
        pairs = (masks_of(each, exact.channels, threshold) for each in (got, expected))
        scores += [agreement(one, other) for one, other in zip(*pairs, strict=True)]
    limits = LIMITS[amp]
    mean, worst = float(np.mean(scores)), min(scores)
    if mean < limits.mean or worst < limits.worst:
        raise UserError(
            f"--engine {name}: its masks differ from PyTorch's on the first {len(scores)} images (Dice {mean:.4f} on "
            f"average, {worst:.4f} at worst; {limits.mean} and {limits.worst} pass); use --engine torch"
        )


def _able(name: str, jobs: Sequence[EngineJob]) -> bool:
    """Whether an engine can do the jobs with what is installed."""
    try:
        for job in jobs:
            ENGINES[name].refuse(job)
    except UserError:
        return False
    return True


def _seconds(maps: MapSource, batch: Tensor) -> float:
    """Least time of a batch, after a first one."""
    times = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        maps(batch)
        times.append(time.perf_counter() - start)
    return min(times[1:])
