"""Files in object stores (`s3://bucket/key` and the other stores of fsspec): listed, read, and copied to disk once.

A data set's folder or datalist may lie in a store. `sgdnet prepare folder` reads each picture from there and keeps none
but its copies; everything else reads an image many times, so that its files are fetched into the user's cache folder,
each once, and again only where size or time of the store's object differ. fsspec's own `filecache` asks the store about
each file at each opening and hides the names by which masks find their images; hence a mirror, of the same names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from custom_networks.errors import UserError
from custom_networks.files import PathLike, Stamp, lock_file, unfinished, user_cache

PROTOCOLS = ("s3", "gs", "gcs", "az", "abfs", "abfss", "memory")
_URL = re.compile(rf"({'|'.join(PROTOCOLS)}):/+(.+)", re.DOTALL)
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "modified", "created")
_BATCH = 64  # files fetched side by side

_stamps: dict[str, Stamp] = {}  # of the objects that this process has listed
_fetched: dict[str, str] = {}  # local file of the objects that this process has looked at


def is_remote(path: PathLike) -> bool:
    """Tell whether a path names an object in a store; a `Path` writes `s3:/bucket` for `s3://bucket`."""
    return _URL.fullmatch(str(path)) is not None


def as_url(path: PathLike) -> str:
    """Write a remote path as a URL, without `..` and a slash at its end."""
    protocol, rest = _parts(path)
    return f"{protocol}://{rest}"


def scan(folder: PathLike) -> tuple[list[str], list[str]]:
    """List the names of the folders and of the files in a folder of a store, sorted; hidden ones are left out.

    Raises:
        UserError: when there is no such folder, or the store cannot be read.
    """
    url = as_url(folder)
    found = _call(url, lambda store: store.ls(_parts(url)[1], detail=True))
    folders, files = [], []
    for info in found:
        name = PurePosixPath(info["name"]).name
        if name.startswith(".") or info["name"].rstrip("/") == _parts(url)[1]:
            continue
        if info["type"] == "directory":
            folders.append(name)
        else:
            files.append(name)
            _stamps[f"{url}/{name}"] = _stamp_of(info)
    return sorted(folders), sorted(files)


def object_stamp(path: PathLike) -> Stamp:
    """Size and time of an object, by which a change of it is noticed."""
    url = as_url(path)
    if url not in _stamps:
        _stamps[url] = _stamp_of(_call(url, lambda store: store.info(_parts(url)[1])))
    return _stamps[url]


def read_bytes(path: PathLike) -> bytes:
    """Read an object whole; raises UserError where that is impossible."""
    url = as_url(path)
    content: bytes = _call(url, lambda store: store.cat_file(_parts(url)[1]))
    return content


def read_range(path: PathLike, start: int, end: int) -> bytes:
    """Read some bytes of an object; raises UserError where that is impossible."""
    url = as_url(path)
    content: bytes = _call(url, lambda store: store.cat_file(_parts(url)[1], start=start, end=end))
    return content


def fetch(paths: Sequence[PathLike]) -> list[str]:
    """Copy objects into the cache folder, unless they are there and did not change.

    Args:
        paths: of the objects.

    Returns:
        The local files, in the same order and of the same names as the objects.

    Raises:
        UserError: for an object that is missing, a store that cannot be read, or a disk that cannot be written.
    """
    urls = [as_url(path) for path in paths]
    new = [url for url in dict.fromkeys(urls) if url not in _fetched]
    if new:
        root = user_cache() / "remote"
        lock = lock_file(root / ".lock")  # the other processes of this machine find the files there
        try:
            for folder in dict.fromkeys(url.rsplit("/", 1)[0] for url in new):
                scan(folder)
            _copy([(url, root.joinpath(*_parts(url)[0:1], *_parts(url)[1].split("/"))) for url in new])
        finally:
            if lock is not None:
                lock.release()
    return [_fetched[url] for url in urls]


def fetch_names(names: Sequence[str], beside: PathLike = "") -> list[str]:
    """Fetch those of some files that are remote.

    Args:
        names: of files.
        beside: folder from which relative names start, where that is remote.

    Returns:
        The names, with local files in place of remote ones.
    """
    base = as_url(beside) if is_remote(beside) else ""
    urls = {name: name if is_remote(name) else f"{base}/{name}" for name in names if is_remote(name) or base}
    urls = {name: url for name, url in urls.items() if is_remote(name) or not os.path.isabs(name)}  # noqa: PTH117
    local = dict(zip(urls, fetch(list(urls.values())), strict=True))
    return [local.get(name, name) for name in names]


def remote_base(datalist: PathLike, dataset_dir: PathLike | None) -> str:
    """Folder of a store where a datalist's relative names start: its own, or else `dataset_dir`; empty for none."""
    if is_remote(datalist):
        return as_url(datalist).rsplit("/", 1)[0]
    return as_url(dataset_dir) if dataset_dir is not None and is_remote(dataset_dir) else ""


def _copy(wanted: Sequence[tuple[str, Path]]) -> None:
    to_do = []
    for url, file in wanted:
        if url not in _stamps:
            raise UserError(f"{url}: no such object in the store; correct the list or put the file there")
        try:
            status = file.stat()
            same = (status.st_size, status.st_mtime_ns // 10**9) == (_stamps[url][0], _stamps[url][1] // 10**9)
        except OSError:
            same = False
        if same:
            _fetched[url] = str(file)
        else:
            to_do.append((url, file))
    for start in range(0, len(to_do), _BATCH):
        batch = [(url, file, unfinished(file)) for url, file in to_do[start : start + _BATCH]]
        try:
            for _, file, _ in batch:
                file.parent.mkdir(parents=True, exist_ok=True)
            keys, parts = [_parts(url)[1] for url, _, _ in batch], [str(part) for _, _, part in batch]
            _call(batch[0][0], lambda store, keys=keys, parts=parts: store.get(keys, parts))
            for url, file, part in batch:
                os.utime(part, ns=(_stamps[url][1], _stamps[url][1]))
                part.replace(file)
                _fetched[url] = str(file)
        finally:
            for _, _, part in batch:
                part.unlink(missing_ok=True)


def _parts(path: PathLike) -> tuple[str, str]:
    """Protocol, and bucket with key."""
    match = _URL.fullmatch(str(path))
    if match is None:
        raise ValueError(f"{path}: got no remote path, must begin with one of {', '.join(PROTOCOLS)} and ://")
    names = [name for name in match[2].split("/") if name not in ("", ".")]
    if ".." in names:
        raise UserError(f"{path}: holds '..', which a store does not know; write the whole key")
    return match[1], "/".join(names)


def _stamp_of(info: dict[str, Any]) -> Stamp:
    found = next((info[name] for name in _TIMES if info.get(name) is not None), 0)
    seconds = found.timestamp() if hasattr(found, "timestamp") else float(found)
    return int(info["size"]), int(seconds * 10**9)


def _call(url: str, action: Any) -> Any:
    """Do something with the store of a URL; its errors become one sentence."""
    try:
        import fsspec

        return action(fsspec.filesystem(_parts(url)[0]))
    except UserError:
        raise
    except ImportError as error:
        raise UserError(
            f"{url}: reading from a store needs a package that is missing ({error.name or error}); run "
            "`pip install 'sgdnet[remote]'`"
        ) from None
    except FileNotFoundError:
        raise UserError(f"{url}: no such folder or object in the store; check the name") from None
    except PermissionError as error:
        raise UserError(f"{url}: the store refuses ({error}); check the credentials and the bucket's policy") from None
    except Exception as error:  # the stores' libraries raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{url}: the store cannot be read ({reason}); check its address and the credentials") from None
