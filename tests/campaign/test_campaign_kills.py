"""Killed with SIGKILL at random moments and run again, a command ends as if it had never been killed."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from campaign_counts import Record, count, count_kills
from chains import CHAINS, killed, uninterrupted
from judging import outside
from stage import build

SOME, MANY = 1, 12


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kills") / "stage"
    folder.mkdir()
    return build(folder)


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Names of the files that are in one alone, or differ."""
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def rounds(stage: Path, verb: str, number: int, record: Record) -> None:
    before = outside(stage)
    whole, first = uninterrupted(stage, CHAINS[verb])
    again, second = uninterrupted(stage, CHAINS[verb])
    assert differing(again, whole) == []
    seconds = min(first, second)
    wrong = []
    for seed in range(number):
        shares, made = killed(stage, CHAINS[verb], random.Random(seed), seconds)
        count_kills(record, verb, shares)
        count(record, verb, "chains")
        count(record, verb, "ends equal", int(made == whole))
        wrong += [(seed, differing(made, whole))] if made != whole else []
    assert wrong == []
    assert outside(stage) == before


@pytest.mark.parametrize("verb", ["prepare"])
def test_a_killed_command_ends_like_an_uninterrupted_one(stage: Path, verb: str, record_property: Record) -> None:
    rounds(stage, verb, SOME, record_property)


@pytest.mark.slow
@pytest.mark.parametrize("verb", CHAINS)
def test_many_killed_commands_end_like_uninterrupted_ones(stage: Path, verb: str, record_property: Record) -> None:
    rounds(stage, verb, MANY, record_property)
    shutil.rmtree(stage / "out")
    (stage / "out").mkdir()
