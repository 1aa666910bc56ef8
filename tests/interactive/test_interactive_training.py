"""The simulated user of the training, on networks small enough to foresee."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from prediction_fixtures import disc
from torch import Tensor, nn

from custom_networks.errors import UserError
from custom_networks.interactive.guidance import BACKGROUND, BOX, FOREGROUND, PREVIOUS
from custom_networks.interactive.training import SimulatedUser, image_and_label

TRUTH = torch.from_numpy(disc((64, 64), (32, 32), 12))[None, None].float().repeat(4, 1, 1, 1)


class Echo(nn.Module):
    """Answers the foreground marks themselves; keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor(-0.5))
        self.asked: list[tuple[bool, Tensor]] = []

    def embed(self, image: Tensor) -> Tensor:
        return image

    def answer(self, image: Tensor, guidance: Tensor) -> Tensor:
        self.asked.append((self.training, guidance))
        return guidance[:, FOREGROUND : FOREGROUND + 1] + self.bias


def asked(training: bool, **settings: float) -> list[tuple[bool, Tensor]]:
    network = Echo().train(training)
    torch.manual_seed(0)
    shares = dict.fromkeys(("automatic", "scribbles", "boxes", "scratch", "drop_previous"), 0.0)
    user = SimulatedUser(False, "cpu", **{**shares, **settings})
    out = user(torch.rand(4, 3, 64, 64), network, TRUTH)
    assert network.training is training
    assert out.requires_grad is training or not training
    return network.asked


def test_the_evaluations_user_clicks_the_middle_then_what_is_left() -> None:
    found = asked(False, rounds=2)
    assert [mode for mode, _ in found] == [False] * 3
    first, second, third = (maps[0] for _, maps in found)
    assert not first.any()
    assert second[FOREGROUND, 32, 32] == 1
    assert second[FOREGROUND].sum() == 29
    assert third[FOREGROUND].sum() > 29
    assert torch.equal(third[PREVIOUS], second[FOREGROUND])
    assert not third[BACKGROUND].any()


def test_training_answers_in_eval_until_the_last_answer() -> None:
    found = asked(True, rounds=3)
    assert [mode for mode, _ in found] == [False] * (len(found) - 1) + [True]
    assert 2 <= len(found) <= 4
    assert not torch.equal(found[-1][1][0], found[-1][1][1])  # each image has its own marks


@pytest.mark.parametrize(
    ("share", "check"),
    [
        ("automatic", lambda maps: not maps.any()),
        ("drop_previous", lambda maps: not maps[:, PREVIOUS].any() and maps[:, FOREGROUND].any()),
        ("boxes", lambda maps: maps[:, BOX].flatten(1).any(1).all()),
    ],
)
def test_what_is_left_out_or_added(share: str, check) -> None:
    assert check(asked(True, **{share: 1.0})[-1][1])


def test_the_same_seed_simulates_the_same() -> None:
    one, two = asked(True, scribbles=0.5), asked(True, scribbles=0.5)
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(one, two, strict=True))


def test_scribbles_are_longer_than_clicks() -> None:
    clicks, strokes = asked(True, rounds=1)[-1][1], asked(True, rounds=1, scribbles=1.0)[-1][1]
    assert strokes[:, FOREGROUND].sum() > 1.5 * clicks[:, FOREGROUND].sum()


def test_the_label_comes_with_the_batch() -> None:
    image, label, args, kwargs = image_and_label({"image": torch.ones(1), "label": torch.zeros(1)}, "cpu")
    assert image.item() == 1
    assert args[0] is label
    assert kwargs == {}


@pytest.mark.parametrize("settings", [{"automatic": 1.5}, {"rounds": 0}, {"rounds": True}])
def test_settings_that_cannot_be_are_told(settings: dict) -> None:
    with pytest.raises(UserError, match=next(iter(settings))):
        SimulatedUser(False, "cpu", **settings)


def test_nothing_to_correct_is_no_error() -> None:
    maps = np.zeros((4, 64, 64), np.float32)
    truth = TRUTH[0, 0].numpy() > 0
    SimulatedUser(False, "cpu").mark(maps, truth, truth, None)
    assert np.array_equal(maps[PREVIOUS] > 0, truth)
    assert not maps[[FOREGROUND, BACKGROUND, BOX]].any()
