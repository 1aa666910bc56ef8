"""`sgdnet experiment` on real trainings of a toy network: what is done, resumed, failed, and told."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import psutil
import pytest
import torch
from networks import TOY
from warm_process import run_warm

from custom_networks.data.phantoms import write_phantoms
from custom_networks.run.record import read_metrics
from custom_networks.run.tracking import open_store

Run = Callable[..., tuple[int, str, str]]
KNOBS = {"image_size": 64, "batch_size": 4, "num_workers": 0, "learning_rate": "1e-3"}
NETWORK = {f"network_def#{name}": list(value) if isinstance(value, tuple) else value for name, value in TOY.items()}


def write_plan(folder: Path, epochs: int, *rows: dict[str, object], **more: object) -> Path:
    path = folder / "toy.yaml"
    knobs = {**KNOBS, **NETWORK, "max_epochs": epochs}
    path.write_text(json.dumps({"title": "Toy", "knobs": knobs, "rows": rows, **more}))  # JSON is YAML
    return path


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantoms(tmp_path_factory.mktemp("experiment") / "set", count=10, size=64)


def test_a_failed_row_stops_no_other_and_what_is_done_is_not_done_again(
    sgdnet: Run, phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    broken = {"name": "broken", "knobs": {"loss#edge_weight": -1}}
    plan = write_plan(tmp_path, 1, broken, {"name": "Full", "published": {"dice": 91.41}}, reference="Full")
    words = ("experiment", plan, "--dataset_dir", phantoms)
    code, out, err = sgdnet(*words, "--dry_run", "true")
    assert code == 0
    assert "broken_fold0_seed0: would fail, SGDNetLoss: edge_weight must be 0 or more" in out
    assert "full_fold0_seed0: about" in out
    assert not (tmp_path / "experiments").exists()

    commands = list[list[str]]()

    def run(command: list[str], *, stdout: IO[str], **options: Any) -> subprocess.CompletedProcess[Any]:
        """The first as it is, the others in processes that start at once."""
        commands.append(command)
        if len(commands) == 1:
            return cold(command, stdout=stdout, **options)
        result = run_warm(command[1:], Path.cwd(), options["env"])
        print(result.stdout, result.stderr, file=stdout, flush=True)
        return subprocess.CompletedProcess(command, result.returncode)

    cold = subprocess.run
    monkeypatch.setattr(subprocess, "run", run)
    code, out, err = sgdnet(*words)
    assert [command[0] for command in commands] == [sys.executable] * 3  # two trainings, one evaluation
    assert code == 2
    assert "broken_fold0_seed0: failed, SGDNetLoss: edge_weight must be 0 or more, got -1" in err
    assert "1 of 2 runs done, 1 failed" in out
    folder = tmp_path / "experiments" / "toy"
    run = folder / "runs" / "full_fold0_seed0"
    assert not (run / "last.pt").exists()  # done: only the weights are kept
    client = open_store(f"sqlite:///{folder / 'runs' / 'mlflow.db'}")
    child = client.get_run((run / "mlflow_run_id.txt").read_text().strip())
    parent = client.get_run(child.data.tags["mlflow.parentRunId"])
    assert (parent.info.run_name, parent.info.status) == ("Toy", "FAILED")  # a row of it failed
    before = (run / "model.pt").stat().st_mtime_ns
    run.rename(run.with_name("another_name"))  # it is known by its settings
    write_plan(tmp_path, 1, {"name": "Full", "published": {"dice": 91.41}}, reference="Full")
    code, out, err = sgdnet(*words)
    assert code == 0
    assert "1 runs, 1 done already" in out
    assert (run.with_name("another_name") / "model.pt").stat().st_mtime_ns == before
    assert not run.exists()

    code, out, err = sgdnet("table", plan, "--json")
    cells = {(each["row"], each["metric"]): each for each in json.loads(out)["cells"]}
    summary = json.loads((folder / "evaluations" / "full_fold0_seed0" / "validation" / "summary.json").read_text())
    assert cells["Full", "dice"]["mean"] == pytest.approx(summary["metrics"]["dice"]["mean"])
    code, out, err = sgdnet("report", plan)
    assert code == 1
    assert "run both first" in err

    code, out, err = sgdnet(*words, "--image_size", 128)
    assert code == 1
    assert "--image_size" in err
    code, out, err = sgdnet(*words, "--processes", 2)
    assert code == 1
    assert "its runs have --processes 1, now it is 2" in err
    other = write_phantoms(tmp_path / "other", count=6, size=64)
    code, out, err = sgdnet("experiment", plan, "--dataset_dir", other)
    assert code == 1
    assert "other data" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--fold", 1), "belongs to each run"),
        (("--budget", "soon"), "must be a time"),
        (("--test", "ph2"), "must be a short name"),
        (("--max_epoch", 3), "max_epochs"),
        (("--dry_runn", "true"), "did you mean 'dry_run'"),
        (("--processes", 3), "--processes 3: --batch_size 4 is that of all processes together"),
        (("--processes", 2, "--device", "cpu"), "--device: with --processes each takes a GPU of its own"),
        (("--processes", 0), "--processes 0: must be 1 or more"),
        (("--datalist", "missing.json"), "missing.json: no such file"),
        (("--dataset_dir", "missing"), "missing: no such folder"),
    ],
)
def test_mistakes(sgdnet: Run, phantoms: Path, tmp_path: Path, words: tuple[object, ...], said: str) -> None:
    plan = write_plan(tmp_path, 1, {"name": "A"})
    data = () if {"--datalist", "--dataset_dir"} & set(words) else ("--dataset_dir", phantoms)
    code, _, err = sgdnet("experiment", plan, "--output_dir", tmp_path / "out", *data, *words)
    assert code == 1
    assert said in err
    assert not (tmp_path / "out").exists()


def test_a_plan_whose_overlay_is_missing(sgdnet: Run, tmp_path: Path) -> None:
    plan = write_plan(tmp_path, 1, {"name": "A", "overlays": ["ablations/res2nett.json"]})
    code, _, err = sgdnet("experiment", plan, "--output_dir", tmp_path / "out")
    assert code == 1
    assert "res2nett.json" in err


def test_a_table_of_nothing_says_what_to_do(sgdnet: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = write_plan(tmp_path, 1, {"name": "A"})
    code, _, err = sgdnet("table", plan)
    assert code == 1
    assert "sgdnet experiment" in err


def command(plan: Path, phantoms: Path, folder: Path, *more: str) -> list[str]:
    words = ["experiment", str(plan), "--dataset_dir", str(phantoms), "--output_dir", str(folder), "--tracking_uri", ""]
    return [sys.executable, "-m", "custom_networks.cli", *words, *more]


def measured(folder: Path, name: str) -> tuple[list[dict[str, float]], bytes]:
    """What a run of an experiment gave: its figures epoch by epoch, without the speed, and image by image."""
    rows = read_metrics(folder / "runs" / name / "metrics.csv")
    for row in rows:
        row.pop("images_per_second")
    return rows, (folder / "evaluations" / name / "validation" / "per_image.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "rows"), [("1", "AB"), ("2", "B")])
def test_killed_in_a_run_it_goes_on_to_the_same_figures(
    phantoms: Path, tmp_path: Path, processes: str, rows: str
) -> None:
    """Trained by one process, and by two that torchrun starts, which agree by gloo."""
    rate = {"A": 0.001, "B": 0.002}
    plan = write_plan(tmp_path, 6, *({"name": name, "knobs": {"learning_rate": rate[name]}} for name in rows))
    more = ("--processes", processes)
    subprocess.run(command(plan, phantoms, tmp_path / "whole", *more), check=True, capture_output=True)
    process = subprocess.Popen(
        command(plan, phantoms, tmp_path / "killed", *more), start_new_session=True, stdout=subprocess.DEVNULL
    )
    last = tmp_path / "killed" / "runs" / "b_fold0_seed0" / "last.pt"
    deadline = time.monotonic() + 240
    while not last.is_file() and time.monotonic() < deadline:
        time.sleep(0.02)
    kill_all(process)
    assert last.is_file()
    subprocess.run(command(plan, phantoms, tmp_path / "killed", *more), check=True, capture_output=True)
    for row in rows.lower():
        name = f"{row}_fold0_seed0"
        assert measured(tmp_path / "killed", name) == measured(tmp_path / "whole", name)
    config = json.loads((tmp_path / "whole" / "runs" / "b_fold0_seed0" / "config.json").read_text())
    assert config["batch_size"] * int(processes) == 4
    again = subprocess.run(command(plan, phantoms, tmp_path / "killed", *more), capture_output=True, text=True)
    assert f"{len(rows)} runs, {len(rows)} done already" in again.stdout


def kill_all(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it started, those of torchrun too, which have sessions of their own."""
    started = psutil.Process(process.pid).children(recursive=True)
    for each in [psutil.Process(process.pid), *started]:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.send_signal(signal.SIGKILL)
    process.wait()
    psutil.wait_procs(started, timeout=30)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_numbers_and_another_one_others(phantoms: Path, tmp_path: Path) -> None:
    plan = write_plan(tmp_path, 2, {"name": "A"}, seeds=[0, 1])
    for folder in ("first", "second"):
        subprocess.run(command(plan, phantoms, tmp_path / folder), check=True, capture_output=True)
    for seed in (0, 1):
        name = f"a_fold0_seed{seed}"
        assert measured(tmp_path / "first", name) == measured(tmp_path / "second", name)
        weights = [torch.load(tmp_path / each / "runs" / name / "model.pt") for each in ("first", "second")]
        assert all(torch.equal(tensor, weights[1][key]) for key, tensor in weights[0].items())
    assert measured(tmp_path / "first", "a_fold0_seed0") != measured(tmp_path / "first", "a_fold0_seed1")


@pytest.mark.slow
def test_a_clusters_killed_worker_loses_no_row(phantoms: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    plan = write_plan(
        tmp_path, 3, *({"name": name, "knobs": {"clip_norm": 1.0 + at}} for at, name in enumerate("ABCD"))
    )
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1", silence_logs=50
    ) as cluster:
        folder = tmp_path / "out"
        process = subprocess.Popen(
            command(plan, phantoms, folder, "--cluster", cluster.scheduler_address), stdout=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 240
        while not list(folder.glob("runs/*/config.json")) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(next(iter(cluster.workers.values())).process.pid, signal.SIGKILL)
        out, _ = process.communicate(timeout=500)
    assert process.returncode == 0, out
    assert "4 of 4 runs done" in out
    assert len(list(folder.glob("evaluations/*/validation/summary.json"))) == 4
