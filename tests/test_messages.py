"""Which errors are a user's mistake, and how they are told."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest
from monai.bundle import ConfigParser
from tqdm import tqdm

from custom_networks import UserError
from custom_networks.cli import main
from custom_networks.messages import TRACEBACK, error_line, find_user_error, print_error, readable_errors


def test_what_the_disk_says_of_a_path_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too long") as caught:
        (tmp_path / ("x" * 300)).stat()
    wrapped = RuntimeError("MONAI's")
    wrapped.__cause__ = caught.value
    for error in (caught.value, wrapped):
        found = find_user_error(error)
        assert found is not None
        assert str(found).endswith("x: file name too long; give a shorter name")


def test_a_mistake_of_ours_is_none_of_the_users() -> None:
    late = TypeError("ours")
    late.__context__ = PermissionError(errno.EACCES, os.strerror(errno.EACCES), "dealt with")
    assert find_user_error(late) is None
    assert find_user_error(OSError(errno.EACCES, "of no path")) is None
    assert find_user_error(FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "nowhere")) is None


def test_a_class_that_does_not_exist_is_named() -> None:
    parser = ConfigParser({"loss": {"_target_": "DiceLos", "sigmoid": True}})
    with pytest.raises(ModuleNotFoundError) as caught:
        parser.get_parsed_content("loss")
    assert (
        str(find_user_error(caught.value)) == "_target_ DiceLos: no such class or function; correct the configuration"
    )


def test_a_sentence_is_one_line() -> None:
    assert error_line(UserError("a\nb\x1b[1m\udce9 é 皮: no file")) == r"Error: a\nb\x1b[1m\udce9 é 皮: no file"


def test_a_sentence_stands_below_a_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    bar = tqdm(total=2)
    bar.update()
    print_error(UserError("a.png: no image; give one"))
    assert capsys.readouterr().err.splitlines()[-1] == "Error: a.png: no image; give one"


def test_the_traceback_of_a_mistake_is_shown_where_that_is_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also by a verb that has hooked into what the interpreter prints."""
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    readable_errors()
    words = ["check", str(tmp_path / "nowhere")]
    with pytest.raises(SystemExit):
        main(words)
    assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setenv(TRACEBACK, "1")
    with pytest.raises(UserError) as caught:
        main(words)
    sys.excepthook(caught.type, caught.value, caught.tb)
    assert "Traceback (most recent call last)" in capsys.readouterr().err
    monkeypatch.delenv(TRACEBACK)
    sys.excepthook(caught.type, caught.value, caught.tb)
    assert capsys.readouterr().err.startswith("Error: ")
