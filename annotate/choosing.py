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
from annotate.pictures import Pictures
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
        pictures: which images can be read.
    """

    def __init__(
        self,
        settings: Settings,
        studies: Studies,
        labels: LabelStore,
        models: Models,
        queue: InferenceQueue,
        pictures: Pictures,
    ) -> None:
        self.settings, self.studies, self.labels = settings, studies, labels
        self.models, self.queue, self.pictures = models, queue, pictures
        self.scores = Scores(settings.annotations / "scores.json")
        self._failed: set[tuple[str, str]] = set()
        self._pending: Job | None = None
        self._lock = threading.Lock()

    def uncertainty(self) -> dict[str, float]:
        """Scores by image name for the weights in use."""
        model = self.models.active()
        return self.scores.of(model.sha256) if model else {}

    def next(self, strategy: str, after: str | None = None) -> Choice:
        """Choose an image without a label that was not skipped or flagged, and can be read.

        Args:
            strategy: one of `STRATEGIES`.
            after: image that is open now; it is not chosen, and "first" goes on behind it.

        Raises:
            NotFound: when every image is done, or cannot be read.
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
            drawn = self._readable(random.sample(left, len(left)))
            return Choice(drawn, f"drawn from {len(left)} images without a label")
        if strategy == "epistemic":
            scores, open_ones = self.uncertainty(), set(left)
            known = sorted((name for name in scores if name in open_ones), key=lambda name: -scores[name])
            best = next(filter(self.pictures.readable, known), None)
            if best is not None:
                return Choice(best, f"disagreement {scores[best]:.2f}, the largest of {len(known)} images scored")
        later = [name for name in left if open_now is None or name > open_now]
        found = self._readable(later + [name for name in left if open_now is not None and name < open_now])
        unscored = "; no image is scored yet" if strategy == "epistemic" else ""
        return Choice(found, f"the first of {len(left)} images without a label{unscored}")

    def _readable(self, names: list[str]) -> str:
        """Return the first image that can be read; raises NotFound."""
        found = next(filter(self.pictures.readable, names), None)
        if found is None:
            raise NotFound(f"{names[0]} and whatever else has no label cannot be read; replace or remove the files")
        return found

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
