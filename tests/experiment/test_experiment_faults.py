"""`sgdnet experiment` on a full disk, in a folder that cannot be written, under another umask, twice at once."""

from __future__ import annotations

import functools
import json
import os
import resource
import stat
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from killing import exit_code_of, run_to_the_end, start
from networks import TOY_WORDS
from permissions import permissions_count

from custom_networks.bundle_run import configuration_of
from custom_networks.data.phantoms import write_phantoms
from custom_networks.errors import UserError
from custom_networks.experiment import cell, runner
from custom_networks.experiment.cell import Task, run_task
from custom_networks.experiment.folder import Experiment
from custom_networks.experiment.plan import read_plan
from custom_networks.files import lock_file, sha256, write_json

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan of one row beside its data."""
    folder = tmp_path_factory.mktemp("faults")
    write_phantoms(folder / "set", count=6, size=64)
    (folder / "plan.yaml").write_text("title: Toy\nrows: [{name: A, knobs: {max_epochs: 1}}]\n")
    return folder / "plan.yaml"


def words(plan: Path, output: Path) -> list[str]:
    knobs = {"image_size": "64", "batch_size": "4", "num_workers": "0", "device": "cpu", "tracking_uri": ""}
    places = {"dataset_dir": str(plan.parent / "set"), "output_dir": str(output)}
    flags = [word for name, value in {**places, **knobs}.items() for word in (f"--{name}", value)]
    return ["experiment", str(plan), *flags, *TOY_WORDS]


def finished(
    folder: Path, rows: str, figures: Mapping[str, Mapping[str, Any]] | None = None, **given: Any
) -> list[Task]:
    """A plan beside a folder in which all of its rows are done, with these figures of 12 images."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = folder.with_suffix(".yaml")
    plan.write_text(f"title: T\n{rows}\n")
    tests = given.pop("tests", {})
    experiment = Experiment.begin(read_plan(plan), folder, {"dataset_dir": str(folder), **given}, tests)
    write_json(folder / "experiment.json", experiment.as_dict())
    for task in experiment.tasks(folder):
        run = folder / "runs" / task.cell.name
        write_json(
            run / "config.json", configuration_of(("train.json",), task.cell.knobs, task.cell.row.overlays).merged
        )
        write_json(run / "settings.json", {"max_epochs": 2})
        (run / "metrics.csv").write_text("epoch,loss,val_mean_dice\n1,1,0.5\n2,1,0.6\n")
        (run / "model.pt").write_text(task.cell.name)
        record = {"version": 1, "sha256": sha256(run / "model.pt"), "last_metrics": {"epoch": 2, "val_mean_dice": 0.6}}
        write_json(run / "model.json", record)
        for test in ("validation", *tests):
            measured = (figures or {}).get(task.cell.row.name, {"dice": 0.8})
            table = pd.DataFrame(measured, index=pd.Index([f"image_{number}" for number in range(12)], name="id"))
            write_json(task.evaluation(test) / "summary.json", {"checkpoint": {"sha256": record["sha256"]}})
            table.to_csv(task.evaluation(test) / "per_image.csv")
    return experiment.tasks(folder)


def limited(command: list[str], largest: int) -> int:
    """Run with files of so many bytes at most, here and in children; beyond them a write fails as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    return ended(command)


def ended(command: list[str], umask: int = 0o022) -> int:
    os.umask(umask)
    return exit_code_of(command)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no limit of a file's size, and other permissions")
def test_a_full_disk_then_another_umask_then_done(plan: Path, tmp_path: Path) -> None:
    output, log = tmp_path / "out", tmp_path / "log"
    command = words(plan, output)
    code, said = run_to_the_end(start(limited, (command, 200_000), log), log)  # the weights are larger
    assert (code, "Traceback" in said) == (2, False), said
    assert "a_fold0_seed0: failed, " in said
    assert "cannot be written (File too large)" in said
    assert "0 of 1 runs done, 1 failed" in said
    code, said = run_to_the_end(start(ended, (command, 0o077), log), log)
    assert (code, "1 of 1 runs done" in said) == (0, True), said
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (output / "evaluations").rglob("*")}
    assert {path.name: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}
    weights = next(output.glob("runs/*/model.pt"))
    before = weights.stat().st_mtime_ns
    code, said = run_to_the_end(start(ended, (command,), log), log)
    assert (code, "1 runs, 1 done already" in said, weights.stat().st_mtime_ns) == (0, True, before), said


@pytest.mark.skipif(sys.platform == "win32", reason="other permissions")
def test_a_folder_that_cannot_be_written_is_one_sentence(sgdnet: Run, plan: Path, tmp_path: Path) -> None:
    for made in ((), ("out",), ("out", "out/logs")):
        parent = tmp_path / "-".join(made).replace("/", "_") if made else tmp_path / "none"
        parent.mkdir()
        for name in made:
            (parent / name).mkdir()
        for folder in (*parent.rglob("*"), parent):
            folder.chmod(0o555)
        with permissions_count():
            code, _, error = sgdnet(*words(plan, parent / "out"))
        assert (code, error.count("Error: "), "Traceback" in error) == (1, 1, False), error
        assert "cannot be written (Permission denied)" in error


def test_a_second_one_at_the_same_time_is_refused(sgdnet: Run, plan: Path, tmp_path: Path) -> None:
    held = lock_file(tmp_path / ".experiment.lock")
    assert held is not None
    code, _, error = sgdnet(*words(plan, tmp_path))
    held.release()
    assert (code, "another process runs this experiment" in error) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == [".experiment.lock"]


def test_killed_between_the_last_row_and_its_weights_it_is_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (task,) = finished(tmp_path / "out", "rows: [{name: A}]")
    assert task.missing() == []
    run = tmp_path / "out" / "runs" / "a_fold0_seed0"
    record = json.loads((run / "model.json").read_text())
    write_json(run / "model.json", {**record, "last_metrics": {"epoch": 1, "val_mean_dice": 0.5}})
    (run / "last.pt").write_text("checkpoint of epoch 1")
    assert task.missing()[0] == "training"
    called: list[list[str]] = []

    def call(words: list[str], *more: object) -> str:
        called.append(words)
        return "stopped"

    monkeypatch.setattr(cell, "_call", call)
    assert run_task(task) == "stopped"
    assert called[0][called[0].index("--resume") + 1] == str(run)
    assert (run / "last.pt").is_file()


def test_a_report_leaves_other_files_alone_and_ignores_no_flag(sgdnet: Run, tmp_path: Path) -> None:
    finished(tmp_path / "out", "rows: [{name: A}, {name: B, knobs: {learning_rate: 1}}]\nmetrics: [dice]")
    mine = tmp_path / "mine.html"
    mine.write_text("precious")
    page = tmp_path / "page.html"
    for flag in ("--anonymise", "--mlflow"):
        code, _, error = sgdnet("report", tmp_path / "out", flag, "true", "--output", page)
        assert (code, f"{flag}: not for the report of an experiment" in error, page.exists()) == (1, True, False)
    code, _, error = sgdnet("report", tmp_path / "out", "--output", mine)
    assert (code, "mine.html: not a report" in error, mine.read_text()) == (1, True, "precious")
    for _ in range(2):  # its own it replaces
        code, _, error = sgdnet("report", tmp_path / "out", "--output", page)
        assert (code, error) == (0, "")


def test_a_report_shows_the_best_other_row(sgdnet: Run, tmp_path: Path) -> None:
    hd95 = {"Undefined": float("nan"), "Bad": 90.0, "Good": 11.0, "Full": 10.0}
    rows = ", ".join(f"{{name: {name}, knobs: {{clip_norm: {at}}}}}" for at, name in enumerate(hd95))
    finished(tmp_path / "out", f"rows: [{rows}]\nmetrics: [hd95]", {name: {"hd95": hd95[name]} for name in hd95})
    code, _, error = sgdnet("report", tmp_path / "out")
    assert (code, error) == (0, "")
    assert "plots of Good against Full" in (tmp_path / "out" / "experiment.html").read_text()


def test_a_test_sets_name_belongs_to_one_datalist(sgdnet: Run, tmp_path: Path) -> None:
    for name, text in (("a", "1"), ("moved", "1"), ("b", "2")):
        (tmp_path / f"{name}.json").write_text(text)
    finished(tmp_path / "out", "rows: [{name: A}]", tests={"ph2": str(tmp_path / "a.json")})
    words = ["experiment", tmp_path / "out.yaml", "--output_dir", tmp_path / "out", "--dataset_dir", tmp_path / "out"]
    words += ["--dry_run", "true", "--test"]
    code, out, error = sgdnet(*words, f"ph2={tmp_path / 'b.json'}")
    assert (code, out) == (1, "")
    assert "its runs have --test ph2=" in error
    for same in ("a", "moved"):
        code, out, error = sgdnet(*words, f"ph2={tmp_path / same}.json")
        assert (code, "a_fold0_seed0: done" in out) == (0, True), error


def test_the_same_encoder_under_another_path_is_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    finished(tmp_path / "out", "rows: [{name: A}]", pretrained_encoder="x.pth")
    given = {"dataset_dir": str(tmp_path / "out"), "pretrained_encoder": str(tmp_path / "x.pth")}
    again = Experiment.begin(read_plan("out.yaml"), tmp_path / "out", given, {})
    assert [task.missing() for task in again.tasks(tmp_path / "out")] == [[]]
    with pytest.raises(UserError, match="its runs have --pretrained_encoder"):
        Experiment.begin(read_plan("out.yaml"), tmp_path / "out", {**given, "pretrained_encoder": "y.pth"}, {})


def test_the_budget_holds_on_workers_and_for_evaluations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six runs of a third of a second each, a budget of 0.8 s: the third would end too late, also if it only waited."""

    def run(task: Task) -> None:
        time.sleep(0.3)

    monkeypatch.setattr(runner, "run_task", run)
    plan = tmp_path / "plan.yaml"
    plan.write_text("title: T\nrows: [{name: A}]\nfolds: [0, 1, 2, 3, 4, 5]\n")
    tasks = Experiment.begin(read_plan(plan), tmp_path, {"dataset_dir": str(tmp_path)}, {}).tasks(tmp_path)
    tried = [runner.Attempt(run="a_fold9_seed0", identity="x", whole=True, seconds=0.3)]
    with ThreadPoolExecutor(1) as pool:
        for start_all in (runner._one_by_one, functools.partial(runner._on_workers, pool)):
            deadline = time.time() + 0.8
            latest = functools.partial(runner._latest_start, tried=tried, measured={}, deadline=deadline)
            begun = [made is not None for _, made in start_all(tasks, latest)]
            assert (len(begun), sum(begun) in (1, 2)) == (6, True)
    (task,) = finished(tmp_path / "out", "rows: [{name: A}]")
    (task.evaluation("validation") / "summary.json").unlink()
    assert task.missing() == ["validation"]
    for over, begun_too in ((-1, False), (60, True)):
        latest_start = runner._latest_start(task, [], {}, time.time() + over)
        assert (runner.attempt(task, latest_start) is not None) == begun_too


@pytest.mark.skipif(sys.platform == "win32", reason="has other signals")
def test_a_killed_attempt_does_not_tell_the_error_of_an_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (task,) = finished(tmp_path / "out", "rows: [{name: Ä}]")
    monkeypatch.setattr(cell, "COMMAND", ("-c", "import sys; sys.exit('Error: dataset_dir x: no such folder')"))
    assert cell._call(["train", "Ä"], task) == "dataset_dir x: no such folder"
    monkeypatch.setattr(cell, "COMMAND", ("-c", "import os; os.kill(os.getpid(), 9)"))
    assert str(cell._call(["train", "Ä"], task)).startswith("exit code -9, see ")
