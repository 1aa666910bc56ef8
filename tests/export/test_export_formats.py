"""Every format gives the network's numbers, tells how to use it, and is refused where it does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import BUNDLE
from hypothesis import given
from hypothesis import strategies as st
from networks import toy_network

from custom_networks import UserError, load_checkpoint
from custom_networks.configuration.inference import load_source
from custom_networks.export import FORMATS, Exported, export_model
from custom_networks.export.format import Compute
from custom_networks.export.images import listed_images, spread
from custom_networks.export.verify import MEAN, Agreement, check_agreement, compare_file, probabilities

Export = Callable[[str, str], Exported]
Run = Callable[..., tuple[int, str, str]]
CASES = [
    ("torchscript", "float32"),
    ("torchscript", "bfloat16"),
    ("onnx", "float32"),
    ("onnx", "float16"),
    ("onnx", "int8"),
    pytest.param("openvino", "float32", marks=pytest.mark.slow),  # the engines of predict are this
    pytest.param("openvino", "bfloat16", marks=pytest.mark.slow),
    ("openvino", "int8"),
    ("torch-export", "float32"),
    ("tensorrt", "float16"),
]
IMAGES = {"int8": 10}  # of `exported`; four for other precisions
PACKAGES = {"onnx": ("onnx", "onnxruntime"), "openvino": ("onnx", "onnxruntime", "openvino")}


@pytest.mark.parametrize(("name", "precision"), CASES)
def test_file_computes_and_describes(
    name: str, precision: str, exported: Export, opened: dict[tuple[str, str], Compute], checkpoint: Path
) -> None:
    for package in PACKAGES.get(name, ()):
        pytest.importorskip(package)
    format_, result = FORMATS[name], exported(name, precision)
    assert all(path.stat().st_size > 0 for path in result.files)

    network = toy_network()
    load_checkpoint(network, checkpoint)
    run = opened[name, precision]
    sizes = [(2, 128, 192)] if format_.any_size else [(5, 64, 64)]
    for batch, x, y in sizes:  # not seen by the export
        images = np.random.default_rng(x + y).normal(size=(batch, 3, x, y)).astype(np.float32)
        with torch.no_grad():
            expected = probabilities(network.eval()(torch.from_numpy(images)).numpy())
        difference = np.abs(probabilities(run(images)) - expected)
        limit = 1e-4 if precision == "float32" or name == "tensorrt" else 3 * MEAN[precision]
        assert difference.mean() < limit, (batch, x, y)

    about = format_.metadata(result.files[0])
    assert about == result.metadata
    assert about["preprocessing"]["size"] == 64
    assert about["preprocessing"]["mean"] == [181.13, 146.19, 133.24]
    assert about["output"]["activation"] == "sigmoid"
    assert about["licence"].startswith("Apache-2.0")
    assert "torch" in about["versions"]
    assert f"verified against PyTorch on {IMAGES.get(precision, 4)} images of" in str(result)


def test_tensorrt_says_what_remains(exported: Export) -> None:
    result = exported("tensorrt", "float16")
    assert f"trtexec --onnx={result.files[0]}" in result.remains
    assert "--fp16" in result.remains
    assert "needs a GPU" in str(result)


def test_half_precision_halves_the_file(exported: Export) -> None:
    def size(name: str, precision: str) -> int:
        return sum(path.stat().st_size for path in exported(name, precision).files)

    assert size("torchscript", "bfloat16") < 0.55 * size("torchscript", "float32")
    assert size("onnx", "int8") < 0.9 * size("onnx", "float32")  # stages that bear rounding least stay as they are


def test_torchscript_takes_sizes_that_are_no_multiple_of_64(exported: Export) -> None:
    run = FORMATS["torchscript"].open(exported("torchscript", "float32").files[0], 1)
    assert run(np.zeros((1, 3, 70, 50), np.float32)).shape == (1, 1, 70, 50)


def test_other_weights_are_refused(exported: Export, checkpoint: Path, pictures: Path) -> None:
    run = FORMATS["torchscript"].open(exported("torchscript", "float32").files[0], 1)
    source = load_source(BUNDLE, checkpoint, None)
    source.network.heads[0].bias.data += 0.1
    agreement = compare_file(run, source.network, [source.prepare(listed_images(pictures)[0])], True, 0.5)
    with pytest.raises(UserError, match="differs from PyTorch"):
        check_agreement(agreement, "float32")


@pytest.mark.parametrize("precision", MEAN)
def test_not_a_number_is_refused(precision: str) -> None:
    with pytest.raises(UserError, match="nothing was written"):
        check_agreement(Agreement(float("inf"), float("nan"), (0.0,), 5), precision)


@pytest.mark.parametrize(
    ("knobs", "sentence"),
    [
        ({"format": "onx"}, "did you mean 'onnx'?"),
        ({"precision": "float8"}, "--precision float8: must be one of"),
        ({"precision": "bfloat16"}, "for bfloat16 use --format torchscript"),
        ({"precision": "int8"}, "needs --calibration"),
        ({"image_size": 100}, "use --image_size 128"),
        ({"checkpoint": "missing.pt"}, "missing.pt: no such weights file"),
        ({"output": "model.ts"}, "must end in .onnx"),
        ({"overwrit": "true"}, "did you mean 'overwrite'?"),
    ],
)
def test_mistakes_are_one_sentence_and_write_nothing(
    sgdnet: Run, checkpoint: Path, tmp_path: Path, knobs: dict[str, str], sentence: str
) -> None:
    settings = {"checkpoint": checkpoint, "output": tmp_path / "model.onnx", **knobs}
    code, _, err = sgdnet("export", *(word for name, value in settings.items() for word in (f"--{name}", value)))
    assert code == 1
    assert sentence in err.splitlines()[-1]
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_never_overwritten_unasked(sgdnet: Run, checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.ts"
    path.write_text("precious")
    words = ("export", "--format", "torchscript", "--checkpoint", checkpoint, "--output", path)
    code, _, err = sgdnet(*words)
    assert (code, path.read_text()) == (1, "precious")
    assert "--overwrite true" in err
    code, out, _ = sgdnet(*words, "--overwrite", "true")
    assert code == 0
    assert "Dice of the masks 1.0000 in the mean, 1.0000 at worst" in out
    assert [file.name for file in tmp_path.iterdir()] == ["model.ts"]
    path.unlink()


def test_unwritable_output(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written"):
        export_model(BUNDLE, "torchscript", checkpoint, tmp_path / "file" / "model.ts")


def test_calibration_list_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text('{"training": ["a.png"]}')
    with pytest.raises(UserError, match=r'list\.json: "training\[0\]": input should be an object'):
        listed_images(tmp_path / "list.json")


def test_datalist_starts_at_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text('{"training": [{"image": "images/a.png"}], "test": [{"image": "b.png"}]}')
    assert listed_images(tmp_path / "list.json") == [str(tmp_path / "images" / "a.png")]


@given(st.lists(st.text(), unique=True, max_size=80), st.integers(2, 40))
def test_spread_keeps_order_ends_and_count(paths: list[str], count: int) -> None:
    picked = spread(paths, count)
    assert len(picked) == min(count, len(paths))
    assert picked == [path for path in paths if path in set(picked)]
    assert picked[:1] == paths[:1]
    assert picked[-1:] == paths[-1:]
