"""The resized cache: aligned to half a pixel, continued, never half a file, and nothing lost that it did not write."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import trees
from PIL import Image

from custom_networks.data.prepare import Settings, cache, command, prepare_dataset
from custom_networks.data.prepare.cache import resize
from custom_networks.data.prepare.tree import list_pictures
from custom_networks.errors import UserError

Run = Callable[..., tuple[int, str, str]]


def source_of(folder: Path, count: int = 20) -> Path:
    for number in range(count):
        trees.save(trees.picture(number), folder / "images" / f"a é {number:02d}.png")
        trees.save(trees.square(5 + number % 20), folder / "masks" / f"a é {number:02d}.png")
    return folder


def settings(source: Path, **more: object) -> Settings:
    return Settings("folder", str(source), near_duplicates=False, **more)  # type: ignore[arg-type]


def state(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*.png")}


@pytest.mark.parametrize(("fit", "size"), [("short", (20, 15)), ("exact", (15, 15))])
def test_sizes_and_shapes(tmp_path: Path, fit: str, size: tuple[int, int]) -> None:
    prepare_dataset(settings(source_of(tmp_path / "in"), image_size=15, fit=fit), tmp_path / "out", num_workers=2)
    pictures = sorted((tmp_path / "out").rglob("*.png"))
    assert len(pictures) == 40
    assert {Image.open(path).size for path in pictures} == {size}
    assert {Image.open(path).mode for path in (tmp_path / "out" / "images").iterdir()} == {"RGB"}
    values = {
        value for path in (tmp_path / "out" / "masks").iterdir() for value in np.unique(np.asarray(Image.open(path)))
    }
    assert values == {0, 255}


def test_one_process_and_two_give_the_same(tmp_path: Path) -> None:
    source = source_of(tmp_path / "in")
    for workers in (1, 2):
        prepare_dataset(settings(source, image_size=15), tmp_path / f"out{workers}", num_workers=workers)
    one, two = ((tmp_path / f"out{workers}" / "datalist.json").read_text() for workers in (1, 2))
    assert one == two


@pytest.mark.parametrize("size", [(33, 21), (100, 64), (64, 64), (150, 300)])
def test_image_and_mask_stay_aligned(size: tuple[int, int]) -> None:
    values = np.zeros((128, 200), np.uint8)
    values[30:90, 50:170] = 255
    image = resize(Image.fromarray(np.repeat(values[..., None], 3, axis=2)), size, "image", "mask")
    for kind, label in (("mask", Image.fromarray(values)), ("instances", Image.fromarray(values.astype(np.uint16)))):
        mask = np.asarray(resize(label, size, "label", kind)) > 0
        bright = np.asarray(image)[..., 0] > 127
        for axis in (0, 1):
            edges = [np.flatnonzero(plane.any(axis=axis))[[0, -1]] for plane in (bright, mask)]
            assert np.abs(edges[0] - edges[1]).max() <= 1
        scale = (size[1] / 128, size[0] / 200)
        centre = [(np.argwhere(mask) + 0.5).mean(axis=0)[axis] / scale[axis] for axis in (0, 1)]
        assert np.abs(np.array(centre) - (60, 110)).max() <= 0.5 / min(scale) + 1e-9


def test_a_second_run_reads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, output = source_of(tmp_path / "in", 6), tmp_path / "out"
    prepare_dataset(settings(source, image_size=15), output)
    before, listed = state(output), (output / "datalist.json").read_text()
    read = []
    original = cache.read_case
    monkeypatch.setattr(cache, "read_case", lambda job: (read.append(job.case.id), original(job))[1])
    prepare_dataset(settings(source, image_size=15), output)
    assert read == []
    assert state(output) == before
    assert (output / "datalist.json").read_text() == listed
    trees.save(trees.picture(99), source / "images" / "a é 03.png")
    (output / "masks" / "a é 04.png").unlink()
    prepare_dataset(settings(source, image_size=15), output)
    assert read == ["a é 03", "a é 04"]


def test_an_interrupted_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, output = source_of(tmp_path / "in", 8), tmp_path / "out"
    original = cache.read_case
    done: list[str] = []

    def stop_after_three(job: cache.CaseJob) -> cache.Facts:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(job.case.id)
        return original(job)

    monkeypatch.setattr(cache, "read_case", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        prepare_dataset(settings(source, image_size=15), output)
    assert not (output / "datalist.json").exists()
    with (output / "prepare.jsonl").open("a") as file:
        file.write('{"id": "a é 05", "ima')  # as a killed process leaves it
    again: list[str] = []
    monkeypatch.setattr(cache, "read_case", lambda job: (again.append(job.case.id), original(job))[1])
    prepare_dataset(settings(source, image_size=15), output)
    assert len(again) == 5
    assert not set(again) & set(done)
    prepare_dataset(settings(source, image_size=15), tmp_path / "whole")
    assert (output / "datalist.json").read_text() == (tmp_path / "whole" / "datalist.json").read_text()


def test_other_settings_need_overwrite_and_spare_foreign_files(tmp_path: Path) -> None:
    source, output = source_of(tmp_path / "in", 6), tmp_path / "out"
    prepare_dataset(settings(source, image_size=15), output)
    (output / "images" / "mine.png").write_bytes(b"mine")
    (output / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"was prepared with image_size 15 \(now 20\); choose another --output"):
        prepare_dataset(settings(source, image_size=20), output)
    before = state(output)
    prepare_dataset(settings(source, image_size=15, seed=1), output, overwrite=True)
    assert state(output) == before  # another split leaves the pictures
    prepare_dataset(settings(source, image_size=20), output, overwrite=True)
    assert Image.open(output / "images" / "a é 00.png").size == (27, 20)
    prepare_dataset(settings(source), output, overwrite=True)
    assert sorted(path.name for path in output.rglob("*") if path.is_file()) == [
        *(".prepare.lock", "data_card.md", "datalist.json", "mine.png", "notes.txt", "prepare.jsonl"),
    ]


def test_what_was_there_is_never_overwritten(tmp_path: Path) -> None:
    source, output = source_of(tmp_path / "in", 6), tmp_path / "out"
    trees.save(trees.picture(0), output / "images" / "a é 02.png")
    with pytest.raises(UserError, match=r"a é 02\.png: not written by `sgdnet prepare`; choose another --output"):
        prepare_dataset(settings(source, image_size=15), output)
    (output / "images" / "a é 02.png").unlink()
    prepare_dataset(settings(source, image_size=15), output)
    (output / "datalist.json").write_text("{}")
    with pytest.raises(UserError, match="was changed since it was prepared"):
        prepare_dataset(settings(source, image_size=15), output)
    assert (output / "datalist.json").read_text() == "{}"
    with pytest.raises(UserError, match="lies in the data set, whose pictures are to be copied"):
        prepare_dataset(settings(source, image_size=15), source / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="this is a file"):
        prepare_dataset(settings(source), tmp_path / "file")


def test_every_bad_file_is_counted_and_good_ones_are_kept(tmp_path: Path) -> None:
    source, output = source_of(tmp_path / "in"), tmp_path / "out"
    path = source / "images" / "a é 07.png"
    whole = path.read_bytes()
    path.write_bytes(whole[:300])
    trees.save(trees.square(3, (30, 40)), source / "masks" / "a é 11.png")
    with pytest.raises(UserError, match=r"a é 07\.png: damaged or cut short.*\(and 1 more with errors\)"):
        prepare_dataset(settings(source, image_size=15), output, num_workers=2)
    assert not (output / "datalist.json").exists()
    path.write_bytes(whole)
    with pytest.raises(UserError, match=r"a é 11\.png: 30 x 40 pixels \(width x height\), but its image .* is 40 x 30"):
        prepare_dataset(settings(source, image_size=15), output)
    assert len((output / "prepare.jsonl").read_text().splitlines()) == 3 + 19


def test_names_of_255_bytes(tmp_path: Path) -> None:
    source = tmp_path / "in"
    names = ["x" * 251, "é" * 125 + "y", "name with  spaces"]
    for number, name in enumerate(names):
        trees.save(trees.picture(number), source / "images" / f"{name}.jpg")
        trees.save(trees.square(9), source / "masks" / f"{name}.png")
    path = prepare_dataset(settings(source, image_size=15, folds=3), tmp_path / "out")
    items = json.loads(path.read_text())["training"]
    assert [item["id"] for item in items] == sorted(names)
    assert all((tmp_path / "out" / item["label"]).is_file() for item in items)


@pytest.mark.slow
def test_twenty_thousand_files_are_listed_fast(tmp_path: Path) -> None:
    for number in range(20_000):
        (tmp_path / f"ISIC_{number:07d}.jpg").touch()
    start = time.perf_counter()
    assert len(list_pictures(tmp_path)) == 20_000
    assert time.perf_counter() - start < 5


def test_near_duplicates_come_through_one_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of(tmp_path / "in", 10)
    lines: list[str] = []
    monkeypatch.setattr(command, "_near_duplicates", lambda *_: [("a é 01", "a é 08"), ("a é 08", "a é 05")])
    asked = Settings("folder", str(source), folds=4)
    path = prepare_dataset(asked, tmp_path / "out", say=lines.append)
    fold_of = {item["id"]: item["fold"] for item in json.loads(path.read_text())["training"]}
    assert fold_of["a é 01"] == fold_of["a é 08"] == fold_of["a é 05"]
    assert lines[0].startswith("2 pairs of near-duplicates: a é 01 and a é 08, a é 08 and a é 05")


@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
@pytest.mark.parametrize("signals", [pytest.param(("SIGINT", "SIGINT"), marks=pytest.mark.slow), ("SIGKILL",)])
def test_stopped_or_killed_it_leaves_no_process_and_no_half_file(tmp_path: Path, signals: tuple[str, ...]) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    picture, mask = trees.picture(0, (700, 600)), trees.square(300, (700, 600))
    for folder, image in (("images", picture), ("masks", mask)):
        path = trees.save(image, source / folder / "000.png")
        for number in range(1, 50):
            (path.parent / f"{number:03d}.png").symlink_to(path)
    words = ["prepare", "folder", str(source), "--output", str(output), "--image_size", "500", "--num_workers", "2"]
    command = [sys.executable, "-m", "custom_networks.cli", *words, "--near_duplicates", "false"]
    listening = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore it
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stderr=pipe, text=True, start_new_session=True, preexec_fn=listening) as process:
        deadline = time.monotonic() + 120
        while not (output / "images").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        for name in signals:
            os.kill(process.pid, signal.Signals[name])
            time.sleep(0.02)
        _, err = process.communicate(timeout=60)  # until the last process has closed its standard error
    assert process.returncode in (130, -signal.SIGINT, -signal.SIGKILL), err
    lines = (output / "prepare.jsonl").read_text().splitlines()
    assert len(lines) < 45
    for path in [*output.glob("images/[!.]*"), *output.glob("masks/[!.]*")]:
        Image.open(path).load()
    assert not (output / "datalist.json").exists()
    written = len(list(output.glob("images/[!.]*")))
    assert written > 0
    path = prepare_dataset(settings(source, image_size=500), output, num_workers=2)  # also what it had not yet recorded
    assert len(json.loads(path.read_text())["training"]) == 50
