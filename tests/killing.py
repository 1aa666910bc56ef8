"""Processes to be killed: forked from one that has imported everything, killed at a random moment, and run again."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from warm_process import fork, may_start_others

LIMIT = 120.0
"""Seconds after which a process hangs."""


def start(target: Callable[..., int], arguments: tuple[Any, ...], log: Path) -> BaseProcess:
    """Start a process in which a function runs.

    Args:
        target: a function of a module; the process ends with the code that it returns.
        arguments: of the function.
        log: file that gets what is printed.
    """
    return fork(_run, target, arguments, log)


def _run(target: Callable[..., int], arguments: tuple[Any, ...], log: Path) -> None:
    may_start_others()
    torch.set_num_threads(1)
    with log.open("w") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        code = target(*arguments)
        file.flush()
    os._exit(code)


def start_command(words: Sequence[str], folder: Path, log: Path) -> BaseProcess:
    """Start a process that runs a command of `sgdnet` in a folder."""
    return start(_command, (list(words), folder), log)


def _command(words: list[str], folder: Path) -> int:
    os.chdir(folder)
    return exit_code_of(words)


def exit_code_of(words: list[str]) -> int:
    """Run a command of `sgdnet` in this process; returns its exit code."""
    from custom_networks.cli import main

    try:
        main(words)
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else 1
    return 0


def run_to_the_end(process: BaseProcess, log: Path) -> tuple[int, str]:
    """Wait for a process; returns its exit code and what it printed."""
    process.join(LIMIT)
    if process.is_alive():
        process.kill()
        raise AssertionError(f"hangs: {log.read_text()}")
    return process.exitcode or 0, log.read_text()


def kill_within(process: BaseProcess, chance: random.Random, seconds: float) -> float | None:
    """Kill a process at a random moment of the next seconds.

    Returns:
        After which share of these seconds it was hit; None where it had ended before.
    """
    share = chance.random()
    time.sleep(share * seconds)
    running = process.is_alive()
    process.kill()
    process.join(LIMIT)
    return share if running else None
