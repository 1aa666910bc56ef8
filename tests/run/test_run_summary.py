"""The last lines of a training: commands that work as they are printed."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from custom_networks.run.summary import places


@pytest.mark.slow
def test_mlflow_of_an_environment_that_is_not_activated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    line = places(tmp_path, "model.pt", "sqlite:///runs/mlflow.db")[-1]
    words = shlex.split(line.split("then open")[0])
    assert words[1:3] == [sys.executable, "-m"]
    assert words[3:] == ["mlflow", "ui", "--backend-store-uri", "sqlite:///runs/mlflow.db"]
    answer = subprocess.run([*words[1:5], "--help"], capture_output=True, text=True, timeout=120)
    assert "--backend-store-uri" in answer.stdout
