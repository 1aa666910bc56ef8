"""Weight files: the published one loads strictly; anything else is refused in one sentence that names it."""

import logging
import pickle
from pathlib import Path

import pytest
import torch

from custom_networks.errors import UserError
from custom_networks.network.res2net import Bottle2neck, Res2Net
from custom_networks.network.sgdnet import SGDNet
from custom_networks.network.weights import load_encoder
from custom_networks.weights import load_checkpoint


@pytest.fixture(scope="module")
def encoder():
    return Res2Net()


@pytest.fixture(scope="module")
def block():
    """Stands for a network in the tests of `load_checkpoint`."""
    return Bottle2neck(16, 16, first=True)


def random_weights(module, seed=0):
    """Random numbers along the first axis, repeated along the others so that files stay small."""
    torch.manual_seed(seed)
    return {
        name: torch.rand(t.shape[:1]).view(-1, *[1] * (t.dim() - 1)).expand(t.shape) if t.dim() else torch.tensor(seed)
        for name, t in module.state_dict().items()
    }


@pytest.fixture
def published(encoder):
    """What the published file holds: the encoder's weights and a classifier."""
    return {**random_weights(encoder, 7), "fc.weight": torch.ones(1).expand(1000, 2048), "fc.bias": torch.ones(1000)}


def same(module, weights):
    return all(torch.equal(tensor, weights[name]) for name, tensor in module.state_dict().items())


def test_published_file_through_the_network(published, tmp_path, caplog):
    path = tmp_path / "res2net50_v1b_26w_4s-3cf99910.pth"
    torch.save(published, path)
    with caplog.at_level(logging.INFO):
        network = SGDNet(pretrained_encoder=path)
    assert same(network.encoder, published)
    assert path.name in caplog.text
    assert "dropped fc.weight, fc.bias" in caplog.text


@pytest.mark.parametrize("kind", ["plain", "without classifier", "legacy format", "wrapped"])
def test_forms_of_the_file(encoder, published, tmp_path, kind):
    path = tmp_path / "weights.pth"
    weights = {k: v for k, v in published.items() if kind != "without classifier" or not k.startswith("fc.")}
    content = {"state_dict": weights, "epoch": 3} if kind == "wrapped" else weights
    torch.save(content, path, _use_new_zipfile_serialization=kind != "legacy format")
    load_encoder(encoder, str(path))
    assert same(encoder, published)


def without(key):
    return lambda weights: weights.pop(key)


def changed(key, value):
    return lambda weights: weights.update({key: value})


MISMATCHES = {
    "missing key": (without("layer3.2.convs.1.weight"), r"1 missing \(layer3.2.convs.1.weight\)"),
    "extra key": (changed("layer5.0.conv1.weight", torch.ones(1)), r"1 unexpected \(layer5.0.conv1.weight\)"),
    "other classifier": (changed("fc.scale", torch.ones(1)), r"1 unexpected \(fc.scale\)"),
    "wrong shape": (
        changed("conv1.0.weight", torch.ones(64, 3, 7, 7)),
        r"1 of another shape \(conv1.0.weight \(64, 3, 7, 7\) instead of \(32, 3, 3, 3\)\)",
    ),
    "every key with a prefix": (
        lambda weights: [weights.update({f"module.{key}": weights.pop(key)}) for key in list(weights)],
        r"missing \(conv1.0.weight, .*, \.\.\.\); \d+ unexpected \(module.conv1.0.weight",
    ),
    "no tensors": (changed("bn1.weight", "text"), "holds no state dict"),
}


@pytest.mark.parametrize(("change", "message"), MISMATCHES.values(), ids=MISMATCHES)
def test_mismatch_names_file_and_keys_and_changes_nothing(encoder, published, tmp_path, change, message):
    path = tmp_path / "other.pth"
    change(published)
    torch.save(published, path)
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    with pytest.raises(UserError, match=message) as error:
        load_encoder(encoder, path)
    assert str(path) in str(error.value)
    assert same(encoder, before)


class Code:
    """A pickle that touches a file when it is read carelessly."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


def write_code(path):
    torch.save({"conv1.0.weight": Code(path.with_name("executed"))}, path)


def write_pickle(path):
    path.write_bytes(pickle.dumps(Code(path.with_name("executed"))))


def write_truncated(path):
    torch.save({"a": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:-200])


def write_legacy_truncated(path):
    torch.save({"a": torch.ones(1000)}, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:200])


def text(content):
    return lambda path: path.write_bytes(content)


BROKEN = {
    "missing": lambda path: None,
    "folder": lambda path: path.mkdir(),
    "pickle with code": write_code,
    "bare pickle with code": write_pickle,
    "truncated": write_truncated,
    "truncated legacy file": write_legacy_truncated,
    "empty": text(b""),
    "text": text(b"hello, this is no weights file\n"),
    "page saved in place of the file": text(b"<!DOCTYPE html><html></html>"),
    "Git LFS pointer": text(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 102\n"),
    "text in brackets": text(b"(see the readme)\n"),
    "table": text(b"epoch,loss\n1,0.5\n"),
    "list": lambda path: torch.save([torch.ones(1)], path),
    "one tensor": lambda path: torch.save(torch.ones(1), path),
}


@pytest.mark.parametrize("write", BROKEN.values(), ids=BROKEN)
def test_broken_file_is_one_sentence(encoder, tmp_path, write):
    path = tmp_path / "broken.pth"
    write(path)
    with pytest.raises(UserError) as error:
        load_encoder(encoder, path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "executed").exists(), "code in the file was run"


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_no_text_escapes(encoder, tmp_path):
    """Many letters are opcodes of pickle; whatever a text starts with, it must be refused like any other."""
    path = tmp_path / "notes.txt"
    escaped = []
    for content in [bytes([b]) + b"ello, these are notes\nin two lines\n" for b in range(256)] + [b"J\xd6C"]:
        path.write_bytes(content)
        try:
            load_encoder(encoder, path)
        except UserError:
            continue
        except Exception as error:
            escaped.append((content[:1], type(error).__name__))
    assert not escaped


@pytest.mark.parametrize("nothing", [None, ""])
def test_nothing_is_loaded_unasked(nothing, monkeypatch):
    monkeypatch.setattr(torch, "load", None)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", None)
    with torch.device("meta"):
        SGDNet(pretrained_encoder=nothing)


def test_missing_file_through_the_network(tmp_path):
    with torch.device("meta"), pytest.raises(UserError, match=r"imagenet\.pth: no such weights file"):
        SGDNet(pretrained_encoder=tmp_path / "imagenet.pth")


@pytest.mark.parametrize("wrapper", [None, "network", "model", "state_dict"])
def test_checkpoint(block, tmp_path, wrapper):
    weights = random_weights(block, 3)
    torch.save({wrapper: weights, "epoch": 1} if wrapper else weights, tmp_path / "model.pt")
    load_checkpoint(block, tmp_path / "model.pt")
    assert same(block, weights)


def test_checkpoint_of_another_network(block, tmp_path):
    weights = random_weights(Bottle2neck(16, 32, first=True))
    torch.save(weights, tmp_path / "model.pt")
    with pytest.raises(UserError, match=r"model\.pt: .* not those of this Bottle2neck.*conv1.weight \(52, 16, 1, 1\)"):
        load_checkpoint(block, tmp_path / "model.pt")


def test_classifier_is_dropped_for_the_encoder_alone(block, tmp_path):
    torch.save({**random_weights(block), "fc.bias": torch.ones(2)}, tmp_path / "model.pt")
    with pytest.raises(UserError, match=r"unexpected \(fc.bias\)"):
        load_checkpoint(block, tmp_path / "model.pt")
