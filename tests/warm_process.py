"""Processes that start at once: forked from one that has imported torch, MONAI and MLflow already, which takes seconds.

They are real ones: they can be killed, and have an exit code and two streams. Not tested so is a start from nothing;
`test_wheel.py` and `test_archive.py` do that, and the experiment of `test_experiment_runs.py`.
"""

from __future__ import annotations

import atexit
import multiprocessing.forkserver
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest


def fork(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Start a process that calls a function of a module of the tests; it ends with the tests at the latest."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["warm_imports"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # so that it imports what is tested here
        patch.setenv("PYTHONHASHSEED", "12345")  # other hashes than here
        multiprocessing.forkserver.ensure_running()
    process = server.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


class WarmProcess:
    """A process of `python WORDS`, with the methods of `subprocess.Popen` that the tests use.

    Args:
        words: after `python`: `-m module ...`, `-c code ...` or `file.py ...`.
        cwd: folder it runs in.
        environment: all of it; None for that of this process.
    """

    def __init__(self, words: Sequence[str], cwd: Path, environment: Mapping[str, str] | None = None) -> None:
        self.words = list(words)
        self._streams = [tempfile.NamedTemporaryFile(mode="w+", errors="replace") for _ in range(2)]  # noqa: SIM115
        names = [stream.name for stream in self._streams]
        given = dict(os.environ if environment is None else environment)
        self._process = fork(_run, self.words, str(cwd), given, names)

    @property
    def returncode(self) -> int | None:
        """The exit code, or the negative number of the signal that ended it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """See `returncode`."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal."""
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def communicate(self, timeout: float = 240) -> tuple[str, str]:
        """Wait for its end; returns what it wrote to standard output and standard error."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
            raise subprocess.TimeoutExpired(self.words, timeout, self._read(0), self._read(1))
        return self._read(0), self._read(1)

    def _read(self, stream: int) -> str:
        return Path(self._streams[stream].name).read_text(errors="replace")


def run_warm(
    words: Sequence[str], cwd: Path, environment: Mapping[str, str] | None = None, timeout: float = 240
) -> subprocess.CompletedProcess[str]:
    """Run `python WORDS` to its end, as `subprocess.run` does."""
    process = WarmProcess(words, cwd, environment)
    out, err = process.communicate(timeout)
    assert process.returncode is not None
    return subprocess.CompletedProcess(list(words), process.returncode, out, err)


def may_start_others() -> None:
    """Let a forked process start processes of its own, which Python denies to those that end with their parent."""
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]


def _run(words: list[str], cwd: str, environment: dict[str, str], streams: list[str]) -> None:
    """What the forked process does: become `python WORDS`."""
    may_start_others()
    for number, name in enumerate(streams, 1):
        file = os.open(name, os.O_WRONLY | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    try:
        if words[0] == "-m":
            sys.path.insert(0, cwd)
            sys.argv = words[1:]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        elif words[0] == "-c":
            sys.path.insert(0, cwd)
            sys.argv = ["-c", *words[2:]]
            exec(compile(words[1], "<string>", "exec"), {"__name__": "__main__"})
        else:
            sys.path.insert(0, str(Path(words[0]).resolve().parent))
            sys.argv = words
            runpy.run_path(words[0], run_name="__main__")
    except Exception:  # the package has a hook of its own for it, and multiprocessing none
        sys.excepthook(*sys.exc_info())
        sys.exit(1)
    finally:
        atexit._run_exitfuncs()  # which multiprocessing leaves out
