"""A folder with good input for every verb: a data set, weights, a run, evaluations; and good commands."""

from __future__ import annotations

import contextlib
import io
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from networks import TOY_WORDS

from custom_networks.cli import main

REPOSITORY = Path(__file__).resolve().parents[2]
OUT = "out"
"""The folder of the stage that verbs write to."""
_KNOBS = "--image_size 64 --batch_size 2 --num_workers 0 --device cpu --bundle_root bundle"
_DATA = f"--dataset_dir set {_KNOBS}"
_WEIGHTS = "--checkpoint weights/model.pt --bundle_root bundle"
_GOOD = {
    "phantoms": "--count 2 --size 64 --output_dir out/made",
    "prepare": "folder set --folds 3 --num_workers 1 --output out/made",
    "check": "set --num_workers 1 --json out/made.json --sheet out/made.png",
    "train": f"{_DATA} --max_epochs 1 --tracking false --model_path out/best.pt --output_dir out/made "
    + shlex.join(TOY_WORDS),
    "evaluate": f"{_DATA} --cases 1 --checkpoint weights/model.pt --output_dir out/made",
    "predict": f"set/images {_WEIGHTS} --device cpu --num_workers 1 --output out/made",
    "compare": "eval1 again --resamples 100 --output_dir out/made",
    "folds": "eval0 eval1 --output_dir out/made",
    "report": "eval0 --output out/made.html",
    "experiment": f"plan.yaml {_DATA} --dry_run true --output_dir out/made " + shlex.join(TOY_WORDS),
    "table": "plan.yaml --output_dir out/made",
    "export": f"--format torchscript {_WEIGHTS} --output out/made.ts",
    "package": f"{_WEIGHTS} --output out/made.zip",
    "weights": "pack weights/model.pt --name toy --license MIT --data phantoms --data_license MIT --output out/made",
    "annotate": f"--studies set {_WEIGHTS} --device cpu --port 0 --score false",
}
GOOD = {verb: [verb, *shlex.split(words)] for verb, words in _GOOD.items()}
"""A command of each verb that works on the stage; that of `table` waits for an experiment that has run."""
POSITIONAL = {
    "prepare": 2,
    "check": 1,
    "predict": 1,
    "compare": 2,
    "folds": 2,
    "report": 1,
    "experiment": 1,
    "table": 1,
    "weights": 2,
}
"""How many words of a verb's command name its input without a flag."""


def build(root: Path) -> Path:
    """Make the stage in an empty folder."""
    shutil.copytree(REPOSITORY / "bundle" / "configs", root / "bundle" / "configs")
    shutil.copytree(REPOSITORY / "bundle" / "docs", root / "bundle" / "docs")
    shutil.copy(REPOSITORY / "bundle" / "LICENSE", root / "bundle" / "LICENSE")
    with _quietly_in(root):
        main(words_with("phantoms", "--count", "6", "--output_dir", "set"))
        for fold in ("0", "1"):
            shutil.rmtree("run", ignore_errors=True)
            shutil.rmtree("weights", ignore_errors=True)
            main(words_with("train", "--output_dir", "run", "--fold", fold, "--model_path", "weights/model.pt"))
            main(words_with("evaluate", "--output_dir", f"eval{fold}"))
        shutil.copytree("eval1", "again")
        shutil.rmtree("bundle/cache", ignore_errors=True)
        Path("plan.yaml").write_text("title: T\nrows:\n  - {name: A, knobs: {max_epochs: 1}}\n  - {name: B}\n")
        Path(OUT).mkdir()
    return root


def run_good(root: Path, verb: str) -> None:
    """Run the good command of a verb on the stage."""
    with _quietly_in(root):
        main(words_with(verb))


@contextlib.contextmanager
def _quietly_in(folder: Path) -> Iterator[None]:
    said = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        yield


def words_with(verb: str, *more: str, inputs: tuple[str, ...] = ()) -> list[str]:
    """The good command of a verb with other inputs and further flags; those that it has already are replaced."""
    words = list(GOOD[verb])
    if inputs:
        words[1 : 1 + POSITIONAL[verb]] = inputs
    same = {"--output": "--output_dir", "--output_dir": "--output"}
    for flag in (word for word in more if word.startswith("--")):
        for name in (flag, same.get(flag, flag)):
            if name in words:
                place = words.index(name)
                del words[place : place + 2]
    return [*words, *more]
