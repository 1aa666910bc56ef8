"""Rules of the package that a reader relies on: one name for one thing, and files that can be read in one sitting."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path
from typing import TypeGuard

import custom_networks

PACKAGE = Path(custom_networks.__file__).parent
VERBS = PACKAGE / "verbs"  # a function there has the name of its verb, whatever else has it
MOST_LINES = 400


def definitions(source: str) -> list[str]:
    """Public classes, functions and types at the top of a file; a type is what is assigned to a name `LikeThis`."""
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    body = ast.parse(source).body
    names = [each.name for each in body if isinstance(each, kinds)]
    names += [target.id for each in body if isinstance(each, ast.Assign) for target in each.targets if is_type(target)]
    return [name for name in names if not name.startswith("_")]


def is_type(target: ast.expr) -> TypeGuard[ast.Name]:
    return isinstance(target, ast.Name) and re.fullmatch("[A-Z][a-z]\\w*", target.id) is not None


def test_every_class_function_and_type_has_a_name_of_its_own() -> None:
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
