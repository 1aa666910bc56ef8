"""Files: written whole or not at all, told apart by their SHA-256, locked by one process; typed ones: `typed_files`."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from custom_networks.errors import UserError

if sys.platform != "win32":
    import fcntl

PathLike = str | os.PathLike
"""What names a file."""
Stamp = tuple[int, int]
"""Size and time of a file, by which a change of it is noticed."""
_UNFINISHED = re.compile(r"\.(.+)-[0-9a-f]{16}", re.DOTALL)


def write_atomically(
    path: Path, write: Callable[[IO[bytes]], Any], before: Callable[[Path], Any] | None = None
) -> None:
    """Write a file under a temporary name in the same folder, then rename it: never half a file.

    A new file gets the permissions that `open` would give it (the umask, the folder's default ACL); one that is
    overwritten keeps its own.

    Args:
        path: the file; what is there stays until the new one is complete.
        write: called with the open binary file.
        before: called with the complete temporary file, before it is renamed.

    Raises:
        UserError: where the folder cannot be made or written, or the path is a folder, a device or a pipe.
    """
    temporary: Path | None = None
    lock = -1
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = _permissions(path)
        temporary, opened, lock = _new_file(path, 0o666 if kept is None else kept)
        with opened as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if kept is not None:  # the umask may have taken some of them
            temporary.chmod(kept)
        if before is not None:
            before(temporary)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch.save wraps the disk's error in a RuntimeError
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        raise UserError(
            f"{path}: cannot be written ({cause.strerror or cause}); free some space or choose another --output_dir"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if lock >= 0:
            os.close(lock)


def _new_file(path: Path, mode: int) -> tuple[Path, IO[bytes], int]:
    """Make the temporary file of a file; returns its name, the file opened, and its lock, see `_locked`."""
    while True:
        name = unfinished(path)
        file = open(name, "xb", opener=lambda file, flags: os.open(file, flags, mode))  # noqa: SIM115
        lock = _locked(file.fileno())
        if os.fstat(file.fileno()).st_nlink:
            return name, file, lock
        file.close()  # `remove_unfinished` was faster than the lock
        if lock >= 0:
            os.close(lock)


def _locked(file: int, wait: bool = True) -> int:
    """Lock an open file until the copy of its number that is returned is closed, however the process ends.

    Returns:
        -1 where another process has locked it, or a file system or an operating system has no such locks.
    """
    if sys.platform == "win32":
        return -1
    copy = os.dup(file)
    try:
        fcntl.flock(copy, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(copy)
        return -1
    return copy


def unfinished(path: Path) -> Path:
    """Return a new temporary name beside a file, which `remove_unfinished` knows."""
    return path.parent / f".{path.name[:32]}-{secrets.token_hex(8)}"  # a name holds 255 bytes


def _permissions(path: Path) -> int | None:
    """Return the permissions of a file that is to be overwritten; None where there is none."""
    try:
        found = path.stat().st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found):
        raise UserError(f"{path}: is {kind_of_file(found)}, which is not overwritten; give the name of a file")
    return stat.S_IMODE(found) & 0o777


def kind_of_file(mode: int) -> str:
    """Name what a path is, with its article.

    Args:
        mode: `st_mode` of its `stat`.
    """
    kinds = {stat.S_IFREG: "a file", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def open_regular(path: str | Path) -> IO[bytes]:
    """Open a file for reading; a named pipe, a device or a socket is never opened, since it may wait or never end.

    Args:
        path: the file.

    Returns:
        The open binary file.

    Raises:
        FileNotFoundError: where there is none.
        UserError: for a path that is no file, cannot be read, or cannot be a path (a null byte, a name too long).
    """
    status_of_regular(path)
    try:
        return open(path, "rb")  # noqa: PTH123
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"{printable(path)}: cannot be read ({error.strerror}); check its permissions") from None


def status_of_regular(path: str | Path) -> os.stat_result:
    """Look at a file that is to be read; raises as `open_regular`."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(*error.args) from None
    except OSError as error:
        raise UserError(
            f"{printable(path)}: cannot be read ({error.strerror}); check its name and permissions"
        ) from None
    except ValueError as error:
        raise UserError(f"{printable(path)!r}: cannot be the name of a file ({error}); correct it") from None
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{printable(path)}: is {kind_of_file(status.st_mode)}; give a file")
    return status


def printable(path: str | Path) -> str:
    """Name of a file for messages; bytes that are no UTF-8 are escaped."""
    return os.fspath(path).encode(errors="backslashreplace").decode()


def lock_file(
    path: Path, busy: str | None = None, patience: float = 0, fix: str = "choose another folder"
) -> FileLock | None:
    """Lock a file for this process, until the lock is released or the process ends, however it ends.

    Args:
        path: file of the lock, which holds nothing; its folder is made where it is missing.
        busy: what to say, after the folder, while another process holds it; None waits for it for ever.
        patience: seconds to wait before that is said.
        fix: what to do where the folder cannot be written, for the message.

    Returns:
        The lock, which must be kept; None on a file system without locks.

    Raises:
        UserError: while another process holds it, or where the folder cannot be written.
    """
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=-1 if busy is None else patience)
    except Timeout:
        raise UserError(f"{path.parent}: {busy}") from None
    except NotImplementedError:
        return None
    except OSError as error:
        raise UserError(f"{path.parent}: cannot be written ({error.strerror}); {fix}") from error
    return lock


@contextmanager
def only_writer(path: Path, fix: str) -> Iterator[None]:
    """Let one process at a time make a file, or several that belong together; the lock's file goes at the end.

    A process that opened the lock's file before it went gets a lock of a file without a name, which filelock notices.

    Args:
        path: the file, or the one of them that the others are named for.
        fix: what to do where that cannot be, for the message.

    Raises:
        UserError: while another process makes it, or where the folder cannot be written.
    """
    name = path.with_name(f".{path.name[:200]}.lock")
    busy = f"another process writes {printable(path.name)} there; wait for its end, or {fix}"
    lock = lock_file(name, busy, fix=fix)
    try:
        yield
    finally:
        if lock is not None:
            with suppress(OSError):  # Windows removes it at the release
                name.unlink()
            lock.release()


def remove_unfinished(folder: Path, names: Iterable[str] | None = None) -> int:
    """Remove what a killed process left of `write_atomically` and `unfinished_folder`; what is being written stays.

    Args:
        folder: may be missing.
        names: of the files that were to be written; None for all files, and no folders.

    Returns:
        How many there were.
    """
    count = 0
    starts = None if names is None else {name[:32] for name in names}
    for path in folder.iterdir() if folder.is_dir() else ():
        match = _UNFINISHED.fullmatch(path.name)
        if match is None or (starts is not None and match[1] not in starts):
            continue
        with suppress(OSError):
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode) and not (names is not None and stat.S_ISDIR(status.st_mode)):
                continue
            opened = os.open(path, os.O_RDONLY)
            lock = _locked(opened, wait=False)
            os.close(opened)
            if lock >= 0:
                shutil.rmtree(path) if stat.S_ISDIR(status.st_mode) else path.unlink()
                os.close(lock)
                count += 1
    return count


@contextmanager
def unfinished_folder(path: Path) -> Iterator[Path]:
    """Make a folder beside a file that is to be written, which is removed at the end, with what killed ones left.

    Args:
        path: the file.

    Yields:
        The folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_unfinished(path.parent, [path.name])
    folder, lock = unfinished(path), -1
    folder.mkdir()
    try:
        if sys.platform != "win32":
            opened = os.open(folder, os.O_RDONLY)
            lock = _locked(opened)
            os.close(opened)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock >= 0:
            os.close(lock)


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes atomically."""
    write_atomically(path, lambda file: file.write(content))


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically; what JSON cannot hold is written as its text."""
    text = json.dumps(content, indent=2, default=str) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal; a large file is read piece by piece."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def user_cache() -> Path:
    """Folder of what can always be made again: `$SGDNET_CACHE`, else `sgdnet` in `$XDG_CACHE_HOME` or `~/.cache`."""
    chosen = os.environ.get("SGDNET_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "sgdnet"


def check_regular(path: PathLike) -> os.stat_result:
    """Look at a file of a data set before it is opened.

    Args:
        path: the file, or a symlink to it.

    Returns:
        What the file system says of it.

    Raises:
        UserError: when there is no such file, it cannot be looked at, or it is no regular file.
    """
    try:
        return status_of_regular(os.fspath(path))
    except FileNotFoundError:
        raise UserError(
            f"{printable(os.fspath(path))}: no such file; put it there or take the pair out of the data set"
        ) from None


def is_file(path: str) -> bool:
    """Whether a path, which may be any text, is a file; text, since there may be 100,000 of them."""
    try:
        return os.path.isfile(path)  # noqa: PTH113
    except ValueError:  # a null byte
        return False


def file_stamp(path: PathLike, *more: PathLike) -> Stamp:
    """Size and time of a file, or of several, which tell whether they changed; raises as `check_regular`."""
    status = check_regular(path)
    if not more:
        return status.st_size, status.st_mtime_ns
    all_ = [(one.name, *file_stamp(one)) for one in sorted(map(Path, (path, *more)))]
    digest = hashlib.sha256(json.dumps(all_).encode()).digest()
    return sum(size for _, size, _ in all_), int.from_bytes(digest[:7], "big")


_STORAGE_FAULTS = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EROFS", "EIO", "ENODEV", "ENXIO", "ESTALE", "ENOTCONN", "EHOSTDOWN", "ETIMEDOUT")
    if hasattr(errno, name)
}


class StorageError(UserError):
    """The storage of the results is full, read-only or gone; it ends the run."""


def of_storage(error: BaseException | None) -> bool:
    """Tell whether an error, or what caused it, is such a fault of the disk."""
    while error is not None:
        if isinstance(error, StorageError) or (isinstance(error, OSError) and error.errno in _STORAGE_FAULTS):
            return True
        error = error.__cause__
    return False
