"""What MONAI Label calls tasks, over the parts of our service: inference, training, strategies, scoring."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType
from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.interfaces.tasks.train import TrainTask

from annotate.contours import elements_json, outlines
from annotate.datastore import FINAL, ORIGINAL
from annotate.errors import ClientError, NotFound, Unavailable
from annotate.foreign import write_foreign
from annotate.guidance import guidance_of
from annotate.labels import read_label
from annotate.queue import Job
from annotate.service import Service
from custom_networks.metrics.overlap import confusion, dice

PATIENCE = 600.0  # seconds that a client's request waits for its inference


class QueuedInfer(InferTask):
    """Inference through the queue, without guidance or with it.

    Args:
        service: whose queue and weights.
        guided: whether clicks, scribbles and boxes are taken.
    """

    def __init__(self, service: Service, guided: bool) -> None:
        self.service, self.guided = service, guided
        names = {each["name"]: each["index"] for each in service.classes()}
        kind = InferType.DEEPEDIT if guided else InferType.SEGMENTATION
        what = "SGD-Net with clicks, scribbles and boxes" if guided else "SGD-Net, automatic"
        super().__init__(kind, names, 2, what, {"result_extension": ".png"})

    def is_valid(self) -> bool:
        """Whether the weights in use can do it."""
        return self.service.models.active() is not None and (not self.guided or self.service.interactive())

    def get_path(self, validate: bool = True) -> str | None:
        """Path of the weights in use."""
        model = self.service.models.active()
        return str(model.checkpoint) if model else None

    def predict(self, path: Path, size: tuple[int, int], request: dict[str, Any]) -> tuple[np.ndarray, Job]:
        """Segment a file that the server has written or listed.

        Args:
            path: of the image.
            size: its width and height.
            request: with foreground, background and roi as clients send them.

        Returns:
            (H, W), class of each pixel, and the job.

        Raises:
            Unavailable: without weights, or where the inference fails.
        """
        guidance = guidance_of(said_by_client(request, list(self.labels)), size) if self.guided else {}
        job = self.service.infer_file(path, guidance, ())
        if not job.finished.wait(PATIENCE):
            self.service.queue.cancel(job)
            raise Unavailable("the inference took too long; try again when fewer people wait")
        if job.outcome is None:
            raise Unavailable(job.error or "the inference was cancelled")
        return read_label(job.outcome.files["mask"], size, 65535).astype(np.int64), job

    def __call__(self, request: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """Answer MONAI Label: the path of a label file, which the caller deletes, and outlines."""
        name = self.service.studies.find(Path(request["image"]).name)
        size = self.service.studies.size(name)
        label, job = self.predict(self.service.studies.path(name), (size.width, size.height), request)
        ending = str(request.get("result_extension") or ".png")
        data, _ = write_foreign(label, ending)
        with tempfile.NamedTemporaryFile(suffix=ending, delete=False) as file:
            file.write(data)
        return file.name, result_of(self.service, label, job)


def result_of(service: Service, label: np.ndarray, job: Job, smallest: float = 0) -> dict[str, Any]:
    """What clients are told beside a mask: the labels' numbers, outlines, how long it took."""
    classes = service.classes()
    model = service.models.active()
    about = {
        "model": f"sgdnet version {model.version if model else '?'}",
        "label_names": {each["name"]: each["index"] for each in classes},
        "latencies": {"total": job.seconds},
    }
    return elements_json(outlines(label, classes, smallest), "SGD-Net", about)


def said_by_client(request: dict[str, Any], labels: list[str]) -> dict[str, Any]:
    """Bring guidance as clients send it into our own form.

    3D Slicer sends points of three coordinates, and those of a label under its name; CVAT and 3D Slicer send a box as
    `roi`; DSA and QuPath send `foreground` and `background`.
    """

    def points(*names: str) -> list[list[float]]:
        found: list[list[float]] = []
        for name in names:
            for point in request.get(name) or []:
                if not isinstance(point, list | tuple) or not 2 <= len(point) <= 3 or not all(map(_number, point)):
                    raise _bad(name)
                found.append([float(point[0]), float(point[1])])
        return found

    for name in ("foreground", "background", *labels):
        if not isinstance(request.get(name) or [], list):
            raise _bad(name)
    box = request.get("roi")
    if box is not None and not (isinstance(box, list) and len(box) in (4, 6) and all(map(_number, box))):
        raise _bad("roi")
    if box is not None and len(box) == 6:  # Slicer: x0, x1, y0, y1, z0, z1
        box = [box[0], box[2], box[1], box[3]]
    return {"foreground": points("foreground", *labels), "background": points("background"), "box": box}


class FineTuning(TrainTask):
    """Fine-tuning on the submitted labels; see `training`."""

    def __init__(self, service: Service) -> None:
        super().__init__("Fine-tune on the submitted labels; published only if held-out images are not worse")
        self.service = service

    def config(self) -> dict[str, Any]:
        """Settings that a client may change."""
        return {"max_epochs": 10}

    def stats(self) -> dict[str, Any]:
        """Progress, as MONAI Label shows it."""
        progress = self.service.trainer.progress()
        last = progress.curve[-1] if progress.curve else {}
        return {"epoch": progress.epoch, "total_time": "", "best_metric": last.get("dice")}

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Start a fine-tuning and tell how it is."""
        epochs = request.get("max_epochs", 10)
        if isinstance(epochs, bool) or not isinstance(epochs, int):
            raise _bad("max_epochs")
        return dict(vars(self.service.trainer.start(epochs, str(request.get("client_id") or "anonymous")[:80])))


class Next(Strategy):
    """A strategy of `choosing`."""

    def __init__(self, service: Service, strategy: str, description: str) -> None:
        super().__init__(description)
        self.service, self.strategy = service, strategy

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """Choose; None when all images are done."""
        try:
            return {"id": self.service.chooser.next(self.strategy).id}
        except NotFound:
            return None


class Epistemic(ScoringMethod):
    """Disagreement of flipped views, which images are scored by in the background."""

    def __init__(self, service: Service) -> None:
        super().__init__("Disagreement of the network on flipped copies")
        self.service = service

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Tell the scores so far."""
        return self.service.chooser.uncertainty()


class ProposalDice(ScoringMethod):
    """Dice between the kept proposals of the model and the labels."""

    def __init__(self, service: Service) -> None:
        super().__init__("Dice between proposals (tag original) and submitted labels (tag final)")
        self.service = service

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Compute it for every image that has both."""
        found = {}
        for name in self.service.studies.names():
            try:
                masks = []
                for tag in (ORIGINAL, FINAL):
                    size = self.service.studies.size(name)
                    data = Path(datastore.get_label_uri(name, tag)).read_bytes()
                    masks.append(read_label(data, (size.width, size.height), 65535) > 0)
            except ClientError:
                continue
            found[name] = dice(confusion(*masks))
        return found


def _number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and abs(value) < 1e9


def _bad(name: str) -> ClientError:
    return ClientError(f"params: {name[:40]!r} is not what this server reads; see docs/annotation.md")
