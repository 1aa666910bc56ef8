"""One place for each version, and the ranges of the package's own metadata hold it."""

from __future__ import annotations

import tomllib

import pytest
from packaging.requirements import Requirement
from requirement_lists import ANNOTATE, LISTS, ROOT, listed, pinned

DIFFER = {"pydicom", "highdicom"}
"""MONAI Label needs older ones, so the lists have them, each its own."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("name", [*LISTS, *ANNOTATE])
def test_a_list_names_packages_and_the_constraints_have_their_versions(name: str) -> None:
    versions = listed("constraints.txt")
    assert all(versions.values())
    for package, version in listed(name).items():
        assert bool(version) == (package in DIFFER), package
        assert (package in versions) != (package in DIFFER), package
    lines = (ROOT / name).read_text().splitlines()
    up = "../" if "/" in name else ""
    assert f"-c {up}constraints.txt" in lines or "-r requirements.txt" in lines


def test_the_constraints_have_no_package_that_no_list_names() -> None:
    named = {package for name in (*LISTS, *ANNOTATE) for package in listed(name)}
    assert set(listed("constraints.txt")) == named - DIFFER


def test_the_package_asks_for_what_the_list_installs() -> None:
    needed = {Requirement(line).name for line in PROJECT["dependencies"]}
    assert needed == set(listed("requirements.txt"))


@pytest.mark.parametrize("group", ["dependencies", *PROJECT["optional-dependencies"]])
def test_the_ranges_of_the_package_hold_the_versions_tested(group: str) -> None:
    lines = PROJECT["dependencies"] if group == "dependencies" else PROJECT["optional-dependencies"][group]
    versions = pinned(*LISTS)
    for each in map(Requirement, lines):
        assert each.specifier.contains(versions[each.name]), each


def test_the_annotation_server_has_what_the_package_needs() -> None:
    """But the index for near-duplicates, which it does not look for, and MLflow without a store of its own."""
    needed = {Requirement(line).name for line in PROJECT["dependencies"]} - {"faiss-cpu", "mlflow"} | {"mlflow-skinny"}
    assert needed <= set(listed("annotate/requirements.txt"))
