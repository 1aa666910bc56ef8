"""The command line: names, types, exit codes, help, quiet and JSON of every verb."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from custom_networks.configuration.knobs import top_level, typed_override
from custom_networks.errors import UserError
from custom_networks.parser import parse
from custom_networks.usage import defaults, verb_help
from custom_networks.verbs import VERBS

Run = Callable[..., tuple[int, str, str]]
CONFIGS = Path(__file__).resolve().parents[1] / "bundle" / "configs"


def given(verb: str, *words: str) -> dict[str, Any]:
    return parse(verb, words, defaults(verb))


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_takes_no_time_and_imports_nothing_heavy(verb: str) -> None:
    code = (
        "import json, sys, time\nfrom custom_networks.cli import main\nmain(sys.argv[1:])\n"
        "heavy = [name for name in ('torch', 'monai', 'mlflow', 'ignite', 'scipy') if name in sys.modules]\n"
        "print(json.dumps([time.process_time(), heavy]), file=sys.stderr)"
    )
    words = [verb, "--help"] if verb else ["--help"]
    result = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    seconds, heavy = json.loads(result.stderr.splitlines()[-1])
    assert heavy == []
    assert seconds < 0.5
    assert "--help" in result.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_says_every_flag_once_with_its_default(sgdnet: Run, verb: str) -> None:
    code, out, _ = sgdnet("help", verb)
    assert code == 0
    assert out == sgdnet(verb, "--help")[1] == verb_help(verb) + "\n"
    lines = [line for line in out.splitlines() if line.startswith("  -")]
    names = [word.strip(",") for line in lines for word in line.split(" [")[0].split() if word.startswith("-")]
    assert len(names) == len(set(names))
    for each in VERBS[verb].arguments:
        if not each.many:
            assert f"--{each.name}" in names or each.name.upper() in out
        if isinstance(each.default, int) and not each.help.default:
            assert any(line.split(" [")[0].endswith(f"--{each.name}") and " [" in line for line in lines), each.name


def test_version(sgdnet: Run) -> None:
    code, out, _ = sgdnet("--version")
    assert code == 0
    assert out.startswith("sgdnet ")


@pytest.mark.parametrize("verb", ["phantoms", "prepare", "train", "evaluate", "predict", "compare", "folds", "report"])
@pytest.mark.parametrize(
    "flag", [("-o", "here"), ("--output", "here"), ("--output_dir", "here"), ("--output-dir=here",)]
)
def test_the_place_of_the_results_has_one_name_for_all_verbs(verb: str, flag: tuple[str, ...]) -> None:
    words = {"prepare": ("folder", "set"), "report": ("run",)}.get(verb, ())
    name = "output" if verb in ("prepare", "predict", "report") else "output_dir"
    assert given(verb, *words, *flag)[name] == "here"


@pytest.mark.parametrize("flag", ["--studies", "--dataset_dir"])
def test_the_place_of_the_data_has_one_name(flag: str) -> None:
    assert given("annotate", flag, "images")["studies"] == "images"
    assert given("prepare", "folder", flag.replace("studies", "source"), "x", "-o", "y")["source"] == "x"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("phantoms", "--count", "abc"), "--count abc: must be a whole number"),
        (("phantoms", "--count", "1.5"), "--count 1.5: must be a whole number"),
        (("phantoms", "--count"), "--count: its value is missing"),
        (("phantoms", "-x", "3"), "-x: no such flag"),
        (("predict", "a.png", "--threshold", "half"), "--threshold half: must be a number"),
        (("predict", "--dry_run", "a.png"), "--dry_run a.png: must be true or false; files and folders come before"),
        (
            ("evaluate", "--predictons", "a", "--labels", "b"),
            "--predictons: no such setting; did you mean 'predictions'?",
        ),
        (("evaluate", "--labels", "b"), "--labels: goes with --predictions"),
        (("predict", "a.png", "--treshold", "1"), "--treshold: no such setting; did you mean 'threshold'?"),
        (("annotate",), "--studies is missing; write `sgdnet annotate --studies STUDIES`"),
        (("report", "a", "b"), "b: give a name before the value"),
        (("train", "--output", "s3://bucket/run"), "must be on a disk"),
        (("help", "phantom"), "sgdnet has no verb 'phantom'; did you mean 'phantoms'?"),
        (("export", "--formt", "onnx"), "did you mean 'format'?"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_1(sgdnet: Run, words: tuple[str, ...], sentence: str) -> None:
    code, out, err = sgdnet(*words)
    assert code == 1
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert err.startswith("Error: ")
    assert sentence in err


def test_values_have_the_types_of_their_arguments() -> None:
    assert given("phantoms", "--seed", "7", "-o", "my,folder") == {"seed": 7, "output_dir": "my,folder"}
    assert given("predict", "a.png", "--scale", "2", "--amp", "--axis", "0", "b.png") == {
        "inputs": ["a.png", "b.png"],
        "scale": 2.0,
        "amp": True,
        "axis": 0,
    }
    assert given("export", "--image-size", "null") == {"image_size": None}


def test_knobs_are_read_as_monai_reads_them_and_paths_stay_text() -> None:
    words = ["--dataset_dir", "my,folder", "--max_epochs", "5", "--learning_rate", "-1e-3", "--amp", "--tf32", "false"]
    words += ["--network_def#edge_operator", "laplacian", "--train#trainer#key", "[1,two]", "--resume=runs/2026"]
    assert given("train", *words, "--output_dir", "007", "--datalist", "null", "--x", "(1, 2)") == {
        "dataset_dir": "my,folder",
        "max_epochs": 5,
        "learning_rate": -0.001,
        "amp": True,
        "tf32": False,
        "network_def#edge_operator": "laplacian",
        "train#trainer#key": [1, "two"],
        "resume": "runs/2026",
        "output_dir": "007",
        "datalist": None,
        "x": (1, 2),
    }


def test_the_top_of_configurations_is_merged_as_monai_merges_it() -> None:
    from monai.bundle import ConfigParser

    for names in (("train.json",), ("train.json", "evaluate.json"), ("train.json", "multi_class.json")):
        files = [CONFIGS / name for name in names]
        real = ConfigParser.load_config_files([str(file) for file in files])
        merged = top_level(files)
        for name in ("imports", "_knobs_", "_groups_", *real["_knobs_"]):
            assert merged.get(name) == real.get(name)


def test_every_grouped_knob_is_described() -> None:
    for files in (["train.json"], ["train.json", "evaluate.json"]):
        config = top_level([CONFIGS / name for name in files])
        hidden = config["_groups_"].pop("", [])
        grouped = [name for names in config["_groups_"].values() for name in names]
        assert sorted(grouped) == sorted(config["_knobs_"])
        assert set(hidden) < set(grouped)


def test_a_value_stays_text_where_its_default_is_text() -> None:
    assert typed_override("subgroups", "1,2", "size,contrast") == "1,2"
    assert typed_override("fold", "1", 0) == 1


@pytest.mark.parametrize("text", ['{"a": [true, false, null, 1e-4]}', "{'a': [True, False, None, 0.0001]}"])
def test_switches_inside_braces_are_switches(text: str) -> None:
    assert typed_override("loss#segmentation", text) == {"a": [True, False, None, 1e-4]}


def test_braces_without_quotes() -> None:
    assert typed_override("loss#segmentation", "{_target_: DiceLoss}") == {"_target_": "DiceLoss"}


@pytest.mark.parametrize(
    ("verb", "target"),
    [
        ("phantoms", "custom_networks.data.phantoms.write_phantoms"),
        ("prepare", "custom_networks.data.prepare.Settings"),
        ("prepare", "custom_networks.data.prepare.prepare_dataset"),
        ("compare", "custom_networks.statistics.compare_runs.compare_runs"),
        ("folds", "custom_networks.statistics.fold_runs.fold_runs"),
        ("export", "custom_networks.export.export_model"),
        ("package", "custom_networks.export.write_archive"),
    ],
)
def test_the_defaults_in_the_help_are_those_of_the_function_that_does_it(verb: str, target: str) -> None:
    import pydoc

    function: Any = pydoc.locate(target)
    own = {each.name: each.default for each in VERBS[verb].arguments if not each.required}
    theirs = inspect.signature(function).parameters
    shared = [name for name in own if name in theirs and theirs[name].default is not inspect.Parameter.empty]
    assert shared
    assert {name: own[name] for name in shared} == {name: theirs[name].default for name in shared}


def test_results_as_json_are_alone_on_standard_output(sgdnet: Run, dataset: Path) -> None:
    code, out, err = sgdnet("check", dataset, "--json", "-", "--near_duplicates", "false")
    assert code == 0, err
    assert json.loads(out)


def test_predict_tells_a_machine_what_happened(sgdnet: Run, trained: Path, dataset: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_text("no picture")
    image = dataset / "images" / "phantom_001.png"
    words = ("--checkpoint", trained / "run" / "model.pt", "-o", tmp_path / "masks", "--json", "--quiet")
    code, out, err = sgdnet("predict", image, broken, *words)
    assert code == 2, err
    found = json.loads(out)
    assert (found["predicted"], len(found["failed"])) == (1, 1)
    assert "broken.png" in found["failed"][0]["image"]
    assert "broken.png" in err


def test_evaluation_and_comparison_as_json(sgdnet: Run, trained: Path, dataset: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        words = ("--dataset_dir", dataset, "--num_workers", 0, "--split", "all", "-o", tmp_path / name, "--json")
        code, out, err = sgdnet("evaluate", "--checkpoint", trained / "run" / "model.pt", *words)
        assert code == 0, err
        found = json.loads(out)
        assert found["output_dir"] == str(tmp_path / name)
        assert found["summary"] == json.loads((tmp_path / name / "summary.json").read_text())
    code, out, err = sgdnet("compare", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "c", "--json")
    assert code == 0, err
    assert json.loads(out)["comparison"] == json.loads((tmp_path / "c" / "comparison.json").read_text())


@pytest.mark.parametrize(
    ("verb", "sentence"),
    [
        ("phantoms", "Stopped."),
        ("train", "Stopped; `sgdnet train --resume true ...` resumes after the last complete epoch."),
        ("predict", "Stopped; run the same command again to resume."),
        ("annotate", "Stopped; what was submitted is kept."),
    ],
)
def test_stopped_is_130(sgdnet: Run, monkeypatch: pytest.MonkeyPatch, verb: str, sentence: str) -> None:
    """Ctrl-C is how a server is ended, and `train --resume` is no way to go on with one."""

    def stop(*arguments: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("custom_networks.cli.parse", stop)
    code, _, err = sgdnet(verb)
    assert code == 130
    assert err == f"\n{sentence}\n"


def test_parse_refuses_a_flag_of_another_verb() -> None:
    with pytest.raises(UserError, match="--folds: no such setting"):
        given("phantoms", "--folds", "3")
