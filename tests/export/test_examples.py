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
program, model, *pairs = sys.argv[1:]
if "onnxruntime" not in BANNED:  # the file is loaded once for all pictures
    import onnxruntime
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    onnxruntime.InferenceSession = lambda *given, **settings: session
for source, mask in zip(pairs[::2], pairs[1::2]):
    sys.argv = [program, model, source, mask]
    runpy.run_path(program, run_name="__main__")
banned = {name.split(".")[0] for name in sys.modules} & set(BANNED)
sys.exit(f"imported: {banned}" if banned else 0)
"""


@pytest.fixture(scope="module")
def folder(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of every kind: cut so that swapped sides would show, to be resized, in 12 bits, transparent, float."""
    folder = tmp_path_factory.mktemp("kinds")
    phantom = Image.open(sorted(pictures.iterdir())[1])
    plain = phantom.crop((0, 10, 64, 74))
    plain.save(folder / "plain.png")
    phantom.resize((150, 90)).save(folder / "wide.png")
    grey = np.asarray(phantom.convert("L"))
    Image.fromarray((grey.astype(np.uint16) * 4095 // 255).astype(np.uint16)).save(folder / "twelve_bits.png")
    Image.fromarray(grey.astype(np.float32) / 255).save(folder / "floating.tif")
    clear = plain.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    clear.save(folder / "clear.png")
    plain.quantize(256).save(folder / "palette.png", transparency=255)
    turned = plain.getexif()
    turned[274] = 6
    phantom.crop((0, 0, 64, 90)).save(folder / "turned.jpg", exif=turned, quality=95)
    return folder


@pytest.mark.parametrize(
    ("example", "name", "banned"),
    [
        ("segment_onnx.py", "onnx", ("torch", "monai", "custom_networks")),
        pytest.param(
            *("segment_torchscript.py", "torchscript", ("monai", "custom_networks", "onnxruntime")),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_example_gives_the_masks_of_predict(
    example: str,
    name: str,
    banned: tuple[str, ...],
    exported: Callable[[str, str], Exported],
    checkpoint: Path,
    folder: Path,
    tmp_path: Path,
    sgdnet: Callable[..., tuple[int, str, str]],
) -> None:
    program, model = REPOSITORY / "examples" / example, exported(name, "float32").files[0]
    sources = sorted(folder.iterdir())
    masks = [tmp_path / f"{source.stem}.png" for source in sources]
    pairs = [str(path) for pair in zip(sources, masks, strict=True) for path in pair]
    words = [sys.executable, "-c", DRIVER.replace("BANNED", repr(banned)), str(program), str(model), *pairs]
    result = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    knobs = ("--dataset_dir", folder, "--checkpoint", checkpoint, "--output_dir", tmp_path / "out")
    status, _, err = sgdnet("predict", *knobs, "--image_size", 64)
    assert status == 0, err
    for source, path in zip(sources, masks, strict=True):
        mask, expected = (np.asarray(Image.open(each)) > 0 for each in (path, tmp_path / "out" / path.name))
        assert mask.shape == expected.shape
        assert 0.02 < expected.mean() < 0.98, source.name
        assert (mask == expected).mean() > 0.999, source.name
        if source.name == "plain.png":
            assert (expected == mask.T).mean() < 0.995  # else swapped sides would not show


def test_the_example_names_values_that_it_cannot_take(exported: Callable[[str, str], Exported], tmp_path: Path) -> None:
    Image.fromarray(np.full((64, 64), 999, np.float32)).save(tmp_path / "bright.tif")
    words = [
        sys.executable,
        str(REPOSITORY / "examples" / "segment_onnx.py"),
        str(exported("onnx", "float32").files[0]),
    ]
    result = subprocess.run(
        [*words, "bright.tif", "mask.png"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert (result.returncode, result.stderr) == (1, "bright.tif: values above white\n")
    assert not (tmp_path / "mask.png").exists()


def test_the_onnx_example_is_short() -> None:
    assert len((REPOSITORY / "examples" / "segment_onnx.py").read_text().splitlines()) <= 42
