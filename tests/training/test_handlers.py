"""Handlers of the trainer, on MONAI's engines with a network of a few parameters."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.handlers import StatsHandler, from_engine
from torch import nn

from custom_networks.data import training_loader
from custom_networks.errors import UserError
from custom_networks.run import EpochRecorder, RunRecord
from custom_networks.training import (
    AveragedWeights,
    AverageUpdate,
    BatchTrainer,
    EpochSeed,
    EpochValidation,
    FiniteCheck,
    GradientClipping,
    PolynomialDecay,
    set_gpu_math,
    set_seed,
)

SEED = 7


class Loss(nn.Module):
    """Mean square; `spoil` makes the loss of a batch that holds image 5 no number."""

    def __init__(self, spoil: bool = False) -> None:
        super().__init__()
        self.spoil = spoil
        self.terms: dict[str, torch.Tensor] = {}

    def forward(self, prediction: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        loss = ((prediction - label) ** 2).mean()
        self.terms = {"square": loss.detach()}
        return loss * (float("nan") if self.spoil and bool((label == 5).any()) else 1.0)


def items() -> list[dict[str, Any]]:
    return [{"image": f"image{number}.png", "number": float(number)} for number in range(8)]


def load(item: dict[str, Any]) -> dict[str, torch.Tensor]:
    value = torch.full((1, 2, 2), item["number"])
    return {"image": value / 8, "label": value}


class Training:
    def __init__(self, loss: Loss | None = None, max_epochs: int = 4, num_workers: int = 0, **options: Any) -> None:
        torch.manual_seed(0)
        self.network = nn.Conv2d(1, 1, 1)
        self.optimizer = torch.optim.SGD(self.network.parameters(), options.get("rate", 0.01))
        self.averaging = AveragedWeights(self.network, options.get("decay", 0.0))
        self.record = RunRecord(options["folder"] / "run", options["folder"] / "model.pt", {}, key_metric="val_loss")
        validator = SupervisedEvaluator(
            device=torch.device("cpu"),
            val_data_loader=DataLoader(Dataset(items(), load), batch_size=4),
            network=self.averaging.network,
            decollate=False,
        )
        validator.add_event_handler(Events.COMPLETED, self.measure)
        handlers = [
            EpochSeed(SEED),
            GradientClipping(self.network, options.get("norm", 0.0)),
            AverageUpdate(self.averaging),
            FiniteCheck(self.network, SEED),
            EpochValidation(interval=options.get("interval", 1), validator=validator),
            EpochRecorder(self.record, self.optimizer, validator),
            *options.get("handlers", ()),
        ]
        self.measured: list[int] = []
        self.trainer = BatchTrainer(
            device=torch.device("cpu"),
            max_epochs=max_epochs,
            train_data_loader=training_loader(Dataset(items(), load), 3, num_workers=num_workers),
            network=self.network,
            optimizer=self.optimizer,
            loss_function=loss or Loss(),
            decollate=False,
            train_handlers=handlers,
        )

    def measure(self, evaluator: SupervisedEvaluator) -> None:
        self.measured.append(evaluator.state.epoch)
        evaluator.state.metrics["val_loss"] = float(len(self.measured))


@pytest.mark.parametrize(("interval", "epochs"), [(1, [1, 2, 3, 4]), (2, [2, 4]), (3, [3, 4]), (9, [4])])
def test_the_last_epoch_is_validated_and_others_repeat_no_figures(
    tmp_path: Path, interval: int, epochs: list[int]
) -> None:
    training = Training(folder=tmp_path, interval=interval)
    training.trainer.run()
    assert training.measured == epochs
    assert [row["epoch"] for row in training.record.rows if "val_loss" in row] == epochs
    assert training.record.last_validated["epoch"] == 4
    cells = [line.split(",")[-1] for line in training.record.metrics_path.read_text().splitlines()[1:]]
    assert [number for number, cell in enumerate(cells, 1) if cell] == epochs


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_loss_that_is_no_number_stops_the_training_with_the_images(tmp_path: Path, num_workers: int) -> None:
    seen: list[list[int]] = []

    class Watch:
        def attach(self, engine: BatchTrainer) -> None:
            engine.add_event_handler(Events.ITERATION_STARTED, self)

        def __call__(self, engine: BatchTrainer) -> None:
            seen.append([int(label[0, 0, 0]) for label in engine.state.batch["label"]])

    training = Training(Loss(spoil=True), folder=tmp_path, num_workers=num_workers, handlers=[Watch()])
    with pytest.raises(UserError, match="the loss is not finite in step") as caught:
        training.trainer.run()
    assert 5 in seen[-1]
    named = ", ".join(f"image{number}.png" for number in seen[-1])
    assert f"with the images {named};" in str(caught.value)
    assert f"step {len(seen)} of epoch 1" in str(caught.value)
    assert training.record.rows == []
    assert training.measured == []


def test_weights_that_are_no_numbers_stop_the_training_before_the_epoch_counts(tmp_path: Path) -> None:
    class Spoil:
        def attach(self, engine: BatchTrainer) -> None:
            engine.add_event_handler(Events.ITERATION_COMPLETED(every=3), self)

        def __call__(self, engine: BatchTrainer) -> None:
            engine.network.weight.data.fill_(float("inf"))

    training = Training(folder=tmp_path)
    Spoil().attach(training.trainer)
    with pytest.raises(UserError, match="the weights are not finite in step 3 of epoch 1, with the images image"):
        training.trainer.run()
    assert training.record.rows == []


def test_clipped_gradients_have_the_norm_and_the_direction(tmp_path: Path) -> None:
    steps = {}
    for norm in (0.0, 0.1):
        training = Training(folder=tmp_path / str(norm), norm=norm, max_epochs=1, rate=1.0)
        before = [each.detach().clone() for each in training.network.parameters()]
        one = training.trainer
        one.add_event_handler(Events.ITERATION_COMPLETED(once=1), lambda engine: engine.terminate())
        one.run()
        parameters = training.network.parameters()
        steps[norm] = torch.cat([(now.detach() - then).flatten() for now, then in zip(parameters, before, strict=True)])
    assert steps[0.0].norm() > 1
    assert float(steps[0.1].norm()) == pytest.approx(0.1, rel=1e-4)
    assert torch.allclose(steps[0.1] / 0.1, steps[0.0] / steps[0.0].norm(), atol=1e-5)


def test_average_follows_its_formula_and_is_what_is_validated(tmp_path: Path) -> None:
    weights: list[torch.Tensor] = []

    class Watch:
        def attach(self, engine: BatchTrainer) -> None:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self)

        def __call__(self, engine: BatchTrainer) -> None:
            weights.append(engine.network.weight.detach().clone())

    training = Training(folder=tmp_path, decay=0.8, max_epochs=2, handlers=[Watch()])
    training.trainer.run()
    expected = weights[0]
    for each in weights[1:]:
        expected = 0.8 * expected + 0.2 * each
    assert torch.allclose(training.averaging.network.weight, expected, atol=1e-6)
    assert Training(folder=tmp_path / "off").averaging.network is not training.network
    off = Training(folder=tmp_path / "off")
    assert off.averaging.network is off.network


def test_handlers_of_monai_read_the_output(tmp_path: Path) -> None:
    transform = from_engine(["loss"], first=True)
    read: list[torch.Tensor] = []
    stats = StatsHandler(output_transform=transform, epoch_log=False)
    training = Training(folder=tmp_path, max_epochs=1, handlers=[stats])
    training.trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: read.append(transform(engine.state.output))
    )
    training.trainer.run()
    assert len(read) == 3
    assert all(loss.ndim == 0 for loss in read)


def test_warm_up_rises_to_the_schedule() -> None:
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], 0.1)
    schedule = PolynomialDecay(optimizer, 10, warmup_epochs=3)
    rates = []
    for _ in range(10):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    decay = [0.1 * (1 - epoch / 10) ** 0.9 for epoch in range(10)]
    assert rates == pytest.approx([decay[0] / 4, decay[1] / 2, decay[2] * 3 / 4, *decay[3:]])
    state = schedule.state_dict()
    schedule.load_state_dict({"last_epoch": 1})
    assert optimizer.param_groups[0]["lr"] == pytest.approx(decay[1] / 2)
    assert state == {"last_epoch": 10}


@pytest.fixture
def restored() -> Callable[[], SimpleNamespace]:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul

    def flags() -> SimpleNamespace:
        return SimpleNamespace(
            deterministic=cudnn.deterministic,
            benchmark=cudnn.benchmark,
            tf32=(cudnn.allow_tf32, matmul.allow_tf32),
            algorithms=torch.are_deterministic_algorithms_enabled(),
        )

    before = flags()
    yield flags
    cudnn.deterministic, cudnn.benchmark = before.deterministic, before.benchmark
    cudnn.allow_tf32, matmul.allow_tf32 = before.tf32
    torch.use_deterministic_algorithms(before.algorithms)


def test_switches_of_a_gpu(restored: Callable[[], SimpleNamespace], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    set_gpu_math()
    set_seed(0)
    assert vars(restored()) == {"deterministic": False, "benchmark": True, "tf32": (True, True), "algorithms": False}
    set_gpu_math(tf32="false")
    set_seed(0, deterministic="true")
    assert vars(restored()) == {"deterministic": True, "benchmark": False, "tf32": (False, False), "algorithms": True}
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    set_gpu_math(cudnn_benchmark=False)
    set_seed(0)
    assert not restored().benchmark
