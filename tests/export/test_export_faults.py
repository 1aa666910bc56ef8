"""An export that cannot be made, or is not what the network computes, is one sentence and leaves no file."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import REPOSITORY, run_python
from export_fixtures import BUNDLE
from killing import run_to_the_end, start, start_command
from networks import TOY, toy_network
from toy_weights import write_record, write_weights

from custom_networks.cli import main
from custom_networks.configuration.inference import load_source
from custom_networks.export import FORMATS
from custom_networks.export.openvino_ir import open_openvino, openvino_metadata
from custom_networks.files import sha256

Run = Callable[..., tuple[int, str, str]]
FULL = """
import resource, sys
from custom_networks.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))  # a write beyond fails as on a full disk
for words in WORDS:
    try:
        main(words)
    except SystemExit as exit_:
        print("code", exit_.code, flush=True)
"""
PARTS = [("torchscript", "onnx"), pytest.param(("torch-export", "openvino"), marks=pytest.mark.slow)]
DAMAGED = {
    "cut short": b'{"version": 2, "network": {',
    "binary": bytes(range(256)),
    "a list": b"[]",
    "another type": b'{"version": 2, "network": 3, "normalization": null}',
    "from the future": b'{"version": 99}',
    "empty": b"",
}


@pytest.mark.skipif(sys.platform == "win32", reason="has no limit of a file's size")
@pytest.mark.parametrize("parts", PARTS)
def test_a_full_disk_is_one_sentence_in_every_format(pictures: Path, tmp_path: Path, parts: tuple[str, ...]) -> None:
    """Of a network without dynamic convolution, whose graphs are made in half the time; the size is what counts."""
    checkpoint = tmp_path / "weights" / "model.pt"
    checkpoint.parent.mkdir()
    network = toy_network(refinement="add")
    torch.save(network.state_dict(), checkpoint)
    write_record(checkpoint, network, image_size=64)
    outputs = [tmp_path / FORMATS[name].name for name in parts]
    words = [
        ["export", "--format", name, "--checkpoint", str(checkpoint), "--validation", str(pictures), "-o", str(output)]
        for name, output in zip(parts, outputs, strict=True)
    ]
    outputs.append(tmp_path / "archive.zip")
    words.append(["package", "--checkpoint", str(checkpoint), "-o", str(outputs[-1])])
    code = FULL.replace("WORDS", repr(words))
    result = run_python(["-c", code], REPOSITORY)
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.split("\n")[:-1] == ["code 1"] * len(outputs)
    for output in outputs:
        (line,) = (line for line in result.stderr.splitlines() if str(output) in line)
        assert "cannot be written (File too large); free some space" in line
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == [checkpoint.parent]


def killed_while_it_renames(words: list[str], number: int) -> int:
    """Export, and die just before the file of that number is put in its place."""
    names, rename = iter(range(number)), Path.replace

    def replace(path: Path, target: Path) -> Path:
        if next(names, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return rename(path, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        main(words)
    return 0


@pytest.mark.slow
def test_a_pair_of_files_is_never_mixed_by_a_kill(
    sgdnet: Run, checkpoint: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, log = tmp_path / "out" / "made.xml", tmp_path / "log"
    words = ["export", "--format", "openvino", "--validation", str(pictures), "--output", str(output)]
    other = tmp_path / "other" / "model.pt"
    other.parent.mkdir()
    state = torch.load(checkpoint, weights_only=True)
    torch.save({name: tensor * 1.01 if tensor.is_floating_point() else tensor for name, tensor in state.items()}, other)
    write_record(other, toy_network(), image_size=64)
    output.parent.mkdir()
    (output.with_suffix(".bin")).write_bytes(b"mine")
    code, _, error = sgdnet(*words, "--checkpoint", checkpoint)
    assert (code, "made.bin: is there already" in error) == (1, True)
    output.with_suffix(".bin").unlink()
    process = start(killed_while_it_renames, ([*words, "--checkpoint", str(checkpoint)], 1), log)
    process.join(120)
    assert process.exitcode == -signal.SIGKILL, log.read_text()
    assert output.with_suffix(".bin").exists()
    assert not output.exists()
    code, _, error = sgdnet(*words, "--checkpoint", checkpoint)
    assert code == 0, error
    assert sorted(path.name for path in output.parent.iterdir()) == ["made.bin", "made.xml"]
    names, rename = iter(range(1)), Path.replace

    def stopped(path: Path, target: Path) -> Path:
        if next(names, None) is None:
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", stopped)
    code, _, _ = sgdnet(*words, "--overwrite", "true", "--checkpoint", other)
    assert code == 130
    assert output.with_suffix(".bin").exists()
    assert not output.exists()  # which would belong to the weights of before


@pytest.mark.slow
def test_two_exports_to_one_file_at_once_end_with_the_parts_of_one(checkpoint: Path, tmp_path: Path) -> None:
    output, other = tmp_path / "out" / "made.xml", tmp_path / "other.pt"
    torch.save(toy_network().state_dict(), other)
    write_record(other, toy_network(), image_size=64)
    words = ["export", "--format", "openvino", "--least_mean_dice", "0", "--least_dice", "0", "--output", str(output)]
    logs = [tmp_path / "1", tmp_path / "2"]
    started = [
        start_command([*words, "--checkpoint", str(weights)], tmp_path, log)
        for weights, log in zip((checkpoint, other), logs, strict=True)
    ]
    codes = [run_to_the_end(process, log)[0] for process, log in zip(started, logs, strict=True)]
    assert sorted(codes) == [0, 1], [log.read_text() for log in logs]
    (error,) = (line for line in logs[codes.index(1)].read_text().splitlines() if "Error" in line)
    assert "another process writes made.xml there; wait for its end, or give" in error or "is there already" in error
    assert sorted(path.name for path in output.parent.iterdir()) == ["made.bin", "made.xml"]
    winner = (checkpoint, other)[codes.index(0)]
    assert openvino_metadata(output)["checkpoint_sha256"] == sha256(winner)
    source = load_source(BUNDLE, winner, None)
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = source.network(image)
    assert np.allclose(open_openvino(output, 1)(image.numpy()), expected, atol=1e-3)


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_record_is_one_sentence(sgdnet: Run, tmp_path: Path, damage: str) -> None:
    path = write_weights(tmp_path / "model.pt", TOY)
    path.with_suffix(".json").write_bytes(DAMAGED[damage])
    for words in (("export", "--output", tmp_path / "model.onnx"), ("package", "--output", tmp_path / "a.zip")):
        code, _, error = sgdnet(*words, "--checkpoint", path)
        assert code == 1
        (line,) = error.splitlines()
        assert f"{path.with_suffix('.json')}: " in line
    assert sorted(each.name for each in tmp_path.iterdir()) == ["model.json", "model.pt"]


def test_masks_below_the_limit_are_refused_with_the_figures(
    sgdnet: Run, checkpoint: Path, pictures: Path, tmp_path: Path
) -> None:
    words = ("export", "--format", "torchscript", "--precision", "bfloat16", "--checkpoint", checkpoint)
    words += ("--validation", pictures, "--output", tmp_path / "model.ts")
    code, _, error = sgdnet(*words, "--least_mean_dice", 0.1, "--least_dice", 1)
    assert code == 1
    (line,) = error.splitlines()
    assert "the bfloat16 file's masks differ from PyTorch's: Dice 0.9" in line
    assert "in the mean of 4 images (0.1 at least passes)" in line
    assert "(1 at least); nothing was written" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("flag", "value"), [("least_dice", 95), ("least_mean_dice", -0.1)])
def test_a_limit_that_is_no_share(sgdnet: Run, checkpoint: Path, tmp_path: Path, flag: str, value: float) -> None:
    words = ("export", "--checkpoint", checkpoint, "--output", tmp_path / "model.onnx", f"--{flag}", value)
    code, _, error = sgdnet(*words)
    assert code == 1
    assert f"--{flag} {value}: must be from 0 to 1" in error
    assert list(tmp_path.iterdir()) == []
