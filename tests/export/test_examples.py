"""The programs of `examples/` segment with an exported file and next to nothing installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY
from PIL import Image

from custom_networks.export import Exported

DRIVER = """
import runpy, sys
runpy.run_path(sys.argv[0], run_name="__main__")
banned = {name.split(".")[0] for name in sys.modules} & set(BANNED)
sys.exit(f"imported: {banned}" if banned else 0)
"""


@pytest.fixture
def picture(pictures: Path, tmp_path: Path) -> Path:
    """A phantom of the network's size, where no resizing differs, cut so that swapped sides would show."""
    path = tmp_path / "picture.png"
    Image.open(sorted(pictures.iterdir())[1]).crop((0, 10, 64, 74)).save(path)
    return path


@pytest.mark.parametrize(
    ("example", "name", "banned"),
    [
        ("segment_onnx.py", "onnx", ("torch", "monai", "custom_networks")),
        ("segment_torchscript.py", "torchscript", ("monai", "custom_networks", "onnxruntime")),
    ],
)
def test_example_gives_the_mask_of_predict(
    example: str,
    name: str,
    banned: tuple[str, ...],
    exported: Callable[[str, str], Exported],
    checkpoint: Path,
    picture: Path,
    tmp_path: Path,
    sgdnet: Callable[..., tuple[int, str, str]],
) -> None:
    model, target = exported(name, "float32").files[0], tmp_path / "mask.png"
    program = str(REPOSITORY / "examples" / example)
    code = DRIVER.replace("sys.argv[0]", repr(program)).replace("BANNED", repr(banned))
    wide = tmp_path / "wide.png"
    Image.open(picture).resize((150, 90)).save(wide)
    for source, mask_path in ((picture, target), (wide, tmp_path / "wide_mask.png")):
        words = [sys.executable, "-c", code, str(model), str(source), str(mask_path)]
        result = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stderr
    assert Image.open(tmp_path / "wide_mask.png").size == (150, 90)
    (tmp_path / "in").mkdir()
    picture.rename(tmp_path / "in" / "picture.png")
    knobs = ("--dataset_dir", tmp_path / "in", "--checkpoint", checkpoint, "--output_dir", tmp_path / "out")
    status, _, err = sgdnet("predict", *knobs, "--image_size", 64)
    assert status == 0, err
    mask, expected = (np.asarray(Image.open(path)) > 0 for path in (target, tmp_path / "out" / "picture.png"))
    assert (expected == mask.T).mean() < 0.95  # else swapped sides would not show
    assert 0.02 < expected.mean() < 0.98
    assert (mask == expected).mean() > 0.999


def test_the_onnx_example_is_thirty_lines() -> None:
    assert len((REPOSITORY / "examples" / "segment_onnx.py").read_text().splitlines()) <= 32
