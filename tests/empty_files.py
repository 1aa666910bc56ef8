"""Folders of empty files, and the sentence of an error."""

from pathlib import Path

import pytest

from custom_networks.errors import UserError


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def names(pairs):
    return [(Path(pair["image"]).name, Path(pair["label"]).name) for pair in pairs]


def error_of(function, *args, **kwargs):
    with pytest.raises(UserError) as caught:
        function(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message
