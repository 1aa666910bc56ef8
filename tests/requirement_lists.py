"""The requirements files as pip reads them: names in lists, versions in `constraints.txt`."""

from __future__ import annotations

from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
LISTS = ("requirements.txt", "requirements-dev.txt")
ANNOTATE = tuple(f"annotate/{name}" for name in (*LISTS, "requirements-nodeps.txt"))


def listed(name: str) -> dict[str, str]:
    """Names in lower case that a file lists itself, each with the version there, or ''."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
    found = [Requirement(line) for line in lines if line and not line.startswith("-")]
    return {each.name.lower(): str(each.specifier).removeprefix("==") for each in found}


def pinned(*names: str) -> dict[str, str]:
    """Version of each package that the files list."""
    versions = listed("constraints.txt")
    return {name: version or versions[name] for each in names for name, version in listed(each).items()}
