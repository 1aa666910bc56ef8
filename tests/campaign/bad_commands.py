"""The table of bad commands: a verb on the stage with one thing wrong, and which word the sentence must hold.

A new bad input is a line here. `spoil` gets the folder of the stage; words of the good command are replaced by `words`.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from bad_inputs import ANY_FILE, PICTURES
from stage import GOOD, OUT, POSITIONAL, run_good, words_with

from custom_networks.cli import VERBS

PICTURE = "set/images/phantom_002.png"
WEIGHTS, RECORD = "weights/model.pt", "weights/model.json"
Spoil = Callable[[Path], Any]


def as_it_is(root: Path) -> None:
    """Leave the stage good: the words alone are wrong."""


@dataclass(frozen=True)
class BadCommand:
    """A bad command.

    Attributes:
        verb: of the command.
        name: of the line.
        words: what takes the place of the good command's.
        word: that the sentence must hold.
        spoil: what is done to the stage before.
        code: that the command must end with.
        read_only: whether the output folder cannot be written.
        inputs: what takes the place of the good command's inputs, those without a flag.
        instead: all words after the verb, where little of the good command is left.
    """

    verb: str
    name: str
    words: tuple[str, ...]
    word: str
    spoil: Spoil = as_it_is
    code: int = 1
    read_only: bool = False
    inputs: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()

    @property
    def told_by_parser(self) -> bool:
        """Whether the words alone are refused, before the verb is run."""
        return self.name.startswith(("--", "an unknown")) and self.name.endswith(("of letters", "misspelt", "flag"))

    @property
    def command(self) -> list[str]:
        """The whole of it."""
        if self.instead:
            return [self.verb, *self.instead]
        return words_with(self.verb, *self.words, inputs=self.inputs)


# ------------------------------------------------------------------------------------------ flags

KNOBS = {
    "fold": "-1",
    "image_size": "65",
    "batch_size": "none",
    "max_epochs": "1.5",
    "learning_rate": "nan",
    "warmup_epochs": "-2",
    "clip_norm": "abc",
    "ema_decay": "1",
    "rotation_degrees": "many",
    "val_interval": "0",
    "num_workers": "-1",
    "cache": "ram",
    "data_on_device": "perhaps",
    "device": "cuda:99",
    "checkpointing": "2",
    "amp": "half",
    "deterministic": "no way",
    "seed": "-5",
    "label_kind": "masks",
    "bit_depth": "99",
}
RANGES: dict[str, dict[str, tuple[str, ...]]] = {
    "phantoms": {"count": ("0", "-3", "1e9x"), "size": ("0", "-64", "1"), "seed": ("-1",)},
    "prepare": {
        "image_size": ("-1",),
        "fit": ("shrot",),
        "label_kind": ("masks",),
        "axis": ("3",),
        "split": ("kflod",),
        "folds": ("1", "-2", "99"),
        "fractions": ("7:1", "a:b:c", "0:0:0", "-1:1:1"),
        "seed": ("-1",),
        "group_by": ("(", "no_such_column"),
        "num_workers": ("-1",),
        "cluster": ("tcp://nowhere", "nowhere"),
    },
    "check": {"label_kind": ("masks",), "num_workers": ("0", "-1"), "cluster": ("nowhere",)},
    "train": {
        **{name: (value,) for name, value in KNOBS.items()},
        "network_def#encoder_width": ("wide", "3"),
        "network_def#refinement": ("sgcd",),
        "loss#edge_wieght": ("1",),
        "optimizer#lr": ("fast",),
        "nothing#here": ("1",),
        "tracking_uri": ("nowhere://store",),
    },
    "evaluate": {
        **{name: (value,) for name, value in KNOBS.items() if name not in ("learning_rate", "val_interval")},
        "split": ("tset",),
        "resolution": ("orignal",),
        "subgroups": ("no_such",),
        "cases": ("-1", "few"),
        "tolerance": ("-1",),
        "detection_iou": ("2",),
        "tune_watershed": ("true",),
        "clicks": ("-1", "3"),
    },
    "predict": {
        "outputs": ("maks",),
        "threshold": ("2", "nan", "-0.1"),
        "review_below": ("7",),
        "overlap": ("1",),
        "scale": ("0",),
        "mode": ("windw",),
        "tta": ("flip",),
        "image_size": ("63", "0", "-64"),
        "spacing": ("-1", "inf", "nan"),
        "axis": ("3",),
        "batch_size": ("0",),
        "num_workers": ("-1",),
        "device": ("gpu",),
        "part": ("3/2", "0/4", "a/b", "1"),
        "bit_depth": ("99",),
        "min_area": ("-1",),
        "watershed": ("nowhere.json",),
    },
    "compare": {"metrics": ("dcie",), "margin": ("dice", "dice=0", "dcie=1"), "resamples": ("1",), "seed": ("-1",)},
    "folds": {"seed": ("-1",)},
    "report": {},
    "export": {"format": ("onyx",), "precision": ("int7", "int8"), "image_size": ("65", "0")},
    "package": {},
    "weights": {"precision": ("int8",), "name": ("../../x", ".x", "x" * 101), "license": ("a\nb",), "source": ("set",)},
    "annotate": {
        "image_size": ("65",),
        "device": ("gpu",),
        "host": ("nowhere.invalid", "0.0.0.0"),
        "port": ("-1", "99999"),
        "token": ("short",),
        "max_upload_mb": ("0", "-1"),
    },
}

NEEDED = {"scale": ("--mode", "window"), "overlap": ("--mode", "window"), "tracking_uri": ("--tracking", "true")}
"""Flags without which another is not looked at."""


def _flags() -> Iterator[BadCommand]:
    for verb, takes in VERBS.items():
        for argument in takes.arguments:
            flag = f"--{argument.name}"
            if argument.kind in (int, float, bool):
                yield BadCommand(verb, f"{flag} of letters", (flag, "abc"), flag)
            if not argument.position:
                misspelt = f"{flag}{flag[-1]}x"
                yield BadCommand(verb, f"{misspelt}, misspelt", (misspelt, "1"), misspelt)
        for name, values in RANGES.get(verb, {}).items():
            for value in values:
                word = value if name == "tracking_uri" else name.split("#")[-1]
                yield BadCommand(verb, f"--{name} {value}", _given(verb, name, value), word)
        yield BadCommand(verb, "an unknown flag", ("--no_such_flag_at_all", "1"), "no_such_flag_at_all")
        yield BadCommand(verb, "an unknown short flag", ("-Z",), "-Z")


def _given(verb: str, name: str, value: str) -> tuple[str, ...]:
    more = {"scale": ("--mode", "window"), "overlap": ("--mode", "window"), "tracking_uri": ("--tracking", "true")}.get(
        name, ()
    )
    return (*more, f"--{name}", value)


# ------------------------------------------------------------------------------------------ places

INPUTS = {
    "prepare": ("table", "test_datalist"),
    "check": ("dataset_dir",),
    "train": ("dataset_dir", "datalist", "config_file", "bundle_root", "pretrained_encoder", "resume"),
    "evaluate": ("dataset_dir", "datalist", "config_file", "bundle_root", "checkpoint"),
    "predict": ("dataset_dir", "checkpoint", "bundle_root", "watershed"),
    "export": ("checkpoint", "bundle_root"),
    "package": ("checkpoint", "bundle_root"),
    "annotate": ("studies", "checkpoint", "bundle_root"),
}
NO_PLACES = {
    "missing": "nowhere/at_all",
    "of an unknown home": "~nouser/at_all",
    "of 300 letters": "at_all" * 50,
    "with a line break": "at\nall",
    "not in UTF-8": "at_all\udce9",
    "a store": "s3:/at_all",
}


def _places() -> Iterator[BadCommand]:
    for verb, names in INPUTS.items():
        for name, (kind, place) in itertools.product(names, NO_PLACES.items()):
            if kind == "a store" and name in VERBS[verb].remote:
                continue  # it would be asked
            yield BadCommand(verb, f"--{name} {kind}", (f"--{name}", place), "at")
    for verb, count in POSITIONAL.items():
        for kind, place in NO_PLACES.items():
            if kind == "a store" and VERBS[verb].remote:
                continue
            inputs = (*GOOD[verb][1:count], place)
            yield BadCommand(verb, f"input {kind}", (), "at", inputs=inputs)


# ------------------------------------------------------------------------------------------ outputs


def _made(root: Path, verb: str) -> Path:
    words = GOOD[verb]
    return root / words[words.index(output_flag(verb)) + 1]


def output_flag(verb: str) -> str:
    """The flag by which the good command of a verb names its output."""
    return next(word for word in ("--output", "--output_dir", "--json") if word in GOOD[verb])


def _in_its_place(verb: str, make: Callable[[Path], Any]) -> Spoil:
    return lambda root: make(_made(root, verb))


def _outputs() -> Iterator[BadCommand]:
    for verb in GOOD:
        if verb in ("annotate", "experiment", "table"):
            continue  # they write beside their input, or nothing on the stage
        flag = output_flag(verb)
        name = _made(Path(), verb).name
        locked = verb in ("export", "package")  # the folder that holds the file, which is told of then
        yield BadCommand(verb, "output read-only", (), f"{OUT}: cannot" if locked else "made", read_only=True)
        yield BadCommand(verb, "output below a file", (flag, f"set/masks/phantom_001.png/{name}"), "phantom_001.png")
        yield BadCommand(verb, "output of 300 letters", (flag, f"out/{'x' * 300}{Path(name).suffix}"), "xxx")
        yield BadCommand(verb, "output in a store", (flag, f"s3://bucket/{name}"), "bucket")
        yield BadCommand(verb, "output in /proc", (flag, f"/proc/nothing/{name}"), "/proc/nothing")
        yield BadCommand(verb, "output below a link to itself", (flag, f"out/loop/{name}"), "loop", _loop)
        yield BadCommand(verb, "output a named pipe", (), name, _in_its_place(verb, os.mkfifo))
        folder = Path(name).suffix == ""
        if folder:
            yield BadCommand(verb, "output a file", (), name, _in_its_place(verb, lambda path: path.write_text("mine")))
        elif verb != "report":  # it writes report.html into a folder
            yield BadCommand(verb, "output a folder", (), name, _in_its_place(verb, lambda path: path.mkdir()))


def _loop(root: Path) -> None:
    (root / "out" / "loop").symlink_to("loop")


# ------------------------------------------------------------------------------------------ weights and their record


def _without_record(spoil: Callable[[Path], Any]) -> Spoil:
    """Damage weights whose record does not give that away by its hash."""

    def apply(root: Path) -> None:
        content = json.loads((root / RECORD).read_text())
        content.pop("sha256", None)
        (root / RECORD).write_text(json.dumps(content))
        spoil(root / WEIGHTS)

    return apply


def _tensors(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], Any]:
    """Change the tensors; what `change` returns, unless None, is saved instead."""

    def apply(path: Path) -> None:
        state = torch.load(path, weights_only=True)
        changed = change(state)
        torch.save(state if changed is None else changed, path)

    return apply


def _first(state: dict[str, Any]) -> str:
    return next(name for name, tensor in state.items() if tensor.ndim == 4)


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("exploded",)


def _bomb(path: Path) -> None:
    torch.save({"a": _Bomb()}, path)


def _pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"a": 1}))


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/readme.txt", "none")


def _broken_zip(path: Path) -> None:
    """Every entry's bytes are noise, the directory whole."""
    data = bytearray(path.read_bytes())
    for start in range(2000, len(data) - 60_000, 5000):
        data[start : start + 40] = os.urandom(40)
    path.write_bytes(bytes(data))


def _cut_tensor(path: Path) -> None:
    """The archive is whole, but a tensor's storage within is short."""
    target = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(target, "w") as new:
        for entry in archive.infolist():
            data = archive.read(entry)
            new.writestr(entry, data[: len(data) // 2] if entry.filename.endswith("/data/3") else data)
    path.write_bytes(target.getvalue())


FOREIGN: dict[str, Callable[[Path], Any]] = {
    **{name: spoil for name, spoil in ANY_FILE.items() if name not in ("a web page", "a socket")},
    "a pickle that runs code": _bomb,
    "a plain pickle": _pickle,
    "a zip of something else": _zip,
    "a tensor alone": lambda path: torch.save(torch.zeros(3), path),
    "a list": lambda path: torch.save([1, 2], path),
    "empty of tensors": lambda path: torch.save({}, path),
    "numbers in place of tensors": _tensors(lambda state: dict.fromkeys(state, 1)),
    "of another network": lambda path: torch.save(torch.nn.Conv2d(3, 4, 3).state_dict(), path),
    "with a tensor missing": _tensors(lambda state: {name: state[name] for name in state if name != _first(state)}),
    "with a tensor too many": _tensors(lambda state: state.update(surplus=torch.zeros(2))),
    "with a tensor of another shape": _tensors(lambda state: state.update({_first(state): torch.zeros(1, 2, 3, 4)})),
    "of integers": _tensors(lambda state: {name: tensor.to(torch.int32) for name, tensor in state.items()}),
    "of NaN": _tensors(lambda state: state.update({_first(state): torch.full_like(state[_first(state)], torch.nan)})),
    "cut within": _cut_tensor,
}


def _record(change: Callable[[dict[str, Any]], Any]) -> Spoil:
    """Change the record beside the weights; what `change` returns, unless None, is written instead."""

    def apply(root: Path) -> None:
        content = json.loads((root / RECORD).read_text())
        changed = change(content)
        (root / RECORD).write_text(json.dumps(content if changed is None else changed))

    return apply


def _set(*keys: str, value: Any) -> Spoil:
    def change(content: dict[str, Any]) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return _record(change)


RECORDS: dict[str, Spoil] = {
    **{
        name: (lambda root, spoil=spoil: spoil(root / RECORD))
        for name, spoil in ANY_FILE.items()
        if name not in ("missing", "a web page", "one byte", "a link to nothing", "a socket")
    },
    "a list": _record(lambda content: [content]),
    "null": lambda root: (root / RECORD).write_text("null"),
    "nested 100,000 deep": lambda root: (root / RECORD).write_bytes(b"[" * 100_000),
    "UTF-16": lambda root: (root / RECORD).write_bytes("{}".encode("utf-16")),
    "of a newer version": _set("version", value=999),
    "version a text": _set("version", value="two"),
    "network a list": _set("network", value=[1]),
    "network of an unknown argument": _set("network", "colour", value="red"),
    "network of a wrong type": _set("network", "encoder_width", value="wide"),
    "network of an impossible width": _set("network", "encoder_width", value=7),
    "network of another width": _set("network", "encoder_width", value=12),
    "network of huge width": _set("network", "encoder_width", value=4 * 10**9),
    "network of no outputs": _set("network", "out_channels", value=0),
    "normalization without std": _record(lambda content: content["normalization"].pop("std") and None),
    "normalization of texts": _set("normalization", "mean", value=["a", "b", "c"]),
    "normalization of two": _set("normalization", "std", value=[1.0, 2.0]),
    "normalization of 0": _set("normalization", "std", value=[0, 0, 0]),
    "classes a list": _set("classes", value=["a"]),
    "classes numbered by letters": _set("classes", value={"a": "b"}),
    "image_size a text": _set("settings", "image_size", value="big"),
    "image_size of 65": _set("settings", "image_size", value=65),
    "image_size below 0": _set("settings", "image_size", value=-64),
    "settings a number": _set("settings", value=3),
    "sha256 of others": _set("sha256", value="0" * 64),
    "sha256 a number": _set("sha256", value=5),
    "bit_depth of 99": _set("bit_depth", value=99),
    "label_kind misspelt": _set("label_kind", value="maks"),
}
WITH_WEIGHTS = ("evaluate", "predict", "export", "package", "annotate")


def _weights() -> Iterator[BadCommand]:
    for verb in WITH_WEIGHTS:
        for name, damage in FOREIGN.items():
            yield BadCommand(verb, f"weights {name}", (), "model.pt", _without_record(damage))
        for name, spoil in RECORDS.items():
            if name.startswith("image_size") and verb == "evaluate":
                continue  # its command says another
            word = "image_size" if name.startswith("image_size") else "model."
            yield BadCommand(verb, f"record {name}", (), word, spoil)
        yield BadCommand(verb, "weights damaged within", (), "model.pt", lambda root: _broken_zip(root / WEIGHTS))


# ------------------------------------------------------------------------------------------ runs and evaluations


def _json(name: str, change: Callable[[Any], Any]) -> Spoil:
    def apply(root: Path) -> None:
        content = json.loads((root / name).read_text())
        changed = change(content)
        (root / name).write_text(json.dumps(content if changed is None else changed))

    return apply


def _text(name: str, change: Callable[[str], str]) -> Spoil:
    return lambda root: (root / name).write_text(change((root / name).read_text()))


def _damaged(name: str, leaving_out: tuple[str, ...] = ()) -> dict[str, Spoil]:
    return {
        kind: (lambda root, spoil=spoil: spoil(root / name))
        for kind, spoil in ANY_FILE.items()
        if kind not in ("a web page", "one byte", "a socket", *leaving_out)
    }


TABLES: dict[str, Callable[[str], str]] = {
    "header alone": lambda text: text.splitlines()[0] + "\n",
    "without dice": lambda text: text.replace("dice", "dcie"),
    "with a row too long": lambda text: text + "a,b," + "1," * 90 + "\n",
    "of texts": lambda text: text.splitlines()[0] + "\n" + "a," * text.splitlines()[0].count(",") + "a\n",
    "with an image twice": lambda text: text + text.splitlines()[-1] + "\n",
}
SUMMARIES: dict[str, Callable[[Any], Any]] = {
    "a list": lambda content: [content],
    "empty of keys": lambda content: {},
    "metrics a text": lambda content: content.update(metrics="good"),
    "cases outside": lambda content: content["cases"][0].update(file="../../weights/model.pt"),
    "cases a number": lambda content: content.update(cases=4),
    "subgroups a list": lambda content: content.update(subgroups=[1]),
    "settings a text": lambda content: content.update(settings="none"),
}


def _runs() -> Iterator[BadCommand]:
    for verb, folder in (("report", "eval0"), ("compare", "again"), ("folds", "eval1")):
        for name, spoil in _damaged(f"{folder}/per_image.csv").items():
            yield BadCommand(verb, f"per_image.csv {name}", (), folder, spoil)
        for name, change in TABLES.items():
            if name == "without dice" and verb != "report":
                continue  # the other figures are compared
            yield BadCommand(verb, f"per_image.csv {name}", (), folder, _text(f"{folder}/per_image.csv", change))
    for name, spoil in _damaged("eval0/summary.json").items():
        yield BadCommand("report", f"summary.json {name}", (), "eval0", spoil)
    for name, damage in SUMMARIES.items():
        yield BadCommand("report", f"summary.json {name}", (), "eval0", _json("eval0/summary.json", damage))
    for name, spoil in _damaged("run/settings.json", ("missing", "a link to nothing")).items():
        yield BadCommand("report", f"settings.json {name}", (), "run", spoil, inputs=("run",))
    resume = ("--resume", "run", "--output_dir", "run", "--max_epochs", "2")
    for name, damage in FOREIGN.items():
        if name not in ("of integers", "of NaN") and not name.startswith("with a tensor") and "numbers in" not in name:
            yield BadCommand("train", f"last.pt {name}", resume, "run", lambda root, s=damage: s(root / "run/last.pt"))
    for name, spoil in _damaged("run/settings.json", ("missing", "a link to nothing")).items():
        yield BadCommand("train", f"resumed settings.json {name}", resume, "settings.json", spoil)
    for name, change in TABLES.items():
        if name in ("with a row too long", "of texts"):
            yield BadCommand(
                "train", f"resumed metrics.csv {name}", resume, "metrics.csv", _text("run/metrics.csv", change)
            )
    yield BadCommand("train", "resumed with another batch size", (*resume, "--batch_size", "3"), "batch_size")
    yield BadCommand("prepare", "an unknown kind", (), "foldr", inputs=("foldr", "set"))
    yield BadCommand("compare", "one run", (), "two", inputs=("eval1",))
    yield BadCommand("folds", "one run", (), "two", inputs=("eval1",))
    yield BadCommand("folds", "a run twice", (), "eval1", inputs=("eval1", "eval1"))
    yield BadCommand("compare", "other images", (), "eval0", inputs=("eval0", "eval1"))


# ------------------------------------------------------------------------------------------ journals, images, datalists


def _continued(verb: str, change: Callable[[Path], Any] = lambda _: None) -> Spoil:
    """Go on in a folder that holds an earlier run of the verb, whose journal is damaged."""

    def apply(root: Path) -> None:
        run_good(root, verb)  # on this copy of the stage, whose paths the journal holds
        change(root / "out" / "made" / f"{verb}.jsonl")

    return apply


JOURNALS: Mapping[str, Callable[[Path], Any]] = {
    **{
        name: ANY_FILE[name]
        for name in ("text", "noise", "zeros", "a folder", "a named pipe", "a link to itself", "a link to /dev/zero")
    },
    "a list": lambda path: path.write_text("[1]\n" + path.read_text()),
    "a line of another kind": lambda path: path.write_text('{"colour": 1}\n' + path.read_text()),
    "nested 100,000 deep": lambda path: path.write_text("[" * 100_000 + "\n" + path.read_text()),
}
TOLERATED = ("a list", "a line of another kind", "nested 100,000 deep")
"""Single lines that are left out, with a warning."""


def _journals() -> Iterator[BadCommand]:
    for verb in ("predict", "prepare"):
        for name, change in JOURNALS.items():
            told = {"word": "made", "code": 0 if name in TOLERATED else 1}
            yield BadCommand(verb, f"journal {name}", (), spoil=_continued(verb, change), **told)  # type: ignore[arg-type]
        yield BadCommand(
            verb, "journal without its settings", (), ".jsonl: the line with", _continued(verb, _first_line_cut)
        )
        missing = _continued(verb, lambda path: path.unlink())
        yield BadCommand(verb, "journal missing, results there", (), "made", missing)
    yield BadCommand("prepare", "prepared with other settings", ("--seed", "3"), "with seed 0", _continued("prepare"))
    words = ("--threshold", "0.4")
    yield BadCommand("predict", "predicted with other settings", words, "with threshold 0.5", _continued("predict"))


def _first_line_cut(path: Path) -> None:
    first, *others = path.read_text().splitlines(keepends=True)
    path.write_text("".join([f"{first[:20]}\n", *others]))


def _images() -> Iterator[BadCommand]:
    for name, spoil in ANY_FILE.items():
        if name in ("missing", "a link to nothing", "a folder", "a link to a folder"):
            continue  # no image is there then
        on_image = lambda root, s=spoil: s(root / PICTURE)  # noqa: E731
        yield BadCommand("predict", f"image {name}", (), "phantom_002", on_image, code=2)
        code = 1 if name == "a link to itself" else 2  # a pattern that matches nothing
        yield BadCommand("predict", f"the only image {name}", (), "phantom_002", on_image, code, inputs=(PICTURE,))
    for name, (ending, content) in PICTURES.items():
        if any(odd in name for odd in ("animated", "pages", "16-bit colour")):
            continue  # one of these is a picture for Pillow

        def spoil(root: Path, ending: str = ending, content: bytes = content) -> None:
            (root / PICTURE).unlink()
            (root / PICTURE).with_suffix(ending).write_bytes(content)

        yield BadCommand("predict", f"image: {name}", (), "phantom_002", spoil, code=2)


def _lists() -> Iterator[BadCommand]:
    """Of evaluate's own reading of masks that another program made."""
    masks = ("--predictions", "predictions", "--labels", "set/masks", "--output_dir", "out/made")

    def copied(change: Callable[[Path], Any]) -> Spoil:
        def apply(root: Path) -> None:
            shutil.copytree(root / "set" / "masks", root / "predictions")
            change(root / "predictions" / "phantom_002.png")

        return apply

    for name in ("empty", "text", "cut in half", "missing", "a folder", "a named pipe", "a link to itself"):
        yield BadCommand(
            "evaluate", f"predictions: mask {name}", (), "phantom_002", copied(ANY_FILE[name]), instead=masks
        )
    for kind, place in NO_PLACES.items():
        yield BadCommand("evaluate", f"--predictions {kind}", (), "at", instead=("--predictions", place, *masks[2:]))
    yield BadCommand("evaluate", "predictions without labels", (), "labels", instead=("--predictions", "set/masks"))
    yield BadCommand("evaluate", "labels without predictions", ("--labels", "set/masks"), "predictions")
    there = lambda root: shutil.copytree(root / "eval0", root / "out" / "made")  # noqa: E731
    yield BadCommand("evaluate", "an evaluation is there", (), "made", there)
    for verb in ("export", "package"):
        mine = _in_its_place(verb, lambda path: path.write_text("mine"))
        yield BadCommand(verb, "a file is there", (), "is there already", mine)
    yield BadCommand("export", "another ending", ("--output", "out/made.onnx"), "made.onnx")
    yield BadCommand("package", "another ending", ("--output", "out/made.tar"), "made.tar")
    again = lambda root: shutil.copytree(root / "run", root / "out" / "made")  # noqa: E731
    yield BadCommand("train", "a run is there", (), "made", again)
    yield BadCommand("evaluate", "images not in UTF-8", (), "caf", _image_renamed("caf\udce9"))
    for verb, flag in (("train", "--dataset_dir"), ("evaluate", "--dataset_dir")):
        name = "caf\udce9"
        yield BadCommand(verb, "a data set whose folder is not in UTF-8", (flag, name), "caf", _renamed(name))


def _image_renamed(name: str) -> Spoil:
    def apply(root: Path) -> None:
        for part in ("images", "masks"):
            for path in list((root / "set" / part).iterdir()):
                path.rename(path.with_name(f"{name}{path.name}"))

    return apply


def _renamed(name: str) -> Spoil:
    return lambda root: (root / "set").rename(root / name)


PLANS = {
    "no YAML": "title: [",
    "a list": "- a\n- b\n",
    "without rows": "title: T\n",
    "of no rows": "title: T\nrows: []\n",
    "of a misspelt key": "title: T\nrowz: []\nrows: [{name: A}]\n",
    "of a row twice": "title: T\nrows: [{name: A}, {name: A}]\n",
    "of an unknown reference": "title: T\nrows: [{name: A}]\nreference: C\n",
    "nested 10,000 deep": "[" * 10_000,
}


def _plans() -> Iterator[BadCommand]:
    for verb in ("experiment", "table"):
        for name, spoil in _damaged("plan.yaml").items():
            yield BadCommand(verb, f"plan {name}", (), "plan.yaml", spoil)
        for name, text in PLANS.items():
            spoil = lambda root, text=text: (root / "plan.yaml").write_text(text)  # noqa: E731
            yield BadCommand(verb, f"plan {name}", (), "plan.yaml", spoil)
    yield BadCommand("table", "nothing was run", (), "out/made")


BAD = [*_flags(), *_places(), *_outputs(), *_weights(), *_runs(), *_plans(), *_journals(), *_images(), *_lists()]
assert len({(bad.verb, bad.name) for bad in BAD}) == len(BAD)
