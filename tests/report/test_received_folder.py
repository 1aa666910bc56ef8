"""A folder that a stranger sent is data: nothing outside it is read, no address is taken from it, nothing runs."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from custom_networks.errors import UserError
from custom_networks.report import write_report
from custom_networks.report.collect import collect
from custom_networks.report.page import render_report

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)></title></style>{{ 7*7 }}]]>"
SECRET = "a-secret-that-lies-outside"


@pytest.fixture
def received(evaluated: Path, tmp_path: Path) -> Path:
    """The evaluation, to be changed, in a folder beside which a secret lies."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_text(SECRET)
    return Path(shutil.copytree(evaluated, tmp_path / "received"))


@pytest.fixture
def server() -> Iterator[tuple[str, list[bytes]]]:
    """Address of a server, and what was sent to it."""
    heard: list[bytes] = []
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(0.2)
    stop = threading.Event()

    def listen() -> None:
        while not stop.is_set():
            try:
                connection, _ = listening.accept()
            except TimeoutError:
                continue
            heard.append(b"somebody")
            connection.close()

    thread = threading.Thread(target=listen)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}", heard
    stop.set()
    thread.join()
    listening.close()


def change(path: Path, change: Callable[[Any], Any]) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def page_of(folder: Path, **options: Any) -> str:
    write_report(folder, folder.parent / "page.html", **options)
    return (folder.parent / "page.html").read_text()


def test_no_address_of_the_folder_is_called(
    received: Path, server: tuple[str, list[bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    address, heard = server
    elsewhere = tmp_path / "outside" / "run"
    elsewhere.mkdir()
    (elsewhere / "metrics.csv").write_text("epoch,loss\n1,0.123454321\n")
    for folder in (received, received / "training", elsewhere):
        folder.mkdir(exist_ok=True)
        (folder / "settings.json").write_text(json.dumps({"tracking_uri": address, "max_epochs": 9}))
        (folder / "mlflow_run_id.txt").write_text("0" * 32)

    def lead_away(about: dict[str, Any]) -> dict[str, Any]:
        about["checkpoint"]["training_folder"] = str(elsewhere)
        about["checkpoint"]["training"]["settings"] |= {"output_dir": str(elsewhere), "tracking_uri": address}
        about["checkpoint"]["training"]["settings"]["datalist"] = str(tmp_path / "outside" / "secret.txt")
        return about

    change(received / "summary.json", lead_away)
    text = page_of(received)
    assert "0.123454321" not in text
    assert SECRET not in text
    page_of(received, store=f"sqlite:///{tmp_path / 'none.db'}")
    assert heard == []


@pytest.mark.parametrize("name", ["../outside/secret.txt", "/etc/passwd", "cases/../../outside/secret.txt", "a\0b", ""])
@pytest.mark.parametrize("of", ["case", "thumbnail"])
def test_names_that_lead_out_are_refused(received: Path, name: str, of: str) -> None:
    if of == "case":

        def rename(about: dict[str, Any]) -> dict[str, Any]:
            about["cases"][0]["file"] = name
            return about

        change(received / "summary.json", rename)
    else:
        frame = pd.read_csv(received / "per_image.csv", dtype=str)
        frame.loc[1, "thumbnail"] = name
        frame.to_csv(received / "per_image.csv", index=False)
        if not name:
            return  # an empty cell is no name
    with pytest.raises(UserError, match=r"does not lie in this folder|no such file|null|NUL|not a table"):
        page_of(received)


@pytest.mark.parametrize(
    "name",
    [
        "summary.json",
        "per_image.csv",
        "thumbnails",
        "thumbnails/000001.jpg",
        "cases",
        "training",
        "training/metrics.csv",
    ],
)
def test_symlinks_are_refused(received: Path, tmp_path: Path, name: str) -> None:
    target = tmp_path / "outside" / "moved"
    path = received / name
    if path.exists():
        shutil.move(path, target)
    elif name == "training":
        target.mkdir()
        (target / "metrics.csv").write_text("epoch,loss\n1,2\n")
    else:
        path.parent.mkdir(exist_ok=True)
        target.write_text("epoch,loss\n1,2\n")
    path.symlink_to(target)
    with pytest.raises(UserError, match="a symlink, which may lead out"):
        page_of(received)


def test_a_table_beside_the_page_is_never_that_of_another_folder(received: Path, tmp_path: Path) -> None:
    (received / "subgroups.csv").unlink()
    (received / "subgroups.csv").symlink_to(tmp_path / "outside" / "secret.txt")
    with pytest.raises(UserError, match="a symlink"):
        page_of(received)
    assert not list(tmp_path.glob("page_subgroups.csv"))


def test_the_page_is_not_written_through_a_symlink(received: Path, tmp_path: Path) -> None:
    (tmp_path / "outside" / "mine.html").write_text('<meta name="generator" content="sgdnet report">mine')
    (received / "report.html").symlink_to(tmp_path / "outside" / "mine.html")
    with pytest.raises(UserError, match="a symlink, so it is left alone"):
        write_report(received)
    assert (tmp_path / "outside" / "mine.html").read_text().endswith("mine")


def test_a_named_pipe_does_not_stop_it(received: Path) -> None:
    (received / "per_image.csv").unlink()
    os.mkfifo(received / "per_image.csv")
    with pytest.raises(UserError, match="not a regular file"):
        page_of(received)


class Seen(HTMLParser):
    """Names of all attributes, and how links and sources begin."""

    def __init__(self) -> None:
        super().__init__()
        self.attributes: set[str] = set()
        self.sources: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.attributes |= {name for name, _ in attributes}
        values = [value or "" for name, value in attributes if name in ("href", "src")]
        self.sources |= {"#" if value.startswith("#") else value.split(":")[0] for value in values}


def poison(value: Any, key: str = "") -> Any:
    """Put hostile text into every string of a JSON value, but into those that must be one of a few words."""
    if isinstance(value, dict):
        return {name: poison(part, name) for name, part in value.items()}
    if isinstance(value, list):
        return [poison(part, key) for part in value]
    fixed = ("metric", "reasons", "file", "resolution", "unit", "sha256", "id")
    return EVIL if isinstance(value, str) and key not in fixed else value


def test_names_are_text_whatever_they_hold(received: Path) -> None:
    def hostile(about: dict[str, Any]) -> dict[str, Any]:
        about = poison(about)
        about["cases"][0]["id"] = EVIL
        about["subgroups"] = {EVIL: next(iter(about["subgroups"].values()))}
        about["settings"][EVIL] = EVIL
        about["config"] = {EVIL: {"list": [EVIL]}}
        about["notes"] = [EVIL]
        return about

    first = json.loads((received / "summary.json").read_text())["cases"][0]["id"]
    change(received / "summary.json", hostile)
    frame = pd.read_csv(received / "per_image.csv", dtype={"id": str})
    frame["id"] = frame["id"].replace(first, EVIL)
    frame["site"] = EVIL
    frame[EVIL] = EVIL
    frame.to_csv(received / "per_image.csv", index=False)
    (received / "training").mkdir()
    (received / "training" / "settings.json").write_text(json.dumps({EVIL: EVIL, "datalist": EVIL, "max_epochs": 3}))
    (received / "training" / "metrics.csv").write_text(
        f'epoch,loss,"segmentation_{EVIL.replace(chr(34), chr(34) * 2)}"\n1,2,3\n'
    )
    text = page_of(received)
    assert text.count("<script>") == text.count("</script>") == 1
    assert text.count("<style>") == text.count("</style>") == 1
    assert text.count("</title>") == 1
    seen = Seen()
    seen.feed(text)
    assert not [name for name in seen.attributes if name.startswith("on")]
    assert seen.sources <= {"data", "#"}
    assert "{{ 7*7 }}" in text
    assert "&lt;script&gt;alert(1)" in text


def test_a_picture_is_decoded_before_it_gets_into_the_page(received: Path) -> None:
    path = received / "thumbnails" / "000001.jpg"
    picture = Image.open(path)
    exif = Image.Exif()
    exif[0x9286] = SECRET
    exif[0x013B] = SECRET
    picture.save(path, exif=exif, comment=SECRET.encode())
    assert SECRET.encode() in path.read_bytes()
    found = re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", page_of(received))
    assert len(found) > 6
    assert not any(SECRET.encode() in base64.b64decode(each) for each in found)
    path.write_text("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>")
    with pytest.raises(UserError, match=r"000001\.jpg: not an image"):
        page_of(received)


def anonymous_page(folder: Path) -> str:
    return page_of(folder, anonymise=True)


def test_an_anonymised_page_has_no_names(received: Path, sgdnet: Callable[..., tuple[int, str, str]]) -> None:
    def name_everything(about: dict[str, Any]) -> dict[str, Any]:
        about["data"] |= {"name": "Clinic Novak", "description": "of Dr. Novak", "card": "Novak", "reference": "Novak"}
        about["notes"] = ["/home/novak/data has no spacing"]
        about["made"] |= {"command": ["cli.py", "evaluate", "--output_dir", "/home/novak"], "device": "novak-pc"}
        about["settings"]["novak"] = "x"
        about["checkpoint"]["path"] = "/home/novak/model.pt"
        return about

    change(received / "summary.json", name_everything)
    (received / "training").mkdir()
    (received / "training" / "settings.json").write_text(json.dumps({"dataset_dir": "/home/novak", "max_epochs": 3}))
    frame = pd.read_csv(received / "per_image.csv", dtype={"id": str})
    frame["site"] = "Novak"
    frame.to_csv(received / "per_image.csv", index=False)
    named = page_of(received)
    assert "Novak" in named
    text = anonymous_page(received)
    words = ["novak", str(received), received.name, "/tmp", "/home", ".png", ".jpg", ".npz", ".json", *frame["id"]]
    words += [*frame["group"].astype(str), *frame["image"].map(lambda path: Path(path).name), os.uname().nodename]
    shown = re.sub(r"base64,[A-Za-z0-9+/=]+", "", text).replace("per_image.csv", "").replace("(model.json)", "")
    for word in words:
        assert word.lower() not in shown.lower(), word
    for picture in re.findall(r"base64,([A-Za-z0-9+/=]+)", text):
        content = base64.b64decode(picture)
        with Image.open(BytesIO(content)) as opened:
            assert not opened.getexif()
            assert not {"exif", "comment", "xmp", "icc_profile"} & set(opened.info)
    assert "image 1" in text
    assert "6 images in 3 groups" in text
    assert f"{frame['dice'].mean():.4g}" in text
    code, printed, _ = sgdnet("report", received, "--anonymise")
    assert code == 0
    assert "report_anonymised.html" in printed
    assert "per_image.csv" not in printed


def numbers(values: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a JSON value: its container and key."""
    pairs = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, part in list(pairs):
        yield values, key
        yield from numbers(part)


ODD = (b"", b"\0" * 50, b"\xff\xfe\x00", b"[" * 100_000, b'{"a":' * 100_000, b"null", b"[]", b"3")
REPLACEMENTS = (None, [], {}, "text", -1, 1e999, float("nan"), [[]], True, 10**400)


@pytest.mark.parametrize("share", [6, pytest.param(1, marks=pytest.mark.slow)])
def test_malformed_files_are_one_sentence_each(received: Path, share: int) -> None:
    """One in `share` of hundreds: a key missing or of another type, infinity, deep brackets, a file cut off."""
    (received / "training").mkdir()
    settings = {"max_epochs": 3, "image_size": 64, "fold": 0, "pretrained_encoder": None}
    (received / "training" / "settings.json").write_text(json.dumps(settings))
    (received / "training" / "metrics.csv").write_text("epoch,loss,val_mean_dice\n1,2,0.5\n2,1,nan\n")
    original = json.loads((received / "summary.json").read_text())
    original |= {"config": {}, "cases": original["cases"][:1]}  # fast
    (received / "summary.json").write_text(json.dumps(original))
    shutil.rmtree(received / "thumbnails")
    generator = np.random.default_rng(0)
    texts: list[tuple[str, bytes]] = []
    count = len(list(numbers(original)))
    for index in generator.permutation(count)[:40]:
        changed = json.loads(json.dumps(original))
        container, key = list(numbers(changed))[index]
        if isinstance(container, dict) and generator.random() < 0.3:
            del container[key]
        else:
            container[key] = REPLACEMENTS[generator.integers(len(REPLACEMENTS))]
        texts.append(("summary.json", json.dumps(changed).encode()))
    for key in original:
        texts.append(
            ("summary.json", json.dumps({name: value for name, value in original.items() if name != key}).encode())
        )
        texts.append(("summary.json", json.dumps({**original, key: [original[key]]}).encode()))
    for name in ("summary.json", "per_image.csv", "training/settings.json", "training/metrics.csv"):
        content = (received / name).read_bytes()
        texts += [(name, content[: int(len(content) * share)]) for share in generator.random(5)]
        texts += [(name, odd) for odd in ODD]
        for _ in range(8):
            noisy = bytearray(content)
            for place in generator.integers(len(noisy), size=8):
                noisy[place] = generator.integers(256)
            texts.append((name, bytes(noisy)))
    table = (received / "per_image.csv").read_text()
    for column in table.splitlines()[0].split(","):
        frame = pd.read_csv(received / "per_image.csv", dtype=str)
        for odd in ("text", "inf"):
            texts.append(("per_image.csv", frame.assign(**{column: odd}).to_csv(index=False).encode()))
        texts.append(("per_image.csv", frame.drop(columns=column).to_csv(index=False).encode()))
    kept = {name: (received / name).read_bytes() for name in {name for name, _ in texts}}
    chosen = [texts[index] for index in generator.permutation(len(texts))[::share]]
    refused = []
    for name, content in chosen:
        (received / name).write_bytes(content)
        try:
            render_report(collect(received))  # what `report` does before it writes
        except UserError as error:
            refused.append(str(error))
        finally:
            (received / name).write_bytes(kept[name])
    assert len(texts) > 250
    assert len(refused) > 0.4 * len(chosen)
    assert not [each for each in refused if "\n" in each or not re.search(r"\.json|\.csv|\.npz|received", each)]
