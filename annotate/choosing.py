"""Which image comes next: the one the network is least certain of, a random one, or the first.

Uncertainty is how much the network's answers on flipped copies of an image disagree (`predicting.disagreement`). Images
are scored with the weights in use while nobody waits for an inference; scores of other weights do not count.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from pathlib import Path

from annotate.errors import NotFound, Unfit
from annotate.labels import LabelStore
from annotate.models import Models
from annotate.predicting import Task
from annotate.queue import IDLE, InferenceQueue, Job
from annotate.records import read_record
from annotate.settings import Settings
from annotate.studies import Studies
from custom_networks.errors import nearest
from custom_networks.files import write_json

STRATEGIES = ("epistemic", "random", "first")


@dataclass(frozen=True)
class Choice:
    """The next image, and why."""

    id: str
    reason: str


class Scores:
    """Uncertainty of each image for the weights in use, kept across restarts.

    Args:
        file: `annotations/scores.json`.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = threading.Lock()
        content = read_record(file)
        self.key: str = str(content.get("model", ""))
        self.values: dict[str, float] = dict(content.get("scores") or {})

    def of(self, key: str) -> dict[str, float]:
        """Scores by image name for weights with this SHA-256."""
        with self._lock:
            return dict(self.values) if key == self.key else {}

    def add(self, key: str, name: str, score: float) -> None:
        """Note a score; those of other weights are dropped."""
        with self._lock:
            if key != self.key:
                self.key, self.values = key, {}
            self.values[name] = round(score, 5)
            write_json(self.file, {"model": self.key, "scores": self.values})


class Chooser:
    """Choose the next image, and score images while the queue is idle.

    Args:
        settings: of the server.
        studies: the images.
        labels: what is labelled already.
        models: whose weights score.
        queue: that computes.
    """

    def __init__(
        self, settings: Settings, studies: Studies, labels: LabelStore, models: Models, queue: InferenceQueue
    ) -> None:
        self.settings, self.studies, self.labels = settings, studies, labels
        self.models, self.queue = models, queue
        self.scores = Scores(settings.annotations / "scores.json")
        self._failed: set[tuple[str, str]] = set()
        self._pending: Job | None = None
        self._lock = threading.Lock()

    def uncertainty(self) -> dict[str, float]:
        """Scores by image name for the weights in use."""
        model = self.models.active()
        return self.scores.of(model.sha256) if model else {}

    def next(self, strategy: str, after: str | None = None) -> Choice:
        """Choose an image without a label that was not skipped or flagged.

        Args:
            strategy: one of `STRATEGIES`.
            after: image that is open now; it is not chosen, and "first" goes on behind it.

        Raises:
            NotFound: when every image is done.
            Unfit: for another strategy.
        """
        if strategy not in STRATEGIES:
            raise Unfit(
                f"strategy {strategy[:40]!r}: must be one of {', '.join(STRATEGIES)}{nearest(strategy, STRATEGIES)}"
            )
        open_now = self.studies.find(after) if after else None
        left = [name for name in self.studies.names() if self.labels.state(name).state == "unlabelled"]
        left = [name for name in left if name != open_now]
        if not left:
            raise NotFound("every image is labelled, skipped or flagged; nothing is left")
        if strategy == "random":
            return Choice(random.choice(left), f"drawn from {len(left)} images without a label")
        if strategy == "epistemic":
            known = {name: score for name, score in self.uncertainty().items() if name in set(left)}
            if known:
                best = max(known, key=lambda name: known[name])
                return Choice(best, f"disagreement {known[best]:.2f}, the largest of {len(known)} images scored")
        later = [name for name in left if open_now is None or name > open_now]
        found = (later or left)[0]
        unscored = "; no image is scored yet" if strategy == "epistemic" else ""
        return Choice(found, f"the first of {len(left)} images without a label{unscored}")

    def score_some(self) -> None:
        """Queue the scoring of one more image where nothing else is to be done; called now and then."""
        with self._lock:
            if self._pending is not None and self._pending.state in ("queued", "running"):
                return
            model = self.models.active()
            if model is None or not self.queue.idle():
                return
            known = self.scores.of(model.sha256)
            name = next((name for name in self.studies.names() if self._wanted(name, model.sha256, known)), None)
            if name is None:
                return
            task = Task(
                str(self.studies.path(name)),
                str(model.checkpoint),
                model.sha256,
                str(self.settings.bundle_root),
                self.settings.device,
                self.settings.image_size,
                ("uncertainty",),
                interactive=self.models.takes_clicks(model),
            )

            def note(job: Job) -> None:
                if job.outcome is not None and job.outcome.uncertainty is not None:
                    self.scores.add(model.sha256, name, job.outcome.uncertainty)
                    job.outcome = None
                else:
                    self._failed.add((model.sha256, name))

            self._pending = self.queue.submit(task, IDLE, note)

    def _wanted(self, name: str, key: str, known: dict[str, float]) -> bool:
        return name not in known and (key, name) not in self._failed and self.labels.state(name).state == "unlabelled"
