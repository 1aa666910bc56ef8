from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import pytest
import torch
from torch import nn

from custom_networks.errors import UserError
from custom_networks.evaluation.threshold import record_threshold
from custom_networks.files import sha256, write_atomically
from custom_networks.run import Checkpoints, RunRecord
from custom_networks.run.publishing import publish
from custom_networks.training import AveragedWeights, PolynomialDecay
from custom_networks.weights.reading import trained_threshold


class Training:
    """A small network with everything `Checkpoints` saves."""

    def __init__(
        self,
        folder: Path,
        max_epochs: int = 5,
        resume: bool = False,
        seed: int = 0,
        decay: float = 0.0,
        interval: int = 1,
    ) -> None:
        self.network = nn.Conv2d(1, 1, 1)
        self.optimizer = torch.optim.Adam(self.network.parameters(), 1e-2)
        self.schedule = PolynomialDecay(self.optimizer, max_epochs)
        self.averaging = AveragedWeights(self.network, decay)
        settings = {"seed": seed, "ema_decay": decay}
        self.record = RunRecord(folder / "run", folder / "models" / "model.pt", settings, resume=resume)
        parts = (self.network, self.optimizer, self.schedule, self.averaging)
        self.handler = Checkpoints(self.record, *parts, interval=interval)
        state = SimpleNamespace(epoch=0, iteration=0, epoch_length=4, max_epochs=max_epochs)
        self.engine = SimpleNamespace(state=state)
        self.handler.start(self.engine)

    def stop(self) -> None:
        """Let go of the folder, as the end of the process does."""
        assert self.record.lock is not None
        self.record.lock.release()

    def epoch(self, dice: float | None) -> None:
        self.optimizer.zero_grad()
        self.network(torch.ones(1, 1, 2, 2)).sum().backward()
        self.optimizer.step()
        self.averaging.update()
        self.engine.state.epoch += 1
        row = {"epoch": self.engine.state.epoch} | ({} if dice is None else {"val_mean_dice": dice})
        self.engine.state.better = self.record.add(row)
        self.schedule.step()
        self.handler.save(self.engine)


def test_resumed_run_has_the_same_state(tmp_path: Path) -> None:
    first = Training(tmp_path)
    for dice in (0.5, 0.7):
        first.epoch(dice)
    first.stop()
    second = Training(tmp_path, resume=True)
    assert second.engine.state.epoch == 2
    assert second.engine.state.iteration == 8
    assert second.optimizer.param_groups[0]["lr"] == first.optimizer.param_groups[0]["lr"]
    assert torch.equal(second.network.weight, first.network.weight)
    moments = [next(iter(training.optimizer.state.values()))["exp_avg"] for training in (first, second)]
    assert torch.equal(*moments)
    assert second.record.rows == first.record.rows


def test_the_last_state_is_written_at_intervals_with_every_best_and_at_the_end(tmp_path: Path) -> None:
    training = Training(tmp_path, max_epochs=8, interval=3)
    written = []
    for dice in (None, 0.5, None, None, 0.4, None, None, None):
        training.epoch(dice)
        last = tmp_path / "run" / "last.pt"
        written.append(torch.load(last)["epoch"] if last.is_file() else None)
    assert written == [None, 2, 3, 3, 3, 6, 6, 8]


def test_a_run_resumes_from_the_last_state_that_was_written(tmp_path: Path) -> None:
    first = Training(tmp_path, interval=3)
    for dice in (0.5, None):
        first.epoch(dice)
    first.stop()
    second = Training(tmp_path, resume=True, interval=3)
    assert second.engine.state.epoch == 1
    assert [row["epoch"] for row in second.record.rows] == [1]
    second.epoch(None)
    assert torch.equal(second.network.weight, first.network.weight)


def test_resumed_worse_epoch_keeps_the_better_weights(tmp_path: Path) -> None:
    first = Training(tmp_path)
    first.epoch(0.9)
    best = (tmp_path / "models" / "model.pt").read_bytes()
    first.stop()
    second = Training(tmp_path, resume=True)
    second.epoch(0.4)
    assert (tmp_path / "models" / "model.pt").read_bytes() == best
    assert json.loads((tmp_path / "models" / "model.json").read_text())["metrics"]["val_mean_dice"] == 0.9
    second.epoch(0.95)
    assert (tmp_path / "models" / "model.pt").read_bytes() != best


def test_a_threshold_stays_with_the_weights_that_it_was_chosen_for(tmp_path: Path) -> None:
    first = Training(tmp_path)
    first.epoch(0.9)
    first.stop()
    published = tmp_path / "models" / "model.pt"
    record_threshold(published, 0.3)
    second = Training(tmp_path, resume=True)
    second.epoch(0.4)
    assert trained_threshold(published) == 0.3
    second.epoch(0.95)
    assert trained_threshold(published) == 0.5


def test_best_weights_that_were_damaged_are_replaced_by_the_next_epoch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """So are those of a run that was killed after `model.pt` was written and before its record was."""
    first = Training(tmp_path)
    first.epoch(0.5)
    first.stop()
    with (tmp_path / "run" / "model.pt").open("r+b") as file:
        file.seek(200)
        file.write(b"noise")
    second = Training(tmp_path, resume=True)
    assert "sha256 differs" in caplog.text
    second.epoch(0.4)
    second.stop()
    record = json.loads((tmp_path / "run" / "model.json").read_text())
    assert record["metrics"]["val_mean_dice"] == 0.4
    assert record["sha256"] == sha256(tmp_path / "run" / "model.pt")


def test_a_longer_schedule_never_raises_the_rate_beyond_its_own(tmp_path: Path) -> None:
    first = Training(tmp_path, max_epochs=3)
    first.epoch(0.5)
    first.stop()
    longer = Training(tmp_path, max_epochs=10, resume=True)
    assert longer.optimizer.param_groups[0]["lr"] == pytest.approx(1e-2 * (1 - 1 / 10) ** 0.9)


def test_another_seed_is_refused(tmp_path: Path) -> None:
    first = Training(tmp_path)
    first.epoch(0.5)
    first.stop()
    with pytest.raises(UserError, match="--seed 3: the run to resume has 0"):
        Training(tmp_path, resume=True, seed=3)


def test_weights_of_unknown_origin_are_kept_beside(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model.pt").write_bytes(b"downloaded")
    training = Training(tmp_path)
    training.epoch(0.5)
    training.epoch(0.6)
    assert (tmp_path / "models" / "model.previous.pt").read_bytes() == b"downloaded"


def test_weights_that_arrive_during_a_run_are_kept_and_so_are_those_kept_before(tmp_path: Path) -> None:
    training = Training(tmp_path)
    for dice, content in ((0.5, b"fetched"), (0.6, b"fetched later")):
        training.epoch(dice)
        (tmp_path / "models" / "model.pt").unlink()
        (tmp_path / "models" / "model.pt").write_bytes(content)
    training.epoch(0.7)
    assert (tmp_path / "models" / "model.previous.pt").read_bytes() == b"fetched"
    assert (tmp_path / "models" / "model.previous_2.pt").read_bytes() == b"fetched later"


def test_own_weights_are_no_strangers_where_hard_links_do_not_exist(tmp_path: Path) -> None:
    first = Training(tmp_path)
    first.epoch(0.5)
    first.stop()
    published = tmp_path / "models" / "model.pt"
    content = published.read_bytes()
    published.unlink()
    published.write_bytes(content)  # a copy, as on a disk without links
    (tmp_path / "models" / "model.previous.pt").write_bytes(b"downloaded")
    resumed = Training(tmp_path, resume=True)
    resumed.epoch(0.9)
    resumed.stop()
    assert (tmp_path / "models" / "model.previous.pt").read_bytes() == b"downloaded"
    record = json.loads(published.with_suffix(".json").read_text())
    assert record["sha256"] == sha256(published)
    assert record["run_id"] == first.record.run_id


def test_weights_put_in_place_of_a_runs_own_are_kept(tmp_path: Path) -> None:
    first = Training(tmp_path)
    first.epoch(0.5)
    first.stop()
    published = tmp_path / "models" / "model.pt"
    published.unlink()
    published.write_bytes(b"put there by hand, under the old record")
    Training(tmp_path, resume=True).epoch(0.9)
    assert published.with_suffix(".previous.pt").read_bytes().startswith(b"put there by hand")


def test_weights_of_another_run_are_kept_where_its_folder_is_gone(tmp_path: Path) -> None:
    first = Training(tmp_path)
    first.epoch(0.5)
    first.stop()
    (tmp_path / "run").rename(tmp_path / "gone")
    content = (tmp_path / "models" / "model.pt").read_bytes()
    Training(tmp_path).epoch(0.6)
    assert (tmp_path / "models" / "model.previous.pt").read_bytes() == content


def test_last_epochs_figures_stand_beside_the_best_ones(tmp_path: Path) -> None:
    training = Training(tmp_path)
    for dice in (0.5, 0.9, None, 0.7):
        training.epoch(dice)
    for folder in ("run", "models"):
        record = json.loads((tmp_path / folder / "model.json").read_text())
        assert record["metrics"] == {"epoch": 2, "val_mean_dice": 0.9}
        assert record["last_metrics"] == {"epoch": 4, "val_mean_dice": 0.7}
    assert (tmp_path / "run" / "metrics.csv").read_text().splitlines()[3] == "3,"


def test_published_weights_are_the_averaged_ones_and_resume_keeps_both(tmp_path: Path) -> None:
    first = Training(tmp_path, decay=0.5)
    first.epoch(0.5)
    first.epoch(0.6)
    first.stop()
    published = torch.load(tmp_path / "models" / "model.pt", weights_only=True)["weight"]
    assert torch.equal(published, first.averaging.network.weight)
    assert not torch.equal(published, first.network.weight)
    second = Training(tmp_path, resume=True, decay=0.5)
    for training in (first, second):
        training.optimizer.zero_grad()
        training.network(torch.ones(1, 1, 2, 2)).sum().backward()
        training.optimizer.step()
        training.averaging.update()
    assert torch.equal(first.averaging.network.weight, second.averaging.network.weight)
    assert torch.equal(first.network.weight, second.network.weight)


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    first = Training(tmp_path)
    first.epoch(0.5)
    first.stop()
    left = [tmp_path / "run" / ".last.pt-0123456789abcdef", tmp_path / "models" / ".model.pt-0123456789abcdef"]
    for path in left:
        path.write_bytes(b"half")
    Training(tmp_path, resume=True).epoch(0.9)
    assert not any(path.exists() for path in left)


def test_a_folder_in_use_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("custom_networks.run.folder.PATIENCE", 0.2)
    running = Training(tmp_path)
    running.epoch(0.5)
    with pytest.raises(UserError, match="another process trains"):
        Training(tmp_path, resume=True)


def test_published_file_is_the_runs_own(tmp_path: Path) -> None:
    best = tmp_path / "best.pt"
    best.write_bytes(b"weights")
    publish(best, tmp_path / "models" / "model.pt")
    assert (tmp_path / "models" / "model.pt").samefile(best)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has /dev/full")
def test_a_disk_that_fills_up_while_weights_are_written_is_one_sentence(tmp_path: Path) -> None:
    class Full:
        """A file that writes to the device that is always full."""

        def __init__(self, device: IO[bytes]) -> None:
            self.device = device

        def write(self, content: bytes) -> int:
            return self.device.write(content)

        def flush(self) -> None:
            self.device.flush()

    with (
        Path("/dev/full").open("wb", buffering=0) as device,
        pytest.raises(UserError, match=r"last\.pt: cannot be written \(No space left on device\)"),
    ):
        write_atomically(tmp_path / "last.pt", lambda file: torch.save({"weights": torch.zeros(9999)}, Full(device)))
    assert list(tmp_path.iterdir()) == []


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(file: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match="No space left"):
        write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
