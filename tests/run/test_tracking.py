from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow.tracking import MlflowClient

from custom_networks.errors import UserError
from custom_networks.run import MLflowTracking, RunRecord, tracking_store


def engine(epoch: int = 0) -> SimpleNamespace:
    return SimpleNamespace(state=SimpleNamespace(epoch=epoch))


def record(folder: Path) -> RunRecord:
    new = RunRecord(folder / "run", folder / "model.pt", {"seed": 3})
    new.write_settings()
    return new


def test_a_failed_run_is_closed_as_failed_and_the_error_goes_on(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
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

    again = MLflowTracking(record(tmp_path), uri)  # resumed: an epoch that was saved, but never logged
    again.record.rows = [{"epoch": 1, "loss": 2.5}, {"epoch": 2, "loss": 1.5}]
    again.start(engine(2))
    assert again.record.tracking_id == tracking.record.tracking_id
    again.finish(engine(2))
    run = MlflowClient(uri).get_run(tracking.record.tracking_id)
    assert run.info.status == "FINISHED"
    assert [point.step for point in MlflowClient(uri).get_metric_history(run.info.run_id, "loss")] == [1, 2]


def test_a_store_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--tracking false"):
        MLflowTracking(record(tmp_path), "sqlite:////proc/no/mlflow.db").start(engine())


def test_the_environment_names_a_remote_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_store(tmp_path) == f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert tracking_store(tmp_path) == "http://127.0.0.1:5000"
