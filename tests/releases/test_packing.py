"""`sgdnet weights pack`: half the size, nearly the same network, and nothing of this machine in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from networks import TOY, toy_network
from release_fixtures import ABOUT, write_trained

from custom_networks import load_checkpoint
from custom_networks.errors import UserError
from custom_networks.files import sha256
from custom_networks.releases.packing import pack_weights
from custom_networks.weights.reading import record_of

Run = Callable[..., tuple[int, str, str]]
WORDS = ("--license", "CC-BY-NC-4.0", "--data", "ISIC 2018", "--data_license", "CC-BY-NC-4.0")


def test_half_the_size_and_nearly_the_same_numbers(tmp_path: Path) -> None:
    model = write_trained(tmp_path / "run", dataset_dir="/home/someone/secret", amp="/home/x", batch_size=4)
    entry = pack_weights(model, tmp_path / "out", ABOUT)
    packed = tmp_path / "out" / entry.weights.file
    assert packed.stat().st_size == entry.weights.size < 0.55 * model.stat().st_size
    assert sha256(packed) == entry.weights.sha256
    state = torch.load(packed, weights_only=True)
    assert state["decoder.steps.0.agree.0.weight"].dtype is torch.float16
    assert {tensor.dtype for name, tensor in state.items() if name.endswith(("bias", "_scale", "running_var"))} == {
        torch.float32
    }
    shutil.copy(tmp_path / "out" / entry.record.file, packed.with_suffix(".json"))
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    outputs = []
    for path in (model, packed):
        network = toy_network().eval()
        load_checkpoint(network, path)
        assert network.heads[0].weight.dtype is torch.float32
        outputs.append(network(image))
    torch.testing.assert_close(*outputs, rtol=0.05, atol=0.05)
    written = (tmp_path / "out" / entry.record.file).read_text()
    assert "/home" not in written
    record = record_of(packed)
    assert (record.version, record.settings["batch_size"], record.image_size) == (2, 4, 64)


def test_the_same_weights_make_the_same_release(tmp_path: Path) -> None:
    model = write_trained(tmp_path / "run")
    assert pack_weights(model, tmp_path / "a", ABOUT) == pack_weights(model, tmp_path / "b", ABOUT)


def test_a_name_that_is_taken_needs_overwrite_and_other_weights_stay(sgdnet: Run, tmp_path: Path) -> None:
    first, second = write_trained(tmp_path / "one"), write_trained(tmp_path / "two", seed=1)
    out = tmp_path / "out"
    assert sgdnet("weights", "pack", first, "--name", "a", "--output", out, *WORDS)[0] == 0
    assert sgdnet("weights", "pack", first, "--name", "b", "--output", out, *WORDS)[0] == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    code, _, err = sgdnet("weights", "pack", second, "--name", "a", "--output", out, *WORDS)
    assert code == 1
    assert "has weights 'a' already" in err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    code, printed, _ = sgdnet(
        "weights", "pack", second, "--name", "a", "--output", out, "--overwrite", *WORDS, "--json"
    )
    assert code == 0
    index = json.loads((out / "weights.json").read_text())
    assert [entry["name"] for entry in index["weights"]] == ["a", "b"]
    assert index["weights"][0] == json.loads(printed)
    named = {entry[part]["file"] for entry in index["weights"] for part in ("weights", "record")}
    assert {path.name for path in out.iterdir() if not path.name.startswith(".")} == {*named, "weights.json"}


def test_numbers_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    model = write_trained(tmp_path / "run")
    state = torch.load(model, weights_only=True)
    state["decoder.steps.0.agree.0.weight"][0, 0, 0, 0] = 1e6
    model.with_suffix(".json").unlink()
    torch.save(state, model)
    record = {"network": TOY, "normalization": None}
    model.with_suffix(".json").write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"agree\.0\.weight holds numbers too large for float16"):
        pack_weights(model, tmp_path / "out", ABOUT)
    assert not list((tmp_path / "out").glob("[!.]*"))
    assert pack_weights(model, tmp_path / "out", ABOUT, "bfloat16").precision == "bfloat16"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--name", "../../x"), '"name"'),
        (("--name", ""), "--name is missing"),
        (("--license", ""), "--license is missing"),
        (("--data", "two\nlines"), '"data"'),
        (("--precision", "float61"), "did you mean 'float16'"),
        (("--source", "x"), "--source: goes with `sgdnet weights fetch`"),
    ],
)
def test_mistakes(sgdnet: Run, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    given = dict(zip(WORDS[::2], WORDS[1::2], strict=True)) | {"--name": "a"} | dict([words])
    flags = [word for pair in given.items() for word in pair]
    model = write_trained(tmp_path / "run")
    code, _, err = sgdnet("weights", "pack", model, "--output", tmp_path / "out", *flags)
    assert code == 1
    assert said in err
    assert not (tmp_path / "out" / "weights.json").exists()


def test_a_checkpoint_to_resume_from_is_refused(sgdnet: Run, tmp_path: Path) -> None:
    model = write_trained(tmp_path / "run")
    last = model.with_name("last.pt")
    record = json.loads(model.with_suffix(".json").read_text())
    torch.save({"network": torch.load(model, weights_only=True), "record": record}, last)
    code, _, err = sgdnet("weights", "pack", last, "--name", "a", "--output", tmp_path / "out", *WORDS)
    assert code == 1
    assert "give model.pt" in err
