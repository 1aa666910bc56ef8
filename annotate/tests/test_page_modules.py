"""The page's modules without a browser: `node --test` runs their own tests."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).with_name("ui")
PAGE = Path(__file__).parents[1] / "ui"
LONGEST = 400  # lines of a module


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node 20 or newer")
def test_modules() -> None:
    environment = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run(["node", "--test", str(TESTS)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_page_asks_no_other_host_for_anything() -> None:
    files = [file for file in PAGE.rglob("*") if file.suffix in {".js", ".css", ".html"}]
    assert {file.suffix for file in files} == {".js", ".css", ".html"}
    for file in files:
        hosts = set(re.findall(r"https?://([\w.]+)", file.read_text()))
        assert hosts <= {"www.w3.org"}, file  # the name space of SVG, and a specification named in a comment


def test_modules_are_of_a_readable_size() -> None:
    files = list(PAGE.rglob("*.js"))
    assert len(files) > 10
    for file in files:
        assert len(file.read_text().splitlines()) <= LONGEST, file
