"""MONAI's own export commands take the bundle as it is, from the command line."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import BUNDLE, run_python
from networks import toy_network
from PIL import Image

from custom_networks import load_checkpoint
from custom_networks.export import Exported


@pytest.fixture
def bundle(tmp_path: Path, checkpoint: Path) -> Iterator[Path]:
    folder = tmp_path / "bundle"
    shutil.copytree(BUNDLE, folder, ignore=shutil.ignore_patterns("*.pt", "*.ts", "*.onnx", "runs", "eval"))
    for file in (checkpoint, checkpoint.with_suffix(".json")):
        shutil.copy(file, folder / "models")
    yield folder
    shutil.rmtree(folder)


def logits(checkpoint: Path, image: torch.Tensor) -> np.ndarray:
    network = toy_network()
    load_checkpoint(network, checkpoint)
    with torch.no_grad():
        return network.eval()(image).numpy()


def test_ckpt_export(bundle: Path, checkpoint: Path) -> None:
    words = ["--net_id", "network_def", "--filepath", "models/model.ts", "--ckpt_file", "models/model.pt"]
    words += ["--meta_file", "configs/metadata.json", "--config_file", "configs/inference.json", "--key_in_ckpt", ""]
    result = run_python(["-m", "monai.bundle", "ckpt_export", *words], cwd=bundle)
    assert result.returncode == 0, result.stderr[-2000:]
    image = torch.randn(2, 3, 64, 128)
    with torch.no_grad():
        exported = torch.jit.load(bundle / "models" / "model.ts")(image).numpy()
    np.testing.assert_allclose(exported, logits(checkpoint, image), atol=1e-3)


@pytest.mark.slow
def test_onnx_export(bundle: Path, checkpoint: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    words = ["--args_file", "configs/onnx_export.json", "--input_shape", "[2,3,64,128]"]
    result = run_python(["-m", "monai.bundle", "onnx_export", *words], cwd=bundle)
    assert result.returncode == 0, result.stderr[-2000:]
    session = runtime.InferenceSession(bundle / "models" / "model.onnx")
    image = torch.randn(3, 3, 128, 64)
    np.testing.assert_allclose(
        session.run(None, {"image": image.numpy()})[0], logits(checkpoint, image), atol=1e-3, rtol=1e-3
    )


@pytest.mark.slow
def test_inference_trt_runs_what_stands_in_for_the_engine(
    exported: object, pictures: Path, tmp_path: Path, checkpoint: Path
) -> None:
    """Without a GPU the same overlay runs a plain TorchScript file; only the engine inside differs."""
    result: Exported = exported("torchscript", "float32")  # type: ignore[operator]
    words = ["--config_file", "['configs/inference.json','configs/inference_trt.json']", "--bundle_root", str(BUNDLE)]
    words += ["--engine", str(result.files[0]), "--checkpoint", str(checkpoint), "--image_size", "64"]
    words += ["--dataset_dir", str(pictures), "--output_dir", str(tmp_path)]
    done = run_python(["-m", "monai.bundle", "run", *words])
    assert done.returncode == 0, done.stderr[-2000:]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in pictures.iterdir())
    assert {Image.open(path).size for path in tmp_path.iterdir()} == {(96, 96)}
