"""Where a release lies: a folder, a store that fsspec knows, or a web address; each can be read from any byte on.

MONAI's `download_url`, torch's `download_url_to_file` and fsspec's `get` begin anew after an interruption, hence the
request with a Range here. `requests` comes with MLflow; it knows proxies and `.netrc`, and follows redirects to the
web alone: here none leads from https to http either.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

from custom_networks.data.remote import as_url, is_remote, object_stamp, read_range
from custom_networks.errors import UserError
from custom_networks.files import open_regular
from custom_networks.releases.index import FIX, INDEX

TIMEOUT = (20, 60)
"""Seconds to connect, and to wait for the next bytes."""
PIECE = 1 << 16
"""Bytes; what a broken connection loses at most."""
STORE_PIECE = 1 << 23
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
"""Answers of a web server after which the same request may succeed."""
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


Pieces = Generator[tuple[int, bytes], None, None]
"""Position and content of each."""


class InterruptedTransfer(UserError):
    """The source failed in a way that may pass; what has been read counts."""


class Source(Protocol):
    """What publishes files."""

    def address(self, name: str) -> str:
        """Name a file for messages."""

    def pieces(self, name: str, start: int, size: int | None) -> Pieces:
        """Read a file from a byte on.

        Args:
            name: of the file, without a folder.
            start: number of the first byte.
            size: bytes that the file must have; None for any.

        Yields:
            Position and content of each piece; the first position is 0 where the source cannot begin elsewhere.

        Raises:
            UserError: where there is no such file, it has another size, or it cannot be read.
            InterruptedTransfer: where a later attempt may succeed.
        """


def open_source(place: str) -> tuple[Source, str]:
    """Find what a user named.

    Args:
        place: a folder, an address of a store or of the web; or an index itself, whose name ends in `.json`.

    Returns:
        The source, and the name of its index.

    Raises:
        UserError: for another kind of address, or an empty one.
    """
    if not place:
        raise UserError("--source is missing; give the folder or the address that publishes the weights")
    folder, slash, last = place.rpartition("/")
    named = last.split("?")[0].endswith(".json")
    if place.lower().startswith(("http://", "https://")):
        base = place if named else f"{place.rstrip('/')}/"
        return WebSource(base), last if named else INDEX
    base = (folder or slash or ".") if named else place
    index = last if named else INDEX
    if is_remote(place):
        return StoreSource(base), index
    if _SCHEME.match(place):
        raise UserError(f"{place}: no address that weights can be fetched from; give a folder, https:// or s3://")
    return FolderSource(Path(base)), index


def _check_size(address: str, found: int, size: int | None) -> None:
    if size is not None and found != size:
        raise UserError(f"{address}: has {found:,} bytes, the index says {size:,}; {FIX}")


class FolderSource:
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def address(self, name: str) -> str:
        """Name a file for messages."""
        return str(self.folder / name)

    def pieces(self, name: str, start: int, size: int | None) -> Pieces:
        """Read a file; see `Source`."""
        try:
            with open_regular(self.folder / name) as file:
                _check_size(self.address(name), file.seek(0, 2), size)
                file.seek(start)
                while block := file.read(PIECE):
                    yield start, block
                    start += len(block)
        except FileNotFoundError:
            raise UserError(f"{self.address(name)}: no such file; correct the folder") from None
        except OSError as error:
            raise InterruptedTransfer(f"{self.address(name)}: cannot be read ({error.strerror})") from None


class StoreSource:
    """A folder of a store, such as s3://bucket/weights."""

    def __init__(self, folder: str) -> None:
        self.folder = as_url(folder)

    def address(self, name: str) -> str:
        """Name a file for messages."""
        return f"{self.folder}/{name}"

    def pieces(self, name: str, start: int, size: int | None) -> Pieces:
        """Read a file; see `Source`."""
        url = self.address(name)
        found = object_stamp(url)[0]
        _check_size(url, found, size)
        while start < found:
            block = read_range(url, start, min(start + STORE_PIECE, found))
            yield start, block
            start += len(block)


class WebSource:
    """An address of the web, and what lies beside it.

    Args:
        base: of a folder, ending in a slash, or of the index.
    """

    def __init__(self, base: str) -> None:
        self.base = base

    def address(self, name: str) -> str:
        """Return the address of a file."""
        return self.base if self.base.endswith(f"/{name}") else urljoin(self.base, name)

    def pieces(self, name: str, start: int, size: int | None) -> Pieces:
        """Read a file; see `Source`."""
        import requests

        url = self.address(name)
        with _session(url) as session:
            try:
                headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={start}-"} if start else {})}
                with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
                    at = _begin(url, answer, start, size)
                    for block in answer.iter_content(PIECE):
                        yield at, block
                        at += len(block)
            except requests.exceptions.InvalidSchema as error:
                reason = str(error)[:200]
                raise UserError(f"{url}: leads to an address that is not fetched from ({reason}); {FIX}") from None
            except (requests.exceptions.InvalidURL, requests.exceptions.TooManyRedirects, UnicodeError) as error:
                raise UserError(f"{url}: no address that can be fetched ({error}); correct it") from None
            except requests.RequestException as error:
                raise InterruptedTransfer(f"{url}: cannot be reached ({_reason(error)})") from None


def _session(url: str) -> Any:
    """Open a session that goes to addresses of the same kind alone, redirects included."""
    import requests

    session = requests.Session()
    kinds = ("https",) if urlsplit(url).scheme.lower() == "https" else ("https", "http")
    session.adapters.clear()
    for kind in kinds:
        session.mount(f"{kind}://", requests.adapters.HTTPAdapter())
    return session


def _begin(url: str, answer: Any, start: int, size: int | None) -> int:
    """Look at an answer's head; return the position of its first byte."""
    status = answer.status_code
    if status in TRANSIENT:
        raise InterruptedTransfer(f"{url}: the server is busy ({status} {answer.reason})")
    if status not in (200, 206):
        raise UserError(f"{url}: the server refuses ({status} {answer.reason}); check the address and the name")
    length = answer.headers.get("Content-Length")
    if status == 200:
        if length is not None and not answer.headers.get("Content-Encoding"):
            _check_size(url, int(length), size)
        return 0
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
    if match is None or int(match[1]) != start:
        raise UserError(f"{url}: the server sends other bytes than it was asked for; {FIX}")
    if match[2] != "*":
        _check_size(url, int(match[2]), size)
    return start


def _reason(error: Exception) -> str:
    """Say what is wrong with a connection: the innermost of the errors that wrap each other."""
    while inner := [each for each in (*error.args, getattr(error, "reason", None)) if isinstance(each, Exception)]:
        error = inner[-1]
    return " ".join(str(error).split())[:200] or type(error).__name__
