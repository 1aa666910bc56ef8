"""`sgdnet weights list` and `fetch`, from folders, a web server and a store, whole, interrupted and attacked."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest
import requests
from killing import kill_within, run_to_the_end, start_command
from release_fixtures import ABOUT, make_release, write_trained
from warm_process import WarmProcess
from web_server import Behaviour, publish

from custom_networks import load_checkpoint
from custom_networks.errors import UserError
from custom_networks.evaluation.threshold import record_threshold
from custom_networks.files import sha256
from custom_networks.releases import fetching
from custom_networks.releases.fetching import fetch_weights
from custom_networks.releases.packing import pack_weights
from custom_networks.releases.source import _session
from custom_networks.weights import trained_network
from custom_networks.weights.reading import trained_threshold

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(tmp_path_factory.mktemp("release"))


@pytest.fixture
def release(original: Path, tmp_path: Path) -> Path:
    """A copy that may be spoilt."""
    folder = tmp_path / "release"
    folder.mkdir()
    for path in original.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture
def web(release: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Behaviour]]:
    monkeypatch.setattr(fetching, "PAUSE", 0.01)
    with publish(release) as server:
        yield server


def entry_of(release: Path) -> dict[str, object]:
    entry: dict[str, object] = json.loads((release / "weights.json").read_text())["weights"][0]
    return entry


def spoil(release: Path, part: str | None = None, **changes: object) -> None:
    """Change the index of a release: an entry, or its file of weights or of the record."""
    index = json.loads((release / "weights.json").read_text())
    entry = index["weights"][0]
    (entry if part is None else entry[part]).update(changes)
    (release / "weights.json").write_text(json.dumps(index))


def installed(target: Path, release: Path) -> bool:
    """Whether both files are the release's, load, and nothing else lies there."""
    entry = entry_of(release)
    pairs = [(target, entry["weights"]), (target.with_suffix(".json"), entry["record"])]
    whole = all(path.is_file() and sha256(path) == file["sha256"] for path, file in pairs)  # type: ignore[index]
    if whole:
        load_checkpoint(trained_network(target), target)
    left = [path.name for path in (target.parent / ".fetch").iterdir() if path.name != "lock"]
    return whole and not left


def test_listed_and_fetched_from_a_folder_and_from_the_web(
    sgdnet: Run, release: Path, web: tuple[str, Behaviour], tmp_path: Path
) -> None:
    address, _ = web
    for number, place in enumerate([release, release / "weights.json", address, f"{address}/weights.json?download=1"]):
        code, out, _ = sgdnet("weights", "list", place)
        assert code == 0
        for said in (
            "toy: SGDNet, ",
            "float16",
            "license CC-BY-NC-4.0; trained on phantoms, license CC0-1.0",
            "dice 0.5",
        ):
            assert said in out
        assert json.loads(sgdnet("weights", "list", place, "--json")[1])["weights"][0]["name"] == "toy"
        root = tmp_path / f"bundle{number}"
        code, out, _ = sgdnet("weights", "fetch", "toy", "--source", place, "--bundle_root", root)
        assert code == 0
        assert "license CC-BY-NC-4.0" in out
        assert installed(root / "models" / "model.pt", release)
    _, out, _ = sgdnet("weights", "fetch", "toy", "--source", release, "--bundle_root", root)
    assert "holds toy already" in out
    record_threshold(root / "models" / "model.pt", 0.3)
    _, out, _ = sgdnet("weights", "fetch", "toy", "--source", release, "--bundle_root", root)
    assert "holds toy already" in out
    assert trained_threshold(root / "models" / "model.pt") == 0.3


def test_fetched_from_a_store(release: Path, tmp_path: Path) -> None:
    store = fsspec.filesystem("memory")
    for path in release.iterdir():
        store.pipe_file(f"/weights/{path.name}", path.read_bytes())
    fetch_weights("toy", "memory://weights", tmp_path / "model.pt")
    assert installed(tmp_path / "model.pt", release)


def test_killed_in_the_middle_it_goes_on(web: tuple[str, Behaviour], release: Path, tmp_path: Path) -> None:
    address, behaviour = web
    behaviour.pause = 0.2
    target = tmp_path / "models" / "model.pt"
    words = ["weights", "fetch", "toy", "--source", address, "--model_path", str(target)]
    process = WarmProcess(["-m", "custom_networks.cli", *words], tmp_path)
    size = entry_of(release)["weights"]["size"]  # type: ignore[index]
    part = target.parent / ".fetch" / f"{entry_of(release)['weights']['sha256']}.pt.part"  # type: ignore[index]
    deadline = time.monotonic() + 60
    while not (part.is_file() and part.stat().st_size > size // 4) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    have = part.stat().st_size
    assert size // 4 < have < size
    assert not target.exists()
    behaviour.pause = 0
    fetch_weights("toy", address, target)
    assert installed(target, release)
    assert behaviour.asked[-1] == (entry_of(release)["weights"]["file"], f"bytes={have}-")  # type: ignore[index]


def test_a_broken_connection_is_taken_up_again(web: tuple[str, Behaviour], release: Path, tmp_path: Path) -> None:
    address, behaviour = web
    behaviour.cuts = [1 << 19, 0, 0, 1 << 18, 0]
    fetch_weights("toy", address, tmp_path / "model.pt")
    assert installed(tmp_path / "model.pt", release)
    assert len(behaviour.asked) == 8  # index, record, and six of the weights
    assert behaviour.sent < 2 * sum(path.stat().st_size for path in release.iterdir())


def test_a_lost_connection_is_a_sentence_and_what_arrived_stays(
    sgdnet: Run, web: tuple[str, Behaviour], release: Path, tmp_path: Path
) -> None:
    address, behaviour = web
    behaviour.cuts = [1 << 19, *[0] * 20]
    words = ("weights", "fetch", "toy", "--source", address, "--model_path", tmp_path / "model.pt")
    code, _, err = sgdnet(*words)
    assert code == 1
    assert len(err.strip().splitlines()) == 1
    assert "the same command resumes" in err
    behaviour.cuts = []
    assert sgdnet(*words)[0] == 0
    assert behaviour.asked[-1][1].startswith("bytes=")
    assert installed(tmp_path / "model.pt", release)


@pytest.mark.parametrize("unsized", [False, True])
def test_a_server_without_ranges_sends_all_again(
    web: tuple[str, Behaviour], release: Path, tmp_path: Path, unsized: bool
) -> None:
    address, behaviour = web
    behaviour.ranges, behaviour.unsized, behaviour.cuts = False, unsized, [1 << 19, 1 << 18]
    fetch_weights("toy", address, tmp_path / "model.pt")
    assert installed(tmp_path / "model.pt", release)


def refused(place: str | Path, target: Path, said: str, digest: str = "") -> None:
    """Check that nothing is installed and nothing of it is left."""
    write_trained(target.parent)
    before = {path.name: path.read_bytes() for path in target.parent.iterdir() if path.is_file()}
    with pytest.raises(UserError, match=said) as error:
        fetch_weights("toy", str(place), target, digest)
    assert "\n" not in str(error.value)
    assert {path.name: path.read_bytes() for path in target.parent.iterdir() if path.is_file()} == before


def test_another_content_is_refused_and_the_next_attempt_begins_anew(
    web: tuple[str, Behaviour], release: Path, tmp_path: Path
) -> None:
    address, _ = web
    path = release / entry_of(release)["weights"]["file"]  # type: ignore[index]
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    for place in (address, release):
        refused(place, tmp_path / "models" / "model.pt", "the sha256 differs")
    assert not list((tmp_path / "models").glob(".fetch/*.part"))
    path.write_bytes(good)
    fetch_weights("toy", address, tmp_path / "models" / "model.pt")
    assert installed(tmp_path / "models" / "model.pt", release)


def test_a_sha256_from_elsewhere_is_held_against_the_index(release: Path, tmp_path: Path) -> None:
    refused(release, tmp_path / "models" / "model.pt", "publishes toy with another one", "0" * 64)
    right = entry_of(release)["weights"]["sha256"]  # type: ignore[index]
    fetch_weights("toy", str(release), tmp_path / "models" / "model.pt", right.upper())


@pytest.mark.parametrize(
    "name", ["../../x.pt", "/etc/passwd", "a/b.pt", ".x", "a\\b", "a\nb", "", "x" * 200, "http://x/y"]
)
@pytest.mark.parametrize("part", [None, "weights", "record"])
def test_names_that_lead_elsewhere_are_refused(release: Path, tmp_path: Path, part: str | None, name: str) -> None:
    spoil(release, part, **{"name" if part is None else "file": name})
    refused(release, tmp_path / "models" / "model.pt", r'weights.json: "weights\[0\]')


@pytest.mark.parametrize("by", [-1, 1, 1 << 20])
def test_sizes_that_lie_are_refused(web: tuple[str, Behaviour], release: Path, tmp_path: Path, by: int) -> None:
    spoil(release, "weights", size=entry_of(release)["weights"]["size"] + by)  # type: ignore[index]
    for place in (web[0], release):
        refused(place, tmp_path / "models" / "model.pt", "the index says")


def test_more_bytes_than_announced_are_refused(web: tuple[str, Behaviour], tmp_path: Path) -> None:
    web[1].unsized, web[1].extra = True, b"more"
    refused(web[0], tmp_path / "models" / "model.pt", "has more than the index's")


def test_a_size_beyond_the_disk_is_refused_at_once(
    web: tuple[str, Behaviour], release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda path: free)
    refused(web[0], tmp_path / "models" / "model.pt", "make room")
    assert not any(name.endswith(".pt") for name, _ in web[1].asked)
    spoil(release, "weights", size=1 << 60)
    refused(web[0], tmp_path / "models" / "model.pt", "size")


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://127.0.0.1/x", "https://127.0.0.1:1/x"])
def test_redirects_to_anything_but_the_web_are_refused(
    web: tuple[str, Behaviour], release: Path, tmp_path: Path, place: str
) -> None:
    address, behaviour = web
    behaviour.moved[entry_of(release)["weights"]["file"]] = place  # type: ignore[index]
    said = "cannot be reached" if place.startswith("https") else "not fetched from"
    refused(address, tmp_path / "models" / "model.pt", said)


def test_a_redirect_on_the_web_is_followed(web: tuple[str, Behaviour], release: Path, tmp_path: Path) -> None:
    address, behaviour = web
    file = release / entry_of(release)["weights"]["file"]  # type: ignore[index]
    file.rename(release / "elsewhere.pt")
    behaviour.moved[file.name] = f"{address}/elsewhere.pt"
    behaviour.cuts = [1 << 19]
    fetch_weights("toy", address, tmp_path / "model.pt")
    assert installed(tmp_path / "model.pt", release)


def test_no_redirect_leads_from_https_to_http() -> None:
    with _session("https://example.org/") as session, pytest.raises(requests.exceptions.InvalidSchema):
        session.get_adapter("http://example.org/")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("fetch", "toyy"), "did you mean 'toy'"),
        (("fetch", "toy", "--source", ""), "--source is missing"),
        (("fetch", "toy", "--source", "nowhere"), "nowhere/weights.json: no such file"),
        (("fetch", "toy", "--source", "file:///etc"), "give a folder, https:// or s3://"),
        (("fetch", "toy", "--source", "http://127.0.0.1:1"), "cannot be reached"),
        (("fetch", "toy", "--source", "https://"), "https://"),
        (("fetch", "toy", "--model_path", "model.pth"), "must end in .pt"),
        (("fetch", "toy", "--name", "x"), "--name: goes with `sgdnet weights pack`"),
        (("lst", "."), "did you mean 'list'"),
        (("list", "nowhere"), "nowhere/weights.json: no such file"),
    ],
)
def test_mistakes(
    sgdnet: Run, release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    more = ("--source", release) if words[0] == "fetch" and "--source" not in words else ()
    target = (
        ("--model_path", tmp_path / "new" / "model.pt") if words[0] == "fetch" and "--model_path" not in words else ()
    )
    code, _, err = sgdnet("weights", *words, *more, *target)
    assert code == 1
    assert len(err.strip().splitlines()) == 1
    assert said in err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_a_server_that_refuses(web: tuple[str, Behaviour], tmp_path: Path, status: int) -> None:
    web[1].status = status
    refused(web[0], tmp_path / "models" / "model.pt", str(status))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b'{"version": 9, "weights": []}', b"x" * 100])
def test_an_index_that_is_none(release: Path, tmp_path: Path, content: bytes) -> None:
    (release / "weights.json").write_bytes(content)
    refused(release, tmp_path / "models" / "model.pt", "weights.json: ")


def test_a_text_that_would_write_on_the_terminal_is_refused(release: Path, tmp_path: Path) -> None:
    spoil(release, description="\x1b[2J")
    refused(release, tmp_path / "models" / "model.pt", "description")


def test_weights_that_do_not_load_replace_nothing(release: Path, tmp_path: Path) -> None:
    """The index's hashes are right, and the record is of another network."""
    path = release / entry_of(release)["record"]["file"]  # type: ignore[index]
    path.write_text(path.read_text().replace('"encoder_width": 8', '"encoder_width": 16'))
    spoil(release, "record", size=path.stat().st_size, sha256=sha256(path))
    refused(release, tmp_path / "models" / "model.pt", "another shape")


def test_weights_that_are_there_are_kept(release: Path, tmp_path: Path) -> None:
    target = tmp_path / "models" / "model.pt"
    contents = []
    for seed, name in ((1, "model.previous"), (2, "model.previous_2")):
        write_trained(target.parent, seed)
        contents.append((target.read_bytes(), target.with_suffix(".json").read_bytes(), name))
        fetch_weights("toy", str(release), target)
        assert installed(target, release)
    for weights, record, name in contents:
        assert (target.parent / f"{name}.pt").read_bytes() == weights
        assert (target.parent / f"{name}.json").read_bytes() == record


def test_two_at_once(web: tuple[str, Behaviour], release: Path, tmp_path: Path) -> None:
    address, behaviour = web
    behaviour.pause = 0.02
    target = tmp_path / "models" / "model.pt"
    said: list[str] = []

    def fetch() -> None:
        try:
            said.append(fetch_weights("toy", address, target))
        except UserError as error:
            said.append(str(error))

    threads = [threading.Thread(target=fetch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted("another process fetches" in each for each in said) == [False, True]
    assert installed(target, release)


@pytest.mark.slow
def test_killed_at_any_moment_there_is_a_whole_model_or_the_earlier_one(release: Path, tmp_path: Path) -> None:
    target = tmp_path / "models" / "model.pt"
    write_trained(target.parent, 1)
    earlier = sha256(target)
    words = ["weights", "fetch", "toy", "--source", str(release), "--model_path", str(target)]
    log, chance = tmp_path / "log", random.Random(0)
    for _ in range(6):
        kill_within(start_command(words, tmp_path, log), chance, 0.6)
        kept = target.with_name("model.previous.pt")
        assert earlier in {sha256(path) for path in (target, kept) if path.is_file()}
    code, said = run_to_the_end(start_command(words, tmp_path, log), log)
    assert code == 0, said
    assert installed(target, release)
    load_checkpoint(trained_network(kept), kept)
    assert sha256(kept) == earlier


def test_another_release_under_the_same_name_is_fetched(release: Path, tmp_path: Path) -> None:
    target = tmp_path / "model.pt"
    fetch_weights("toy", str(release), target)
    pack_weights(write_trained(tmp_path / "new", 5), release, ABOUT, overwrite=True)
    fetch_weights("toy", str(release), target)
    assert installed(target, release)
