"""A command that is killed at random moments and run again: how it goes on, and what of its end must be equal."""

from __future__ import annotations

import csv
import io
import json
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from killing import kill_within, run_to_the_end, start_command
from stage import OUT, words_with

MADE = f"{OUT}/made"
VARIES = {"images_per_second", "run_id", "seconds", "date", "time", "made", "resume"}
"""Keys and columns that tell when, how fast and by which run something was made; all else must be equal."""


def _training_again(root: Path) -> list[str]:
    resumed = ("--resume", "true") if (root / MADE / "last.pt").exists() else ()
    return words_with("train", "--max_epochs", "3", *resumed)


def _same(verb: str, *more: str) -> Callable[[Path], list[str]]:
    return lambda root: words_with(verb, *more)


@dataclass(frozen=True)
class Chain:
    """What is killed.

    Attributes:
        words: of the command, for the stage's folder as it is then.
        complete: what a command says that finds everything done; empty where it then says nothing special.
    """

    words: Callable[[Path], list[str]]
    complete: str = ""


CHAINS = {
    "prepare": Chain(_same("prepare", "--image_size", "32")),
    "train": Chain(_training_again, "has done 3 epochs already"),
    "evaluate": Chain(_same("evaluate"), "already holds an evaluation;"),
    "predict": Chain(_same("predict", "--outputs", "all")),
    "export": Chain(_same("export"), "is there already"),
    "package": Chain(_same("package"), "is there already"),
}


def comparable(path: Path) -> Any:
    """Content of a file, without what varies from run to run."""
    if path.suffix == ".json":
        return _without(json.loads(path.read_text()))
    if path.suffix == ".csv":
        rows = list(csv.DictReader(io.StringIO(path.read_text())))
        return [{name: value for name, value in row.items() if name not in VARIES} for row in rows]
    if path.name == "last.pt":
        return _without(_listed(torch.load(path, weights_only=True)))
    return path.read_bytes()


def _without(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _without(value) for name, value in content.items() if name not in VARIES}
    return [_without(value) for value in content] if isinstance(content, list) else content


def _listed(content: Any) -> Any:
    """Tensors as their bytes, so that they can be compared."""
    if isinstance(content, torch.Tensor):
        return content.cpu().numpy().tobytes()
    if isinstance(content, dict):
        return {str(name): _listed(value) for name, value in content.items()}
    return [_listed(value) for value in content] if isinstance(content, list | tuple) else content


def end(root: Path) -> dict[str, Any]:
    """What lies in the output folder of a stage at the end, folders without content; journals and locks aside."""
    paths = [path for path in (root / OUT).rglob("*") if path.suffix not in (".jsonl", ".lock")]
    return {str(path.relative_to(root / OUT)): comparable(path) if path.is_file() else "folder" for path in paths}


def cleared(root: Path) -> None:
    """Empty the output folder of a stage."""
    shutil.rmtree(root / OUT)
    (root / OUT).mkdir()


def uninterrupted(root: Path, chain: Chain) -> tuple[dict[str, Any], float]:
    """Run a command to its end; returns what it made, and its seconds."""
    cleared(root)
    log, began = root.with_suffix(".log"), time.monotonic()
    code, said = run_to_the_end(start_command(chain.words(root), root, log), log)
    assert code == 0, said
    return end(root), time.monotonic() - began


def killed(root: Path, chain: Chain, chance: random.Random, seconds: float) -> tuple[list[float], dict[str, Any]]:
    """Kill a command one to three times and run it again.

    Args:
        root: the stage.
        chain: of the command.
        chance: chooses how often, and when.
        seconds: that it takes when it is not killed; less is tried where it is faster.

    Returns:
        After which share of its time each kill hit it while it ran, one at least, and what it made.
    """
    log, wanted, shares = root.with_suffix(".log"), chance.randint(1, 3), list[float]()
    tried = seconds
    while not shares:  # a command that was faster than its killer tells nothing
        cleared(root)
        while len(shares) < wanted:
            share = kill_within(start_command(chain.words(root), root, log), chance, tried)
            if share is None:
                break
            shares.append(share * tried / seconds)
        tried *= 0.8
    code, said = run_to_the_end(start_command(chain.words(root), root, log), log)
    assert code == 0 or (chain.complete and chain.complete in said), said
    return shares, end(root)
