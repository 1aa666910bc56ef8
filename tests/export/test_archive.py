"""The archive runs where nothing else of this project is, and meets the model zoo's checks."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import BUNDLE
from monai.bundle import ConfigWorkflow, verify_net_in_out
from monai.data import load_net_with_metadata
from networks import toy_network
from PIL import Image
from requirement_lists import pinned
from toy_weights import write_record

from custom_networks import UserError
from custom_networks.configuration.inference import load_source
from custom_networks.export import Exported, write_archive
from custom_networks.export.archive import NAME, requirements
from custom_networks.export.format import ExportJob, export_metadata
from custom_networks.export.torch_formats import write_torchscript

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def bundle(
    tmp_path_factory: pytest.TempPathFactory, checkpoint: Path, exported: Callable[[str, str], Exported]
) -> Iterator[Path]:
    """The bundle with weights, TorchScript, and things that must stay out of an archive."""
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    shutil.copytree(BUNDLE, folder, ignore=shutil.ignore_patterns("*.pt", "*.ts", "model*.json", "runs", "eval"))
    for suffix in (".pt", ".json"):
        shutil.copy(checkpoint.with_suffix(suffix), folder / "models")
    shutil.copy(exported("torchscript", "float32").files[0], folder / "models" / "model.ts")
    (folder / "predictions").mkdir()
    (folder / "predictions" / "patient.png").write_bytes(b"private")
    (folder / "models" / "model.previous.pt").write_bytes(b"old")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def archive(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = write_archive(bundle, tmp_path_factory.mktemp("archive") / f"{NAME}.zip")
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def unzipped(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("elsewhere é")
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
    yield folder / NAME
    shutil.rmtree(folder)


def python(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240)


def test_the_same_files_make_the_same_archive(bundle: Path, archive: Path, tmp_path: Path) -> None:
    again = write_archive(bundle, tmp_path / "again.zip")
    sums = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (archive, again)]
    again.unlink()
    assert sums[0] == sums[1]


def test_checksums_hold_and_cover_everything(unzipped: Path) -> None:
    lines = (unzipped / "checksums.sha256").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    present = {path.relative_to(unzipped).as_posix() for path in unzipped.rglob("*") if path.is_file()}
    assert set(sums) == {name for name in present if "__pycache__" not in name} - {"checksums.sha256"}
    for name, digest in sums.items():
        assert hashlib.sha256((unzipped / name).read_bytes()).hexdigest() == digest, name


def test_nothing_private_and_nothing_else_is_inside(archive: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        names = {name.removeprefix(f"{NAME}/") for name in file.namelist()}
        about = file.read(f"{NAME}/models/model.json").decode()
    assert {name.split("/")[0] for name in names} == {
        *("LICENSE", "checksums.sha256", "configs", "custom_networks", "docs", "models", "requirements.txt"),
    }
    assert {name for name in names if name.startswith("models/")} == {
        *("models/model.pt", "models/model.json", "models/model.ts"),
    }
    assert not any("__pycache__" in name for name in names)
    assert "/home/someone" not in about


def test_zoo_directory(unzipped: Path) -> None:
    required = ["LICENSE", "configs/metadata.json", "configs/inference.json", "docs/README.md", "docs/data_license.txt"]
    for name in [*required, "models/model.pt", "models/model.ts"]:
        assert (unzipped / name).is_file(), name
    metadata = json.loads((unzipped / "configs" / "metadata.json").read_text())
    assert metadata["version"] in metadata["changelog"]
    assert metadata["schema"].startswith("https://")


@pytest.mark.parametrize("kind", ["train", "infer"])
def test_zoo_properties(unzipped: Path, kind: str, dataset: Path) -> None:
    workflow = ConfigWorkflow(
        str(unzipped / "configs" / ("train.json" if kind == "train" else "inference.json")),
        str(unzipped / "configs" / "metadata.json"),
        str(unzipped / "configs" / "logging.conf"),
        workflow_type=kind,
        bundle_root=str(unzipped),
        dataset_dir=str(dataset),
        image_size=64,
    )
    workflow.initialize()
    assert workflow.check_properties() == []


def test_zoo_data_shape_and_torchscript(unzipped: Path) -> None:
    configs = unzipped / "configs"
    verify_net_in_out(
        "network_def",
        meta_file=str(configs / "metadata.json"),
        config_file=str(configs / "inference.json"),
        device="cpu",
    )
    network, metadata, _ = load_net_with_metadata(str(unzipped / "models" / "model.ts"))
    assert metadata["name"] == json.loads((configs / "metadata.json").read_text())["name"]
    assert network.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 1, 64, 64)


def test_runs_with_its_own_copy_of_the_code(unzipped: Path, pictures: Path, tmp_path: Path) -> None:
    where = python("-c", "import custom_networks; print(custom_networks.__file__)", cwd=unzipped)
    assert Path(where.stdout.strip()).parent == unzipped / "custom_networks"
    result = python(
        *("-m", "monai.bundle", "run", "--config_file", "configs/inference.json", "--image_size", 64),
        *("--dataset_dir", pictures, "--output_dir", tmp_path / "masks"),
        cwd=unzipped,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    masks = sorted((tmp_path / "masks").iterdir())
    assert len(masks) == 4
    assert {Image.open(path).size for path in masks} == {(96, 96)}
    assert 0.1 < np.mean([np.asarray(Image.open(path)).mean() / 255 for path in masks]) < 0.9


def test_requirements_are_those_of_the_repository() -> None:
    metadata = json.loads((BUNDLE / "configs" / "metadata.json").read_text())
    versions = pinned("requirements.txt").items()
    assert set(requirements(metadata).decode().splitlines()) == {f"{name}=={version}" for name, version in versions}


def test_torchscript_of_other_weights_is_refused(bundle: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    other = tmp_path / "other.pt"
    network = toy_network()
    torch.save(network.state_dict(), other)
    write_record(other, network)
    with pytest.raises(UserError, match=r"model.ts: not made of .*other.pt"):
        write_archive(bundle, tmp_path / "a.zip", other)
    assert not (tmp_path / "a.zip").exists()


def nearly_empty(path: Path, seed: int) -> Path:
    """Weights whose probability is 0 nearly everywhere, so that one image does not tell them apart."""
    torch.manual_seed(seed)
    network = toy_network()
    network.heads[0].bias.data.fill_(-20.0)
    torch.save(network.state_dict(), path)
    write_record(path, network, image_size=64)
    return path


def with_torchscript(bundle: Path, root: Path, checkpoint: Path, precision: str) -> Path:
    """A bundle with a TorchScript file of some weights, whose masks were not compared."""
    shutil.copytree(bundle, root)
    source = load_source(BUNDLE, checkpoint, None)
    metadata = export_metadata(source, "torchscript", precision, "any")
    write_torchscript(ExportJob(source.network, precision, 64, metadata), root / "models" / "model.ts")
    return root


def test_torchscript_of_other_weights_is_refused_though_it_computes_the_same(bundle: Path, tmp_path: Path) -> None:
    one, other = (nearly_empty(tmp_path / f"{seed}.pt", seed) for seed in (1, 2))
    root = with_torchscript(bundle, tmp_path / "bundle", one, "float32")
    with pytest.raises(UserError, match=r"model.ts: not made of .*2.pt"):
        write_archive(root, tmp_path / "a.zip", other)
    assert write_archive(root, tmp_path / "a.zip", one).is_file()


def test_torchscript_in_bfloat16_passes_by_the_limits_of_bfloat16(
    bundle: Path, checkpoint: Path, tmp_path: Path
) -> None:
    root = with_torchscript(bundle, tmp_path / "bundle", checkpoint, "bfloat16")
    assert write_archive(root, tmp_path / "a.zip", checkpoint).is_file()


def test_mistakes_are_one_sentence(sgdnet: Run, bundle: Path, tmp_path: Path) -> None:
    present = tmp_path / "a.zip"
    present.write_text("precious")
    for words, sentence in (
        (("--output", present), "is there already"),
        (("--output", tmp_path / "a.tar"), "must end in .zip"),
        (("--output", tmp_path / "b.zip", "--checkpoint", tmp_path / "no.pt"), "no such weights file"),
    ):
        code, _, err = sgdnet("package", "--bundle_root", bundle, *words)
        assert code == 1
        assert sentence in err.splitlines()[-1]
    assert present.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [present]
