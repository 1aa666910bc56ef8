"""Files: whole or not at all, with the permissions that the user asked for; locks between processes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from custom_networks import UserError
from custom_networks.files import (
    lock_file,
    only_writer,
    open_regular,
    remove_unfinished,
    sha256,
    unfinished_folder,
    write_atomically,
)


@pytest.fixture(params=[0o022, 0o077, 0o002])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(file: object) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_atomically(path, fail)
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


def test_a_new_file_has_the_permissions_that_open_gives(tmp_path: Path, umask: int) -> None:
    write_atomically(tmp_path / "a", lambda file: file.write(b"1"))
    with (tmp_path / "b").open("w"):
        pass
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444])
def test_an_overwritten_file_keeps_its_permissions(tmp_path: Path, umask: int, mode: int) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(mode)
    write_atomically(path, lambda file: file.write(b"new"))
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == mode


def test_what_is_no_file_is_not_overwritten(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path, what in ((tmp_path / "pipe", "a named pipe"), (tmp_path / "folder", "a folder")):
        with pytest.raises(UserError, match=f"{path.name}: is {what}, which is not overwritten"):
            write_atomically(path, lambda file: file.write(b"1"))
    with pytest.raises(UserError, match="is a device"):
        write_atomically(Path("/dev/null"), lambda file: file.write(b"1"))
    assert Path("/dev/null").is_char_device()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder", "pipe"]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from custom_networks.files import write_atomically\n"
        "write_atomically(Path(sys.argv[1]), lambda file: (file.write(b'half'), os.kill(os.getpid(), 9)))"
    )
    (tmp_path / ".a.png-mine").mkdir()
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.png")], check=False)
    left = [each.name for each in tmp_path.iterdir()]
    assert len(left) == 2
    assert remove_unfinished(tmp_path, ["b.png"]) == 0
    assert len(list(tmp_path.iterdir())) == 2
    assert remove_unfinished(tmp_path, ["a.png"]) > 0
    assert [each.name for each in tmp_path.iterdir()] == [".a.png-mine"]


def test_what_another_process_writes_is_not_removed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from custom_networks.files import write_atomically\n"
        "write_atomically(Path(sys.argv[1]), lambda file: (file.write(b'all'), print('half', flush=True), input()))"
    )
    path = tmp_path / "a.png"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"half\n"
        remove_unfinished(tmp_path)
        other.communicate(b"\n")
    assert [each.name for each in tmp_path.iterdir()] == ["a.png"]
    assert path.read_bytes() == b"all"


def test_the_folder_that_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from custom_networks.files import unfinished_folder\n"
        "with unfinished_folder(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'half').write_bytes(b'half'); os.kill(os.getpid(), 9)"
    )
    path = tmp_path / "a.ts"
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    with unfinished_folder(path) as mine, unfinished_folder(path) as other:
        assert sorted(tmp_path.iterdir()) == sorted([mine, other])
    assert not list(tmp_path.iterdir())


def test_nothing_but_files_is_removed(tmp_path: Path) -> None:
    end = "-0123456789abcdef"
    os.mkfifo(tmp_path / f".a{end}")
    (tmp_path / f".b{end}").symlink_to("nowhere")
    (tmp_path / f".c{end}").mkdir()
    (tmp_path / f".d{end}").write_bytes(b"left")
    remove_unfinished(tmp_path)
    assert sorted(each.name for each in tmp_path.iterdir()) == [f".{name}{end}" for name in "abc"]


def test_a_lock_of_another_process_is_told_and_ends_with_it(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from custom_networks.files import lock_file\n"
        "lock = lock_file(Path(sys.argv[1])); print('locked', flush=True); sys.stdin.read()"
    )
    path = tmp_path / "new" / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(UserError, match="new: somebody works here"):
            lock_file(path, "somebody works here")
        other.kill()
    assert lock_file(path, "somebody works here") is not None


ADD_ONE = """
import sys; from pathlib import Path; from custom_networks.errors import UserError
from custom_networks.files import only_writer
count, done = Path(sys.argv[1]), 0
print("ready", flush=True); input()
while done < 200:
    try:
        with only_writer(count, "wait"):
            number = int(count.read_text())
            count.write_text("")  # in a second process at once, a number would be missing or lost
            count.write_text(str(number + 1))
            done += 1
    except UserError:
        pass
"""


def test_one_process_at_a_time_writes_and_leaves_no_lock(tmp_path: Path) -> None:
    count = tmp_path / "count"
    count.write_text("0")
    words = [sys.executable, "-c", ADD_ONE, str(count)]
    others = [subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for other in others:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
    for other in others:
        assert other.stdin is not None
        print(file=other.stdin, flush=True)
    assert [other.communicate(timeout=60) and other.returncode for other in others] == [0, 0, 0]
    assert count.read_text() == "600"
    assert list(tmp_path.iterdir()) == [count]


def test_a_second_writer_is_told_the_file(tmp_path: Path) -> None:
    with (
        only_writer(tmp_path / "new" / "a.zip", "give another --output"),
        pytest.raises(UserError, match=r"new: another process writes a\.zip there; wait for its end, or give another"),
        only_writer(tmp_path / "new" / "a.zip", "give another --output"),
    ):
        pass


def test_only_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, sentence in (
        (tmp_path / "pipe", "pipe: is a named pipe"),
        (tmp_path, "is a folder"),
        (Path("/dev/zero"), "/dev/zero: is a device"),
        (tmp_path / ("x" * 300), "cannot be read"),
        (f"{tmp_path}/a\0b", "cannot be the name of a file"),
        (os.fsdecode(os.fsencode(tmp_path) + b"/\xff" + b"x" * 300), "cannot be read"),
    ):
        with pytest.raises(UserError, match=sentence) as caught:
            open_regular(path)
        str(caught.value).encode()
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "none")


def test_the_digest_is_that_of_the_whole_file(tmp_path: Path) -> None:
    content = bytes(range(256)) * 9000
    (tmp_path / "a").write_bytes(content)
    assert sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()
