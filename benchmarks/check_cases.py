"""The tests that need a GPU, before anything is measured on it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measure import Row, Settings

OPTIONS = ("-m", "gpu", "-o", "addopts=", "-v", "-rf", "-p", "no:cacheprovider")
SECONDS = 240
"""The most that they may take."""
ROOT = Path(__file__).parents[1]


def files() -> list[str]:
    """The files that hold such tests; others may need packages that a GPU host lacks."""
    found = sorted((ROOT / "tests").rglob("test_*.py"))
    return [str(path.relative_to(ROOT)) for path in found if "mark.gpu" in path.read_text()]


def run(settings: Settings) -> Row:
    """Run them in a process of their own; a failed test is a row, not the end of the run."""
    seconds = min(SECONDS, settings.deadline - time.monotonic())
    command = [sys.executable, "-m", "pytest", *OPTIONS, *files()]
    try:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}  # what it has said by then is kept
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=max(1.0, seconds), env=environment
        )
    except subprocess.TimeoutExpired as error:
        said = error.stdout.decode() if isinstance(error.stdout, bytes) else error.stdout or ""
        rows = [{"result": what.lower(), "tests": str(said.count(f" {what}"))} for what in ("PASSED", "FAILED")]
        return {"error": f"not at their end after {seconds:.0f} s", "rows": rows, "output": said[-2000:]}
    failed = re.findall(r"^(?:FAILED|ERROR) (.*)$", done.stdout, re.MULTILINE)
    counts = {what: int(number) for number, what in re.findall(r"(\d+) (passed|failed|skipped|error)", done.stdout)}
    rows = [{"result": what, "tests": str(number)} for what, number in counts.items()]
    rows += [{"result": "failed test", "tests": name} for name in failed]
    return {"code": done.returncode, "rows": rows, "output": done.stdout[-2000:]}
