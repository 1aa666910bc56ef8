"""Data in an S3 store (a server of `moto` in this process): each file is fetched once, and prepared without a copy."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from custom_networks.data import find_images, find_pairs, load_datalist, remote
from custom_networks.data.checking.read import read_data_set
from custom_networks.data.checking.run import run_check
from custom_networks.data.phantoms import write_phantoms
from custom_networks.data.remote import as_url, fetch, is_remote
from custom_networks.errors import UserError

s3fs = pytest.importorskip("s3fs")
moto_server = pytest.importorskip("moto.server")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantoms(tmp_path_factory.mktemp("phantoms") / "set", count=10, size=64)


@pytest.fixture(scope="module")
def server(phantoms: Path) -> Iterator[str]:
    """Address of a server whose bucket `clinic` holds the phantoms in `skin/`."""
    started = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    started.start()
    host, port = started.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        store = s3fs.S3FileSystem()
        store.mkdir("clinic")
        for name in ("images", "masks"):
            for file in sorted((phantoms / name).iterdir()):
                store.pipe_file(f"clinic/skin/{name}/{file.name}", file.read_bytes())
        store.invalidate_cache()
        yield started
    s3fs.S3FileSystem.clear_instance_cache()
    started.stop()


@pytest.fixture
def store(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> s3fs.S3FileSystem:
    """The store, for a process that has seen nothing of it."""
    monkeypatch.setenv("SGDNET_CACHE", str(tmp_path / "cache"))
    forget()
    return s3fs.S3FileSystem()


def forget() -> None:
    remote._stamps.clear()
    remote._fetched.clear()
    s3fs.S3FileSystem().invalidate_cache()


@pytest.fixture
def gets(store: s3fs.S3FileSystem, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys whose content is fetched."""
    seen: list[str] = []
    real = type(store)._get_file

    async def get(self: s3fs.S3FileSystem, key: str, *more: object, **options: object) -> object:
        seen.append(key)
        return await real(self, key, *more, **options)

    monkeypatch.setattr(type(store), "_get_file", get)
    return seen


def test_a_folder_is_fetched_once(store: s3fs.S3FileSystem, gets: list[str], phantoms: Path) -> None:
    pairs = find_pairs("s3://clinic/skin")
    assert len(gets) == 20
    expected = find_pairs(phantoms)
    for pair, local in zip(pairs, expected, strict=True):
        for part in ("image", "label"):
            assert Path(pair[part]).name == Path(local[part]).name
            assert Path(pair[part]).read_bytes() == Path(local[part]).read_bytes()
    forget()
    assert find_pairs("s3://clinic/skin/") == pairs
    assert [len(each) for each in load_datalist("s3://clinic/skin")] == [8, 2]
    assert [Path(each["image"]).name for each in find_images("s3://clinic/skin")] == [
        Path(each["image"]).name for each in expected
    ]
    assert len(gets) == 20


def test_a_changed_object_alone_is_fetched_again(store: s3fs.S3FileSystem, gets: list[str]) -> None:
    store.pipe_file("clinic/two/a.txt", b"one")
    store.pipe_file("clinic/two/b.txt", b"one")
    first = fetch(["s3://clinic/two/a.txt", "s3://clinic/two/b.txt"])
    store.pipe_file("clinic/two/b.txt", b"three")
    forget()
    assert fetch(["s3://clinic/two/a.txt", "s3://clinic/two/b.txt"]) == first
    assert [Path(path).read_bytes() for path in first] == [b"one", b"three"]
    assert [key.rsplit("/")[-1] for key in gets] == ["a.txt", "b.txt", "b.txt"]
    assert not [path for path in Path(first[0]).parent.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("where", ["in the store", "on disk with addresses", "on disk with dataset_dir"])
def test_datalists(store: s3fs.S3FileSystem, tmp_path: Path, phantoms: Path, where: str) -> None:
    start = "s3://clinic/skin/" if "addresses" in where else ""
    names = [Path(pair["image"]).name for pair in find_pairs(phantoms)]
    items = [
        {"image": f"{start}images/{name}", "label": f"{start}masks/{name}", "fold": number % 2}
        for number, name in enumerate(names)
    ]
    text = json.dumps({"training": items})
    datalist = "s3://clinic/skin/datalist.json" if "store" in where else str(tmp_path / "datalist.json")
    if "store" in where:
        store.pipe_file("clinic/skin/datalist.json", text.encode())
    else:
        Path(datalist).write_text(text)
    folder = "s3://clinic/skin" if "dataset_dir" in where else tmp_path
    training, validation = load_datalist(folder, datalist)
    assert len(training) == len(validation) == 5
    assert all(Path(pair[part]).is_file() for pair in training for part in ("image", "label"))
    report = run_check([read_data_set(datalist, folder)], near_duplicates=False)
    assert report.errors == []
    assert len(report.places) == 10


def test_prepare_leaves_the_originals_in_the_store(
    store: s3fs.S3FileSystem, gets: list[str], sgdnet: Run, tmp_path: Path, phantoms: Path
) -> None:
    words = ("--image_size", 32, "--near_duplicates", "false", "--folds", 2, "--num_workers", 1)
    code, _, err = sgdnet("prepare", "folder", "s3://clinic/skin", "--output", tmp_path / "far", *words)
    assert code == 0, err
    assert sgdnet("prepare", "folder", phantoms, "--output", tmp_path / "near", *words)[0] == 0
    far, near = (json.loads((tmp_path / name / "datalist.json").read_text()) for name in ("far", "near"))
    assert far == near
    for item in far["training"]:
        assert (tmp_path / "far" / item["image"]).read_bytes() == (tmp_path / "near" / item["image"]).read_bytes()
    assert gets == []
    assert not (tmp_path / "cache" / "remote").exists()
    journal = (tmp_path / "far" / "prepare.jsonl").read_text()
    forget()
    assert sgdnet("prepare", "folder", "s3://clinic/skin", "--output", tmp_path / "far", *words)[0] == 0
    assert journal.count('"id"') == (tmp_path / "far" / "prepare.jsonl").read_text().count('"id"') == 10


def test_prepare_in_several_processes(store: s3fs.S3FileSystem, sgdnet: Run, tmp_path: Path, phantoms: Path) -> None:
    for number, name in enumerate(path.name for path in sorted((phantoms / "images").iterdir())):
        for part in ("images", "masks"):
            for copy in (1, 2):
                store.pipe_file(f"clinic/many/{part}/{copy}_{name}", (phantoms / part / name).read_bytes())
        assert number < 10
    words = ("--image_size", 32, "--near_duplicates", "false", "--num_workers", 2)
    code, _, err = sgdnet("prepare", "folder", "s3://clinic/many", "--output", tmp_path / "many", *words)
    assert code == 0, err
    assert len(list((tmp_path / "many" / "images").iterdir())) == 20


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("check", "s3://clinic/skim"), "s3://clinic/skim: no such folder or object in the store"),
        (("check", "s3://nobody/x"), "s3://nobody/x: no such folder or object in the store"),
        (("check", "s3://clinic/../x"), "holds '..'"),
        (("prepare", "isic2018", "s3://clinic/skin", "--output", "x"), "the kind folder alone is read"),
        (
            ("prepare", "folder", "s3://clinic/skin", "--output", "s3://clinic/out"),
            "s3://clinic/out: must be on",
        ),
        (("predict", "s3://clinic/skin"), "s3://clinic/skin: must be on a disk"),
        (("train", "--dataset_dir", "x", "--output_dir=s3://clinic/run"), "output_dir s3://clinic/run: must be on a"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    store: s3fs.S3FileSystem, sgdnet: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = sgdnet(*words)
    assert code == 1
    assert sentence in out + err
    assert "UserError" not in err  # as a traceback would end; the server's own log may stand there
    assert not list(tmp_path.glob("s3*"))


def test_a_listed_object_that_is_missing(store: s3fs.S3FileSystem, tmp_path: Path) -> None:
    item = {"image": "s3://clinic/skin/images/none.png", "label": "s3://clinic/skin/masks/none.png"}
    (tmp_path / "list.json").write_text(json.dumps({"training": [item]}))
    with pytest.raises(UserError, match=r"s3://clinic/skin/images/none\.png: no such object"):
        load_datalist(tmp_path, tmp_path / "list.json")


def test_without_the_package_the_extra_is_named(store: s3fs.S3FileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> object:
        raise ImportError("Install s3fs", name="s3fs")

    monkeypatch.setattr("fsspec.filesystem", missing)
    with pytest.raises(UserError, match=r"a package that is missing \(s3fs\); run `pip install 'sgdnet\[remote\]'`"):
        find_pairs("s3://clinic/skin")


def test_addresses() -> None:
    assert is_remote("s3://a/b")
    assert is_remote(Path("s3://a/b"))
    assert as_url(Path("s3://a/b/")) == "s3://a/b"
    for local in ("/a/b", "a/s3/b", "C:/a", "s3", f"{os.sep}s3:"):
        assert not is_remote(local)
