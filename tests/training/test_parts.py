"""Schedule, seeds, precision, run folders, sheet."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.transforms import Compose, Lambdad, RandFlipd, RandRotated
from pipelines import training_config
from torch import nn

from custom_networks.colours import PREDICTION_COLOUR, TRUTH_COLOUR
from custom_networks.errors import UserError
from custom_networks.flags import flag
from custom_networks.precision import MixedPrecisionInferer
from custom_networks.processor import bfloat16_pays
from custom_networks.run.sheet import SheetRow, draw_sheet, outlined, sheet_rows
from custom_networks.training import EpochSeed, PolynomialDecay


def test_polynomial_decay_follows_its_formula() -> None:
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], 0.1)
    schedule = PolynomialDecay(optimizer, 4)
    rates = []
    for _ in range(5):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.1 * (1 - epoch / 4) ** 0.9 for epoch in range(5)])


@pytest.mark.parametrize("num_workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_an_epoch_depends_on_seed_and_number_alone(num_workers: int) -> None:
    keys = ["image"]
    transform = Compose([RandFlipd(keys, 0.5, 0), RandRotated(keys, 0.3, prob=0.9)])
    ramp = torch.arange(64.0).reshape(1, 8, 8)
    loader = DataLoader(
        Dataset([{"image": ramp + number} for number in range(6)], transform),
        batch_size=2,
        shuffle=True,
        num_workers=num_workers,
    )

    def epoch(number: int, seed: int = 0) -> torch.Tensor:
        EpochSeed(seed)(SimpleNamespace(state=SimpleNamespace(epoch=number), data_loader=loader))
        return torch.cat([batch["image"].as_tensor() for batch in loader])

    second = epoch(2)
    torch.rand(7), random.random()
    epoch(5)
    assert torch.equal(epoch(2), second)
    assert not torch.equal(epoch(3), second)
    assert not torch.equal(epoch(2, seed=1), second)


class Probe(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 1)
        self.seen: torch.dtype | None = None

    def forward(self, x: torch.Tensor) -> list[torch.Tensor] | torch.Tensor:
        result = self.layer(x)
        self.seen = result.dtype
        return [result, result] if self.training else result


@pytest.mark.parametrize("amp", [True, "true", False])
def test_amp_means_bfloat16_on_a_cpu_where_it_pays(amp: bool | str) -> None:
    network = Probe()
    seen = torch.bfloat16 if amp and bfloat16_pays() else torch.float32
    outputs = MixedPrecisionInferer(amp, "cpu")(torch.ones(1, 1, 2, 2), network)
    assert network.seen == seen
    assert [output.dtype for output in outputs] == [torch.float32] * 2
    assert MixedPrecisionInferer(amp, "cpu")(torch.ones(1, 1, 2, 2), network.eval()).dtype == torch.float32


def test_amp_computes_in_float32_where_bfloat16_does_not_pay() -> None:
    network = Probe()
    with torch.backends.mkldnn.flags(enabled=False):
        inferer = MixedPrecisionInferer(True, "cpu")
        inferer(torch.ones(1, 1, 2, 2), network)
    assert not inferer.amp
    assert network.seen == torch.float32


def test_amp_is_refused_where_it_cannot_be() -> None:
    with pytest.raises(UserError, match="--amp false"):
        MixedPrecisionInferer(True, "meta")


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("False", False), ("null", None), ("maybe", "maybe"), (3, 3)]
)
def test_flag(text: object, value: object) -> None:
    assert flag(text) == value


def test_outline_is_three_pixels_and_leaves_the_image() -> None:
    image = np.full((16, 16, 3), 200, np.uint8)
    mask = np.zeros((16, 16), bool)
    mask[:, 8:] = True
    drawn = outlined(image, mask, TRUTH_COLOUR)
    assert (drawn[5] == TRUTH_COLOUR).all(axis=1).nonzero()[0].tolist() == [7, 8, 9]
    assert (image == 200).all()


def test_sheet_shows_truth_and_prediction_in_their_columns() -> None:
    image = np.full((32, 32, 3), 128, np.uint8)
    truth, prediction = np.zeros((32, 32), bool), np.zeros((32, 32), bool)
    truth[8:24, 8:24] = True
    row = SheetRow("a.png", image, truth, prediction, np.zeros((32, 32), np.float32))
    sheet = np.asarray(draw_sheet([row]))
    columns = np.array_split(np.arange(sheet.shape[1]), 4)

    def has(colour: tuple[int, int, int], column: int) -> bool:
        return bool((np.abs(sheet[:, columns[column]].astype(int) - colour).sum(2) < 30).any())

    assert has(TRUTH_COLOUR, 1)
    assert not has(PREDICTION_COLOUR, 2)
    assert row.dice == 0


def test_the_sheet_outlines_the_foreground_of_all_classes_together() -> None:
    """0.4 of background, 0.3 of each of two classes: foreground, as prediction has it."""

    class Classes(nn.Module):
        def maps(self, image: torch.Tensor) -> SimpleNamespace:
            logits = torch.tensor([0.4, 0.3, 0.3]).log()[None, :, None, None].expand(1, 3, 4, 4)
            return SimpleNamespace(segmentation=[logits], edge=torch.zeros(0))

    network = Classes()
    network.weight = nn.Parameter(torch.zeros(1))
    item = {"image": MetaTensor(torch.zeros(3, 4, 4)), "label": torch.ones(1, 4, 4)}
    (row,) = sheet_rows(network, [item], torch.zeros(3), torch.ones(3))  # type: ignore[arg-type]
    assert row.dice == 1


def test_augmented_image_and_mask_stay_aligned() -> None:
    """A bright square that is its own mask still is after the training transforms, to half a pixel."""
    augment = training_config().get_parsed_content("train#augment")
    square = torch.zeros(1, 64, 64)
    square[:, 20:40, 12:50] = 1
    transform = Compose([*augment, Lambdad("image", lambda image: image)])
    moved = 0
    for seed in range(20):
        transform.set_random_state(seed)
        item = transform({"image": square.repeat(3, 1, 1) * 255, "label": square.clone()})
        label = item["label"][0]
        assert set(label.unique().tolist()) <= {0.0, 1.0}
        image_mass, label_mass = item["image"][0] / 255, label
        grid = torch.stack(torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij"))
        centres = [(grid * mass).sum((1, 2)) / mass.sum() for mass in (image_mass, label_mass)]
        assert (centres[0] - centres[1]).abs().max() < 0.5
        assert ((image_mass > 0.5) != (label_mass > 0.5)).float().mean() < 0.01
        moved += int(not torch.equal(label, square[0]))
    assert moved > 10
