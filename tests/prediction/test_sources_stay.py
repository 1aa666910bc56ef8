"""No run replaces an image that it was given, by whatever path it is reached."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from export_fixtures import BUNDLE
from PIL import Image

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(2):
        Image.new("RGB", (70, 66), (90 * number, 40, 40)).save(folder / f"i{number}.png")
    return folder


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ["same", "symlinked folder", "symlink", "hard link", "symlink as source", "nifti"])
@pytest.mark.parametrize("overwrite", ["true", "false"])
def test_a_source_is_never_a_target(
    sgdnet: Command, checkpoint: Path, scans: Path, tmp_path: Path, kind: str, overwrite: str
) -> None:
    source, output = scans / "i0.png", scans
    if kind == "symlinked folder":
        output = tmp_path / "link"
        output.symlink_to(scans)
    elif kind in ("symlink", "hard link", "symlink as source"):
        output = tmp_path / "out"
        output.mkdir()
        if kind == "symlink":
            (output / "i0.png").symlink_to(source)
        elif kind == "hard link":
            os.link(source, output / "i0.png")
        else:
            (output / "i0.png").write_bytes(source.read_bytes())
            source.unlink()
            source.symlink_to(output / "i0.png")
    elif kind == "nifti":
        source = scans / "v.nii.gz"
        nib.save(nib.Nifti1Image(np.zeros((64, 64, 2), np.uint8), np.eye(4)), source)
    before = contents(tmp_path)
    words = ("predict", source, scans / "i1.png", "--output", output, "--checkpoint", checkpoint)
    code, _, err = sgdnet(*words, "--bundle_root", BUNDLE, "--device", "cpu", "--overwrite", overwrite)
    assert code == 1
    assert f"{output / source.name}: is an image that is to be predicted; give another --output" in err
    assert "--overwrite" not in err
    assert len(err.strip().splitlines()) == 1
    assert contents(tmp_path) == before


def test_the_searched_folder_as_output_is_named(sgdnet: Command, checkpoint: Path, scans: Path) -> None:
    before = contents(scans)
    code, _, err = sgdnet("predict", scans, "--output", scans, "--checkpoint", checkpoint, "--bundle_root", BUNDLE)
    assert code == 1
    assert f"{scans}: is the output folder, which is not searched; give another --output" in err
    assert contents(scans) == before
