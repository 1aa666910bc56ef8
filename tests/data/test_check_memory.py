"""Files that did not change are decoded once: by later checks, other folds, and other processes, not again."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from warm_process import WarmProcess

from custom_networks.data.checking import check_items, examine
from custom_networks.data.checking.examine import Labels
from custom_networks.data.checking.memory import NAME, CheckMemory, examination_key
from custom_networks.data.checking.read import read_data_set
from custom_networks.data.checking.run import run_check
from custom_networks.data.phantoms import write_phantoms
from custom_networks.errors import UserError
from custom_networks.files import user_cache

Item = dict[str, str]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SGDNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("custom_networks.data.checking.memory._SETTLED", -1e9)
    return tmp_path / "cache"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are decoded."""
    names: list[str] = []

    def watch(name: str) -> None:
        real = getattr(examine, name)

        def read(path: str, *options: object) -> object:
            names.append(Path(path).name)
            return real(path, *options)

        monkeypatch.setattr(examine, name, read)

    watch("stored_image")
    watch("read")
    return names


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    """Six pairs, one of them empty and one grey-valued."""
    generator = np.random.default_rng(0)
    pairs = []
    for number in range(6):
        image, label = (tmp_path / f"{number}{end}.png" for end in ("", "_mask"))
        Image.fromarray(generator.integers(0, 255, (20, 20, 3), dtype=np.uint8)).save(image)
        mask = np.zeros((20, 20), np.uint8)
        mask[5:15, 5:15] = 0 if number == 2 else 200 if number == 4 else 255
        Image.fromarray(mask).save(label)
        pairs.append({"image": str(image), "label": str(label)})
    return pairs


def names(items: list[Item]) -> list[str]:
    return sorted(Path(path).name for item in items for path in item.values())


def test_the_second_check_decodes_nothing_and_says_the_same(cache: Path, items: list[Item], decoded: list[str]) -> None:
    first = check_items({"training": items[:4], "validation": items[4:]})
    assert sorted(decoded) == names(items)
    decoded.clear()
    assert check_items({"training": items[:4], "validation": items[4:]}) == first
    check_items({"training": items[2:], "validation": items[:2]})  # another fold
    assert decoded == []
    assert any("empty masks" in notice for notice in first.notices)
    assert (cache / NAME).is_file()
    if os.name == "posix":
        assert cache.stat().st_mode & 0o077 == 0


def test_what_is_remembered_still_finds_leaks(cache: Path, items: list[Item], decoded: list[str]) -> None:
    check_items({"training": items})
    Path(items[5]["image"]).write_bytes(Path(items[0]["image"]).read_bytes())
    with pytest.raises(UserError, match="its pixels are those of"):
        check_items({"training": items[:3], "validation": items[3:]})


def test_a_changed_file_alone_is_decoded_again(cache: Path, items: list[Item], decoded: list[str]) -> None:
    check_items({"training": items})
    decoded.clear()
    stamp = Path(items[3]["label"]).stat()
    content = bytearray(Path(items[3]["label"]).read_bytes())
    content[-20] ^= 255  # the same size, and the same time of modification
    Path(items[3]["label"]).write_bytes(content)
    os.utime(items[3]["label"], ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    with pytest.raises(UserError, match=r"3_mask\.png"):
        check_items({"training": items})
    assert sorted(decoded) == names(items[3:4])


def test_an_error_is_looked_for_again(cache: Path, items: list[Item], decoded: list[str]) -> None:
    Path(items[1]["image"]).write_bytes(b"nothing")
    for _ in range(2):
        decoded.clear()
        with pytest.raises(UserError, match="not an image"):
            check_items({"training": items})
    assert decoded == ["1.png"]


def test_other_labels_are_another_check(cache: Path, items: list[Item], decoded: list[str]) -> None:
    check_items({"training": items[:1]})
    decoded.clear()
    check_items({"training": items[:1]}, Labels("instances"))
    assert len(decoded) == 2


def test_the_command_reads_everything_and_fills_the_memory(cache: Path, tmp_path: Path, decoded: list[str]) -> None:
    data_set = read_data_set(write_phantoms(tmp_path / "set", count=4, size=64))
    for _ in range(2):
        decoded.clear()
        run_check([data_set])
        assert len(decoded) == 8
    decoded.clear()
    run_check([data_set], near_duplicates=False, remembered=True)
    assert decoded == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"no database " * 400),
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
    ],
)
def test_a_damaged_memory_is_made_anew(
    cache: Path, items: list[Item], decoded: list[str], damage: Callable[[Path], object]
) -> None:
    notices = check_items({"training": items})
    damage(cache / NAME)
    decoded.clear()
    assert check_items({"training": items}) == notices
    assert sorted(decoded) == names(items)
    decoded.clear()
    assert check_items({"training": items}) == notices
    assert decoded == []


def test_a_row_that_makes_no_sense_is_not_believed(cache: Path, items: list[Item], decoded: list[str]) -> None:
    memory, key = CheckMemory(), examination_key(items[0], Labels())
    assert key is not None
    check_items({"training": items[:1]})
    for content in ("{", "{}", '{"findings": [{"kind": "NO_SUCH"}], "pixels_digest": ""}', "[" * 100):
        memory._run(lambda db, text=content: db.execute("UPDATE checks SET content = ?", (text,)))
        assert memory.recall([key]) == [None]


def test_without_a_place_for_it_everything_is_read(
    tmp_path: Path, items: list[Item], decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SGDNET_CACHE", str(tmp_path / "file"))
    for _ in range(2):
        decoded.clear()
        check_items({"training": items})
        assert sorted(decoded) == names(items)


def test_a_file_written_a_moment_ago_is_not_remembered(
    tmp_path: Path, items: list[Item], decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SGDNET_CACHE", str(tmp_path / "cache"))
    assert examination_key(items[0], Labels()) is None
    check_items({"training": items})
    assert CheckMemory().recall([(b"", b"")]) == [None]


def test_the_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SGDNET_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache() == tmp_path / "sgdnet"
    monkeypatch.setenv("SGDNET_CACHE", "~/there")
    assert user_cache() == Path.home() / "there"


RANK = """
import json, sys
from pathlib import Path
import torch.distributed as dist
from custom_networks.data import sources
from custom_networks.data.checking import examine, memory
from custom_networks.processes import leave_process_group, rank, start_process_group

decoded, said, image, label = [], [], examine.stored_image, examine.read
memory._SETTLED = -1e9
examine.stored_image = lambda path: (decoded.append(str(path)), image(path))[1]
examine.read = lambda path, kind: (decoded.append(str(path)), label(path, kind))[1]
start_process_group()
for run in range(3):
    if run == 2 and rank() == 0:
        Path(sys.argv[2]).write_bytes(b"nothing")
    decoded.clear()
    try:
        lists = sources.checked_datalist(sys.argv[1])
        said.append([len(decoded), *map(len, lists.values())])
    except Exception as error:
        said.append([len(decoded), f"{type(error).__name__}: {error}"])
print(json.dumps(said))
leave_process_group()
"""


def test_the_first_of_two_processes_decodes_for_both_and_a_second_run_nothing(cache: Path, tmp_path: Path) -> None:
    folder = write_phantoms(tmp_path / "set", count=10, size=64)
    broken = next((folder / "images").iterdir())
    words = ["-c", RANK, str(folder), str(broken)]
    port = str(20000 + (os.getpid() + time.time_ns()) % 20000)
    environment = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ranks = [WarmProcess(words, tmp_path, {**environment, "RANK": str(rank)}) for rank in (0, 1)]
    first, second = (json.loads(process.communicate(timeout=120)[0]) for process in ranks)
    assert first[:2] == [[20, 8, 2], [0, 8, 2]]
    assert second[:2] == [[0, 8, 2], [0, 8, 2]]
    assert first[2][0] == 1
    assert second[2] == [0, first[2][1]]
    assert "not an image" in first[2][1]
