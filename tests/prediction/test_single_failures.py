"""One bad file is its own failure; only the storage of the results ends a run."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import nibabel as nib
import numpy as np
import pytest
from dicoms import write_dicom
from export_fixtures import BUNDLE
from PIL import Image
from pydicom import dcmread

from custom_networks import files
from custom_networks.prediction import SGDNetPredictor, journal

Predict = Callable[..., tuple[int, str, str]]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for name, colour in (("a", "red"), ("z", "blue")):
        Image.new("RGB", (70, 66), colour).save(tmp_path / "in" / f"{name}.png")
    return tmp_path / "in"


@pytest.fixture
def predict(sgdnet: Callable[..., tuple[int, str, str]], images: Path, checkpoint: Path, tmp_path: Path) -> Predict:
    def run(*words: object) -> tuple[int, str, str]:
        given = ("--checkpoint", checkpoint, "--bundle_root", BUNDLE, "--device", "cpu")
        return sgdnet("predict", images, "--output", tmp_path / "out", *given, *words)

    return run


def write_palette(path: Path) -> None:
    write_dicom(path, np.zeros((64, 64), np.uint8), "MONOCHROME2")
    dataset = dcmread(path)
    dataset.PhotometricInterpretation = "PALETTE COLOR"
    dataset.save_as(path)


def write_bad(path: Path) -> None:
    """Write a bad file by its name."""
    kinds: dict[str, Callable[[Path], Any]] = {
        "complex.nii": lambda file: nib.save(nib.Nifti1Image(np.zeros((64, 64, 2), np.complex64), np.eye(4)), file),
        "flat.nii": lambda file: nib.save(nib.Nifti1Image(np.zeros((64, 64, 0), np.float32), np.eye(4)), file),
        "thin.nii": lambda file: nib.save(nib.Nifti1Image(np.zeros((0, 64), np.float32), np.eye(4)), file),
        "palette.dcm": write_palette,
        "pipe.png": os.mkfifo,
        "pipe.dcm": os.mkfifo,
        "pipe.nii.gz": os.mkfifo,
        "pipe": os.mkfifo,
        f"{'n' * 240}.png": lambda file: Image.new("RGB", (64, 64)).save(file),
        "latin\udcff.png": lambda file: Image.new("RGB", (64, 64)).save(file),
    }
    kinds[path.name](path)


BAD = ["complex.nii", "flat.nii", "thin.nii", "palette.dcm", "pipe.png", "pipe.dcm", "pipe.nii.gz"]
BAD += [f"{'n' * 240}.png", "latin\udcff.png"]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_its_own_failure(predict: Predict, images: Path, tmp_path: Path, name: str) -> None:
    write_bad(images / name)
    code, out, err = predict("--outputs", "all")
    assert code == 2
    assert "2 predicted, 1 failed" in out
    (line,) = err.strip().splitlines()
    assert line.startswith(f"Error: {images}/{name.encode(errors='backslashreplace').decode()}: ")
    assert "Traceback" not in line
    assert {path.name for path in (tmp_path / "out").glob("?.png")} == {"a.png", "z.png"}
    table = (tmp_path / "out" / "predictions.csv").read_text()
    assert len(table.splitlines()) == 4
    assert line.removeprefix("Error: ")[-40:].replace('"', '""') in table


def test_a_pipe_without_an_extension_is_passed_over(predict: Predict, images: Path) -> None:
    write_bad(images / "pipe")
    code, out, _ = predict()
    assert code == 0
    assert "2 predicted" in out


@pytest.mark.parametrize("batch_size", [1, 2])
@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't allocate memory: you tried"), KeyError("x")])
def test_the_network_fails_for_one_image(
    predict: Predict, monkeypatch: pytest.MonkeyPatch, error: Exception, batch_size: int
) -> None:
    compute = SGDNetPredictor.compute

    def fail_for_blue(self: SGDNetPredictor, prepared: list[Any]) -> Any:
        if any(float(one[2].float().mean()) > float(one[0].float().mean()) for one in prepared):
            raise error
        return compute(self, prepared)

    monkeypatch.setattr(SGDNetPredictor, "compute", fail_for_blue)
    code, out, err = predict("--batch_size", batch_size)
    assert code == 2
    assert "1 predicted, 1 failed" in out
    (line,) = err.strip().splitlines()
    assert "z.png: " in line
    assert ("not enough memory" in line) == (not isinstance(error, KeyError))


def test_a_folder_that_cannot_be_made_fails_one_image(predict: Predict, images: Path, tmp_path: Path) -> None:
    (images / "deep").mkdir()
    (images / "a.png").rename(images / "deep" / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "deep").write_text("a file of the same name")
    code, out, err = predict()
    assert code == 2
    assert "1 predicted, 1 failed" in out
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, *(pytest.param(number, marks=pytest.mark.slow) for number in (errno.EROFS, errno.EIO))]
)
def test_full_or_read_only_storage_ends_the_run_and_the_next_one_resumes(
    predict: Predict, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int
) -> None:
    write = files.write_atomically

    def fail_for_z(path: Path, content: Callable[[IO[bytes]], Any], before: Callable[[Path], Any]) -> None:
        def fail(file: IO[bytes]) -> None:
            raise OSError(number, os.strerror(number))

        write(path, fail if path.name == "z.png" else content, before)

    with monkeypatch.context() as patched:
        patched.setattr(journal, "write_atomically", fail_for_z)
        code, out, err = predict("--num_workers", 1)
    assert code == 1
    assert out == ""
    assert os.strerror(number) in err
    assert len(err.strip().splitlines()) == 1
    assert not [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".z")]
    code, out, err = predict()
    assert (code, err) == (0, "")
    assert len((tmp_path / "out" / "predictions.csv").read_text().splitlines()) == 3


def test_storage_that_is_gone_ends_the_run(predict: Predict, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compute = SGDNetPredictor.compute

    def vanish(self: SGDNetPredictor, prepared: list[Any]) -> Any:
        if (tmp_path / "out").exists():
            (tmp_path / "out").rename(tmp_path / "unmounted")
        return compute(self, prepared)

    monkeypatch.setattr(SGDNetPredictor, "compute", vanish)
    code, _, err = predict()
    assert code == 1
    assert "out: is gone" in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
