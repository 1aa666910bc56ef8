"""A web server of this machine alone that publishes a folder, with ranges, and misbehaves as it is told."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Behaviour:
    """How the server answers, and what it was asked.

    Attributes:
        folder: that it publishes.
        ranges: whether it knows them.
        cuts: bytes of a body after which the connection breaks, for each of the next answers.
        pause: seconds between pieces of a body.
        moved: addresses that lead elsewhere.
        unsized: whether it tells no length.
        extra: bytes that are sent behind a file.
        status: of each answer about weights.
        asked: path and range of every request.
        sent: bytes of all bodies.
    """

    folder: Path
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    pause: float = 0
    moved: dict[str, str] = field(default_factory=dict)
    unsized: bool = False
    extra: bytes = b""
    status: int = 200
    asked: list[tuple[str, str]] = field(default_factory=list)
    sent: int = 0


class _Handler(BaseHTTPRequestHandler):
    behaviour: Behaviour

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        told, name = self.behaviour, self.path.lstrip("/").partition("?")[0]
        given = self.headers.get("Range", "")
        told.asked.append((name, given))
        if name in told.moved:
            self.send_response(302)
            self.send_header("Location", told.moved[name])
            self.end_headers()
            return
        path = told.folder / name
        if not path.is_file() or (told.status != 200 and name.endswith(".pt")):
            self.send_error(404 if not path.is_file() else told.status)
            return
        content = path.read_bytes() + (told.extra if name.endswith(".pt") else b"")
        match = re.fullmatch(r"bytes=(\d+)-", given) if told.ranges else None
        start = int(match[1]) if match else 0
        self.send_response(206 if match else 200)
        if match:
            self.send_header(
                "Content-Range", f"bytes {start}-{len(content) - 1}/{'*' if told.unsized else len(content)}"
            )
        if not told.unsized:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        cut = told.cuts.pop(0) if name.endswith(".pt") and told.cuts else None
        with contextlib.suppress(OSError):  # the client was killed
            for at in range(start, len(content), 1 << 16):
                if cut is not None and at - start >= cut:
                    return
                block = content[at : at + (1 << 16)]
                self.wfile.write(block)
                told.sent += len(block)
                time.sleep(told.pause)


@contextlib.contextmanager
def publish(folder: Path) -> Iterator[tuple[str, Behaviour]]:
    """Serve a folder; yields its address, and how it behaves, which may be changed."""
    behaviour = Behaviour(folder)
    handler = type("Handler", (_Handler,), {"behaviour": behaviour})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)  # seconds until it sees its end
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", behaviour
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
