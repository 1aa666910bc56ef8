"""Several processes on one output folder: one at a time, or parts that are joined, in any order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from export_fixtures import BUNDLE
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from custom_networks.errors import UserError
from custom_networks.files import lock_file
from custom_networks.prediction.journal import INSTANCES, has_instances
from custom_networks.prediction.parts import WHOLE_LOCK, Part, division, parts_for
from custom_networks.prediction.plan import make_plan
from custom_networks.prediction.sharing import claimed, join_tables

Command = Callable[..., tuple[int, str, str]]
Predict = Callable[..., tuple[int, str, str]]
TABLES = ("predictions.csv", "coco.json", "measurements.csv")


@pytest.fixture
def images(tmp_path: Path, pictures: Path) -> Path:
    files = sorted(pictures.iterdir())
    (tmp_path / "in").mkdir()
    for number in range(7):
        Image.open(files[number % len(files)]).rotate(30 * number).save(tmp_path / "in" / f"i{number}.png")
    (tmp_path / "in" / "bad.png").write_text("no picture")
    return tmp_path / "in"


@pytest.fixture
def predict(sgdnet: Command, images: Path, checkpoint: Path) -> Predict:
    def run(output: Path, *words: object) -> tuple[int, str, str]:
        given = (
            "--checkpoint",
            checkpoint,
            "--bundle_root",
            BUNDLE,
            "--device",
            "cpu",
            "--outputs",
            "coco,measurements",
        )
        return sgdnet("predict", images, "--output", output, *given, *words)

    return run


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".lock", ".jsonl"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=12), st.integers(1, 9))
def test_every_name_is_of_one_part(name: bytes, count: int) -> None:
    """Also one that is no text, as a disk may hold it."""
    assert [part.has(os.fsdecode(name)) for part in Part(1, count).all].count(True) == 1


@pytest.mark.parametrize("order", [pytest.param((1, 2, 3), marks=pytest.mark.slow), (3, 1, 2)])
def test_parts_join_to_the_whole(predict: Predict, tmp_path: Path, order: tuple[int, ...]) -> None:
    predict(tmp_path / "whole")
    out = tmp_path / "parts"
    counts = []
    for number in order:
        code, said, _ = predict(out, "--part", f"{number}/3")
        assert code in (0, 2)
        counts.append(len(json.loads((out / "coco.json").read_text())["images"]))
        assert ("left to other parts" in said) == (number != order[-1])
    assert counts == sorted(counts)
    assert counts[0] < counts[-1] == 7
    assert files(out) == files(tmp_path / "whole")
    assert [predict(out, "--part", f"{number}/3")[0] for number in (1, 2, 3)].count(2) == 1, "the bad file, again"
    assert files(out) == files(tmp_path / "whole")


def rows(folder: Path) -> int:
    return len((folder / "predictions.csv").read_text().splitlines()) - 1


def test_a_part_without_images_keeps_the_rows_of_the_others(predict: Predict, images: Path, tmp_path: Path) -> None:
    """It was computed by no engine, which is no other setting."""
    for path in images.iterdir():
        if path.name != "i0.png":
            path.unlink()
    assert [predict(tmp_path / "out", "--part", f"{number}/2")[0] for number in (1, 2, 1)] == [0, 0, 0]
    assert rows(tmp_path / "out") == 1
    predict(tmp_path / "out", "--part", "2/2")
    assert rows(tmp_path / "out") == 1
    predict(tmp_path / "whole")
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_instances_that_one_part_adds_come_to_all(predict: Predict, tmp_path: Path) -> None:
    out, more = tmp_path / "out", ("--outputs", "instances,coco,measurements")
    predict(out, "--part", "1/2")
    first = rows(out)
    _, said, _ = predict(out, "--part", "2/2", *more)
    assert rows(out) == 8 > first, "a row for each image of both parts"
    assert "left to other parts" in said, "measurements of regions are not among those of instances"
    _, said, _ = predict(out, "--part", "1/2")
    assert "left to other parts" not in said
    predict(tmp_path / "whole", *more)
    assert files(out) == files(tmp_path / "whole")


def test_a_part_that_began_before_instances_were_added_keeps_their_rows(images: Path, tmp_path: Path) -> None:
    first, second = (
        make_plan([str(images)], tmp_path / "out", ("mask",), part=Part(number, 2), settings={INSTANCES: instances})
        for number, instances in ((1, None), (2, {"threshold": 0.5}))
    )
    with claimed(first) as journal, claimed(second) as other:
        name = second.own[0].name
        row = {"image": f"{name}.png", "confidence": 0.9}
        record = {"name": name, "source": "", "stamp": [], "files": {}, "tables": {}, "row": row}
        other.add({**record, "objects": "instances"})
        join_tables(second, other)
        assert rows(tmp_path / "out") == 1
        join_tables(first, journal)
        assert rows(tmp_path / "out") == 1


@pytest.mark.parametrize(("images", "parts"), [(1, 2), (128, 2), (129, 3), (6400, 100), (10**6, 1024)])
def test_a_cluster_s_parts_are_of_64_images_and_at_least_two(images: int, parts: int) -> None:
    assert parts_for(images) == parts


def test_a_folder_tells_whether_it_was_predicted_with_instances(images: Path, tmp_path: Path) -> None:
    for name, of_run in (("with", {INSTANCES: {"threshold": 0.5}}), ("without", {})):
        plan = make_plan([str(images)], tmp_path / name, ("mask",), settings=of_run)
        with claimed(plan):
            pass
        assert has_instances(tmp_path / name, plan.part) is bool(of_run)
    assert not has_instances(tmp_path / "none", plan.part)


def test_a_part_without_images_begins_its_journal(images: Path, tmp_path: Path) -> None:
    """So that the folder knows into how many parts it is divided."""
    (image,) = (path for path in images.iterdir() if path.name == min(each.name for each in images.iterdir()))
    for number in (1, 2):
        plan = make_plan([str(image)], tmp_path / "out", ("mask",), part=Part(number, 2), settings={})
        with claimed(plan):
            pass
        assert (tmp_path / "out" / f"predict-{number}-of-2.jsonl").is_file()
    assert division(tmp_path / "out") == 2


def test_what_a_killed_part_left_half_written_goes_with_the_last_part(images: Path, tmp_path: Path) -> None:
    left = tmp_path / "out" / ".i0.png-0123456789abcdef"
    for number in (1, 2):
        plan = make_plan([str(images / "i0.png")], tmp_path / "out", ("mask",), part=Part(number, 2), settings={})
        with claimed(plan) as journal:
            left.write_bytes(b"half")
            for source in plan.own:
                journal.fail(source, "no picture")
            waiting = join_tables(plan, journal)
    assert waiting == 0
    assert not left.exists()


def test_a_part_keeps_its_images_when_others_are_added() -> None:
    parts = Part(1, 4).all
    for name in ("a", "deep/b", "i17", "ä"):
        assert [part.has(name) for part in parts].count(True) == 1
    shares = [sum(part.has(f"i{number}") for number in range(1000)) for part in parts]
    assert min(shares) > 200
    assert Part().has("a")


def test_divisions_are_not_mixed(predict: Predict, tmp_path: Path) -> None:
    predict(tmp_path / "parts", "--part", "1/2")
    before = files(tmp_path / "parts")
    for words, told in (((), "was predicted in 2 parts"), (("--part", "1/3"), "was predicted in 2 parts")):
        code, _, err = predict(tmp_path / "parts", *words, "--overwrite", "true")
        assert (code, len(err.strip().splitlines())) == (1, 1)
        assert told in err
    assert files(tmp_path / "parts") == before
    predict(tmp_path / "whole")
    code, _, err = predict(tmp_path / "whole", "--part", "1/2")
    assert code == 1
    assert "was predicted as a whole; leave --part 1/2 out" in err


def test_parts_of_other_settings_are_not_joined(predict: Predict, tmp_path: Path) -> None:
    predict(tmp_path / "lower", "--threshold", 0.3)
    out = tmp_path / "out"
    predict(out, "--part", "1/2")
    code, _, err = predict(out, "--part", "2/2", "--threshold", 0.3)
    assert code == 1
    assert "was predicted with threshold 0.5 (now 0.3)" in err
    predict(out, "--part", "2/2", "--threshold", 0.3, "--overwrite", "true")
    some = json.loads((out / "coco.json").read_text())["images"]
    assert 0 < len(some) < 7, "those of part 1 have another threshold"
    predict(out, "--part", "1/2", "--threshold", 0.3, "--overwrite", "true")
    assert files(out) == files(tmp_path / "lower")


@pytest.mark.parametrize("text", ["0/2", "3/2", "half", "2", "1/0", "-1/2"])
def test_a_part_that_cannot_be(text: str) -> None:
    with pytest.raises(UserError, match="such as 1/4, 2/4, 3/4 and 4/4"):
        Part.parse(text)


HOLD = """
import sys
from filelock import FileLock
lock = FileLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("part", [None, "1/2"])
def test_two_processes_do_not_share_a_folder(predict: Predict, tmp_path: Path, part: str | None) -> None:
    out, words = tmp_path / "out", ("--part", part) if part else ()
    lock = out / Part.parse(part).lock
    out.mkdir()
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, lock],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    try:
        code, _, err = predict(out, *words)
    finally:
        other.kill()
        other.wait()
    assert code == 1
    assert "another `sgdnet predict` works" in err
    assert len(err.strip().splitlines()) == 1
    assert files(out) == {}
    assert predict(out, *words)[0] in (0, 2), "a lock goes with its process"
    again = lock_file(out / WHOLE_LOCK, "still held")
    assert again is not None
    again.release()


@pytest.mark.parametrize("part", [None, "1/2"])
def test_a_run_holds_its_folder_or_its_part_until_its_end(images: Path, tmp_path: Path, part: str | None) -> None:
    out = tmp_path / "out"
    plan = make_plan([str(images)], out, ("mask",), settings={}, part=Part.parse(part))
    with claimed(plan):
        with pytest.raises(UserError, match="busy"):
            lock_file(out / plan.part.lock, "busy")
        if part:
            gate = lock_file(out / WHOLE_LOCK, "other parts may begin")
            assert gate is not None
            gate.release()
    again = lock_file(out / plan.part.lock, "busy")
    assert again is not None
    again.release()
