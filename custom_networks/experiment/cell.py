"""One run of a plan: what there is of it, what is missing, and the commands that make it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from custom_networks.bundle_run import configuration_of
from custom_networks.errors import UserError
from custom_networks.evaluation.begun import LOCK
from custom_networks.experiment.plan import TRAINING, VALIDATION, Cell, check_knobs, command_words, typed_values
from custom_networks.files import sha256
from custom_networks.run.folder import SETTINGS, is_locked
from custom_networks.run.record import CONFIG
from custom_networks.run.resume import DATA, FREE, PATHS
from custom_networks.typed_files import FileModel, Json, read_model
from custom_networks.weights.reading import record_of
from custom_networks.weights.record import BEST, LAST

RUNS, EVALUATIONS = "runs", "evaluations"
"""Folders of an experiment."""
IGNORED = (FREE - {"max_epochs"}) | DATA | {"imports", "settings", "configuration"}
"""Items of a configuration that do not tell one run from another: where files lie, the machine, tracking."""
EVALUATED_WITH = ("dataset_dir", "datalist", "label_kind", "bit_depth", "device", "num_workers", "batch_size")
"""Flags of the training that the evaluation takes, too."""
COMMAND = ("-m", "custom_networks.cli")
TOGETHER = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node")
"""torchrun, which finds a free port by itself."""
SEVERAL = "multi_gpu_train.json"
"""Overlay of a training by several processes."""
ERROR = "Error: "


class _Checkpoint(FileModel):
    sha256: str = ""


class _Summary(FileModel):
    checkpoint: _Checkpoint | None = None


class _Settings(FileModel):
    max_epochs: Json = None


@dataclass(frozen=True)
class Task:
    """What a process needs to make a cell; it pickles.

    Args:
        cell: the run.
        identity: of its configuration, see `identity`.
        folder: of the experiment.
        tests: datalists of further test sets, by name.
        keep: whether `last.pt`, three times the size of the weights, stays when the run is done.
    """

    cell: Cell
    identity: str
    folder: Path
    tests: Mapping[str, str]
    keep: bool = False

    def run_folder(self) -> Path | None:
        """Folder of the run, whatever its name; None where nothing was begun."""
        folders = [path.parent for path in sorted((self.folder / RUNS).glob(f"*/{CONFIG}"))]
        return next((folder for folder in folders if identity_in(folder) == self.identity), None)

    def trained(self, folder: Path) -> bool:
        """Whether all epochs of the run are done and its weights are there, whole.

        The record of the weights tells it, which is written after them. `metrics.csv` has an epoch's row before that.
        """
        if not (folder / BEST).is_file():
            return False
        epochs = read_model(folder / SETTINGS, _Settings).max_epochs
        try:
            record = record_of(folder / BEST)
        except UserError:
            return False
        done = record.last_metrics.get("epoch")  # the last epoch is always validated
        return done is not None and done == epochs and record.sha256 == sha256(folder / BEST)

    def evaluation(self, test: str) -> Path:
        """Folder of the run's figures on a test set."""
        return self.folder / EVALUATIONS / self.cell.name / test

    def evaluated(self, test: str, weights: Path) -> bool:
        """Whether these weights were measured on a test set."""
        path = self.evaluation(test) / "summary.json"
        if not path.is_file():
            return False
        checkpoint = read_model(path, _Summary).checkpoint
        return checkpoint is not None and checkpoint.sha256 == sha256(weights)

    def missing(self) -> list[str]:
        """What is still to do: `TRAINING`, and the names of test sets."""
        folder = self.run_folder()
        if folder is None or not self.trained(folder):
            return [TRAINING, VALIDATION, *self.tests]
        return [test for test in (VALIDATION, *self.tests) if not self.evaluated(test, folder / BEST)]

    def train_words(self) -> list[str]:
        """Arguments of `sgdnet` that train the run, or resume it."""
        folder = self.run_folder()
        knobs = dict(self.cell.knobs)
        runs = self.folder / RUNS
        if folder is not None and (folder / LAST).is_file():
            knobs["resume"] = str(folder)
        else:
            knobs["output_dir"] = str(folder or _free(runs, self.cell.name))
        place = Path(knobs.get("resume") or knobs["output_dir"])
        knobs |= {"runs_dir": str(runs), "model_path": str(place / "published" / BEST)}
        overlays = _overlays(self.cell)
        named = ["--config_file", ",".join(overlays)] if overlays else []
        return ["train", "--quiet", *named, *command_words({**knobs, **_share(self.cell)})]

    def evaluate_words(self, test: str, weights: Path) -> list[str]:
        """Arguments of `sgdnet` that measure the weights on a test set."""
        knobs = {name: self.cell.knobs[name] for name in EVALUATED_WITH if name in self.cell.knobs}
        if test != VALIDATION:
            knobs |= {"datalist": self.tests[test], "dataset_dir": str(Path(self.tests[test]).parent), "split": "test"}
        knobs |= {"checkpoint": str(weights), "output_dir": str(self.evaluation(test)), "overwrite": True}
        return ["evaluate", "--quiet", *command_words(knobs)]


def identity(cell: Cell) -> str:
    """Name a run by all of its configuration that can change its result.

    Raises:
        UserError: for an overlay that is missing or no configuration, for a flag that does not exist, and for data of
            the row's own: the name says nothing of them.
    """
    from custom_networks.configuration import check_overrides

    configuration = configuration_of(("train.json",), {**cell.knobs, **_share(cell)}, _overlays(cell))
    check_overrides(configuration)
    check_knobs(configuration.overlaid, f"{cell.row.name}: ")
    for name in sorted(DATA & {*cell.row.knobs, *configuration.overlaid}):
        raise UserError(
            f"{cell.row.name}: {name}: all rows are on one data set; give it in the plan's knobs or by --{name}"
        )
    return _hashed(configuration.merged)


def _overlays(cell: Cell) -> list[str]:
    return [*cell.row.overlays, SEVERAL] if cell.processes > 1 else cell.row.overlays


def _share(cell: Cell) -> dict[str, int]:
    """The batch of each process, where there are several.

    Raises:
        UserError: where they cannot share it evenly, or are all given one device.
    """
    if cell.processes == 1:
        return {}
    if cell.knobs.get("device") is not None:
        raise UserError("--device: with --processes each takes a GPU of its own, or the CPU without GPUs; leave it out")
    batch = configuration_of(("train.json",), cell.knobs, cell.row.overlays).merged["batch_size"]
    if not isinstance(batch, int) or batch % cell.processes:
        raise UserError(
            f"--processes {cell.processes}: --batch_size {batch} is that of all processes together, and must be a "
            "multiple of their number"
        )
    return {"batch_size": batch // cell.processes}


def identity_in(folder: Path) -> str | None:
    """Name the run of a folder in the same way; None where its configuration cannot be read."""
    try:
        return _hashed(json.loads((folder / CONFIG).read_text("utf-8")))
    except (OSError, ValueError):
        return None


def _hashed(merged: Mapping[str, Any]) -> str:
    kept = {name: value for name, value in merged.items() if name not in IGNORED and not name.startswith("_")}
    kept |= {name: str(Path(kept[name]).resolve()) for name in PATHS if isinstance(kept.get(name), str)}
    return hashlib.sha256(json.dumps(typed_values(kept), sort_keys=True, default=str).encode()).hexdigest()


def run_task(task: Task) -> str | None:
    """Train what is not trained and measure what is not measured, in processes of their own.

    What another process trains or measures just now, such as one that outlived its cluster's worker, is waited for.

    Returns:
        None, or why it failed, in a sentence.
    """
    folder = task.run_folder()
    while folder is not None and is_locked(folder):
        time.sleep(2)
    if TRAINING in task.missing():
        failed = _call(task.train_words(), task, task.cell.processes)
        if failed:
            return failed
    folder = task.run_folder()
    if folder is None or not task.trained(folder):
        return "the training ended without its weights"
    if not task.keep:
        (folder / LAST).unlink(missing_ok=True)
    for test in task.missing():
        while is_locked(task.evaluation(test), LOCK):
            time.sleep(2)
        failed = None if task.evaluated(test, folder / BEST) else _call(task.evaluate_words(test, folder / BEST), task)
        if failed:
            return f"{test}: {failed}"
    return None


def _call(words: list[str], task: Task, processes: int = 1) -> str | None:
    """Run the command, in several processes together, with its output in the cell's log; return its error."""
    log = task.folder / "logs" / f"{task.cell.name}.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(f"$ sgdnet {' '.join(words)}\n")
            file.flush()
            begin = log.stat().st_size
            start = (*TOGETHER, str(processes)) if processes > 1 else ()
            command = [sys.executable, *start, *COMMAND, *words]
            code = subprocess.run(command, stdout=file, stderr=file, env=os.environ, check=False).returncode
    except OSError as error:
        return f"{log}: cannot be written ({error.strerror}); free some space and run the command again"
    if code == 0:
        return None
    own = log.read_bytes()[begin:].decode("utf-8", "replace")  # after what earlier attempts said
    said = [line for line in own.splitlines() if line.startswith(ERROR)]
    return said[-1].removeprefix(ERROR) if said else f"exit code {code}, see {log}"


def _free(runs: Path, name: str) -> Path:
    """A folder's name that no other run has."""
    number = 1
    while (folder := runs / (name if number == 1 else f"{name}_{number}")).exists() and any(folder.iterdir()):
        number += 1
    return folder
