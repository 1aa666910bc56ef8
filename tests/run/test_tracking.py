from __future__ import annotations

import importlib.util
import multiprocessing
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import store_in
from mlflow.tracking import MlflowClient

from custom_networks.configuration import Configuration
from custom_networks.errors import UserError
from custom_networks.run import MLflowTracking, RunRecord, tracking_store
from custom_networks.run.tracking import experiment_id, open_store


def engine(epoch: int = 0) -> SimpleNamespace:
    return SimpleNamespace(state=SimpleNamespace(epoch=epoch))


def record(folder: Path, name: str = "run", **overrides: object) -> RunRecord:
    configuration = Configuration({"network_def": {}, "loss": {}}, overrides)
    new = RunRecord(folder / name, folder / "model.pt", {"seed": 3, "max_epochs": 2}, configuration)
    new.open()
    new.write_settings()
    return new


def stop(tracking: MLflowTracking) -> None:
    """Let go of the folder, as the end of the process does."""
    assert tracking.record.lock is not None
    tracking.record.lock.release()


def steps(uri: str, tracking: MLflowTracking) -> list[int]:
    return [point.step for point in MlflowClient(uri).get_metric_history(tracking.record.tracking_id, "loss")]


def test_a_failed_run_is_closed_as_failed_and_the_error_goes_on(tmp_path: Path) -> None:
    uri = store_in(tmp_path)
    tracking = MLflowTracking(record(tmp_path), uri)
    tracking.start(engine())
    tracking.record.add({"epoch": 1, "loss": 2.5})
    tracking.log(engine(1))
    with pytest.raises(ZeroDivisionError):
        tracking.fail(engine(1), ZeroDivisionError("boom"))
    run = MlflowClient(uri).get_run(tracking.record.tracking_id)
    assert run.info.status == "FAILED"
    assert run.data.metrics["loss"] == 2.5
    assert run.data.params["seed"] == "3"
    stop(tracking)

    again = MLflowTracking(record(tmp_path), uri)  # resumed: an epoch that was saved, but never logged
    again.record.rows = [{"epoch": 1, "loss": 2.5}, {"epoch": 2, "loss": 1.5}]
    again.start(engine(2))
    assert again.record.tracking_id == tracking.record.tracking_id
    again.finish(engine(2))
    run = MlflowClient(uri).get_run(tracking.record.tracking_id)
    assert run.info.status == "FINISHED"
    assert [point.step for point in MlflowClient(uri).get_metric_history(run.info.run_id, "loss")] == [1, 2]


def test_an_outage_is_told_once_and_what_was_missed_is_logged_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    uri = store_in(tmp_path)
    tracking = MLflowTracking(record(tmp_path), uri)
    tracking.start(engine())
    answering, silent = tracking.client, MlflowClient("http://127.0.0.1:9")
    for epoch, client in enumerate((answering, silent, silent, answering), 1):
        tracking.client = client
        tracking.record.add({"epoch": epoch, "loss": 1.0 / epoch})
        tracking.log(engine(epoch))
    first, second = caplog.messages
    assert "does not answer" in first
    assert "answers again" in second
    assert sorted(steps(uri, tracking)) == [1, 2, 3, 4]


def test_an_outage_until_the_end_leaves_the_training_alone_and_the_next_start_fills_in(tmp_path: Path) -> None:
    uri = store_in(tmp_path)
    tracking = MLflowTracking(record(tmp_path), uri)
    tracking.start(engine())
    tracking.client = MlflowClient("http://127.0.0.1:9")
    for epoch in (1, 2):
        tracking.record.add({"epoch": epoch, "loss": 1.0})
        tracking.log(engine(epoch))
    tracking.finish(engine(2))
    stop(tracking)
    MLflowTracking(record(tmp_path, "next"), uri).start(engine())
    assert steps(uri, tracking) == [1, 2]
    assert MlflowClient(uri).get_run(tracking.record.tracking_id).info.status == "FINISHED"


def test_a_killed_run_is_closed_by_the_next_start_and_opened_by_its_resumption(tmp_path: Path) -> None:
    uri = store_in(tmp_path)

    def status() -> str:
        return MlflowClient(uri).get_run(killed.record.tracking_id).info.status

    killed = MLflowTracking(record(tmp_path, "killed"), uri)
    killed.start(engine())
    killed.record.add({"epoch": 1, "loss": 1.0})
    other = MLflowTracking(record(tmp_path, "other"), uri)
    other.start(engine())
    assert status() == "RUNNING"  # its folder is locked: it lives
    stop(killed)
    MLflowTracking(record(tmp_path, "next"), uri).start(engine())
    assert status() == "KILLED"
    again = MLflowTracking(record(tmp_path, "killed"), uri)
    again.record.rows = killed.record.rows
    again.start(engine(1))
    assert again.record.tracking_id == killed.record.tracking_id
    assert status() == "RUNNING"
    assert steps(uri, again) == [1]


@pytest.mark.parametrize(("error", "status"), [(SystemExit(143), "KILLED"), (KeyboardInterrupt(), "KILLED")])
def test_a_signal_closes_the_run_as_killed(tmp_path: Path, error: BaseException, status: str) -> None:
    uri = store_in(tmp_path)
    tracking = MLflowTracking(record(tmp_path), uri)
    tracking.start(engine())
    with pytest.raises(type(error)):
        tracking.fail(engine(), error)
    assert MlflowClient(uri).get_run(tracking.record.tracking_id).info.status == status


def test_overrides_become_parameters(tmp_path: Path) -> None:
    uri = store_in(tmp_path)
    tracking = MLflowTracking(record(tmp_path, **{"network_def#refinement": "add", "loss::edge_weight": 1.5}), uri)
    tracking.start(engine())
    parameters = MlflowClient(uri).get_run(tracking.record.tracking_id).data.params
    assert parameters["network_def.refinement"] == "add"
    assert parameters["loss.edge_weight"] == "1.5"
    assert parameters["seed"] == "3"


def open_at_once(uri: str, barrier: Barrier, found: SimpleQueue[str]) -> None:
    barrier.wait(30)
    try:
        found.put(experiment_id(open_store(uri), uri))
    except Exception as error:
        found.put(repr(error))


def test_processes_of_the_same_moment_make_one_store_and_one_experiment(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    found: SimpleQueue[str] = fork.SimpleQueue()
    barrier = fork.Barrier(3)
    processes = [fork.Process(target=open_at_once, args=(uri, barrier, found)) for _ in range(3)]
    for process in processes:
        process.start()
    identities = [found.get() for _ in processes]
    for process in processes:
        process.join(60)
    assert len(set(identities)) == 1
    assert identities[0].isdecimal()


def test_a_store_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--tracking false"):
        MLflowTracking(record(tmp_path), "sqlite:////proc/no/mlflow.db").start(engine())


def test_the_environment_names_a_remote_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_store(tmp_path) == f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert tracking_store(tmp_path) == "http://127.0.0.1:5000"


def test_mlflow_without_a_sqlite_store_leaves_the_run_untracked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As in an environment with mlflow-skinny, which MONAI Label's is."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "sqlalchemy" else found(name))
    assert tracking_store(tmp_path) == ""
    assert "install mlflow" in caplog.text
