"""The loop of docs/annotation.md, closed once: `annotate/.venv/bin/python -m benchmarks.annotation_loop --help`.

A real server gets some images of a data set. A simulated user asks for the next one, corrects the model's outline click
by click, draws the rest by hand where that is not enough, and submits; fine-tuning is started and waited for; all of it
through the server's HTTP API. Dice is measured before and after on images of the same data set that the server never
had.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import requests
from numpy.typing import NDArray
from PIL import Image

from custom_networks.data.formats import read
from custom_networks.data.pairing import find_pairs
from custom_networks.files import write_json
from custom_networks.interactive import InteractivePredictor
from custom_networks.interactive.evaluation import evaluate_images
from custom_networks.interactive.simulation import click_in, largest_error
from custom_networks.metrics.overlap import confusion, iou
from custom_networks.statistics.bootstrap import bootstrap_interval

CONTENT = 0.85  # IoU at which the user submits what the model has; below it after the last click he draws the truth
SHOWN = (0, 1)  # clicks after which Dice is told
Item = dict[str, Any]
Mask = NDArray[np.bool_]


class Server:
    """A server in a process of its own, and its HTTP API.

    Args:
        studies: folder of the images.
        checkpoint: weights to start with.
    """

    def __init__(self, studies: Path, checkpoint: str) -> None:
        command = [sys.executable, "-m", "custom_networks.cli", "annotate", "--studies", str(studies), "--port", "0"]
        self.process = subprocess.Popen([*command, "--checkpoint", checkpoint], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        said = next((line for line in self.process.stdout if line.startswith("Open ")), "")
        if not said:
            raise SystemExit("the server did not start")
        self.address = said.split()[1].partition("/ui/")[0]

    def ask(self, method: str, path: str, **more: Any) -> Any:
        """Send a request; returns JSON, or bytes of a picture."""
        answer = requests.request(method, self.address + path, timeout=600, **more)
        answer.raise_for_status()
        return answer.json() if "json" in answer.headers["content-type"] else answer.content

    def mask(self, image: str, **said: Any) -> Mask:
        """Ask for a mask (H, W) and wait for it."""
        job = self.ask("POST", "/api/infer", json={"image": image, **said})["job"]
        while (told := self.ask("GET", f"/api/jobs/{job}", params={"wait": 30}))["state"] in ("queued", "running"):
            pass
        if told["state"] != "done":
            raise SystemExit(f"{image}: {told['error']}")
        return np.asarray(Image.open(io.BytesIO(self.ask("GET", f"/api/jobs/{job}/mask")))) > 0

    def stop(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.wait(timeout=30)


@dataclass
class User:
    """Somebody who clicks into the largest error until content, and knows the truth.

    Args:
        server: that answers.
        truths: (H, W) by image name.
        most: clicks before the rest is drawn by hand.
    """

    server: Server
    truths: dict[str, Mask]
    most: int
    clicks: list[int] = field(default_factory=list)
    drawn: int = 0

    def label_next(self) -> None:
        """Take the image that the server chooses, correct its outline and submit it."""
        name = self.server.ask("POST", "/api/next", json={"strategy": "epistemic"})["id"]
        truth = self.truths[name]
        begin = time.monotonic()
        mask = self.server.mask(name)
        said: dict[str, list[list[int]]] = {"foreground": [], "background": []}
        marks = []
        while iou(confusion(mask, truth)) < CONTENT and len(marks) < self.most:
            error = largest_error(mask, truth)
            if error is None:
                break
            y, x = map(int, click_in(error)[0])
            said["foreground" if error.positive else "background"].append([x, y])
            marks.append({"x": x, "y": y, "positive": error.positive})
            mask = self.server.mask(name, previous=base64.b64encode(_png(mask)).decode(), **said)
        if iou(confusion(mask, truth)) < CONTENT:
            mask = truth
            self.drawn += 1
        self.clicks.append(len(marks))
        about = {"base_version": 0, "clicks": marks, "seconds": time.monotonic() - begin}
        self.server.ask(
            "PUT",
            f"/api/images/{name}/label",
            files={"label": ("label.png", _png(mask), "image/png")},
            data={"about": json.dumps(about)},
        )


def split(dataset_dir: str, labels: int, test: int, seed: int) -> tuple[list[Item], list[Item]]:
    """Draw the images that the server gets, and those that it never gets."""
    items = [dict(item) for item in find_pairs(dataset_dir)]
    drawn = random.Random(seed).sample(items, labels + test)
    return drawn[:labels], drawn[labels:]


def dice_after_clicks(checkpoint: str | Path, items: list[Item]) -> dict[int, NDArray[np.float64]]:
    """Measure Dice of each item after each number of `SHOWN` clicks."""
    frame = evaluate_images(InteractivePredictor(checkpoint, "cpu"), items, "clicks", max(SHOWN))
    return {count: frame.loc[frame["marks"] == count, "dice"].to_numpy() for count in SHOWN}


def close_loop(studies: Path, checkpoint: str, items: list[Item], most: int, epochs: int | None) -> dict[str, Any]:
    """Label every item and fine-tune.

    Args:
        studies: new folder, where the weights are afterwards.
        checkpoint: weights to start with.
        items: that are labelled.
        most: clicks an image.
        epochs: of the fine-tuning; None takes the server's default.

    Returns:
        What happened: figures, and the server's own account of the fine-tuning.
    """
    (studies / "images").mkdir(parents=True)
    truths = {}
    for item in items:
        name = Path(item["image"]).name
        shutil.copyfile(item["image"], studies / "images" / name)
        truths[name] = np.asarray(read(item["label"], "mask").image) > 0
    server = Server(studies, checkpoint)
    try:
        user = User(server, truths, most)
        for _ in items:
            user.label_next()
        begin = time.monotonic()
        server.ask("POST", "/api/training", json={} if epochs is None else {"epochs": epochs})
        while (told := server.ask("GET", "/api/training"))["state"] == "running":
            time.sleep(2)
        seconds = time.monotonic() - begin
        labelled = server.ask("GET", "/api/images", params={"state": "labelled"})["total"]
    finally:
        server.stop()
    if told["state"] != "done":
        raise SystemExit(f"{told['message']}\n" + "\n".join(told["log"]))
    return {
        "labels": labelled,
        "clicks": user.clicks,
        "drawn_by_hand": user.drawn,
        "training_seconds": round(seconds),
        **{key: told[key] for key in ("epochs", "curve", "before", "after", "published", "message")},
    }


def main(arguments: list[str] | None = None) -> None:
    """Close the loop and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset_dir", required=True, help="images/ and masks/")
    parser.add_argument("--checkpoint", required=True, help="interactive weights")
    parser.add_argument("--labels", type=int, default=20)
    parser.add_argument("--test", type=int, default=60)
    parser.add_argument("--clicks", type=int, default=5, help="most of them an image")
    parser.add_argument("--epochs", type=int, help="the server's default otherwise")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--studies", type=Path, help="new folder; a temporary one otherwise")
    parser.add_argument("--output", type=Path, required=True, help="JSON of the figures")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        studies = chosen.studies or Path(temporary) / "studies"
        mine, unseen = split(chosen.dataset_dir, chosen.labels, chosen.test, chosen.seed)
        before = dice_after_clicks(chosen.checkpoint, unseen)
        told = close_loop(studies, chosen.checkpoint, mine, chosen.clicks, chosen.epochs)
        tuned = studies / "annotations" / "models" / "0001" / "model.pt"
        after = dice_after_clicks(tuned if told["published"] else chosen.checkpoint, unseen)
    write_json(chosen.output, {**told, "seed": chosen.seed, "unseen": compare(before, after)})


def compare(before: dict[int, NDArray[np.float64]], after: dict[int, NDArray[np.float64]]) -> list[dict[str, Any]]:
    """Sum up Dice before and after on the same images, with the 95 % interval of the mean difference."""
    rows = []
    for count in before:
        gain = after[count] - before[count]
        interval = bootstrap_interval(gain)
        rows.append(
            {
                "clicks": count,
                "images": len(gain),
                "before": float(before[count].mean()),
                "after": float(after[count].mean()),
                "gain_low": interval.low,
                "gain_high": interval.high,
                "better": int((gain > 0).sum()),
            }
        )
    return rows


def _png(mask: Mask) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


if __name__ == "__main__":
    main()
