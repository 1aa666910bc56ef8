"""Augmentation of whole batches: MONAI's transforms, image by image, are the oracle."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import DataLoader, Dataset
from monai.transforms import (
    Compose,
    EnsureTyped,
    Flip,
    NormalizeIntensityd,
    RandFlipd,
    RandGaussianNoised,
    RandRotated,
    Rotate,
)
from networks import TOY_WORDS
from pipelines import save, training_config

from custom_networks import UserError
from custom_networks.data import on_device
from custom_networks.data.batch_augmentation import (
    BatchFlip,
    BatchFloat,
    BatchNormalization,
    BatchRotation,
    batch_steps,
    flip,
    rotate,
)
from custom_networks.data.on_device import OnDeviceLoader, training_loader
from custom_networks.training import EpochSeed

LIMIT = math.radians(20)
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return str(request.param)


@pytest.fixture
def items(tmp_path: Path) -> list[dict[str, Any]]:
    """Seven noise images, each of its own grey range so that they are told apart, with 16-bit instance maps."""
    generator = np.random.default_rng(0)
    made = []
    for number in range(7):
        image = generator.integers(30 * number, 30 * number + 30, (64, 64, 3)).astype(np.uint8)
        labels = generator.integers(0, 400, (8, 8)).astype(np.uint16).repeat(8, 0).repeat(8, 1)
        paths = {"image": save(tmp_path / f"images/{number}.png", image)}
        made.append({**paths, "label": save(tmp_path / f"labels/{number}.png", labels)})
    return made


def training_set(items: list[dict[str, Any]]) -> Dataset:
    config = training_config(image_size=64, label_kind="instances")
    return Dataset(items, config.get_parsed_content("train#preprocessing"))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.floats(-LIMIT, LIMIT)), min_size=1, max_size=4),
    st.tuples(st.integers(2, 40), st.integers(2, 40)),
    st.sampled_from([0, 1]),
    st.integers(0, 2**31),
)
def test_given_moves_agree_with_monai(
    moves: list[tuple[bool, float]], size: tuple[int, int], axis: int, seed: int
) -> None:
    """Flips to the bit; bilinear rotation to rounding, its reflected border included; nearest but for ties."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (len(moves), 3, *size), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, 60000, (len(moves), 1, *size), generator=generator, dtype=torch.int32)
    chosen = torch.tensor([move for move, _ in moves])
    angles = torch.tensor([angle for _, angle in moves])
    flipped = flip(images, axis, chosen)
    turned = rotate(flipped, angles)
    turned_labels = rotate(flip(labels, axis, chosen), angles, mode="nearest")
    assert flipped.dtype == torch.uint8
    assert turned.dtype == turned_labels.dtype == torch.float32
    for number, (move, _) in enumerate(moves):
        angle = float(angles[number])
        image, label = images[number], labels[number]
        if move:
            image, label = Flip(axis)(image), Flip(axis)(label)
        assert torch.equal(flipped[number], torch.as_tensor(image).as_subclass(torch.Tensor))
        if angle == 0:
            assert torch.equal(turned[number], flipped[number].float())
            continue
        expected = Rotate(angle, padding_mode="reflection", dtype=np.float32)(image).as_tensor()
        torch.testing.assert_close(turned[number], expected, rtol=0, atol=0.05)  # of 255
        nearest = Rotate(angle, mode="nearest", padding_mode="reflection", dtype=np.float32)(label).as_tensor()
        assert (turned_labels[number] != nearest).sum() <= ties(size, angle)


def ties(size: tuple[int, int], angle: float) -> int:
    """Pixels whose sampling position is half-way between two pixels, to rounding: either is the nearest."""
    rows, columns = (np.arange(side) - (side - 1) / 2 for side in size)
    first = math.cos(angle) * rows[:, None] - math.sin(angle) * columns[None] + (size[0] - 1) / 2
    second = math.sin(angle) * rows[:, None] + math.cos(angle) * columns[None] + (size[1] - 1) / 2
    near = [np.abs(position - np.floor(position) - 0.5) < 1e-4 for position in (first, second)]
    return int((near[0] | near[1]).sum())


def test_rotation_leaves_what_is_not_turned_and_mixes_no_images() -> None:
    images = torch.stack([torch.full((1, 9, 7), value) for value in (10.0, 20.0, 30.0)])
    images[1, 0, 2, 3] = 99
    result = rotate(images, torch.tensor([0.2, 0.0, -0.3]))
    torch.testing.assert_close(result, torch.where(images == 99, 99.0, images), rtol=0, atol=1e-4)
    assert torch.equal(result[1], images[1])


def test_the_configurations_transforms_are_read() -> None:
    """Every figure is that of `train.json`; nothing is written twice."""
    config = training_config(image_size=64)
    transforms = config.get_parsed_content("train#augment") + config.get_parsed_content("normalize")
    both = ("image", "label")
    assert batch_steps(transforms) == [
        BatchFlip(both, 0.5, 0),
        BatchFlip(both, 0.5, 1),
        BatchRotation(both, 0.5, -LIMIT, LIMIT, ("bilinear", "nearest"), ("reflection", "reflection")),
        BatchNormalization(("image",), (181.13, 146.19, 133.24), (38.35, 42.88, 46.51)),
        BatchFloat(both),
    ]


@pytest.mark.parametrize(
    ("transform", "name"),
    [
        (RandGaussianNoised("image"), "RandGaussianNoised"),
        (RandFlipd("image", spatial_axis=(0, 1)), "RandFlipd"),
        (RandRotated("image", 0.1, keep_size=False), "RandRotated"),
        (RandRotated("image", 0.1, align_corners=True), "RandRotated"),
        (NormalizeIntensityd("image"), "NormalizeIntensityd"),
        (EnsureTyped("image", dtype=torch.float16), "EnsureTyped"),
        (abs, "builtin_function_or_method"),
    ],
)
def test_other_transforms_are_refused(transform: Any, name: str) -> None:
    with pytest.raises(UserError, match=f"--data_on_device true: {name} as configured"):
        batch_steps([transform])


def test_without_moves_batches_are_those_of_the_data_loader(items: list[dict[str, Any]], device: str) -> None:
    """Same order, same last batch, same types and, with no probability of a move, the same numbers to the bit."""
    still = training_set(items)
    for transform in still.transform.transforms:
        if isinstance(transform, RandFlipd | RandRotated):
            transform.prob = 0.0
    for shuffle in (False, True):
        torch.manual_seed(5)
        theirs = list(training_loader(still, 3, shuffle=shuffle))
        torch.manual_seed(5)
        loader = training_loader(still, 3, shuffle=shuffle, on_device="true", device=device)
        assert isinstance(loader, OnDeviceLoader)
        assert len(loader) == 3
        ours = list(loader)
        assert [len(batch["image"]) for batch in ours] == [3, 3, 1]
        for one, other in zip(ours, theirs, strict=True):
            for key in ("image", "label"):
                assert type(one[key]) is torch.Tensor
                assert one[key].device.type == device
                torch.testing.assert_close(one[key].cpu(), other[key], rtol=0, atol=0 if device == "cpu" else 1e-5)


def test_moves_come_as_often_as_the_configuration_says(items: list[dict[str, Any]]) -> None:
    """Half of the images each flip and rotation: one in eight stays as it was; labels move with their images."""
    loader = training_loader(training_set(items), 7, shuffle=False, on_device=True)
    torch.manual_seed(0)
    count = unchanged = 0
    assert isinstance(loader, OnDeviceLoader)
    kept = loader.kept["label"].float()
    assert loader.kept["image"].dtype == torch.uint8
    for _ in range(60):
        for batch in loader:
            same = (batch["label"] == kept).flatten(1).all(1)
            count, unchanged = count + len(same), unchanged + int(same.sum())
    assert abs(unchanged / count - 1 / 8) < 4 * math.sqrt(1 / 8 * 7 / 8 / count)


def test_an_epoch_depends_on_seed_and_number_alone(items: list[dict[str, Any]], device: str) -> None:
    loader = training_loader(training_set(items), 3, on_device=True, device=device)

    def epoch(number: int, seed: int = 0) -> torch.Tensor:
        EpochSeed(seed)(SimpleNamespace(state=SimpleNamespace(epoch=number), data_loader=loader))
        batches = []
        for batch in loader:
            torch.rand(11)  # dropout draws between batches
            batches.append(torch.cat([batch["image"].flatten(), batch["label"].flatten()]))
        return torch.cat(batches)

    second = epoch(2)
    torch.rand(7)
    epoch(5)
    again = training_loader(training_set(items), 3, on_device=True, device=device)
    assert torch.equal(epoch(2), second)
    loader = again
    assert torch.equal(epoch(2), second)
    assert not torch.equal(epoch(3), second)
    assert not torch.equal(epoch(2, seed=1), second)


def test_several_processes_share_the_images(items: list[dict[str, Any]]) -> None:
    from torch.utils.data import DistributedSampler

    seen = []
    for rank in range(2):
        sampler = DistributedSampler(items, num_replicas=2, rank=rank, shuffle=True, seed=3)  # type: ignore[arg-type]
        loader = training_loader(training_set(items), 2, shuffle=False, sampler=sampler, on_device=True)
        assert sum(len(batch["image"]) for batch in loader) == 4
        seen += [set(sampler)]
    assert seen[0] | seen[1] == set(range(7))


def test_labels_of_different_types_are_kept_in_the_wider(items: list[dict[str, Any]], tmp_path: Path) -> None:
    items[0]["label"] = save(tmp_path / "small.png", np.full((64, 64), 3, np.uint8))
    loader = training_loader(training_set(items), 7, shuffle=False, on_device=True)
    assert isinstance(loader, OnDeviceLoader)
    assert loader.kept["label"].dtype == torch.int32
    assert loader.kept["label"][0].unique().tolist() == [3]
    assert loader.kept["label"][1].max() > 255


def test_what_does_not_fit_is_refused(items: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_device, "free_memory", lambda: 100_000)
    with pytest.raises(UserError, match=r"more than half of what is free on cpu.*--data_on_device false"):
        training_loader(training_set(items), 2, on_device=True)


def test_the_ordinary_loader_is_monais(items: list[dict[str, Any]]) -> None:
    assert type(training_loader(training_set(items), 2, on_device="false")) is DataLoader


def test_a_transform_without_random_part_is_kept_whole(items: list[dict[str, Any]]) -> None:
    config = training_config(image_size=64, label_kind="instances")
    whole = Dataset(items, Compose(config.get_parsed_content("load")))
    batch = next(iter(training_loader(whole, 7, shuffle=False, on_device=True)))
    assert batch["image"].dtype == torch.uint8


@pytest.mark.slow
def test_a_run_keeps_its_data_on_the_device_and_resumes(
    sgdnet: Callable[..., tuple[int, str, str]], dataset: Path, tmp_path: Path
) -> None:
    """Two epochs in one run, and in two: the same losses."""

    def train(folder: Path, *words: object) -> list[dict[str, str]]:
        code, _, error = sgdnet(
            *("train", "--dataset_dir", dataset, "--image_size", 64, "--batch_size", 5, "--num_workers", 0),
            *("--output_dir", folder / "run", "--model_path", folder / "model.pt", "--tracking", "false"),
            *("--data_on_device", "true", "--device", "cpu", *TOY_WORDS, *words),
        )
        assert code == 0, error
        with (folder / "run" / "metrics.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    whole = train(tmp_path / "a", "--max_epochs", 2)
    train(tmp_path / "b", "--lr_scheduler#max_epochs", 2, "--train#trainer#max_epochs", 1)
    parts = train(tmp_path / "b", "--max_epochs", 2, "--resume", tmp_path / "b" / "run")
    assert len(whole) == len(parts) == 2
    for ours, theirs in zip(parts, whole, strict=True):
        for name in ("loss", "edge", "val_mean_dice", "learning_rate"):
            assert ours[name] == theirs[name]
