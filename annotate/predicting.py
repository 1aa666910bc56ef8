"""The inference process: computes what the queue sends it, keeps networks and what does not depend on clicks."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST = 2048  # longest side of the maps that a client gets
NETWORKS = 3
STATES = 16


@dataclass(frozen=True)
class Task:
    """An inference.

    Args:
        image: path of the image.
        checkpoint: path of the weights.
        key: SHA-256 of the weights, by which loaded networks are told apart.
        bundle_root: folder of the bundle.
        device: where to compute; None takes the GPU where there is one.
        image_size: side of the network's square, pixels; None takes the training's.
        maps: what to compute beside probability and mask: "uncertainty", "edge".
        guidance: clicks, scribbles, box and previous mask; empty for automatic segmentation.
        interactive: whether the weights are those of a network that takes guidance.
    """

    image: str
    checkpoint: str
    key: str
    bundle_root: str
    device: str | None = None
    image_size: int | None = None
    maps: tuple[str, ...] = ()
    guidance: Mapping[str, Any] = field(default_factory=dict)
    interactive: bool = False


@dataclass(frozen=True)
class Outcome:
    """What an inference gives.

    Args:
        files: PNG by name: mask (class of each pixel, at the image's size), probability (0..255), edge, uncertainty,
            and probability_N of each class where there are several; maps are at most 2048 pixels a side.
        confidence: 0 to 1, the Dice to be expected if the probabilities are right.
        uncertainty: 0 to 1, mean disagreement of the views within and around what was found; None where not asked for.
    """

    files: dict[str, bytes]
    confidence: float
    uncertainty: float | None = None


def serve(connection: Connection, threads: int) -> None:
    """Answer tasks until the other end is closed: `("done", Outcome)` or `("error", sentence)`."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the server ends this process
    os.nice(5)  # requests that people wait for at the page come first
    import torch

    torch.set_num_threads(threads)
    desk = Desk()
    while True:
        try:
            task = connection.recv()
        except (EOFError, OSError):
            return
        try:
            answer: tuple[str, Any] = ("done", desk.compute(task))
        except Exception as error:  # whatever happens to one image must not end the process
            from custom_networks.messages import find_user_error

            found = find_user_error(error)
            answer = ("error", str(found or f"{type(error).__name__}: {error}")[:500])
        try:
            connection.send(answer)
        except (BrokenPipeError, OSError):
            return


class Desk:
    """Networks in memory, and embeddings of the images that are being clicked on."""

    def __init__(self) -> None:
        self.networks: OrderedDict[tuple[Any, ...], Any] = OrderedDict()
        self.states: OrderedDict[tuple[Any, ...], Any] = OrderedDict()

    def compute(self, task: Task) -> Outcome:
        """Compute a task; raises UserError for weights or an image that cannot be used."""
        return self.guided(task) if task.interactive else self.automatic(task)

    def automatic(self, task: Task) -> Outcome:
        """Segment with weights that take no guidance, through the package's predictor."""
        from custom_networks.prediction.predictor import SGDNetPredictor

        tta = "flips" if "uncertainty" in task.maps else "none"
        options: dict[str, Any] = {} if task.image_size is None else {"image_size": task.image_size}

        def load() -> SGDNetPredictor:
            return SGDNetPredictor.from_bundle(
                task.bundle_root, task.checkpoint, device=task.device, edge=True, tta=tta, **options
            )

        found = _kept(self.networks, ("automatic", task.key, tta, task.image_size), load, NETWORKS)(task.image)
        mask = found.mask.astype(np.uint8) if found.classes is None else found.classes
        files = {"mask": _png(mask), "probability": _map(found.probability)}
        for number, values in found.class_probability.items():
            files[f"probability_{number}"] = _map(values)
        if found.edge is not None and "edge" in task.maps:
            files["edge"] = _map(found.edge)
        spread = None
        if found.uncertainty is not None:
            files["uncertainty"] = _map(2 * found.uncertainty)  # a standard deviation of 0..1 is at most 0.5
            spread = disagreement(found.probability, found.uncertainty)
        return Outcome(files, found.confidence, spread)

    def guided(self, task: Task) -> Outcome:
        """Segment with clicks, scribbles, a box and a previous mask, or with none of them."""
        from custom_networks.interactive import Guidance, InteractivePredictor
        from custom_networks.prediction.reading import read_file
        from custom_networks.prediction.result import confidence

        def load() -> Any:
            return InteractivePredictor(task.checkpoint, device=task.device, image_size=task.image_size)

        predictor = _kept(self.networks, ("guided", task.key, task.image_size), load, NETWORKS)

        def pixels() -> NDArray[np.uint8]:
            return read_file(Path(task.image), predictor.bit_depth).pixels

        stamp = Path(task.image).stat().st_mtime_ns
        key = (task.key, task.image, stamp, task.image_size)
        state = _kept(self.states, key, lambda: predictor.embed(pixels()), STATES)
        answer = predictor.answer(state, Guidance(**task.guidance))
        files = {"mask": _png(answer.mask.astype(np.uint8)), "probability": _map(answer.probability)}
        if "edge" in task.maps:
            files["edge"] = _map(answer.edge)
        spread = None
        if "uncertainty" in task.maps:
            views = np.stack(_flipped_answers(predictor, pixels()))
            deviation = views.std(0)
            files["uncertainty"] = _map(2 * deviation)
            spread = disagreement(views.mean(0), deviation)
        return Outcome(files, confidence(answer.probability, answer.mask), spread)


def _flipped_answers(predictor: Any, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """Probabilities (H, W) of the image itself and flipped left to right, upside down and both, without guidance."""
    found = []
    for axes in ((), (1,), (0,), (0, 1)):
        flipped = np.ascontiguousarray(np.flip(pixels, axes))
        found.append(np.flip(predictor.answer(predictor.embed(flipped)).probability, axes))
    return found


def disagreement(probability: NDArray[np.floating], spread: NDArray[np.floating]) -> float:
    """How much the views disagree on an image: the sum of their spread over the area of what they found.

    Args:
        probability: (H, W), mean over the views.
        spread: (H, W), standard deviation over the views.

    Returns:
        0 to 1; an image where nothing was found has the spread's largest value.
    """
    area = float(probability.sum())
    if area < 1:
        return float(min(1.0, 2 * spread.max()))
    return float(min(1.0, spread.sum() / area))


def _kept(store: OrderedDict[tuple[Any, ...], Any], key: tuple[Any, ...], make: Any, limit: int) -> Any:
    """What a store has under a key, made where it is missing; the longest unused goes beyond the limit."""
    if key not in store:
        store[key] = make()
        while len(store) > limit:
            store.popitem(last=False)
    store.move_to_end(key)
    return store[key]


def _map(values: NDArray[np.floating]) -> bytes:
    """Encode values 0..1 as PNG of 8 bits, at most `LARGEST` pixels a side."""
    return _png(np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8), LARGEST)


def _png(pixels: NDArray[np.uint8], largest: int | None = None) -> bytes:
    import io

    from PIL import Image

    image = Image.fromarray(pixels)
    if largest is not None:
        image.thumbnail((largest, largest))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
