"""Typed files: every malformed one is a sentence that names the file, the key and the fix."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field

from custom_networks import UserError
from custom_networks.typed_files import FileModel, Json, read_lines, read_model, read_table, read_text

FIX = "write it anew"


class Part(FileModel):
    name: str
    sizes: tuple[float, ...] = ()


class Whole(FileModel):
    version: Literal[1, 2] = 1
    parts: list[Part]
    more: dict[str, Json] = Field(default_factory=dict)


GOOD = {"version": 2, "parts": [{"name": "a", "sizes": [1, 2.5]}], "more": {"x": {"y": [1, None]}}}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "not valid JSON (EOF"),
        ("[" * 100_000, "not valid JSON (recursion limit"),
        ('{"parts": ' + "[" * 100_000 + "]" * 100_000 + "}", "not valid JSON (recursion limit"),
        ("null", "input should be an object, got None"),
        ("[]", "input should be an object, got []"),
        ("{}", '"parts" is missing'),
        ('{"parts": {}}', '"parts": input should be a valid array, got {}'),
        ('{"parts": [{"name": "a"}, {}]}', '"parts[1].name" is missing'),
        ('{"parts": [{"name": null}]}', '"parts[0].name": input should be a valid string, got None'),
        ('{"parts": [{"name": "a", "sizes": [1, NaN]}]}', '"parts[0].sizes[1]": input should be a finite number'),
        ('{"parts": [], "more": {"x": {"y": [Infinity]}}}', '"more.x": input should be a finite number'),
        ('{"parts": [], "more": {"x": 1e999}}', '"more.x": input should be a finite number'),
        ('{"version": 3, "parts": []}', "written in version 3 of this file; this sgdnet reads 1 or 2; update the"),
        ('{"version": null, "parts": []}', "written in version None of this file"),
    ],
)
def test_a_fault_names_the_file_the_key_and_the_fix(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "about.json"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_model(path, Whole, fix=FIX)
    message = str(caught.value)
    assert message.startswith(f"{path}: {sentence}")
    assert message.endswith(FIX)
    assert len(message) < 300 + len(str(path))
    assert "\n" not in message


def test_a_good_file_is_read_with_a_byte_order_mark_too(tmp_path: Path) -> None:
    path = tmp_path / "about.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode())
    whole = read_model(path, Whole)
    assert whole.as_dict() == GOOD
    assert whole.parts[0].sizes == (1, 2.5)


def test_what_is_no_readable_text_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "latin.json").write_bytes(b'{"parts": "\xe4"}')
    (tmp_path / "large.json").write_text(" " * 2000)
    (tmp_path / "loop.json").symlink_to(tmp_path / "loop.json")
    for name, sentence in (
        ("pipe.json", "is a named pipe"),
        ("folder.json", "is a folder"),
        ("latin.json", r"not a text file in UTF-8 \(byte 11\)"),
        ("large.json", "larger than"),
        ("larg.json", "no such file; did you mean 'large.json'"),
        ("loop.json", "cannot be read"),
        ("no/folder.json", f"no such file; {FIX}"),
    ):
        with pytest.raises(UserError, match=f"{name}: {sentence}"):
            read_text(tmp_path / name, fix=FIX, limit=1000)
    with pytest.raises(UserError, match="is a device"):
        read_text("/dev/zero")


def test_a_journal_is_read_up_to_where_its_writer_stopped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "journal.jsonl"
    assert read_lines(path, Part) == []
    path.write_text('{"name": "a"}\n{"name": "b"}\n{"name": ')
    assert [line.name for line in read_lines(path, Part)] == ["a", "b"]
    assert caplog.messages == []
    with pytest.raises(UserError, match="is a folder"):
        read_lines(tmp_path, Part)


def test_a_line_of_a_journal_that_is_damaged_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"name": "a"}\n[2]\n{"name": "b"}\n{"name": 3}\n')
    for _ in range(2):
        assert [line.name for line in read_lines(path, Part)] == ["a", "b"]
    assert caplog.messages == [
        f"{path}: line {number} is damaged and left out; what it recorded is done again" for number in (2, 4)
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "an empty table"),
        ("\n\n", "an empty table"),
        ("a,b,a\n1,2,3\n", "the column 'a' stands twice"),
        ("a,c\n1,2\n", r"no column 'b' in the header \(a, c\)"),
        ("a,b\n1,2\n3\n", "row 3 has 1 cells, the header has 2"),
        ('a,b\n1,"2\n', "not a CSV table"),
        ("a,b\n" + "x" * 200_000 + ",1\n", "not a CSV table"),
    ],
)
def test_a_faulty_table(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UserError, match=rf"t\.csv: {sentence}"):
        read_table(tmp_path / "t.csv", ["a", "b"])


def test_a_table_is_read_by_its_header(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('a, b\n1,"2,\n3"\n\n4,\n')
    assert read_table(tmp_path / "t.csv", ["b"]) == [{"a": "1", "b": "2,\n3"}, {"a": "4", "b": ""}]


JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["parts", "name", "x"]), inner),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60) | JUNK.map(lambda junk: json.dumps(junk).encode()), st.integers(0, 80))
def test_no_content_ends_in_anything_but_a_sentence(tmp_path: Path, data: bytes, cut: int) -> None:
    for name, content in (("a.json", data), ("b.json", json.dumps(GOOD).encode()[:cut] + data)):
        path = tmp_path / name
        path.write_bytes(content)
        for read in (lambda file: read_model(file, Whole), read_table):
            with contextlib.suppress(UserError):
                read(path)
