"""Rules of the package that a reader relies on: one name for one thing, and files that can be read in one sitting."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import custom_networks

PACKAGE = Path(custom_networks.__file__).parent
VERBS = PACKAGE / "verbs"  # a function there has the name of its verb, whatever else has it
MOST_LINES = 400


def definitions(source: str) -> list[str]:
    """Public classes and functions at the top of a file."""
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    names = (each.name for each in ast.parse(source).body if isinstance(each, kinds))
    return [name for name in names if not name.startswith("_")]


def test_every_class_and_function_has_a_name_of_its_own() -> None:
    files: dict[str, list[str]] = defaultdict(list)
    for path in PACKAGE.rglob("*.py"):
        if VERBS not in path.parents:
            for name in definitions(path.read_text(encoding="utf-8")):
                files[name].append(str(path.relative_to(PACKAGE)))
    assert len(files) > 500
    assert {name: sorted(found) for name, found in files.items() if len(found) > 1} == {}


def test_no_file_is_too_long_to_read() -> None:
    lines = {path: path.read_text(encoding="utf-8").count("\n") for path in PACKAGE.rglob("*.py")}
    assert {str(path.relative_to(PACKAGE)): count for path, count in lines.items() if count > MOST_LINES} == {}
