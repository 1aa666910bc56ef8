"""All parts of the server, put together; one process at a time may serve a studies folder."""

from __future__ import annotations

import fcntl
import re
import secrets
import threading
import time
from pathlib import Path
from typing import Any

from annotate.choosing import Chooser
from annotate.errors import Unavailable
from annotate.labels import LabelStore
from annotate.models import Models
from annotate.pictures import Pictures
from annotate.predicting import Task
from annotate.queue import InferenceQueue, Job
from annotate.records import read_record
from annotate.settings import PALETTE, Settings
from annotate.studies import Studies
from annotate.training import Trainer
from custom_networks.errors import UserError
from custom_networks.files import write_json

FOLDER_FILE = "folder.json"
SCORING_PAUSE = 1.0  # seconds between looks whether the queue is idle
LOCK_PATIENCE = 5.0  # seconds that a killed server may take to let the folder go


class Service:
    """The parts, and what needs several of them.

    Args:
        settings: of the server.
        threads: of the inference process; None takes one for each core, four at most.

    Raises:
        UserError: where another server uses the folder, or it cannot be written.
    """

    def __init__(self, settings: Settings, threads: int | None = None) -> None:
        import torch

        self.settings = settings
        self._lock_file = _locked(settings.annotations)
        self.folder_id = folder_id(settings.annotations)
        self.studies = Studies(settings)
        self.labels = LabelStore(settings.annotations / "labels")
        self.pictures = Pictures(self.studies, settings.annotations / "cache" / "thumbnails")
        self.models = Models(settings.annotations / "models", settings.weights)
        self.queue = InferenceQueue(threads or min(4, torch.get_num_threads()))
        self.chooser = Chooser(settings, self.studies, self.labels, self.models, self.queue, self.pictures)
        self.trainer = Trainer(settings, self.studies, self.labels, self.models)
        self._closed = threading.Event()
        if settings.score:
            threading.Thread(target=self._score, name="scoring", daemon=True).start()

    def classes(self) -> list[dict[str, Any]]:
        """The classes with index, name and colour."""
        names = dict(enumerate(self.settings.classes, start=1)) or self.models.classes()
        return [{"index": i, "name": name, "colour": PALETTE[(i - 1) % len(PALETTE)]} for i, name in names.items()]

    def interactive(self) -> bool:
        """Whether the weights in use take clicks and scribbles."""
        model = self.models.active()
        if model is None:
            return False
        return self.models.takes_clicks(model)

    def infer(self, name: str, guidance: dict[str, Any], maps: tuple[str, ...]) -> Job:
        """Queue an inference.

        Args:
            name: of the image.
            guidance: see `predicting.Task`; empty for automatic segmentation.
            maps: beside probability and mask.

        Returns:
            The job.

        Raises:
            Unavailable: without weights, or with guidance that the weights do not take.
        """
        return self.infer_file(self.studies.path(name), guidance, maps)

    def infer_file(self, path: Path, guidance: dict[str, Any], maps: tuple[str, ...]) -> Job:
        """Queue an inference on a file that the server itself has written or listed; otherwise as `infer`."""
        model = self.models.required()
        if guidance and not self.models.takes_clicks(model):
            raise Unavailable("these weights take no clicks, scribbles or boxes; correct the outline with the brush")
        settings = self.settings
        task = Task(
            str(path),
            str(model.checkpoint),
            model.sha256,
            str(settings.bundle_root),
            settings.device,
            settings.image_size,
            maps,
            guidance,
            self.models.takes_clicks(model),
        )
        return self.queue.submit(task)

    def close(self) -> None:
        """End inference and fine-tuning, and let the folder go."""
        self._closed.set()
        self.trainer.close()
        self.queue.close()
        self._lock_file.close()

    def _score(self) -> None:
        while not self._closed.wait(SCORING_PAUSE):
            try:
                self.chooser.score_some()
            except (UserError, OSError):
                continue  # an image that vanished, a full disk: try again later


def folder_id(annotations: Path) -> str:
    """Return the random id of a studies folder, which is made once; raises UserError where it cannot be written.

    Two folders of one name have different ids, a folder that is moved or renamed keeps its own.
    """
    known = read_record(annotations / FOLDER_FILE).get("id")
    if isinstance(known, str) and re.fullmatch("[0-9a-f]{32}", known):
        return known
    made = secrets.token_hex(16)
    try:
        write_json(annotations / FOLDER_FILE, {"id": made})
    except OSError as error:
        raise UserError(f"{annotations}: cannot be written ({error.strerror}); labels are kept there") from None
    return made


def _locked(folder: Path) -> Any:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}); labels are kept there") from None
    until = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except OSError:
            if time.monotonic() > until:
                file.close()
                sentence = f"{folder}: another server uses these studies; stop it first, or open its page"
                raise UserError(sentence) from None
            time.sleep(0.1)
