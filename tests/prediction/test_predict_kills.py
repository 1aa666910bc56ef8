"""Killed with SIGKILL at random moments, a run ends like one that never was; so do parts, and an overwriting run."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from campaign_counts import Record, count, count_kills
from export_fixtures import BUNDLE
from killing import LIMIT, kill_within
from PIL import Image
from prediction_process import request_of, results, start

from custom_networks.prediction.command import Request

ALL = "mask,probability,instances,overlay,geojson,coco,measurements"
COUNT = 4
PARTS = 3


@dataclass
class Scene:
    """Images, and what uninterrupted runs make of them."""

    folder: Path
    checkpoint: Path
    whole: dict[str, bytes]
    lower: dict[str, bytes]
    seconds: float

    def request(self, output: Path, **more: Any) -> Request:
        return request_of(self.folder / "in", output, self.checkpoint, BUNDLE, outputs=ALL, **more)


def complete(request: Request, expected: int = 2) -> str:
    """Run to the end; returns what was printed."""
    errors = Path(request.output).with_suffix(".txt")
    process = start(request, errors)
    process.join(LIMIT)
    assert process.exitcode == expected, errors.read_text()
    return errors.read_text()


def await_journal(output: Path, before: int, process: BaseProcess) -> None:
    """Wait until a process has begun a journal other than that of inode `before`."""
    end = time.monotonic() + LIMIT
    while process.is_alive() and time.monotonic() < end:
        if any(path.stat().st_ino != before for path in output.glob("predict*.jsonl")):
            return
        time.sleep(0.001)


@pytest.fixture(scope="module")
def scene(pictures: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("kills")
    (folder / "in" / "deep").mkdir(parents=True)
    files = sorted(pictures.iterdir())
    for number in range(COUNT):
        name = f"deep/i{number}.png" if number % 2 else f"i{number}.png"
        Image.open(files[number % len(files)]).rotate(20 * number).save(folder / "in" / name)
    (folder / "in" / "bad.png").write_text("no picture")
    made = Scene(folder, checkpoint, {}, {}, 0.0)
    complete(made.request(folder / "whole"))
    made.whole = results(folder / "whole")
    errors = folder / "lower.txt"
    process = start(made.request(folder / "lower", options={"threshold": 0.4}), errors)
    await_journal(folder / "lower", 0, process)
    began = time.monotonic()
    process.join(LIMIT)
    made.seconds = time.monotonic() - began
    assert process.exitcode == 2, errors.read_text()
    made.lower = results(folder / "lower")
    assert made.whole.keys() == made.lower.keys()
    assert made.whole != made.lower
    return made


def kill_at_random(request: Request, chance: random.Random, seconds: float) -> list[float]:
    """Start a run and kill it, mostly within the time that it works; returns after which share of it, if it ran."""
    journal = Path(request.output) / "predict.jsonl"
    before = journal.stat().st_ino if journal.exists() else 0
    process = start(request, Path(request.output).with_suffix(".txt"))
    if chance.random() < 0.85:  # else it may be killed before it begins
        await_journal(Path(request.output), before, process)
    share = kill_within(process, chance, seconds)
    return [] if share is None else [share]


def new_run(scene: Scene, output: Path, chance: random.Random) -> list[float]:
    request = scene.request(output)
    times = range(chance.randint(1, 3))
    kills = [share for _ in times for share in kill_at_random(request, chance, scene.seconds)]
    complete(request)
    assert results(output) == scene.whole
    return kills


def overwriting_run(scene: Scene, output: Path, chance: random.Random) -> list[float]:
    """Other settings over a complete run that had one more output; continued without `--overwrite`."""
    earlier = request_of(scene.folder / "in", output, scene.checkpoint, BUNDLE, outputs=f"{ALL},edge")
    complete(earlier)
    before = results(output)
    lower = {"options": {"threshold": 0.4}}
    kills = kill_at_random(scene.request(output, overwrite=True, **lower), chance, scene.seconds)
    errors = output.with_suffix(".txt")
    process = start(scene.request(output, **lower), errors)
    process.join(LIMIT)
    if process.exitcode == 1:  # killed before it replaced anything
        assert "was predicted with threshold 0.5 (now 0.4)" in errors.read_text()
        assert results(output) == before
        complete(scene.request(output, overwrite=True, **lower))
    assert results(output) == scene.lower
    return kills


def parts(scene: Scene, output: Path, chance: random.Random) -> list[float]:
    """All parts at once, each killed; then again in any order."""
    requests = [scene.request(output, part=f"{number}/{PARTS}") for number in range(1, PARTS + 1)]
    running = [start(one, output.with_name(f"{output.name}-{i}.txt")) for i, one in enumerate(requests)]
    await_journal(output, 0, running[0])
    shares = [kill_within(process, chance, scene.seconds / PARTS) for process in chance.sample(running, PARTS)]
    kills = [share for share in shares if share is not None]
    again = [
        start(one, output.with_name(f"{output.name}-{i}.txt"))
        for i, one in enumerate(chance.sample(requests, len(requests)))
    ]
    for process in again:
        process.join(LIMIT)
        assert process.exitcode in (0, 2)
    assert results(output) == scene.whole
    return kills


KINDS = (new_run, overwriting_run, parts)


def rounds(scene: Scene, count: int, tmp_path: Path) -> tuple[int, list[float]]:
    """Run rounds of every kind by turns; returns rounds, and after which share of its time each kill hit a run."""
    kills = list[float]()
    for number in range(count):
        kills += KINDS[number % len(KINDS)](scene, tmp_path / f"out{number}", random.Random(number))
    return count, kills


def counted(record: Record, chains: int, kills: list[float]) -> None:
    count_kills(record, "predict", kills)
    for column in ("chains", "ends equal"):
        count(record, "predict", column, chains)


def test_a_killed_run_ends_like_an_uninterrupted_one(scene: Scene, tmp_path: Path, record_property: Record) -> None:
    done, kills = rounds(scene, len(KINDS), tmp_path)
    counted(record_property, done, kills)
    assert kills


@pytest.mark.slow
def test_fifty_killed_runs_end_like_uninterrupted_ones(scene: Scene, tmp_path: Path, record_property: Record) -> None:
    done, kills = rounds(scene, 50, tmp_path)
    counted(record_property, done, kills)
    print(f"{done} rounds, {len(kills)} kills, {done} ended equal")
    assert len(kills) > done / 2
