"""What an exported file is compared on, and what of it passes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from export_fixtures import BUNDLE
from hypothesis import given
from hypothesis import strategies as st
from networks import toy_network
from toy_weights import write_record

from custom_networks import UserError
from custom_networks.configuration.inference import TrainedSource, load_source
from custom_networks.export import FORMATS
from custom_networks.export.format import DiceLimits, ExportJob
from custom_networks.export.images import held_out, images_to_verify, listed_images, validated_images
from custom_networks.export.verify import Agreement, check_agreement, compare_file, mask_dice
from custom_networks.files import sha256


@pytest.fixture(scope="module")
def source(checkpoint: Path) -> TrainedSource:
    return load_source(BUNDLE, checkpoint, None)


@pytest.mark.parametrize(
    "precision", [*(pytest.param(name, marks=pytest.mark.slow) for name in ("float16", "bfloat16")), "int8"]
)
def test_a_file_that_finds_nothing_of_a_small_lesion_is_refused(
    source: TrainedSource, pictures: Path, tmp_path: Path, precision: str
) -> None:
    """Its probabilities are near those of PyTorch everywhere; alone its masks are empty."""
    images = [source.prepare(path) for path in listed_images(pictures)]
    network = load_source(BUNDLE, source.checkpoint, None).network
    head = network.heads[0]
    with torch.no_grad():
        head.weight *= 0.01
        head.bias.zero_()
        logits = network(torch.from_numpy(np.stack(images)))
        highest = logits.max()
        head.bias -= highest + 1e-3  # the file: nothing anywhere
        FORMATS["torchscript"].write(ExportJob(network, "float32", 64, {}), tmp_path / "model.ts")
        head.bias += highest + 1e-3 - logits.flatten().quantile(0.971)  # PyTorch: 2.9 % of the pixels
    run = FORMATS["torchscript"].open(tmp_path / "model.ts", 1)
    agreement = compare_file(run, network, images, True, 0.5)
    assert agreement.mean < 0.01  # which used to pass
    assert agreement.foreground == sum(bool((one >= logits.flatten().quantile(0.971)).any()) for one in logits)
    assert min(agreement.dice) == 0
    with pytest.raises(
        UserError, match=rf"the {precision} file's masks differ from PyTorch's: Dice 0\.\d+ in the mean"
    ):
        check_agreement(agreement, precision)


def test_nothing_to_lose_proves_nothing() -> None:
    nothing = Agreement(0.0, 0.0, (1.0, 1.0), 0)
    check_agreement(nothing, "float32")
    for precision in ("float16", "bfloat16", "int8"):
        with pytest.raises(UserError, match="PyTorch itself finds nothing"):
            check_agreement(nothing, precision)


@pytest.mark.parametrize(("scores", "passes"), [((0.99, 0.99), True), ((1.0, 0.97), False), ((1.0, 1.0, 0.94), False)])
def test_both_limits_hold(scores: tuple[float, ...], passes: bool) -> None:
    agreement = Agreement(0.0, 0.0, scores, 2)
    if passes:
        check_agreement(agreement, "bfloat16")
        with pytest.raises(UserError):
            check_agreement(agreement, "bfloat16", DiceLimits(0.995, 0))
    else:
        with pytest.raises(UserError, match="at worst"):
            check_agreement(agreement, "bfloat16", names=[f"{number}.png" for number in range(len(scores))])
        check_agreement(agreement, "bfloat16", DiceLimits(0.9, 0.9))


def one_class(*pixels: float) -> np.ndarray:
    return np.array([[pixels]], np.float32)


def test_dice_of_empty_masks_and_of_the_threshold() -> None:
    empty, some = one_class(0.1, 0.2), one_class(0.1, 0.9)
    assert mask_dice(empty, empty, 0.5) == 1
    assert mask_dice(some, empty, 0.5) == mask_dice(empty, some, 0.5) == 0
    assert mask_dice(empty, some, 0.05) == 1
    assert mask_dice(one_class(0.5), one_class(0.9), 0.5) == 1


def test_a_class_that_is_lost_counts_however_small() -> None:
    expected = np.zeros((3, 1, 100), np.float32)
    expected[1, 0, :50], expected[2, 0, 50:52], expected[0, 0, 52:] = 1, 1, 1
    got = expected.copy()
    got[:, 0, 50:52] = [[1], [0], [0]]
    assert mask_dice(got, expected, 0.5) == 0.5


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1))
def test_dice_against_counting(pixels: list[tuple[bool, bool]]) -> None:
    first, second = (one_class(*(pixel[side] for pixel in pixels)) for side in (0, 1))
    both, total = sum(a and b for a, b in pixels), sum(a + b for a, b in pixels)
    assert mask_dice(first, second, 0.5) == pytest.approx(2 * both / total if total else 1.0)


def test_images_that_int8_took_never_verify_it(source: TrainedSource, pictures: Path, tmp_path: Path) -> None:
    taken = listed_images(pictures)
    with pytest.raises(UserError, match="calibrated on every one of its images"):
        images_to_verify(source, pictures, taken, taken)
    with pytest.raises(UserError, match="no image is left"):
        images_to_verify(source, None, taken, taken)
    copies = tmp_path / "copies"
    shutil.copytree(pictures, copies)
    for number, path in enumerate(sorted(copies.iterdir())):
        path.rename(copies / f"renamed{number}.png")
    with pytest.raises(UserError, match="calibrated on every one"):
        images_to_verify(source, copies, taken, taken)
    found = images_to_verify(source, copies, taken, taken[1:])
    assert [Path(name).name for name in found.names] == ["renamed0.png"]
    assert list(images_to_verify(source, None, taken, taken[:3]).names) == taken[3:]


def test_what_the_weights_were_validated_on_comes_first(
    source: TrainedSource, checkpoint: Path, dataset: Path, pictures: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.pt"
    shutil.copy(checkpoint, path)
    write_record(path, toy_network(), image_size=64, dataset_dir=str(dataset), fold=0, seed=0)
    validated = validated_images(path)
    assert len(validated) == 2
    assert {Path(name).parent for name in validated} == {dataset / "images"}
    again = load_source(BUNDLE, path, None)
    assert list(images_to_verify(again, None, [], []).names) == validated
    assert list(images_to_verify(again, pictures, [], []).names) == listed_images(pictures)
    write_record(path, toy_network(), image_size=64, dataset_dir=str(tmp_path / "gone"), fold=0)
    assert validated_images(path) == []
    assert len(images_to_verify(load_source(BUNDLE, path, None), None, [], []).images) == 3  # phantoms


def test_a_datalist_verifies_with_its_validation_images(source: TrainedSource, pictures: Path, tmp_path: Path) -> None:
    first, second, *_ = listed_images(pictures)
    path = tmp_path / "list.json"
    path.write_text(f'{{"training": [{{"image": "{first}"}}], "validation": [{{"image": "{second}"}}]}}')
    assert images_to_verify(source, path, [], []).names == (second,)
    assert listed_images(path) == [first]


def test_no_more_images_are_read_than_needed(pictures: Path) -> None:
    paths = [str(path) for path in sorted(pictures.iterdir())] * 30
    seen = {sha256(paths[0])}
    picked = held_out(paths, seen)
    assert len(picked) <= 32
    assert all(sha256(path) not in seen for path in picked)
