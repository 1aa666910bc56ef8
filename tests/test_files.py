"""Files: whole or not at all; journals that end in the middle of a line."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from custom_networks import UserError
from custom_networks.files import read_json_lines, sha256, write_atomically


def test_a_journal_is_read_up_to_where_its_writer_stopped(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    assert read_json_lines(path) == []
    path.write_text('{"a": 1}\n[2]\n{"b": 2}\n{"c": ')
    assert read_json_lines(path) == [{"a": 1}, {"b": 2}]


def test_a_journal_that_is_a_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_json_lines(tmp_path)


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(file: object) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_atomically(path, fail)
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


def test_the_digest_is_that_of_the_whole_file(tmp_path: Path) -> None:
    content = bytes(range(256)) * 9000
    (tmp_path / "a").write_bytes(content)
    assert sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()
