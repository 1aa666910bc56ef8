"""The server is killed (SIGKILL) in its work: nothing that it has confirmed is lost, and it starts again."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from campaign_counts import Record, count
from networks import toy_network
from PIL import Image
from support import REPOSITORY, SIZE, png
from toy_weights import write_record

NAMES = [f"phantom_{i:03}.png" for i in range(8)]


class Zygote:
    """Starts servers at once."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("zygote.py"))],
            cwd=REPOSITORY,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.line() == "ready"

    def line(self) -> str:
        return self.process.stdout.readline().strip()

    def start(self, studies: Path, checkpoint: Path | None = None) -> tuple[int, str]:
        """Start a server; returns its process and its address."""
        self.process.stdin.write(f"{studies} {checkpoint or '-'}\n")
        self.process.stdin.flush()
        child, address = 0, ""
        while not (child and address):
            line = self.line()
            assert line or self.process.poll() is None, "the server did not start"
            if line.isdigit():
                child = int(line)
            elif line.startswith("Open "):
                address = line.split()[1].partition("/ui/")[0]
            assert not line.startswith("Error"), line
        return child, address


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    found = Zygote()
    yield found
    found.process.kill()


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the small network: an epoch takes a fraction of a second."""
    path = tmp_path_factory.mktemp("toy") / "model.pt"
    torch.manual_seed(0)
    network = toy_network()
    torch.save(network.state_dict(), path)
    write_record(path, network, image_size=64)
    return path


def ask(address: str, path: str, method: str = "GET", body: bytes | None = None, kind: str = "application/json") -> Any:
    request = urllib.request.Request(address + path, body, {"Content-Type": kind, "X-Annotator": "ada"}, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        data = answer.read()
        return json.loads(data) if "json" in answer.headers["content-type"] else data


def submit(address: str, name: str, pixels: np.ndarray, base: int) -> dict[str, Any]:
    limit = uuid.uuid4().hex
    head = f'--{limit}\r\nContent-Disposition: form-data; name="'
    body = f'{head}about"\r\n\r\n{json.dumps({"base_version": base, "seconds": 1})}\r\n'.encode()
    body += f'{head}label"; filename="a.png"\r\n\r\n'.encode() + png(pixels) + f"\r\n--{limit}--\r\n".encode()
    path = f"/api/images/{name}/label"
    return dict(ask(address, path, "PUT", body, f"multipart/form-data; boundary={limit}"))


def rounds(zygote: Zygote, studies: Path, count: int) -> dict[str, int]:
    """Kill a server `count` times while four people submit; returns how much was confirmed and found."""
    dice = random.Random(0)
    confirmed: dict[tuple[str, int], bytes] = {}
    newest = dict.fromkeys(NAMES[:4], 0)
    killed_in_flight = 0
    for _ in range(count):
        child, address = zygote.start(studies)
        flying: set[str] = set()

        def work(name: str, address: str = address, flying: set[str] = flying) -> None:
            generator = np.random.default_rng(dice.randrange(2**32))
            with contextlib.suppress(OSError, ValueError, http.client.HTTPException):  # the server is gone
                while True:
                    pixels = generator.integers(0, 2, (SIZE, SIZE), np.uint8)
                    flying.add(name)
                    version = submit(address, name, pixels, newest[name])["version"]
                    flying.discard(name)
                    newest[name] = version
                    confirmed[name, version] = pixels.tobytes()

        people = [threading.Thread(target=work, args=(name,)) for name in newest]
        for person in people:
            person.start()
        time.sleep(dice.uniform(0.05, 0.6))
        os.kill(child, signal.SIGKILL)
        killed_in_flight += bool(flying)
        for person in people:
            person.join(timeout=40)
        child, address = zygote.start(studies)
        for name in newest:
            versions = ask(address, f"/api/images/{name}/versions")
            assert [each["version"] for each in versions] == list(range(1, len(versions) + 1))
            assert len(versions) - newest[name] in (0, 1)  # one may be written that was not confirmed any more
            newest[name] = len(versions)
        os.kill(child, signal.SIGKILL)
    child, address = zygote.start(studies)
    for (name, version), pixels in confirmed.items():
        data = ask(address, f"/api/images/{name}/versions/{version}")
        assert np.asarray(Image.open(io.BytesIO(data))).tobytes() == pixels
    for name in newest:
        for each in ask(address, f"/api/images/{name}/versions"):
            data = ask(address, f"/api/images/{name}/versions/{each['version']}")
            assert hashlib.sha256(data).hexdigest() == each["sha256"]
    os.kill(child, signal.SIGKILL)
    return {"rounds": count, "confirmed": len(confirmed), "killed with a submit under way": killed_in_flight}


def counted(record: Record, kills: int) -> None:
    """Count kills each of whose ends was compared with what had been confirmed."""
    for column in ("kills", "chains", "ends equal"):
        count(record, "annotate", column, kills)


def test_killed_during_submits(zygote, studies, record_property):
    told = rounds(zygote, studies, 4)
    counted(record_property, told["rounds"])
    assert told["confirmed"] > 0


@pytest.mark.slow
def test_killed_during_submits_fifty_times(zygote, studies, record_property):
    told = rounds(zygote, studies, 50)
    counted(record_property, told["rounds"])
    print(told)
    assert told["killed with a submit under way"] > 20


def training_rounds(zygote: Zygote, studies: Path, weights: Path, count: int, longest: float) -> list[str]:
    """Kill a server during fine-tuning; returns at which stage each time."""
    dice = random.Random(1)
    stages = []
    child, address = zygote.start(studies, weights)
    for name in NAMES[:3]:
        submit(address, name, np.ones((SIZE, SIZE), np.uint8), 0)
    for number in range(1, count + 1):
        ask(address, "/api/training", "POST", b'{"epochs": 200}')
        if number % 2:  # every other kill comes while it trains, not while it starts
            until = time.monotonic() + 60
            while not ask(address, "/api/training")["epoch"] and time.monotonic() < until:
                time.sleep(0.1)
        time.sleep(dice.uniform(0.2, longest))
        told = ask(address, "/api/training")
        assert told["state"] == "running", told
        stages.append(f"epoch {told['epoch']}" if told["before"] else "start")
        os.kill(child, signal.SIGKILL)
        run = studies / "annotations" / "training" / f"{number:04}"
        until = time.monotonic() + 60
        while _alive(str(run)) and time.monotonic() < until:
            time.sleep(0.1)
        assert not _alive(str(run)), "the fine-tuning outlives its server"
        child, address = zygote.start(studies, weights)
        told = ask(address, "/api/training")
        assert (told["state"], told["published"]) == ("error", False)
        assert "the server was stopped" in told["message"]
        assert [each["version"] for each in ask(address, "/api/models")] == [0]
        assert ask(address, "/api/images")["counts"]["labelled"] == 3
        assert not list(run.rglob("*.pt"))
    os.kill(child, signal.SIGKILL)
    return stages


def _alive(word: str) -> bool:
    """Whether a process has a word in its command line."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if word.encode() in path.read_bytes():
                return True
    return False


def test_killed_during_fine_tuning(zygote, studies, toy, record_property):
    stages = training_rounds(zygote, studies, toy, 2, 1.0)
    counted(record_property, len(stages))
    assert stages[0] != "start"


@pytest.mark.slow
def test_killed_during_fine_tuning_often(zygote, studies, toy, record_property):
    stages = training_rounds(zygote, studies, toy, 24, 5.0)
    counted(record_property, len(stages))
    print({stage: stages.count(stage) for stage in sorted(set(stages))})
    assert sum(stage.startswith("epoch") and stage != "epoch 0" for stage in stages) >= 12


def test_what_a_crash_leaves_is_passed_over(zygote, studies):
    """Files as they lie when the machine stops at the worst moment."""
    folder = studies / "annotations" / "labels" / NAMES[0]
    folder.mkdir(parents=True)
    (folder / "0001.png").write_bytes(png(np.ones((SIZE, SIZE), np.uint8)))  # its JSON was not written yet
    (folder / ".0001.json-x7").write_bytes(b'{"versi')
    (studies / "annotations" / "scores.json").write_bytes(b'{"mod')
    child, address = zygote.start(studies)
    assert ask(address, f"/api/images/{NAMES[0]}/versions") == []
    assert submit(address, NAMES[0], np.zeros((SIZE, SIZE), np.uint8), 0)["version"] == 1
    assert not list(folder.glob(".*"))
    data = ask(address, f"/api/images/{NAMES[0]}/versions/1")
    assert not np.asarray(Image.open(io.BytesIO(data))).any()
    os.kill(child, signal.SIGKILL)
