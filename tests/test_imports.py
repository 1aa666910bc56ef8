"""Packages import what they offer when it is asked for: `sgdnet --help` starts without torch, MONAI and MLflow."""

from __future__ import annotations

import importlib
import json
import pickle
import pkgutil
import pydoc
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import custom_networks

HEAVY = ("torch", "monai", "ignite", "mlflow", "scipy", "pandas", "matplotlib", "pydicom", "nibabel")
NETWORKS = {"torch", "monai", "ignite", "mlflow"}


def started(code: str) -> dict[str, Any]:
    """Run code in a fresh interpreter: its processor time in seconds, and what it imported of `HEAVY`."""
    probe = (
        f"{code}\nimport json, sys, time\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "print(json.dumps({'seconds': time.process_time(), 'loaded': loaded}))"
    )
    result = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60, check=True)
    return dict(json.loads(result.stdout.splitlines()[-1]))


def packages() -> list[str]:
    found = pkgutil.walk_packages(custom_networks.__path__, "custom_networks.")
    return ["custom_networks", *(each.name for each in found if each.ispkg)]


def test_the_package_itself_imports_nothing_heavy() -> None:
    assert started("import custom_networks")["loaded"] == []


def test_preparing_and_checking_data_need_no_network_library() -> None:
    loaded = started(
        "from custom_networks.data.prepare import prepare_dataset\nimport custom_networks.data.checking.command"
    )
    assert not NETWORKS & set(loaded["loaded"])


def test_measuring_masks_reporting_and_comparing_need_no_network_library(dataset: Path, tmp_path: Path) -> None:
    """The verbs themselves, to their end: what a function imports on its way counts, too."""
    masks, results = str(dataset / "masks"), str(tmp_path / "eval")
    words = [
        ["evaluate", "--predictions", masks, "--labels", masks, "--images", str(dataset / "images"), "-o", results],
        ["report", results],
        ["compare", results, f"{results} again", "--resamples", "100", "-o", str(tmp_path / "comparison")],
    ]
    code = f"""
import shutil, sys
from custom_networks.cli import main
for words in {words!r}:
    main(words)
    assert not {NETWORKS!r} & set(sys.modules), words[0]
    if words[0] == "evaluate":
        shutil.copytree({results!r}, {results!r} + " again")
"""
    assert not NETWORKS & set(started(code)["loaded"])
    assert (tmp_path / "eval" / "report.html").is_file()
    assert (tmp_path / "comparison" / "comparison.json").is_file()


@pytest.mark.parametrize("name", packages())
def test_every_name_that_a_package_offers_exists(name: str) -> None:
    package = importlib.import_module(name)
    for each in getattr(package, "__all__", ()):
        assert getattr(package, each) is not None
        assert each in dir(package)


def test_a_class_is_found_by_its_name_and_survives_pickling() -> None:
    assert pydoc.locate("custom_networks.SGDNet") is custom_networks.SGDNet
    assert pickle.loads(pickle.dumps(custom_networks.SGDNet)) is custom_networks.SGDNet


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="SGDNett"):
        _ = custom_networks.SGDNett  # type: ignore[attr-defined]


def test_a_lazy_package_has_its_names_in_a_stub_for_type_checkers() -> None:
    for name in packages():
        source = Path(str(importlib.import_module(name).__file__))
        assert ("attach_stub" in source.read_text()) == source.with_suffix(".pyi").is_file()
