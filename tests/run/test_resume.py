from __future__ import annotations

import copy
import json
import pydoc
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser

from custom_networks.bundle_files import default_bundle
from custom_networks.configuration import Configuration
from custom_networks.configuration.merged import read_config
from custom_networks.errors import UserError
from custom_networks.run.resume import (
    code_named_in,
    own_configuration,
    refuse_other_settings,
    resumed_config,
    same_setting,
)

CONFIGS = default_bundle() / "configs"
STORED: dict[str, Any] = {
    "fold": 3,
    "batch_size": 8,
    "max_epochs": 20,
    "datalist": "isic/datalist.json",
    "pretrained_encoder": "weights/res2net.pth",
    "amp": "true",
    "learning_rate": 1e-4,
    "cache_dir": "$@bundle_root + '/cache'",
    "val_interval": "$1 + 1",
    "network_def": {"_target_": "custom_networks.SGDNet", "dropout": 0.2},
    "optimizer": {"lr": "@learning_rate"},
    "train": {
        "trainer": {"max_epochs": "@max_epochs"},
        "handlers": [{"interval": 1}],
        "dataloader": {"batch_size": "@batch_size"},
    },
}
SETTINGS = {"fold": 3, "batch_size": 8, "max_epochs": 20, "val_interval": 2, "network_def#dropout": 0.2}


def set_in(config: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    base = {"network_def": {}, "train": {"trainer": {}, "handlers": [{}], "dataloader": {}}, "optimizer": {}}
    parser = ConfigParser(copy.deepcopy({**base, **config}))
    parser.update({name: value})
    return dict(parser.get())


def test_nothing_given_keeps_everything() -> None:
    given = {"fold": 0, "batch_size": 16, "datalist": None}
    assert resumed_config(STORED, SETTINGS, given, []) == STORED


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_epochs", 40),
        ("train#trainer#max_epochs", 40),
        ("device", "cuda:1"),
        ("num_workers", 0),
        ("cache", "disk"),
        ("cache_dir", "/tmp/x"),
        ("tracking_uri", ""),
        ("datalist", "/scratch/datalist.json"),
    ],
)
def test_what_cannot_change_the_result_may_differ(name: str, value: Any) -> None:
    merged = resumed_config(STORED, SETTINGS, set_in({}, name, value), [name])
    assert merged == set_in(STORED, name, value)
    assert merged["fold"] == 3


@pytest.mark.parametrize("name", ["max_epochs", "train#trainer#max_epochs", "train::trainer::max_epochs"])
@pytest.mark.parametrize("own", ["max_epochs", "train#trainer#max_epochs"])
def test_a_run_is_made_longer_by_either_name_of_its_length(own: str, name: str) -> None:
    """A length given by its path once stayed, and a resumed run asked for the `--max_epochs` that it was given."""
    stored = set_in(STORED, own, 1)
    merged = resumed_config(stored, SETTINGS, set_in(stored, name, 4), [name])
    assert ConfigParser(merged).get_parsed_content("train#trainer#max_epochs") == 4


@pytest.mark.parametrize(
    ("name", "value", "own"),
    [
        ("fold", 0, "has 3"),
        ("batch_size", 16, "has 8"),
        ("learning_rate", 2e-4, "has 0.0001"),
        ("val_interval", 3, "has 2"),
        ("network_def#dropout", 0.3, "has 0.2"),
        ("network_def::refinement", "add", "started without it"),
        ("train#handlers#0#interval", 2, "has 1"),
        ("train#dataloader#batch_size", 4, "has 8"),
        ("pretrained_encoder", "weights/other.pth", "has weights/res2net.pth"),
        ("amp", False, "has true"),
    ],
)
def test_anything_else_is_refused_by_name_with_both_values(name: str, value: Any, own: str) -> None:
    with pytest.raises(UserError) as caught:
        resumed_config(STORED, SETTINGS, set_in({}, name, value), [name])
    assert str(caught.value).startswith(f"--{name} {value}: the run to resume {own}" if "has" in own else f"--{name}")
    assert own in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fold", 3),
        ("amp", True),
        ("val_interval", 2),
        ("network_def#dropout", 0.2),
        ("learning_rate", 0.0001),
        ("optimizer#lr", 0.0001),
        ("train#dataloader#batch_size", 8),
        ("pretrained_encoder", str(Path("weights/res2net.pth").resolve())),
    ],
)
def test_the_same_value_may_be_given_again(name: str, value: Any) -> None:
    assert resumed_config(STORED, SETTINGS, set_in({}, name, value), [name]) == STORED


OVERLAYS = sorted(
    path.relative_to(CONFIGS).as_posix()
    for path in (*CONFIGS.glob("*/*.json"), *CONFIGS.glob("m*.json"), CONFIGS / "train_interactive.json")
    if path.name != "metadata.json"
)


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_run_with_an_overlay_is_resumed_with_it(name: str) -> None:
    """What refers to another item (`"@train#sampler"`) is the same setting, too."""
    overlay = ConfigParser.load_config_file(CONFIGS / name)
    merged = read_config([CONFIGS / "train.json", CONFIGS / name])
    assert all(pydoc.locate(code) for code in code_named_in(merged))
    explicit = [key.removeprefix("+") for key in overlay if not key.lstrip("+").startswith("_") and key != "imports"]
    assert resumed_config(merged, {}, merged, explicit) == merged


def test_settings_of_other_hosts_are_compared_too() -> None:
    refuse_other_settings(SETTINGS, {**SETTINGS, "max_epochs": 99, "unknown": 1}, Path("last.pt"))
    with pytest.raises(UserError, match=r"last\.pt: --fold 0: the run to resume has 3"):
        refuse_other_settings(SETTINGS, {**SETTINGS, "fold": 0}, Path("last.pt"))


def test_true_is_not_one() -> None:
    assert not same_setting("amp", True, 1)
    assert same_setting("sizes", (1, 2), [1, 2])


@pytest.mark.parametrize("damaged", ["settings.json", "config.json"])
def test_a_damaged_file_of_the_run_is_one_sentence(damaged: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "last.pt").touch()
    for name in ("settings.json", "config.json"):
        (run / name).write_text("{" if name == damaged else "{}")
    files = {"_knobs_": {"resume": ["@resume", "the run to resume"]}, "runs_dir": str(tmp_path)}
    with pytest.raises(UserError, match=f"{damaged}: not valid JSON"):
        own_configuration(Configuration(files, {"resume": str(run)}))


@pytest.mark.parametrize(
    "item",
    [
        {"initialize": ["$custom_networks.processes.no_longer(@device)"]},
        {"optimizer": {"_target_": "custom_networks.processes.no_longer"}},
    ],
)
def test_code_that_is_no_longer_there_is_one_sentence(item: dict[str, Any], tmp_path: Path) -> None:
    """As in a run of an earlier version."""
    run = tmp_path / "custom_networks.old"  # a path is no name of code
    run.mkdir()
    (run / "last.pt").touch()
    (run / "config.json").write_text(json.dumps({"output_dir": str(run), **STORED, **item}))
    files = {"_knobs_": {"resume": ["@resume", "the run to resume"]}, "runs_dir": str(tmp_path)}
    with pytest.raises(
        UserError, match=r"config\.json: names custom_networks\.processes\.no_longer, which this version"
    ):
        own_configuration(Configuration(files, {"resume": str(run)}))
