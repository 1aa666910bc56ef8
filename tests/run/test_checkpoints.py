from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from custom_networks.errors import UserError
from custom_networks.files import write_atomically
from custom_networks.run import Checkpoints, RunRecord
from custom_networks.run.checkpoints import publish
from custom_networks.training import PolynomialDecay


class Training:
    """A small network with everything `Checkpoints` saves."""

    def __init__(self, folder: Path, max_epochs: int = 5, resume: bool = False, seed: int = 0) -> None:
        self.network = nn.Conv2d(1, 1, 1)
        self.optimizer = torch.optim.Adam(self.network.parameters(), 1e-2)
        self.schedule = PolynomialDecay(self.optimizer, max_epochs)
        self.record = RunRecord(folder / "run", folder / "models" / "model.pt", {"seed": seed})
        self.handler = Checkpoints(self.record, self.network, self.optimizer, self.schedule, resume)
        state = SimpleNamespace(epoch=0, iteration=0, epoch_length=4, max_epochs=max_epochs)
        self.engine = SimpleNamespace(state=state)
        self.handler.start(self.engine)

    def epoch(self, dice: float) -> None:
        self.network(torch.ones(1, 1, 2, 2)).sum().backward()
        self.optimizer.step()
        self.engine.state.epoch += 1
        self.engine.state.better = self.record.add({"epoch": self.engine.state.epoch, "val_mean_dice": dice})
        self.schedule.step()
        self.handler.save(self.engine)


def test_resumed_run_has_the_same_state(tmp_path: Path) -> None:
    first = Training(tmp_path)
    for dice in (0.5, 0.7):
        first.epoch(dice)
    second = Training(tmp_path, resume=True)
    assert second.engine.state.epoch == 2
    assert second.engine.state.iteration == 8
    assert second.optimizer.param_groups[0]["lr"] == first.optimizer.param_groups[0]["lr"]
    assert torch.equal(second.network.weight, first.network.weight)
    moments = [next(iter(training.optimizer.state.values()))["exp_avg"] for training in (first, second)]
    assert torch.equal(*moments)
    assert second.record.rows == first.record.rows


def test_resumed_worse_epoch_keeps_the_better_weights(tmp_path: Path) -> None:
    first = Training(tmp_path)
    first.epoch(0.9)
    best = (tmp_path / "models" / "model.pt").read_bytes()
    second = Training(tmp_path, resume=True)
    second.epoch(0.4)
    assert (tmp_path / "models" / "model.pt").read_bytes() == best
    assert json.loads((tmp_path / "models" / "model.json").read_text())["metrics"]["val_mean_dice"] == 0.9
    second.epoch(0.95)
    assert (tmp_path / "models" / "model.pt").read_bytes() != best


def test_a_longer_schedule_never_raises_the_rate_beyond_its_own(tmp_path: Path) -> None:
    Training(tmp_path, max_epochs=3).epoch(0.5)
    longer = Training(tmp_path, max_epochs=10, resume=True)
    assert longer.optimizer.param_groups[0]["lr"] == pytest.approx(1e-2 * (1 - 1 / 10) ** 0.9)


def test_another_seed_is_refused(tmp_path: Path) -> None:
    Training(tmp_path).epoch(0.5)
    with pytest.raises(UserError, match="--seed 0"):
        Training(tmp_path, resume=True, seed=3)


def test_weights_of_unknown_origin_are_kept_beside(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model.pt").write_bytes(b"downloaded")
    training = Training(tmp_path)
    training.epoch(0.5)
    training.epoch(0.6)
    assert (tmp_path / "models" / "model.previous.pt").read_bytes() == b"downloaded"


def test_published_file_is_the_runs_own(tmp_path: Path) -> None:
    best = tmp_path / "best.pt"
    best.write_bytes(b"weights")
    publish(best, tmp_path / "models" / "model.pt")
    assert (tmp_path / "models" / "model.pt").samefile(best)


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(file: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match="No space left"):
        write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
