"""What the server says when it starts, and which weights it takes."""

from __future__ import annotations

import shutil
from pathlib import Path

import httpx
import pytest
import torch
from networks import toy_network
from support import BUNDLE, Running
from toy_weights import write_record

from custom_networks.cli import main
from custom_networks.network.interactive import InteractiveSGDNet


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle that nobody has trained yet."""
    shutil.copytree(BUNDLE / "configs", tmp_path / "bundle" / "configs")
    (tmp_path / "bundle" / "models").mkdir()
    return tmp_path / "bundle"


def train(bundle: Path, name: str, network: torch.nn.Module) -> Path:
    path = bundle / "models" / name
    write_record(path, network, image_size=64)
    torch.save(network.state_dict(), path.with_name("new"))
    return path.with_name("new").rename(path)


def test_without_weights_it_says_how_to_get_some_and_takes_them_when_they_come(studies: Path, bundle: Path) -> None:
    server = Running(studies, "--bundle_root", str(bundle), "--score", "false")
    try:
        [said] = [line for line in server.said if line.startswith("no weights at ")]
        assert str(bundle / "models" / "model.pt") in said
        assert "`make train` makes some" in said
        assert httpx.get(f"{server.address}/api/session").json()["model"] is None
        train(bundle, "model.pt", toy_network())
        assert httpx.get(f"{server.address}/api/session").json()["model"]["version"] == 0
        job = httpx.post(f"{server.address}/api/infer", json={"image": "phantom_000.png"}).json()["job"]
        told = httpx.get(f"{server.address}/api/jobs/{job}", params={"wait": 60}, timeout=70).json()
        assert told["state"] == "done", told
    finally:
        server.stop()


def test_the_bundles_weights_are_taken_interactive_ones_first(studies: Path, bundle: Path) -> None:
    automatic = train(bundle, "model.pt", toy_network())
    server = Running(studies, "--bundle_root", str(bundle), "--score", "false")
    server.stop()
    assert f"weights {automatic}, which segment automatically and take no clicks" in "".join(server.said)
    guided = train(bundle, "model_interactive.pt", InteractiveSGDNet(encoder_depths=(1, 1, 1, 1), encoder_width=8))
    server = Running(studies, "--bundle_root", str(bundle), "--score", "false")
    server.stop()
    assert f"weights {guided}, which take clicks, scribbles and boxes" in "".join(server.said)


def test_dicom_and_nifti_files_are_told_and_not_shown(studies: Path, bundle: Path) -> None:
    for name in ("scan.dcm", "1.2.840.10008", "volume.nii.gz"):
        (studies / "images" / name).write_bytes(bytes(128) + b"DICM")
    server = Running(studies, "--bundle_root", str(bundle), "--score", "false")
    try:
        assert "3 DICOM or NIfTI files are not shown, 1.2.840.10008 for one; export them as PNG" in "".join(server.said)
        assert httpx.get(f"{server.address}/api/images").json()["total"] == 8
        answer = httpx.get(f"{server.address}/api/images/scan.dcm")
        assert (answer.status_code, "export it as PNG" in answer.json()["error"]) == (404, True)
    finally:
        server.stop()


def test_damaged_weights_are_told_at_the_start(studies: Path, bundle: Path) -> None:
    (bundle / "models" / "model.pt").write_bytes(b"no weights")
    with pytest.raises(AssertionError, match=r"Error: .*model\.pt"):
        Running(studies, "--bundle_root", str(bundle), "--score", "false")
    assert not (studies / "annotations").exists()


def test_what_no_image_could_be_segmented_with_is_told_at_the_start(
    studies: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["annotate", "--studies", str(studies), "--port", "0", "--bundle_root"]
    for more in ([bundle, "--image_size", "65"], [bundle, "--device", "gpu"], [bundle.with_name("none")]):
        with pytest.raises(SystemExit, match="1"):
            main([*words, *map(str, more)])
        said = capsys.readouterr().err
        assert (said.count("Error: "), str(more[-1]) in said) == (1, True), said
    assert not (studies / "annotations").exists()
