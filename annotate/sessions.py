"""Images that a client sends for a while without adding them to the studies, as 3D Slicer and QuPath do."""

from __future__ import annotations

import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from annotate.errors import NotFound
from annotate.settings import Settings
from annotate.studies import check_image, checked_name

EXPIRY = 3600.0  # seconds


class Sessions:
    """Temporary images by session id.

    Args:
        settings: with the limits of uploads.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.folder = settings.annotations / "cache" / "sessions"
        shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, filename: str, data: bytes) -> str:
        """Keep an image; returns the session's id; raises Unfit or TooLarge as `check_image`."""
        name = upload_name(filename)
        check_image(name, data, self.settings)
        self._expire()
        session = secrets.token_hex(16)
        (self.folder / session).mkdir(parents=True)
        (self.folder / session / name).write_bytes(data)
        return session

    def path(self, session: str) -> Path:
        """Path of a session's image; raises NotFound."""
        if re.fullmatch("[0-9a-f]{32}", session):
            found = [path for path in (self.folder / session).glob("*") if path.is_file()]
            if found:
                return found[0]
        raise NotFound(f"no session {session[:40]!r}; sessions end after an hour, send the image again")

    def remove(self, session: str) -> None:
        """End a session; raises NotFound."""
        shutil.rmtree(self.path(session).parent, ignore_errors=True)

    @contextmanager
    def kept(self, filename: str, data: bytes) -> Iterator[Path]:
        """Keep an image during a block."""
        session = self.add(filename, data)
        try:
            yield self.path(session)
        finally:
            self.remove(session)

    def _expire(self) -> None:
        for folder in self.folder.glob("*"):
            if time.time() - folder.stat().st_mtime > EXPIRY:
                shutil.rmtree(folder, ignore_errors=True)


def upload_name(filename: str) -> str:
    """Name of an upload without the folders that MONAI Label's client sends along; raises Unfit as `checked_name`."""
    return checked_name(filename.replace("\\", "/").rsplit("/", 1)[-1])
