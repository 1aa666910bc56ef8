"""`sgdnet prepare` twice at once, killed, on a read-only place, and where its grouping would tear patients apart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trees
from dicoms import write_dicom

from custom_networks.data import prepare
from custom_networks.data.prepare import Settings, journal, prepare_dataset
from custom_networks.data.prepare.nuclei import find_conic
from custom_networks.errors import UserError

Run = Callable[..., tuple[int, str, str]]


def pairs(folder: Path, count: int = 6) -> Path:
    for number in range(count):
        trees.save(trees.picture(number), folder / "images" / f"{number:02d}.png")
        trees.save(trees.square(5 + number), folder / "masks" / f"{number:02d}.png")
    return folder


def settings(source: Path, **more: object) -> Settings:
    return Settings("folder", str(source), near_duplicates=False, image_size=15, **more)  # type: ignore[arg-type]


def test_a_second_one_at_the_same_time_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "PATIENCE", 0.1)
    code = (
        "import sys; from pathlib import Path; from custom_networks.data.prepare.journal import PreparationJournal\n"
        "journal = PreparationJournal(Path(sys.argv[1]), {}); print('locked', flush=True); sys.stdin.read()"
    )
    source, output = pairs(tmp_path / "in"), tmp_path / "out"
    command = [sys.executable, "-c", code, str(output)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(UserError, match="out: another `sgdnet prepare` works in this folder; wait for its end"):
            prepare_dataset(settings(source), output)
        assert not (output / "datalist.json").exists()
        other.kill()
    prepare_dataset(settings(source), output)
    prepare_dataset(settings(source), output)  # the lock ends with each


def test_what_a_killed_one_left_half_written_is_removed(tmp_path: Path) -> None:
    source, output = pairs(tmp_path / "in"), tmp_path / "out"
    prepare_dataset(settings(source), output)
    left = [
        output / "images" / ".03.png-0123456789abcdef",
        output / "masks" / ".03.png-fedcba9876543210",
        output / ".datalist.json-0123456789abcdef",
    ]
    mine = [output / "images" / ".03.png-mine", output / ".notes-0123456789abcdef"]
    for path in (*left, *mine):
        path.write_bytes(b"half")
    prepare_dataset(settings(source), output)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in mine)


def test_a_journal_from_elsewhere_removes_nothing_outside(tmp_path: Path) -> None:
    source, output = pairs(tmp_path / "in"), tmp_path / "out"
    prepare_dataset(settings(source), output)
    (tmp_path / "mine.png").write_bytes(b"mine")
    with (output / "prepare.jsonl").open("a") as file:
        file.write(json.dumps({"planned": ["../mine.png", str(tmp_path / "mine.png")]}) + "\n")
        file.write('{"id": "00"}\n{"id": 3, "stamps": null}\n[[[[\n{"written": {"a": null}}\n')
    prepare_dataset(settings(source, fit="exact"), output, overwrite=True)
    assert (tmp_path / "mine.png").read_bytes() == b"mine"


def test_a_damaged_line_of_the_journal_is_told_and_its_case_made_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, output = pairs(tmp_path / "in"), tmp_path / "out"
    prepare_dataset(settings(source), output)
    journal, whole = output / "prepare.jsonl", {path: path.read_bytes() for path in output.rglob("*.png")}
    lines = journal.read_text().splitlines(keepends=True)
    number = next(number for number, line in enumerate(lines) if '"id": ' in line)
    journal.write_text("".join([*lines[:number], "{]\n", *lines[number + 1 :]]))
    prepare_dataset(settings(source), output)
    told = [message for message in caplog.messages if "damaged" in message]
    assert told == [f"{journal}: line {number + 1} is damaged and left out; what it recorded is done again"]
    assert {path: path.read_bytes() for path in output.rglob("*.png")} == whole
    settings_lost = journal.read_text().replace('{"settings"', '{"lost"', 1)
    journal.write_text(settings_lost)
    with pytest.raises(UserError, match=r"prepare\.jsonl: the line with the settings is damaged"):
        prepare_dataset(settings(source, fit="exact"), output)
    assert journal.read_text() == settings_lost
    prepare_dataset(settings(source), output, overwrite=True)
    assert {path: path.read_bytes() for path in output.rglob("*.png")} == whole


@pytest.mark.parametrize("verb", ["prepare", "phantoms"])
def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path, sgdnet: Run, verb: str) -> None:
    (tmp_path / "file").write_text("")
    source = ("folder", pairs(tmp_path / "in"), "--near_duplicates", "false") if verb == "prepare" else ()
    option = "--output" if verb == "prepare" else "--output_dir"
    for place in ("/proc/sgdnet/out", "/sys/out", tmp_path / "file" / "out"):
        code, _, err = sgdnet(verb, *source, option, place)
        assert code == 1
        assert len(err.strip().splitlines()) == 1
        assert str(place) in err


def test_one_dicom_without_patient_id_drops_no_grouping(tmp_path: Path, sgdnet: Run) -> None:
    source = tmp_path / "in"
    for number in range(12):
        values = np.random.default_rng(number).integers(0, 256, (10, 12, 3), np.uint8)
        patient = {"PatientID": f"P{number % 3}"} if number != 5 else {}
        write_dicom(source / "images" / f"{number:02d}.dcm", values, "RGB", **patient)
        trees.save(trees.square(5, (12, 10)), source / "masks" / f"{number:02d}.png")
    words = ("prepare", "dicom", source, "--output", tmp_path / "out", "--near_duplicates", "false", "--folds", 3)
    code, _, err = sgdnet(*words)
    assert code == 1
    assert "images/05.dcm: no patient is known of 1 of 12 images" in err
    assert "PatientID" in err
    assert "--group_by none" in err
    assert not (tmp_path / "out").exists()
    code, _, err = sgdnet(*words, "--group_by", "none")
    assert code == 0, err
    write_dicom(source / "images" / "05.dcm", np.zeros((10, 12, 3), np.uint8), "RGB", PatientID="P2")
    code, _, err = sgdnet(*words, "--overwrite", "true")
    assert code == 0, err
    items = json.loads((tmp_path / "out" / "datalist.json").read_text())["training"]
    assert len({(item["group"], item["fold"]) for item in items}) == 3


def test_conic_without_slides_is_told(tmp_path: Path, sgdnet: Run) -> None:
    source = trees.conic(tmp_path / "in", 30)
    (source / "patch_info.csv").unlink()
    assert "slide" not in find_conic(source)[0].columns
    words = ("prepare", "conic", source, "--output", tmp_path / "out", "--near_duplicates", "false")
    code, _, err = sgdnet(*words)
    assert code == 1
    assert "no slide is known of 30 of 30 images" in err
    assert "patch_info.csv" in err
    code, _, err = sgdnet(*words, "--group_by", "none")
    assert code == 0, err


def test_a_csv_without_a_header_loses_no_pair(tmp_path: Path, sgdnet: Run) -> None:
    pairs(tmp_path)
    lines = [f"images/{number:02d}.png,masks/{number:02d}.png" for number in range(6)]
    table = tmp_path / "list.csv"
    table.write_text("\n".join(lines) + "\n")
    words = ("prepare", "csv", table, "--output", tmp_path / "out", "--near_duplicates", "false", "--folds", 2)
    code, _, err = sgdnet(*words)
    assert code == 1
    assert "list.csv: line 1 names the file images/00.png, so there is no header; write image,label above it" in err
    table.write_text("\n".join(["image,label", *lines]) + "\n")
    assert sgdnet(*words)[0] == 0
    assert len(json.loads((tmp_path / "out" / "datalist.json").read_text())["training"]) == 6


@pytest.mark.parametrize("what", ["/dev/zero", "pipe", "folder"])
def test_a_table_that_is_no_file_is_refused_at_once(tmp_path: Path, sgdnet: Run, what: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    start = time.monotonic()
    words = ("--near_duplicates", "false", "--table", tmp_path / what)  # an absolute name stays what it is
    code, _, err = sgdnet("prepare", "folder", pairs(tmp_path / "in"), "--output", tmp_path / "out", *words)
    assert code == 1
    assert f"{tmp_path / what}: is a" in err
    assert time.monotonic() - start < 5


def test_slices_and_pictures_of_nifti_together_keep_their_volumes(tmp_path: Path) -> None:
    for name, shape in (("volume", (12, 10, 4)), ("one", (12, 10)), ("two", (12, 10)), ("three", (12, 10))):
        values = np.random.default_rng(len(name)).integers(0, 200, shape).astype(np.int16)
        trees.nifti(tmp_path / "images" / f"{name}.nii.gz", values)
        trees.nifti(tmp_path / "masks" / f"{name}.nii.gz", (values > 99).astype(np.int16))
    asked = prepare.Settings("nifti", str(tmp_path), near_duplicates=False, folds=2)
    items = json.loads(prepare_dataset(asked, tmp_path.parent / "out_nifti").read_text())["training"]
    assert len({item["fold"] for item in items if item["group"] == "volume"}) == 1
    assert len({item["group"] for item in items}) == 4
