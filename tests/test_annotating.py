"""`sgdnet annotate` in an environment without MONAI Label: it finds the other one, or says how to make it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from custom_networks import annotating
from custom_networks.errors import UserError

Run = Callable[..., tuple[int, str, str]]
SCRIPT = """
import sys
from pathlib import Path
from custom_networks import annotating
annotating.REPOSITORY = Path(sys.argv[1])
annotating.annotate_images({"studies": "a b", "port": 8001, "token": "", "score": False, "checkpoint": None})
"""


def test_it_says_how_to_make_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(annotating, "REPOSITORY", tmp_path)
    with pytest.raises(UserError, match="checkout of the repository"):
        annotating.annotate_images({"studies": "x"})
    (tmp_path / "annotate").mkdir()
    with pytest.raises(UserError, match="`make annotate` installs it"):
        annotating.annotate_images({"studies": "x"})


def test_it_becomes_the_other_python_with_the_same_words(tmp_path: Path) -> None:
    python = tmp_path / "annotate" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\necho "again $SGDNET_ANNOTATE in ${PYTHONPATH%%:*}"\n')
    python.chmod(0o755)
    result = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert result.stdout.splitlines() == [
        *("-m", "custom_networks.cli", "annotate"),
        *("--studies", "a b", "--port", "8001", "--score", "False"),
        f"again 1 in {tmp_path}",
    ]


def test_help_and_missing_studies(sgdnet: Run) -> None:
    code, out, _ = sgdnet("annotate", "--help")
    assert code == 0
    assert "--studies" in out
    assert "--token" in out
    code, _, error = sgdnet("annotate")
    assert code == 1
    assert "--studies is missing" in error
