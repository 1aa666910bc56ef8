"""Twenty people at once: how long their requests take while the queue computes."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
import uuid

import numpy as np
import pytest
from support import SIZE, Running, png

USERS, SECONDS, LIMIT = 20, 30.0, 0.2
NAMES = [f"phantom_{i:03}.png" for i in range(8)]


class User(threading.Thread):
    """Looks at the list, opens an image, asks for its outline, corrects it, submits; pauses between like a person."""

    def __init__(self, host: str, number: int) -> None:
        super().__init__(daemon=True)
        self.connection = http.client.HTTPConnection(host, timeout=60)
        self.number = number
        self.dice = random.Random(number)
        self.times: dict[str, list[float]] = {}
        self.failures: list[str] = []
        self.inferences = 0

    def ask(
        self, what: str, method: str, path: str, body: bytes | None = None, kind: str = "application/json"
    ) -> bytes:
        before = time.perf_counter()
        self.connection.request(method, path, body, {"Content-Type": kind, "X-Annotator": f"user{self.number}"})
        answer = self.connection.getresponse()
        data = answer.read()
        self.times.setdefault(what, []).append(time.perf_counter() - before)
        if answer.status >= 400 and answer.status != 409 and not (what == "next" and answer.status == 404):  # all done
            self.failures.append(f"{path}: {answer.status} {data[:200]!r}")
        time.sleep(self.dice.uniform(0.1, 0.5))
        return data

    def run(self) -> None:
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            name = self.dice.choice(NAMES)
            self.ask("list", "GET", "/api/images?limit=50")
            self.ask("thumbnail", "GET", f"/api/images/{name}/thumbnail")
            item = json.loads(self.ask("item", "GET", f"/api/images/{name}"))
            self.ask("view", "GET", f"/api/images/{name}/view")
            made = json.loads(self.ask("infer", "POST", "/api/infer", json.dumps({"image": name}).encode()))
            while time.monotonic() < until:
                told = json.loads(self.ask("(wait)", "GET", f"/api/jobs/{made['job']}?wait=5"))
                if told["state"] == "done":
                    self.inferences += 1
                    self.ask("mask", "GET", f"/api/jobs/{made['job']}/mask")
                    break
            limit = uuid.uuid4().hex
            head = f'--{limit}\r\nContent-Disposition: form-data; name="'
            about = json.dumps({"base_version": item["version"], "seconds": 3})
            label = png(np.random.default_rng(self.number).integers(0, 2, (SIZE, SIZE), np.uint8))
            body = f'{head}about"\r\n\r\n{about}\r\n{head}label"; filename="a.png"\r\n\r\n'.encode()
            body += label + f"\r\n--{limit}--\r\n".encode()
            self.ask("submit", "PUT", f"/api/images/{name}/label", body, f"multipart/form-data; boundary={limit}")
            self.ask("next", "POST", "/api/next", b'{"strategy": "first"}')
            self.ask("versions", "GET", f"/api/images/{name}/versions")


@pytest.mark.slow
def test_twenty_users_at_once(served: Running):
    host = served.address.removeprefix("http://")
    users = [User(host, number) for number in range(USERS)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    kinds = sorted({kind for user in users for kind in user.times})
    by_kind = {kind: [t for user in users for t in user.times.get(kind, [])] for kind in kinds}
    lines = [
        f"{kind:<10} {len(t):>5} {1000 * np.median(t):6.0f} {1000 * np.quantile(t, 0.95):6.0f} {1000 * max(t):6.0f} ms"
        for kind, t in by_kind.items()
    ]
    others = np.concatenate([t for kind, t in by_kind.items() if kind != "(wait)"])
    inferences = sum(user.inferences for user in users)
    print("", "request    count median    p95    max", *lines, sep="\n")
    print(
        f"all but the waiting for inference: {len(others)}, p95 {1000 * np.quantile(others, 0.95):.0f} ms, "
        f"{np.mean(others <= LIMIT):.1%} within 200 ms; {inferences} inferences"
    )
    assert not [failure for user in users for failure in user.failures]
    assert inferences > 0
    assert np.mean(others <= LIMIT) >= 0.95
