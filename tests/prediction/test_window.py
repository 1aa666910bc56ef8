"""Windows over large images: exact where the network is local, and in little memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.inferers import SlidingWindowInferer
from numpy.typing import NDArray
from torch import Tensor

from custom_networks.prediction.window import blended_rows, predict_windows, some_windows, window_count


class Red:
    """In the network's place: the probability of a pixel is its redness, whatever the window."""

    channels = ("probability", "edge")

    def __init__(self) -> None:
        self.windows = 0

    def __call__(self, images: Tensor) -> Tensor:
        self.windows += len(images)
        return images[:, :2].float() / 255


@pytest.mark.parametrize("size", [(200, 333), (64, 64), (40, 150), (10, 20)])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_windows_blend_to_the_whole(size: tuple[int, int], batch_size: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3)).astype(np.uint8)
    pixels.flags.writeable = False
    maps = predict_windows(Red(), pixels, 64, batch_size=batch_size)  # type: ignore[arg-type]
    assert maps.shape == (2, size[1], size[0])
    torch.testing.assert_close(maps, torch.from_numpy(pixels.transpose(2, 1, 0)[:2] / 255).float(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.6])
def test_the_blend_is_that_of_monai(overlap: float) -> None:
    """Where windows disagree, each gives what MONAI's inferer gives it; begun in the middle, the rest is the same."""
    side, image = 32, torch.rand(1, 3, 150, 117, generator=torch.Generator().manual_seed(0)).mul(255).to(torch.uint8)

    def engine(windows: Tensor) -> Tensor:
        return windows[:, :1].float() + windows[:, :1, :8, :8].float().mean((1, 2, 3), keepdim=True)

    inferer = SlidingWindowInferer((side, side), 4, overlap, mode="gaussian")
    expected = inferer(image.float(), engine)[0]
    pixels = image[0].permute(2, 1, 0).numpy()
    torch.testing.assert_close(predict_windows(engine, pixels, side, overlap, batch_size=3), expected)  # type: ignore[arg-type]

    def cut(left: int, top: int) -> NDArray[np.uint8]:
        return pixels[top : top + side, left : left + side]

    rows = dict(blended_rows(engine, cut, (150, 117), side, overlap))  # type: ignore[arg-type]
    for first in rows:
        again = dict(blended_rows(engine, cut, (150, 117), side, overlap, first=first))  # type: ignore[arg-type]
        assert list(again) == list(range(first, len(rows)))
        assert all(torch.equal(again[number], rows[number]) for number in again)


def test_what_every_window_leaves_out_is_zero() -> None:
    def cut(left: int, top: int) -> NDArray[np.uint8] | None:
        return None if left < 100 else np.full((64, 64, 3), 255, np.uint8)

    red = Red()
    maps = torch.cat([maps for _, maps in blended_rows(red, cut, (300, 100), 64)], -1)  # type: ignore[arg-type]
    assert red.windows == 2 * 3
    assert (maps[:, :144] == 0).all()
    assert (maps[:, 144:] == 1).all()


def test_scale_saves_windows_and_keeps_the_size() -> None:
    pixels = np.full((256, 512, 3), 51, np.uint8)
    whole, half = Red(), Red()
    predict_windows(whole, pixels, 64)  # type: ignore[arg-type]
    maps = predict_windows(half, pixels, 64, scale=0.5)  # type: ignore[arg-type]
    assert maps.shape == (2, 512, 256)
    assert half.windows < 0.4 * whole.windows
    torch.testing.assert_close(maps, torch.full_like(maps, 0.2))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 150), st.integers(1, 150), st.sampled_from([0.0, 0.25, 0.6]), st.sampled_from([0.5, 1.0, 1.7]))
def test_as_many_windows_are_told_as_are_computed(width: int, height: int, overlap: float, scale: float) -> None:
    red = Red()
    predict_windows(red, np.zeros((height, width, 3), np.uint8), 32, overlap, scale, 4)  # type: ignore[arg-type]
    assert window_count((width, height), 32, overlap, scale) == red.windows


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_some_windows_lie_on_the_diagonal_at_the_scale(scale: float) -> None:
    rows, columns = np.indices((400, 240))
    pixels = np.stack([rows // 2, columns // 2, 0 * rows], axis=2).astype(np.uint8)
    extent = round(32 / scale)
    windows = some_windows(pixels, 32, scale, 3)
    for share, window in zip((0.25, 0.5, 0.75), windows, strict=True):
        assert window.shape == (3, 32, 32)
        assert window.dtype == torch.uint8
        middle = [share * (length - extent) + extent / 2 for length in (400, 240)]
        assert window[:2, 15:17, 15:17].float().mean((1, 2)).tolist() == pytest.approx(
            [one / 2 for one in middle], abs=1
        )
    (small,) = some_windows(np.full((10, 20, 3), 9, np.uint8), 32, scale, 1)
    assert small.unique().tolist() == [9]


PROGRAM = """
import re, resource, sys
import numpy as np
from pathlib import Path
from PIL import Image
from custom_networks.prediction.options import Options
from custom_networks.prediction.result import PredictedCase
from custom_networks.prediction.outputs.registry import IMAGE_OUTPUTS
from custom_networks.prediction.reading import read_file
from custom_networks.prediction.result import prediction_of
from custom_networks.prediction.window import predict_windows

width, height, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
pixels = np.zeros((height, width, 3), np.uint8)
pixels[height // 4 : height // 2, width // 4 : width // 2] = 255
Image.fromarray(pixels).save(folder / "large.tif", compression="tiff_lzw")
del pixels
picture = read_file(folder / "large.tif")
maps = predict_windows(lambda images: images[:, :1].float() / 255, picture.pixels, 256, batch_size=4)
prediction = prediction_of(picture, {"probability": maps[0]}, Options(mode="window"))
case = PredictedCase(folder / "large.tif", "large", prediction)
for name in ("mask", "probability", "overlay"):
    (folder / f"{name}.bin").write_bytes(IMAGE_OUTPUTS[name].encode(case))
assert prediction.mask.sum() == (height // 4) * (width // 4), prediction.mask.sum()
status = Path("/proc/self/status")  # ru_maxrss starts with that of the process that started this one
own = re.search(r"VmHWM:\\s+(\\d+)", status.read_text()) if status.is_file() else None
print(own[1] if own else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(tmp_path: Path, width: int, height: int) -> float:
    """Memory in bytes that reading, windows, mask, probability and overlay of a TIFF take at most."""
    words = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(width), str(height), str(tmp_path)]
    result = subprocess.run(words, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr[-2000:]
    return 1024 * float(result.stdout)


@pytest.mark.slow
def test_memory_grows_by_less_than_thirty_bytes_a_pixel(tmp_path: Path) -> None:
    small, large = peak(tmp_path, 500, 400), peak(tmp_path, 4000, 3000)
    assert (large - small) / (4000 * 3000) < 30


@pytest.mark.slow
def test_twelve_thousand_by_nine_thousand_pixels_in_less_than_four_gigabytes(tmp_path: Path) -> None:
    assert peak(tmp_path, 12000, 9000) < 2.8e9  # the network takes 0.9 GB more
