"""Mistakes a user can make, each told in one sentence that names the file and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake in the user's input; its message is one sentence naming the culprit and the fix.

    `sgdnet` and the bundle's configs print the message alone, without a traceback, and exit with code 1.
    """


def nearest(word: str, known: Iterable[str]) -> str:
    """Say which known name is nearest to a misspelt one.

    Args:
        word: what the user wrote.
        known: the names that exist.

    Returns:
        `"; did you mean 'x'?"`, or an empty string when nothing is near.
    """
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
