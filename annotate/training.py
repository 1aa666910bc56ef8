"""Fine-tuning on the submitted labels: one at a time, in a process of its own, published only if it is not worse.

In `annotations/`:

- training/0001/spec.json: what is done
- training/0001/state.json: how it ended
- training/0001/log.txt: what the process printed
- training/0001/run/metrics.csv: a row per epoch
- heldout.json: which images are held out; an image stays on its side for ever
"""

from __future__ import annotations

import contextlib
import csv
import logging
import shutil
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from annotate.errors import Conflict, Unfit
from annotate.finetune import RESULT, SPEC, WEIGHTS
from annotate.fitting import fitting, left_out_sentence
from annotate.labels import LabelStore, now
from annotate.models import Models
from annotate.records import numbered, read_record
from annotate.settings import Settings
from annotate.studies import Studies
from custom_networks.errors import UserError
from custom_networks.files import write_json
from custom_networks.weights import trained_size

logger = logging.getLogger(__name__)
STATE = "state.json"
HELD_OUT_EVERY = 3  # of the labelled images, the second of each three
FEWEST = 5  # held-out images below which a difference is not called an improvement
LEARNING_RATE = 1e-4
LARGEST_BATCH = 8
MAX_EPOCHS = 200
LOG_LINES = 20
WORDS = "fine-tuning"


@dataclass(frozen=True)
class Progress:
    """What is known of the last fine-tuning.

    Args:
        state: idle, running, done, error or cancelled.
        epoch: complete ones.
        epochs: asked for.
        curve: [{epoch, loss, dice}].
        before: {dice, images} of the weights in use then; None where there were none, or it is not measured yet.
        after: {dice, images} of the new weights.
        published: whether the new weights are in use now; None while that is open.
        message: one sentence.
        log: last lines of the process.
    """

    state: str = "idle"
    epoch: int = 0
    epochs: int = 0
    curve: list[dict[str, float | None]] = field(default_factory=list)
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    published: bool | None = None
    message: str = ""
    log: list[str] = field(default_factory=list)


class Trainer:
    """Start, watch, stop and conclude fine-tunings.

    Args:
        settings: of the server.
        studies: the images.
        labels: that are learned from.
        models: where the result goes.
    """

    def __init__(self, settings: Settings, studies: Studies, labels: LabelStore, models: Models) -> None:
        self.settings, self.studies, self.labels, self.models = settings, studies, labels, models
        self.folder = settings.annotations / "training"
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._cancelled = False
        self._clean_up()

    def start(self, epochs: int, by: str) -> Progress:
        """Start a fine-tuning.

        Raises:
            Unfit: for epochs out of range.
            Conflict: while one runs, with fewer than two labelled images, or with weights of other classes.
            UserError: where the folder cannot be written, or no process started; nothing of the run is left then.
        """
        if isinstance(epochs, bool) or not 1 <= epochs <= MAX_EPOCHS:
            raise Unfit(f"epochs {epochs}: must be a whole number from 1 to {MAX_EPOCHS}")
        with self._lock:
            if self._process is not None:
                raise Conflict(f"{WORDS} runs already; wait for it, or stop it first")
            training, heldout = self.split()
            if not training or not heldout:
                count = len(training) + len(heldout)
                said = f"{WORDS} needs at least two labelled images, there are {count}; submit more labels"
                raise Conflict("; ".join(filter(None, [said, self._left_out()])))
            self._check_classes()
            run = self._new_run()
            try:
                spec = self._spec(run, training, heldout, epochs)
                write_json(run / SPEC, {**spec, "by": by, "when": now()})
                self._cancelled = False
                self._process = _launched(run)
            except BaseException as error:
                shutil.rmtree(run, ignore_errors=True)
                if isinstance(error, OSError):
                    raise UserError(f"{WORDS} cannot start ({error.strerror}); free some space or memory") from None
                raise
            self._watcher = threading.Thread(target=self._watch, args=(run, self._process, spec), daemon=True)
            self._watcher.start()
        return self.progress()

    def stop(self) -> Progress:
        """Stop what runs; raises Conflict where nothing does."""
        with self._lock:
            process, watcher = self._process, self._watcher
            if process is None:
                raise Conflict(f"no {WORDS} runs")
            self._cancelled = True
            process.kill()
        if watcher is not None:
            watcher.join(timeout=30)
        return self.progress()

    def close(self) -> None:
        """End what runs, when the server ends; it is told as cancelled."""
        with contextlib.suppress(Conflict):  # nothing runs, or it has just ended
            self.stop()

    def progress(self) -> Progress:
        """Tell of the last fine-tuning."""
        run = self._last_run()
        if run is None:
            return Progress()
        spec, result = read_record(run / SPEC), read_record(run / RESULT)
        with self._lock:
            ended = read_record(run / STATE)
            if not ended and self._process is None:
                said = f"how {WORDS} ended could not be written; free some space, then start it again"
                ended = {"state": "error", "message": said}
        curve = _curve(run / "run" / "metrics.csv")
        images = len(spec.get("heldout") or ())

        said = str(ended.get("message", f"on {spec.get('trained_on', 0)} labels, {images} held out"))

        def figure(name: str) -> dict[str, Any] | None:
            value = result.get(name)
            return None if value is None else {"dice": round(value, 4), "images": images}

        return Progress(
            state=ended.get("state", "running"),
            epoch=len(curve),
            epochs=int(spec.get("epochs", 0)),
            curve=curve,
            before=figure("before"),
            after=figure("after"),
            published=ended.get("published"),
            message="; ".join(filter(None, [said, str(spec.get("left_out") or "")])),
            log=_tail(run / "log.txt"),
        )

    def split(self) -> tuple[list[str], list[str]]:
        """Deal the labelled images that fit: (training, held out); one that was dealt once stays where it is."""
        file = self.settings.annotations / "heldout.json"
        sides = {name: bool(side) for name, side in read_record(file).items()}
        labelled, _ = fitting(self.labels, self.studies)
        new = [name for name in labelled if name not in sides]
        for name in new:
            sides[name] = len(sides) % HELD_OUT_EVERY == 1
        if new:
            write_json(file, sides)
        return [name for name in labelled if not sides[name]], [name for name in labelled if sides[name]]

    def _left_out(self) -> str:
        return left_out_sentence(fitting(self.labels, self.studies)[1])

    def _check_classes(self) -> None:
        """Refuse to go on from weights of other classes: their last layer does not fit."""
        known = self.models.classes()
        if self.models.active() is not None and self.settings.classes and len(self.settings.classes) != len(known):
            raise Conflict(
                f"the weights in use tell {len(known)} class(es) apart, the labels have {len(self.settings.classes)}; "
                "export the labels and train with `sgdnet train --config_file bundle/configs/multi_class.json`"
            )

    def _spec(self, run: Path, training: list[str], heldout: list[str], epochs: int) -> dict[str, Any]:
        def items(names: list[str]) -> list[dict[str, str]]:
            return [{"image": str(self.studies.path(n)), "label": str(self.labels.path(n).resolve())} for n in names]

        model = self.models.active()
        classes = self.settings.classes or tuple(self.models.classes().values())
        names = {str(number): name for number, name in enumerate(classes, start=1)}
        lists = {"training": items(training), "validation": items(heldout), "classes": names}
        write_json(run / "datalist.json", lists)
        size = self.settings.image_size or (trained_size(model.checkpoint) if model else 256)
        return {
            "bundle_root": str(self.settings.bundle_root),
            "checkpoint": str(model.checkpoint) if model else None,
            "version": model.version if model else None,
            "interactive": model is not None and self.models.takes_clicks(model),
            "heldout": lists["validation"],
            "trained_on": len(training),
            "classes": len(classes),
            "epochs": epochs,
            "image_size": size,
            "batch_size": min(LARGEST_BATCH, len(training)),
            "learning_rate": LEARNING_RATE,
            "device": self.settings.device,
            "left_out": self._left_out(),
        }

    def _watch(self, run: Path, process: subprocess.Popen[bytes], spec: dict[str, Any]) -> None:
        code = process.wait()
        try:
            ended = self._conclude(run, code, spec)
        except Exception as error:
            ended = {"state": "error", "published": False, "message": f"the result could not be kept ({error})"}
        with self._lock:
            try:
                _drop_weights(run)  # first, for they may be what fills the disk
                write_json(run / STATE, ended)
            except (UserError, OSError) as error:
                logger.warning("%s", error)
            finally:
                if process.stdin is not None:
                    process.stdin.close()
                self._process = None

    def _conclude(self, run: Path, code: int, spec: dict[str, Any]) -> dict[str, Any]:
        if self._cancelled:
            return {"state": "cancelled", "published": False, "message": f"{WORDS} was stopped; nothing was published"}
        result = read_record(run / RESULT)
        if code != 0 or result.get("after") is None:
            reason = result.get("error") or f"the process ended with code {code}, see its log"
            return {"state": "error", "published": False, "message": f"{WORDS} failed: {reason}"}
        before, after = result.get("before"), result["after"]
        published, verdict = judge(before, after, result.get("better", 0), len(spec["heldout"]))
        about = {
            "published": published,
            "dice": after,
            "before": before,
            "trained_on": spec["trained_on"],
            "when": now(),
            "run": run.name,
        }
        model = self.models.add(run / WEIGHTS, about)
        said = f"model {model.version} is in use" if published else "the old weights stay in use"
        return {"state": "done", "published": published, "message": f"{verdict}; {said}"}

    def _new_run(self) -> Path:
        last = self._last_run()
        run = self.folder / f"{1 + (int(last.name) if last else 0):04}"
        run.mkdir(parents=True)
        return run

    def _last_run(self) -> Path | None:
        return next(reversed(numbered(self.folder).values()), None)

    def _clean_up(self) -> None:
        """Conclude what was running when the server was killed."""
        run = self._last_run()
        if run is None or (run / STATE).is_file():
            return
        ended: dict[str, Any] = {"state": "error", "published": False}
        made = next((model for model in self.models.all() if model.run == run.name), None)
        if made is None:
            ended["message"] = f"the server was stopped during {WORDS}; nothing was published, start it again"
        else:
            if made.published:
                self.models.activate(made.version)
            found = f"model {made.version} is in use" if made.published else "worse, so the old weights stay in use"
            ended |= {"state": "done", "published": made.published, "message": f"Dice {made.dice:.4f}; {found}"}
        write_json(run / STATE, ended)
        _drop_weights(run)


def _launched(run: Path) -> subprocess.Popen[bytes]:
    """Start the process of a run."""
    command = [sys.executable, "-m", "annotate.tethered", str(run)]
    root = Path(__file__).resolve().parents[1]
    with (run / "log.txt").open("wb") as log:
        return subprocess.Popen(
            command, cwd=root, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def judge(before: float | None, after: float, better: int, images: int) -> tuple[bool, str]:
    """Decide whether new weights may be used, and say why.

    Args:
        before: mean Dice of the weights in use on the held-out images; None where there were none.
        after: mean Dice of the new weights on the same images.
        better: on how many of the images the new weights have the higher Dice.
        images: how many are held out.

    Returns:
        Whether they are published, and a sentence without its end.
    """
    on = f"Dice {after:.4f} on {images} held-out image{'s' if images > 1 else ''}"
    if before is None:
        return True, on
    published = after >= before
    compared = f"{on}, {before:.4f} before, {better} of {images} better"
    if images < FEWEST:
        found = "not worse" if published else "worse"
        return published, f"{compared}: {found}, but fewer than {FEWEST} images are too few to tell an improvement"
    return published, f"{compared}: {'better' if after > before else 'the same' if published else 'worse'}"


def _drop_weights(run: Path) -> None:
    """Delete the weights of a run that has ended; those published lie in `annotations/models`."""
    for file in run.rglob("*.pt"):
        file.unlink(missing_ok=True)
    shutil.rmtree(run / "best", ignore_errors=True)


def _curve(path: Path) -> list[dict[str, float | None]]:
    """Read epoch, loss and Dice of a run's metrics.csv."""

    def number(row: dict[str, str], *names: str) -> float | None:
        text = next((row[name] for name in names if row.get(name)), "")
        return float(text) if text else None

    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError:
        return []
    return [
        {"epoch": number(row, "epoch"), "loss": number(row, "train_loss", "loss"), "dice": number(row, "val_mean_dice")}
        for row in rows
    ]


def _tail(path: Path) -> list[str]:
    """Last lines of a log; of a progress bar its last state."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 20_000))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    lines = [line.rsplit("\r", 1)[-1].rstrip()[:500] for line in text.split("\n")]
    return [line for line in lines if line][-LOG_LINES:]


def as_dict(progress: Progress) -> dict[str, Any]:
    """The progress as a client gets it."""
    return asdict(progress)
