"""Requests drawn from the server's own OpenAPI: no 5xx, nothing written or read outside of the studies."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from support import BUNDLE, REPOSITORY, Start, put_label, square

SECRET = "a line that no answer may hold"
EVIL = [
    "../../outside",
    "..%2f..%2foutside",
    "/etc/passwd",
    "....//....//outside.png",
    "phantom_000.png/../../../outside.png",
    "C:\\outside.png",
    "\x00",
    "%00",
    "file:///etc/passwd",
    "a" * 5000,
    "outside.png\n",
    "‮gnp",
]


def digest(folder: Path, *left_out: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(each in path.parents for each in left_out)
    }


def fuzz(start: Start, studies: Path, examples: int) -> Counter[int]:
    """Send `examples` requests to each address; returns how often each status came."""
    outer = studies.parent
    (outer / "outside.png").write_text(SECRET)
    (outer / "secret.txt").write_text(SECRET)
    before, bundle = digest(outer, studies), digest(BUNDLE / "configs")
    top = {path.name for path in REPOSITORY.iterdir()}
    images = digest(studies / "images")
    client = start()
    put_label(client, "phantom_000.png", square())
    schema = schemathesis.openapi.from_asgi("/openapi.json", client.app, headers={"Host": "127.0.0.1:8000"})
    statuses: Counter[int] = Counter()
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @schemathesis_given(operation)
        def send(case: schemathesis.Case) -> None:
            case.headers = {**(case.headers or {}), "Host": "127.0.0.1:8000"}
            case.headers.pop("Origin", None)
            answer = case.call(session=None)
            assert SECRET.encode() not in answer.content
            case.validate_response(answer, checks=[not_a_server_error])
            statuses[answer.status_code] += 1

        send()
    for word in EVIL:
        for method, path in [
            ("GET", "/api/images/{}"),
            ("GET", "/api/images/{}/view"),
            ("GET", "/api/jobs/{}"),
            ("GET", "/ui/{}"),
            ("GET", "/session/{}"),
            ("GET", "/datastore/image?image={}"),
            ("GET", "/datastore/label?label={}"),
            ("GET", "/datastore/label?label=phantom_000.png&tag={}"),
            ("POST", "/infer/sgdnet?image={}"),
            ("POST", "/infer/wsi/sgdnet?image={}"),
            ("PUT", "/datastore/label?image=phantom_000.png&tag={}"),
            ("PUT", "/datastore/image?image={}"),
            ("GET", "/model/{}"),
        ]:
            files = None
            if method == "PUT":
                field = "file" if "/image" in path else "label"
                files = {field: (f"{word[:100]}.png", b"no image")}
            try:
                answer = client.request(method, path.format(word), files=files)
            except (ValueError, UnicodeError):
                continue  # the client itself refuses to send it
            except Exception as error:
                if "InvalidURL" not in type(error).__name__:
                    raise
                continue
            assert answer.status_code < 500, (method, path, word, answer.text)
            assert SECRET.encode() not in answer.content
            assert b"root:" not in answer.content
            statuses[answer.status_code] += 1
    assert digest(outer, studies) == before
    assert digest(BUNDLE / "configs") == bundle
    assert {path.name for path in REPOSITORY.iterdir()} <= top | {".hypothesis", ".schemathesis"}
    assert images.items() <= digest(studies / "images").items()
    assert not [name for name in digest(studies) if not name.startswith(("images/", "annotations/"))]
    return statuses


def schemathesis_given(operation: schemathesis.APIOperation):
    """Hypothesis' `given` over the cases of an operation, well-formed and malformed."""
    from hypothesis import given
    from hypothesis import strategies as st
    from schemathesis.generation import GenerationMode

    modes = [operation.as_strategy(generation_mode=mode) for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)]
    return given(case=st.one_of(modes))


def test_fuzz(start: Start, studies: Path):
    statuses = fuzz(start, studies, 6)
    assert statuses[200] > 10
    assert sum(statuses.values()) > 200


@pytest.mark.slow
def test_fuzz_long(start: Start, studies: Path):
    statuses = fuzz(start, studies, 400)
    print(sum(statuses.values()), dict(statuses))
    assert sum(statuses.values()) > 6000
