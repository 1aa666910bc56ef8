"""Hundreds of malformed files for every reader of JSON and CSV: each ends in a sentence that names the file."""

from __future__ import annotations

import contextlib
import copy
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import nn
from toy_weights import write_record

from custom_networks.configuration.merged import read_config
from custom_networks.data import class_count, class_names, label_kind
from custom_networks.data.checking.read import read_data_set
from custom_networks.data.datalist import Datalist
from custom_networks.data.depth import declared_depth
from custom_networks.data.prepare.folders import find_listed, user_table
from custom_networks.data.prepare.journal import PreparationJournal
from custom_networks.data.prepare.lists import external_test
from custom_networks.data.splitting import load_datalist, load_test_list
from custom_networks.errors import UserError
from custom_networks.evaluation.items import evaluation_set
from custom_networks.export.images import listed_images
from custom_networks.metrics.watershed import WatershedParameters, watershed_parameters
from custom_networks.prediction.journal import PredictionJournal
from custom_networks.releases.fetching import read_index
from custom_networks.run.record import read_metrics
from custom_networks.weights import record_of

ITEM = {"id": "a", "image": "a.png", "label": "m.png", "fold": 0, "group": "g", "spacing": [1.0, 0.5], "age": 41}
DATALIST: dict[str, Any] = {
    "datalist_version": 1,
    "name": "set",
    "label_kind": "classes",
    "bit_depth": 12,
    "classes": {"1": "one"},
    "training": [ITEM, {**ITEM, "id": "b", "image": "b.png", "fold": 1}],
    "test": [{**ITEM, "id": "c", "image": "c.png"}],
}
TUNING = {"version": 1, "parameters": WatershedParameters().as_dict(), "split": "validation", "tried": [{"pq": 0.5}]}
WRONG: tuple[Any, ...] = (None, [], {}, "", "x", -1, 10**400, True, [[]], {"": None}, "NAN", "NEST")


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a value stands, all through a content."""
    yield path
    children = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in children:
        yield from places(value, (*path, key))


def with_value(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Put a value in a place, or take what is there out (`KeyError`)."""
    if not path:
        return value
    content = copy.deepcopy(content)
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    if value is KeyError:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return content


def malformed(content: Any) -> Iterator[bytes]:
    """Texts that are nearly the JSON of a content: a key gone, another type, cut off, a byte changed."""
    for number, path in enumerate(places(content)):
        if path:
            yield json.dumps(with_value(content, path, KeyError)).encode()
        for value in WRONG if number % 8 == 0 else WRONG[:-1]:  # the deep one takes as long as all others
            text = json.dumps(with_value(content, path, value))
            yield text.replace('"NAN"', "NaN").replace('"NEST"', "[" * 100_000 + "]" * 100_000).encode()
    whole = json.dumps(content).encode()
    chance = random.Random(0)
    for _ in range(100):
        cut = chance.randrange(len(whole))
        yield whole[:cut]
        yield whole[:cut] + bytes([chance.randrange(256)]) + whole[cut + 1 :]


def refused(reader: Callable[[Path], object], path: Path, texts: Iterator[bytes]) -> tuple[int, int]:
    """Count what a reader was given and what it refused; each refusal names the file in one line."""
    given = count = 0
    for text in texts:
        path.write_bytes(text)
        given += 1
        try:
            reader(path)
        except UserError as error:
            message = str(error)
            count += 1
            if (path.name not in message and path.parent.name not in message) or "\n" in message or len(message) > 1000:
                pytest.fail(f"{message!r} for {text[:200]!r}")
    return given, count


DATALIST_READERS: dict[str, Callable[[Path], object]] = {
    "Datalist": Datalist.read,
    "training": lambda path: load_datalist(path.parent, path),
    "test": lambda path: load_test_list(path.parent, path),
    "check": read_data_set,
    "label_kind": lambda path: label_kind(None, path),
    "classes": lambda path: (class_count(path), class_names(path, 3)),
    "bit_depth": declared_depth,
    "export": lambda path: listed_images(path),
    "prepare --test_datalist": lambda path: external_test(path, path.parent),
    "evaluate": lambda path: evaluation_set(path.parent, path, "none.pt", label_kind="classes", classes=2),
}


@pytest.mark.parametrize("reader", DATALIST_READERS.values(), ids=DATALIST_READERS)
def test_datalists(tmp_path: Path, reader: Callable[[Path], object]) -> None:
    for name in ("a.png", "b.png", "c.png", "m.png"):
        (tmp_path / name).touch()
    given, count = refused(reader, tmp_path / "datalist.json", malformed(DATALIST))
    assert given > 500
    assert count > 300


def test_tunings(tmp_path: Path) -> None:
    given, count = refused(lambda path: watershed_parameters(str(path)), tmp_path / "watershed.json", malformed(TUNING))
    assert given > 300
    assert count > 200


def test_records_of_weights(tmp_path: Path) -> None:
    block = nn.Conv2d(1, 1, 1)
    content = write_record(tmp_path / "model.pt", block, image_size=128, fold=3, **{"loss#edge_weight": 1.0})
    path = tmp_path / "model.json"
    given, count = refused(lambda path: record_of(path.with_suffix(".pt")), path, malformed(content))
    assert given > 500
    assert count > 200


FILE = {"file": "a-01.pt", "size": 12, "sha256": "0" * 64}
RELEASE = {"name": "a", "weights": FILE, "record": {**FILE, "file": "a.json"}, "precision": "float16"}
RELEASE |= {"license": "MIT", "data": "x", "data_license": "MIT", "metrics": {"val_mean_dice": 0.5, "epoch": 3}}
RELEASE |= {"network": "SGDNet", "software": None, "description": ""}


def test_indexes_of_releases(tmp_path: Path) -> None:
    content = {"version": 1, "weights": [RELEASE, {**RELEASE, "name": "b"}]}

    def describe(path: Path) -> list[str]:
        return [line for each in read_index(str(path))[1].weights for line in each.lines()]

    given, count = refused(describe, tmp_path / "weights.json", malformed(content))
    assert given > 500
    assert count > 300


def test_configurations(tmp_path: Path) -> None:
    content = {"epochs": 3, "network": {"_target_": "x", "depths": [1, 2.5]}, "imports": ["$import os"]}
    given, count = refused(lambda path: read_config([path]), tmp_path / "config.json", malformed(content))
    assert given > 200
    assert count > 50


TABLE = "epoch,val_mean_dice,loss\n1,0.5,0.25\n2,,nan\n3,0.75,1e-3\n"
TABLE_READERS: dict[str, Callable[[Path], object]] = {"metrics": read_metrics, "table": user_table, "csv": find_listed}


@pytest.mark.parametrize("reader", TABLE_READERS.values(), ids=TABLE_READERS)
def test_tables(tmp_path: Path, reader: Callable[[Path], object]) -> None:
    def texts() -> Iterator[bytes]:
        whole, chance = TABLE.encode(), random.Random(0)
        for cut in range(len(whole)):
            yield whole[:cut]
            yield whole[:cut] + whole[cut + 1 :]
            yield whole[:cut] + bytes([chance.randrange(256)]) + whole[cut:]
            yield whole[:cut] + chance.choice([b'"', b"\n", b",", b"\0", b"\r", b"\xff", b"x" * 200_000]) + whole[cut:]

    given, count = refused(reader, tmp_path / "metrics.csv", texts())
    assert given > 200
    assert count > 50


def test_journals_pass_over_what_they_do_not_know(tmp_path: Path) -> None:
    case = {"id": "a", "image": "a.png", "label": "m.png", "sha256": "0", "size": [1, 1], "share": 0.5}
    case |= {"copied": False, "stamps": [[1, 2]]}
    image = {"name": "a", "source": "a", "stamp": [1], "files": {"mask": "a.png"}, "tables": {}, "row": {"image": "a"}}
    for make, name, lines in (
        (
            PreparationJournal,
            "prepare.jsonl",
            ({"settings": {"kind": "x"}}, {"written": {"a": "0"}}, {"planned": ["a"]}, case),
        ),
        (PredictionJournal, "predict.jsonl", ({"settings": {"kind": "x"}}, {"tables_written": ["a"]}, image)),
    ):
        for line in lines:
            for text in malformed(line):
                (tmp_path / name).write_bytes(text)
                with contextlib.suppress(UserError), contextlib.closing(make(tmp_path, {"kind": "x"})):
                    pass
