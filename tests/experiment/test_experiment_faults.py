"""`sgdnet experiment` on a full disk, in a folder that cannot be written, under another umask, twice at once."""

from __future__ import annotations

import os
import resource
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from killing import exit_code_of, run_to_the_end, start
from networks import TOY_WORDS
from permissions import permissions_count

from custom_networks.data.phantoms import write_phantoms
from custom_networks.files import lock_file

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan of one row beside its data."""
    folder = tmp_path_factory.mktemp("faults")
    write_phantoms(folder / "set", count=6, size=64)
    (folder / "plan.yaml").write_text("title: Toy\nrows: [{name: A, knobs: {max_epochs: 1}}]\n")
    return folder / "plan.yaml"


def words(plan: Path, output: Path) -> list[str]:
    knobs = {"image_size": "64", "batch_size": "4", "num_workers": "0", "device": "cpu", "tracking_uri": ""}
    places = {"dataset_dir": str(plan.parent / "set"), "output_dir": str(output)}
    flags = [word for name, value in {**places, **knobs}.items() for word in (f"--{name}", value)]
    return ["experiment", str(plan), *flags, *TOY_WORDS]


def limited(command: list[str], largest: int) -> int:
    """Run with files of so many bytes at most, here and in children; beyond them a write fails as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    return ended(command)


def ended(command: list[str], umask: int = 0o022) -> int:
    os.umask(umask)
    return exit_code_of(command)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no limit of a file's size, and other permissions")
def test_a_full_disk_then_another_umask_then_done(plan: Path, tmp_path: Path) -> None:
    output, log = tmp_path / "out", tmp_path / "log"
    command = words(plan, output)
    code, said = run_to_the_end(start(limited, (command, 200_000), log), log)  # the weights are larger
    assert (code, "Traceback" in said) == (2, False), said
    assert "a_fold0_seed0: failed, " in said
    assert "cannot be written (File too large)" in said
    assert "0 of 1 runs done, 1 failed" in said
    code, said = run_to_the_end(start(ended, (command, 0o077), log), log)
    assert (code, "1 of 1 runs done" in said) == (0, True), said
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (output / "evaluations").rglob("*")}
    assert {path.name: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}
    weights = next(output.glob("runs/*/model.pt"))
    before = weights.stat().st_mtime_ns
    code, said = run_to_the_end(start(ended, (command,), log), log)
    assert (code, "1 runs, 1 done already" in said, weights.stat().st_mtime_ns) == (0, True, before), said


@pytest.mark.skipif(sys.platform == "win32", reason="other permissions")
def test_a_folder_that_cannot_be_written_is_one_sentence(sgdnet: Run, plan: Path, tmp_path: Path) -> None:
    for made in ((), ("out",), ("out", "out/logs")):
        parent = tmp_path / "-".join(made).replace("/", "_") if made else tmp_path / "none"
        parent.mkdir()
        for name in made:
            (parent / name).mkdir()
        for folder in (*parent.rglob("*"), parent):
            folder.chmod(0o555)
        with permissions_count():
            code, _, error = sgdnet(*words(plan, parent / "out"))
        assert (code, error.count("Error: "), "Traceback" in error) == (1, 1, False), error
        assert "cannot be written (Permission denied)" in error


def test_a_second_one_at_the_same_time_is_refused(sgdnet: Run, plan: Path, tmp_path: Path) -> None:
    held = lock_file(tmp_path / ".experiment.lock")
    assert held is not None
    code, _, error = sgdnet(*words(plan, tmp_path))
    held.release()
    assert (code, "another process runs this experiment" in error) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == [".experiment.lock"]
