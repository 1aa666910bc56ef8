"""Whole runs: what is written, what is kept, what goes on, and what is said of bad files."""

from __future__ import annotations

import csv
import json
import shutil
import struct
import zlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from dicoms import write_dicom
from export_fixtures import BUNDLE
from PIL import Image
from prediction_fixtures import variant

from custom_networks.data import formats
from custom_networks.errors import UserError
from custom_networks.files import sha256
from custom_networks.prediction import SGDNetPredictor, reading
from custom_networks.prediction.execution import Outcome, dry_run_lines, execute
from custom_networks.prediction.inputs import ImageSource
from custom_networks.prediction.outputs import chosen_outputs
from custom_networks.prediction.pipeline import Clock
from custom_networks.prediction.plan import PredictionPlan, make_plan, settings_of

Run = Callable[..., Outcome]


@pytest.fixture
def images(tmp_path: Path, pictures: Path) -> Path:
    """Three pictures, one of them in a folder below."""
    folder = tmp_path / "in"
    for number, name in enumerate(("a.png", "b.jpg", "deep/c.tif")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.open(sorted(pictures.iterdir())[number]).resize((80 + number, 70)).save(path)
    return folder


def plan_of(
    predictor: SGDNetPredictor, images: Path, output: Path, outputs: str = "mask", **more: Any
) -> PredictionPlan:
    chosen = chosen_outputs(outputs, predictor.options.tta)
    settings = settings_of(predictor.options, "0", chosen, more.get("spacing", 0.0))
    return make_plan([str(images)], output, chosen, settings=settings, **more)


@pytest.fixture
def run(predictor: SGDNetPredictor, images: Path, tmp_path: Path) -> Run:
    """Predict `images` into `out`."""

    def predict(outputs: str = "mask", batch_size: int = 2, options: dict[str, Any] | None = None, **more: Any):
        chosen = variant(predictor, **(options or {}))
        plan = plan_of(chosen, images, tmp_path / "out", outputs, **more)
        return execute(plan, lambda: chosen, batch_size, 2, lambda line: None)

    return predict


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Time and content of every file."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def rows(folder: Path, name: str = "predictions.csv") -> list[dict[str, str]]:
    with (folder / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_all_outputs_of_all_images(run: Run, tmp_path: Path) -> None:
    outcome = run("all", options={"tta": "flips"})
    assert (outcome.done, outcome.skipped, outcome.failures) == (3, 0, [])
    out = tmp_path / "out"
    endings = ("", "_edge", "_instances", "_probability", "_uncertainty")
    expected = {f"deep/c{ending}.png" for ending in endings} | {"deep/c_overlay.jpg", "deep/c.geojson"}
    assert {name for name in state(out) if name.startswith("deep")} == expected
    assert Image.open(out / "deep/c.png").size == (82, 70)
    table = rows(out)
    assert [Path(row["image"]).name for row in table] == ["a.png", "b.jpg", "c.tif"]
    for row in table:
        mask = np.asarray(Image.open(out / row["mask"])) > 0
        assert float(row["foreground"]) == pytest.approx(mask.mean(), rel=1e-4)
        assert row["review"] == str(int(float(row["confidence"]) < 0.8))
        assert 0 < float(row["uncertainty"]) < 0.5
    coco = json.loads((out / "coco.json").read_text())
    assert len(coco["images"]) == 3
    assert len(coco["annotations"]) == len(rows(out, "measurements.csv"))
    assert [name for name in state(out) if Path(name).name.startswith(".")] == [".predict.lock"]


def test_what_a_killed_run_left_half_written_goes(run: Run, tmp_path: Path) -> None:
    """Of results and tables; what somebody else keeps there stays."""
    run()
    end = "-0123456789abcdef"
    left = [tmp_path / "out" / name for name in (f".a.png{end}", f"deep/.c.png{end}", f".predictions.csv{end}")]
    mine = tmp_path / "out" / f".mine.png{end}"
    for path in (*left, mine):
        path.write_bytes(b"half")
    run(overwrite=True)
    assert [path for path in (*left, mine) if path.exists()] == [mine]


def test_batches_do_not_matter(run: Run, tmp_path: Path) -> None:
    run("probability", batch_size=1)
    (tmp_path / "out").rename(tmp_path / "one")
    run("probability", batch_size=3)
    for name in ("a", "b", "deep/c"):
        one, three = (
            np.asarray(Image.open(tmp_path / folder / f"{name}_probability.png")).astype(int)
            for folder in ("one", "out")
        )
        assert np.abs(one - three).max() <= 7  # of 65535


def test_bad_files_are_told_and_the_others_go_on(run: Run, images: Path, tmp_path: Path) -> None:
    (images / "text.png").write_text("no picture")
    (images / "empty.jpg").write_bytes(b"")
    (images / "cut.png").write_bytes((images / "a.png").read_bytes()[:600])
    (images / "gone.png").symlink_to(images / "nowhere.png")
    parts = ((b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)), (b"IDAT", b""))
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    ]
    bomb = b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
    (images / "bomb.png").write_bytes(bomb)
    nib.save(nib.Nifti1Image(np.zeros((5, 5, 5, 2)), np.eye(4)), images / "four.nii.gz")
    outcome = run()
    told = {source.path.name: text for source, text in outcome.failures}
    assert set(told) == {"text.png", "empty.jpg", "cut.png", "gone.png", "bomb.png", "four.nii.gz"}
    for name, reason in (("bomb.png", "more than"), ("cut.png", "damaged or cut short"), ("empty.jpg", "0 bytes")):
        assert name in told[name]
        assert reason in told[name]
    assert outcome.done == 3
    errors = {Path(row["image"]).name: row["error"] for row in rows(tmp_path / "out") if row["error"]}
    assert errors == told
    assert str(outcome).startswith("3 predicted, 6 failed")


def test_run_again_does_only_what_is_missing(run: Run, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (images / "b.jpg").rename(tmp_path / "b.jpg")
    run()
    (tmp_path / "b.jpg").rename(images / "b.jpg")
    with (out / "predict.jsonl").open("a") as file:
        file.write('{"name": "half a li')  # killed while it wrote
    before = state(out)
    outcome = run()
    assert (outcome.done, outcome.skipped) == (1, 2)
    assert state(out)["a.png"] == before["a.png"]
    assert len(rows(out)) == 3
    more = run("overlay,measurements")
    assert (more.done, more.skipped) == (3, 0)
    assert state(out)["a.png"] == before["a.png"]
    assert (out / "deep" / "c_overlay.jpg").is_file()
    (out / "deep" / "c.png").unlink()
    assert run("overlay,measurements").done == 1
    assert (out / "deep" / "c.png").is_file()
    final = run("overlay,measurements")
    assert (final.done, final.skipped) == (0, 3)
    assert {Path(row["image"]).name for row in rows(out, "measurements.csv")} == {"a.png", "b.jpg", "c.tif"}


def test_a_damaged_line_of_the_journal_is_told_and_its_image_done_again(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run()
    journal, before = tmp_path / "out" / "predict.jsonl", state(tmp_path / "out")
    lines = journal.read_text().splitlines(keepends=True)
    number = next(number for number, line in enumerate(lines) if line.startswith('{"name": "b"'))
    journal.write_text("".join([*lines[:number], "\0" * 40 + "\n", *lines[number + 1 :]]))
    outcome = run()
    assert (outcome.done, outcome.skipped, outcome.failures) == (1, 2, [])
    assert caplog.messages == [f"{journal}: line {number + 1} is damaged and left out; what it recorded is done again"]
    after = state(tmp_path / "out")
    assert {name: content for name, (_, content) in after.items() if name != journal.name} == {
        name: content for name, (_, content) in before.items() if name != journal.name
    }


def test_without_the_settings_of_its_journal_a_run_is_not_continued(run: Run, tmp_path: Path) -> None:
    run()
    journal, before = tmp_path / "out" / "predict.jsonl", state(tmp_path / "out")
    lines = journal.read_text().splitlines(keepends=True)
    assert lines[0].startswith('{"settings"')
    journal.write_text("".join(["{\n", *lines[1:]]))
    with pytest.raises(UserError, match=r"predict\.jsonl: the line with the settings is damaged"):
        run(options={"threshold": 0.25})
    assert state(tmp_path / "out")["a.png"] == before["a.png"]
    assert run(options={"threshold": 0.25}, overwrite=True).done == 3


def test_existing_files_stay_unless_asked(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "deep").mkdir(parents=True)
    (out / "a.png").write_bytes(b"precious")
    outcome = run()
    assert [source.name for source, _ in outcome.failures] == ["a"]
    assert "is there already; add --overwrite true" in outcome.failures[0][1]
    assert (out / "a.png").read_bytes() == b"precious"
    assert outcome.done == 2
    assert run(overwrite=True).done == 3
    assert Image.open(out / "a.png").size == (80, 70)


def test_a_table_of_someone_else_stays(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "predictions.csv").write_text("mine")
    with pytest.raises(UserError, match="not written by `sgdnet predict`"):
        run()
    assert list(state(tmp_path / "out")) == ["predictions.csv"]


def test_other_settings_are_not_mixed(run: Run, tmp_path: Path) -> None:
    run()
    before = state(tmp_path / "out")
    with pytest.raises(UserError, match=r"was predicted with threshold 0\.5 \(now 0\.25\)"):
        run(options={"threshold": 0.25})
    assert state(tmp_path / "out") == before
    assert run(options={"threshold": 0.25}, overwrite=True).done == 3
    assert run(options={"threshold": 0.25}).skipped == 3


def test_a_changed_image_is_not_taken_for_the_old_one(run: Run, images: Path) -> None:
    run()
    Image.new("RGB", (33, 44), "white").save(images / "a.png")
    (failure,) = run().failures
    assert "before it changed" in failure[1]
    assert run(overwrite=True).failures == []


def test_a_file_that_changes_while_it_is_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_while_written(path: Path, at: formats.Slice | None = None) -> formats.Opened:
        opened = formats.stored_image(path, at=at)
        if path.name == "b.jpg":
            with path.open("ab") as file:
                file.write(b"more")
        return opened

    monkeypatch.setattr(reading, "stored_image", read_while_written)
    outcome = run()
    assert outcome.done == 2
    assert "b.jpg: changed while it was read" in outcome.failures[0][1]


def test_a_link_in_the_output_leads_nowhere_else(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "deep").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    outcome = run()
    assert ["lies outside" in text for _, text in outcome.failures] == [True]
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_dry_run_writes_nothing(predictor: SGDNetPredictor, run: Run, images: Path, tmp_path: Path) -> None:
    lines = dry_run_lines(plan_of(predictor, images, tmp_path / "out"))
    assert lines[0] == f"{images / 'a.png'} -> {tmp_path / 'out' / 'a.png'}"
    assert lines[-1] == "3 images, 0 done before; nothing was written"
    assert not (tmp_path / "out").exists()
    run()
    assert dry_run_lines(plan_of(predictor, images, tmp_path / "out")) == [
        "3 images, 3 done before; nothing was written"
    ]


def test_names_that_meet_are_refused_before_anything(predictor: SGDNetPredictor, images: Path, tmp_path: Path) -> None:
    for name, other in (("a.jpg", "a.png"), ("b_edge.png", "b_edge.png")):
        Image.new("RGB", (4, 4)).save(images / name)
        with pytest.raises(UserError, match=f"would be written as {other} too"):
            plan_of(predictor, images, tmp_path / "out", "edge")
        (images / name).unlink()
    assert not (tmp_path / "out").exists()


def test_medical_formats_and_spacing(predictor: SGDNetPredictor, pictures: Path, tmp_path: Path) -> None:
    pixels = np.asarray(Image.open(sorted(pictures.iterdir())[0]).resize((50, 70)).convert("RGB"))
    folder = tmp_path / "in"
    write_dicom(folder / "scan.dcm", pixels, "RGB", PixelSpacing=[0.1, 0.1])
    stored = nib.Nifti1Image(np.ascontiguousarray(pixels[..., 0].T), np.diag([0.3, 0.2, 1, 1]))
    stored.header.set_xyzt_units("mm")
    nib.save(stored, folder / "slice.nii.gz")
    Image.fromarray(pixels).save(folder / "photo.png")
    plan = plan_of(predictor, folder, tmp_path / "out", "measurements,probability", spacing=0.5)
    outcome = execute(plan, lambda: predictor, 1, 2, print)
    assert outcome.failures == []
    names = set(state(tmp_path / "out"))
    assert names >= {"scan.dcm", "slice.nii.gz", "photo.png", "slice_probability.nii.gz", "scan_probability.png"}
    dicom, picture = (
        np.asarray(formats.read(tmp_path / "out" / name, "mask").image) for name in ("scan.dcm", "photo.png")
    )
    np.testing.assert_array_equal(dicom > 0, picture > 0)
    assert 0 < (dicom > 0).mean() < 1
    for row in rows(tmp_path / "out", "measurements.csv"):
        side = {"scan.dcm": 0.01, "slice.nii.gz": 0.06, "photo.png": 0.25}[Path(row["image"]).name]
        assert float(row["area_mm2"]) == pytest.approx(side * float(row["area_px"]), rel=1e-4)


def test_the_verb(sgdnet: Callable[..., tuple[int, str, str]], checkpoint: Path, images: Path, tmp_path: Path) -> None:
    (images / "1,2.png").write_bytes((images / "a.png").read_bytes())
    (images / "bad.png").write_text("no picture")
    words = ("predict", images / "1,2.png", images / "bad.png", images / "deep", "--output", tmp_path / "out")
    words = (*words, "--checkpoint", checkpoint, "--bundle_root", BUNDLE, "--device", "cpu")
    code, out, err = sgdnet(*words, "--dry-run")
    assert (code, err) == (0, "")
    assert "nothing was written" in out
    code, out, err = sgdnet(*words)
    assert code == 2
    assert err.count("Error: ") == 1
    assert "bad.png: not an image" in err
    assert "2 predicted, 1 failed" in out
    assert "of the time in the network" in out
    assert (tmp_path / "out" / "1,2.png").is_file()
    assert (tmp_path / "out" / "c.png").is_file()
    (images / "bad.png").unlink()
    code, out, _ = sgdnet(*words[:2], *words[3:])
    assert code == 0
    assert "0 predicted, 2 done before" in out


def test_without_words_the_bundle_has_weights_and_results(
    sgdnet: Callable[..., tuple[int, str, str]], checkpoint: Path, images: Path, tmp_path: Path
) -> None:
    root, dataset = tmp_path / "bundle", tmp_path / "dataset"
    shutil.copytree(BUNDLE / "configs", root / "configs")
    (root / "models").mkdir()
    for ending in (".pt", ".json"):
        shutil.copy(checkpoint.with_suffix(ending), root / "models" / f"model{ending}")
    (dataset / "images").mkdir(parents=True)
    shutil.copy(images / "a.png", dataset / "images")
    shutil.copy(images / "a.png", dataset / "other.png")
    code, _, err = sgdnet("predict", "--dataset_dir", dataset, "--bundle_root", root, "--device", "cpu")
    assert code == 0, err
    assert [path.name for path in (root / "predictions").glob("*.png")] == ["a.png"]
    shutil.copy(images / "b.jpg", dataset)
    assert sgdnet("predict", "--dataset_dir", dataset / "images", "--bundle_root", root, "--device", "cpu")[0] == 0
    assert [path.name for path in (root / "predictions").glob("*.png")] == ["a.png"]


def test_what_happened_in_a_line() -> None:
    source = ImageSource(Path("a.png"), "a")
    assert str(Outcome(0, 0, [], 0, Clock())) == "0 predicted"
    assert str(Outcome(3, 2, [(source, "no")], 1, Clock(network=1, total=4), 5, "onnx", 40, 7)) == (
        "3 predicted, 2 done before, 1 failed, 1 to review, 7 of 40 windows of slides left out as glass, "
        "5 left to other parts, 4.0 s, 0.75 images/s, 25 % of the time in the network, by onnx"
    )


class Code:
    """What runs when a pickle of it is read carelessly."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_weights_that_want_to_run_code_are_refused(
    sgdnet: Callable[..., tuple[int, str, str]], images: Path, tmp_path: Path
) -> None:
    torch.save({"network": Code(tmp_path / "executed")}, tmp_path / "model.pt")
    code, _, err = sgdnet("predict", images, "--output", tmp_path / "out", "--checkpoint", tmp_path / "model.pt")
    assert code == 1
    assert "model.pt: not a file of PyTorch weights" in err
    assert "PyTorch 2.6" not in err, "no advice to load it all the same"
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "executed").exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "no image given"),
        (("nowhere.png",), "nowhere.png: no such file or folder"),
        ((".", "--checkpoint", "none.pt"), "none.pt: no such weights"),
        ((".", "--outputs", "maks"), "did you mean 'mask'?"),
        ((".", "--overwrite", "a.png"), "--overwrite a.png: must be true or false"),
        ((".", "--batch_size", "0"), "--batch_size 0: must be a whole number"),
        ((".", "--device", "gpu"), "--device gpu: no such device"),
        ((".", "--thershold", "1"), "did you mean 'threshold'?"),
        ((".", "--spacing", "-1"), "--spacing -1"),
    ],
)
def test_mistakes_are_one_sentence(
    sgdnet: Callable[..., tuple[int, str, str]],
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = () if "--checkpoint" in words else ("--checkpoint", checkpoint)
    code, _, err = sgdnet("predict", *words, *given, "--output", tmp_path / "out")
    assert code == 1
    assert err.startswith("Error: ")
    assert len(err.strip().splitlines()) == 1
    assert sentence in err
    assert not (tmp_path / "out").exists()


def test_the_record_says_software_and_weights(
    sgdnet: Callable[..., tuple[int, str, str]], pictures: Path, checkpoint: Path, tmp_path: Path
) -> None:
    """In the journal, that of an older version beside it, and for machines."""
    words = ("predict", pictures, "--output", tmp_path, "--checkpoint", checkpoint, "--bundle_root", BUNDLE, "--json")
    code, out, _ = sgdnet(*words)
    told = json.loads(out)
    assert code == 0
    digest = sha256(checkpoint)
    assert (told["software"]["sgdnet"], told["settings"]["checkpoint_sha256"]) == (version("sgdnet"), digest)
    journal = tmp_path / "predict.jsonl"
    first, *lines = journal.read_text().splitlines()
    assert json.loads(first)["software"] == [told["software"]]
    assert json.loads(first)["settings"]["checkpoint_sha256"] == digest
    older = {"sgdnet": "0.0.1", "commit": None}
    journal.write_text("\n".join([json.dumps({**json.loads(first), "software": [older]}), *lines, ""]))
    next(tmp_path.glob("*.png")).unlink()
    assert sgdnet(*words)[0] == 0
    assert json.loads(journal.read_text().splitlines()[0])["software"] == [older, told["software"]]
