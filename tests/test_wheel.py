"""The wheel in an empty environment and an empty folder: every verb works, and writes below that folder alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest
from networks import TOY_WORDS

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without a network from a copy, so that no `build/` of the checkout gets into it."""
    pytest.importorskip("setuptools")
    source = tmp_path_factory.mktemp("source") / "sgdnet"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    no_results = shutil.ignore_patterns("__pycache__", "models", "runs", "eval", "cache", "predictions")
    shutil.copytree(REPOSITORY / "custom_networks", source / "custom_networks", symlinks=True, ignore=no_results)
    shutil.copytree(REPOSITORY / "bundle", source / "bundle", ignore=no_results)
    target = source.parent / "dist"
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", target, source], check=True, timeout=120)
    return next(target.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`bin/` of an environment with the wheel, whose other packages are those of this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    command = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet", "--no-deps"]
    subprocess.run([*command, "--no-index", wheel], check=True, timeout=120)
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin"


def run(words: list[Any], cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHONPATH", "MLFLOW"))}
    command = [str(word) for word in words]
    result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=200)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def state(folder: Path) -> dict[Path, int]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path: path.stat().st_mtime_ns for path in files}


def test_the_wheel_holds_configurations_templates_and_stubs(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("bundle/configs", "custom_networks/report/templates"):
        files = [path for path in (REPOSITORY / folder).rglob("*") if path.is_file()]
        assert files
        for path in files:
            inside = path.relative_to(REPOSITORY).as_posix()
            assert (inside if inside.startswith("custom_networks") else f"custom_networks/{inside}") in names
    assert {"custom_networks/__init__.pyi", "custom_networks/py.typed", "custom_networks/bundle/LICENSE"} <= names
    assert not [name for name in names if name.startswith(("tests/", "annotate/", "custom_networks/bundle/models"))]


def test_from_phantoms_to_an_archive_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    package = next(installed.parent.glob("lib/python*/site-packages/custom_networks"))
    before = state(package)
    assert "Phantoms in data/phantoms" in run([installed / "sgdnet", "phantoms", "--count", 6, "--size", 64], tmp_path)
    small = ["--image_size", 64, "--batch_size", 4, "--num_workers", 0]
    verbs = [
        ["train", *small, "--max_epochs", 1, "--tracking", "false", *TOY_WORDS],
        ["evaluate", "--num_workers", 0, "-o", "eval"],
        ["export", "--format", "torchscript"],
        ["package"],
        ["predict", "data/phantoms/images"],
    ]
    several = (
        "import json, sys\nfrom custom_networks.cli import main\nfor verb in json.loads(sys.argv[1]):\n    main(verb)"
    )
    run([installed / "python", "-c", several, json.dumps([[str(word) for word in verb] for verb in verbs])], tmp_path)
    assert (tmp_path / "bundle" / "models" / "model.pt").is_file()
    assert (tmp_path / "eval" / "per_image.csv").is_file()
    assert (tmp_path / "bundle" / "models" / "model.ts").is_file()
    assert len(list((tmp_path / "bundle" / "predictions").glob("*.png"))) == 6
    names = zipfile.ZipFile(tmp_path / "sgdnet_2d_segmentation.zip").namelist()
    assert "sgdnet_2d_segmentation/configs/train.json" in names
    assert "sgdnet_2d_segmentation/custom_networks/__init__.pyi" in names
    assert state(package) == before
    assert {path.name for path in tmp_path.iterdir()} == {"bundle", "data", "eval", "sgdnet_2d_segmentation.zip"}
