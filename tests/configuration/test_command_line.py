"""What is checked and recorded is what MONAI took from its command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fire
import monai.bundle
import pytest
from conftest import BUNDLE, CONFIGS
from monai.bundle import ConfigWorkflow
from warm_process import run_warm

from custom_networks import UserError
from custom_networks.configuration import Configuration, check_overrides
from custom_networks.configuration.command_line import from_command_line, parse_command

TRAIN = str(CONFIGS / "train.json")
TWO = f"['{TRAIN}','{CONFIGS / 'multi_class.json'}']"
TAKEN: dict[str, Any] = {}


class Recorder(ConfigWorkflow):
    """A workflow that MONAI makes, and that keeps the configuration it was given instead of running it."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        TAKEN.clear()
        TAKEN.update(self.parser.get())

    def initialize(self) -> None: ...

    def run(self) -> None: ...

    def finalize(self) -> None: ...


@pytest.mark.parametrize(
    ("words", "overrides"),
    [
        (["run", "training"], {}),
        (["run", "training", "--amp", "--max_epochs", "5"], {"amp": True, "max_epochs": 5}),
        (["run", "training", "--max-epochs=5", "--noamp"], {"max_epochs": 5, "amp": False}),
        (["run", "--run_id", "training", "--learning_rate", "1e-3", "--resume", "true"], {"learning_rate": 1e-3}),
        (["run", "training", "--network_def#refinement", "add"], {"network_def#refinement": "add"}),
        (["run", "training", "--train::augment::2::prob", "0.1"], {"train::augment::2::prob": 0.1}),
        (["run_workflow", "--run_id", "training", "--seed", "3"], {"seed": 3}),
    ],
)
@pytest.mark.parametrize("files", [TRAIN, TWO])
def test_the_same_values_as_monai(words: list[str], overrides: dict[str, Any], files: str) -> None:
    words = [*words, "--config_file", files]
    ours = parse_command(words)
    assert ours is not None
    assert ours.overrides.items() >= overrides.items()
    function = getattr(monai.bundle, words[0])
    fire.Fire({words[0]: function}, [*words, "--workflow_name", f"{__name__}.Recorder"])
    theirs = {name: value for name, value in TAKEN.items() if name != "_meta_"}
    assert ours.merged == theirs


def test_an_arguments_file_counts_and_the_command_line_wins(tmp_path: Path) -> None:
    path = tmp_path / "arguments.json"
    path.write_text(json.dumps({"run_id": "training", "config_file": TRAIN, "seed": 4, "fold": 2}))
    ours = parse_command(["run", "--args_file", str(path), "--fold", "3"])
    assert ours is not None
    assert ours.overrides == {"seed": 4, "fold": 3}


@pytest.mark.parametrize("words", [[], ["verify_metadata", "--meta_file", "x.json"]])
def test_other_commands_have_no_configuration(words: list[str]) -> None:
    assert parse_command(words) is None


def test_another_program_has_none() -> None:
    assert from_command_line() is None


def test_the_files_stay_as_they_are() -> None:
    configuration = Configuration({"a": {"b": 1}}, {"a#b": 2})
    assert configuration.merged == {"a": {"b": 2}}
    assert configuration.files == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("epchs", "--epchs: no such setting; did you mean 'max_epochs'?"),
        ("loss#edge_wieght", "loss has no such argument; did you mean 'edge_weight'?"),
        ("loss::edge_wieght", "loss has no such argument; did you mean 'edge_weight'?"),
        ("train#agument", "train has no agument; did you mean 'augment'?"),
        ("validate#dataloder#batch_size", "validate has no dataloder; did you mean 'dataloader'?"),
        ("train#augment#99#prob", "train#augment has no 99; it has "),
        ("qqqqqq", "no such setting; see `sgdnet train --help`"),
    ],
)
def test_unknown_overrides_are_refused(name: str, sentence: str) -> None:
    configuration = parse_command(["run", "training", "--config_file", TRAIN, f"--{name}", "5"])
    with pytest.raises(UserError) as error:
        check_overrides(configuration)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    "name",
    ["max_epochs", "optimizer#lr", "train#augment#2#prob", "network_def#edge_operator", "validate#key_metric#val_more"],
)
def test_known_overrides_are_not(name: str) -> None:
    check_overrides(parse_command(["run", "training", "--config_file", TRAIN, f"--{name}", "5"]))


@pytest.mark.parametrize("other", ["--train#trainer#max_epochs", "--train::trainer::max_epochs"])
def test_a_knob_and_its_path_with_two_values_are_refused(other: str) -> None:
    words = ["run", "training", "--config_file", TRAIN, "--max_epochs", "5", other]
    check_overrides(parse_command([*words, "5"]))
    with pytest.raises(UserError, match="--max_epochs 5: train#trainer#max_epochs is given, too, and is 3; both are"):
        check_overrides(parse_command([*words, "3"]))


def test_a_knob_that_an_overlay_sets_by_its_path_is_refused(tmp_path: Path) -> None:
    overlay = tmp_path / "short.json"
    overlay.write_text('{"train#trainer#max_epochs": 3}')
    files = f"['{TRAIN}','{overlay}']"
    check_overrides(parse_command(["run", "training", "--config_file", files]))
    with pytest.raises(UserError, match="--max_epochs 5: train#trainer#max_epochs is given, too, and is 3"):
        check_overrides(parse_command(["run", "training", "--config_file", files, "--max_epochs", "5"]))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"learning_rat": 1}, "learning_rat: no such setting, and nothing refers to it; did you mean 'learning_rate'?"),
        ({"train#agument": 1}, "train has no agument; did you mean 'augment'?"),
        ({"mine": 0.5, "optimizer#lr": "$2 * @mine"}, ""),
        ({"train#agument": 1, "optimizer#lr": "$@train::agument"}, ""),
        ({"_comment": "why", "+train#augment": []}, ""),
    ],
)
def test_what_an_overlay_sets_must_be_there_or_be_read(tmp_path: Path, content: dict[str, Any], sentence: str) -> None:
    overlay = tmp_path / "mine.json"
    overlay.write_text(json.dumps(content))
    configuration = parse_command(["run", "training", "--config_file", f"['{TRAIN}','{overlay}']"])
    if not sentence:
        check_overrides(configuration)
        return
    with pytest.raises(UserError) as error:
        check_overrides(configuration)
    assert sentence in str(error.value)


RUN_TWICE = """
import runpy, sys, warnings
warnings.simplefilter("ignore")
for name in [each for each in sys.modules if each.partition(".")[0] == "custom_networks"]:
    del sys.modules[name]
sys.modules["custom_networks"] = None  # which Python takes for a package that is not there
for name in ("train", "inference"):
    sys.argv = ["monai.bundle", "run", "--config_file", f"configs/{name}.json"]
    try:
        runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        print(end.code, file=sys.stderr)
"""


def test_without_the_package_one_sentence_says_how_to_install_it() -> None:
    result = run_warm(["-c", RUN_TWICE], BUNDLE)
    sentences = result.stderr.splitlines()
    assert len(sentences) == 2
    for sentence in sentences:
        assert sentence.startswith("The package custom_networks cannot be imported; install it with `pip")
