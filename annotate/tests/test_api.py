from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from support import SIZE, finished, png, put_label, square

from custom_networks.files import write_atomically


def names(client: TestClient) -> list[str]:
    return [item["id"] for item in client.get("/api/images").json()["items"]]


def decoded(response) -> np.ndarray:
    assert response.status_code == 200, response.text
    return np.asarray(Image.open(io.BytesIO(response.content)))


def test_list_filters_and_pages(client):
    first, second, *_ = names(client)
    client.post(f"/api/images/{second}/state", json={"state": "flagged", "comment": "hair"})
    put_label(client, first, square())
    told = client.get("/api/images", params={"limit": 3, "offset": 1}).json()
    assert told["total"] == 8
    assert [item["id"] for item in told["items"]] == names(client)[1:4]
    assert told["counts"] == {"unlabelled": 6, "labelled": 1, "skipped": 0, "flagged": 1}
    flagged = client.get("/api/images", params={"state": "flagged"}).json()["items"]
    assert [(item["id"], item["comment"], item["width"], item["bits"]) for item in flagged] == [
        (second, "hair", SIZE, 8)
    ]
    assert [i["id"] for i in client.get("/api/images", params={"q": first[:-4].upper()}).json()["items"]] == [first]
    assert client.get("/api/images", params={"sort": "updated"}).json()["items"][0]["id"] == first


def test_label_is_kept_to_the_pixel_with_who_and_how(client, studies):
    name = names(client)[0]
    drawn = square()
    clicks = [{"x": 30.5, "y": 40, "positive": True, "t": 1.5}]
    made = put_label(client, name, drawn, by="J%C3%BCrgen", seconds=12.5, clicks=clicks, scribbles=2, model=0)
    assert made.status_code == 201
    assert made.json()["version"] == 1
    assert np.array_equal(decoded(client.get(f"/api/images/{name}/label")), drawn)
    file = studies / "annotations" / "labels" / name / "0001.png"
    assert np.array_equal(np.asarray(Image.open(file)), drawn)
    told = client.get(f"/api/images/{name}/versions").json()
    assert (told[0]["by"], told[0]["seconds"], told[0]["clicks"], told[0]["scribbles"]) == ("Jürgen", 12.5, 1, 2)
    assert told[0]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert json.loads(file.with_suffix(".json").read_text())["clicks"] == clicks


def test_second_annotator_is_told_and_chooses(client):
    name = names(client)[0]
    put_label(client, name, square(), by="ada")
    mine = square(30, 70)
    refused = put_label(client, name, mine, by="bob")
    assert refused.status_code == 409
    assert "ada" in refused.json()["error"]
    assert (refused.json()["current"]["version"], refused.json()["current"]["by"]) == (1, "ada")
    assert len(client.get(f"/api/images/{name}/versions").json()) == 1
    assert put_label(client, name, mine, base=1, by="bob").json()["version"] == 2
    assert np.array_equal(decoded(client.get(f"/api/images/{name}/versions/1")), square())


def test_old_version_comes_back_as_a_new_one(client):
    name = names(client)[0]
    put_label(client, name, square())
    put_label(client, name, square(1, 5), base=1)
    assert client.post(f"/api/images/{name}/restore", json={"version": 1}).json() == {"version": 3}
    assert np.array_equal(decoded(client.get(f"/api/images/{name}/label")), square())
    assert client.get(f"/api/images/{name}/versions").json()[-1]["restored_from"] == 1
    assert client.post(f"/api/images/{name}/restore", json={"version": 9}).status_code == 404


@pytest.mark.parametrize(
    ("address", "body"),
    [("state", {"state": "skipped"}), ("state", {"state": "unlabelled"}), ("restore", {"version": 1})],
)
def test_who_has_not_seen_the_newest_label_neither_marks_nor_restores(client, studies, address, body):
    name = names(client)[0]
    put_label(client, name, square(), by="ada")
    put_label(client, name, square(1, 5), base=1, by="bob")
    before = {path: path.read_bytes() for path in (studies / "annotations" / "labels" / name).iterdir()}
    for base in (0, 1, 3):
        refused = client.post(f"/api/images/{name}/{address}", json={**body, "base_version": base})
        assert refused.status_code == 409, base
        assert "version 2 by bob" in refused.json()["error"]
        assert (refused.json()["current"]["version"], refused.json()["current"]["by"]) == (2, "bob")
    assert {path: path.read_bytes() for path in (studies / "annotations" / "labels" / name).iterdir()} == before
    assert client.get(f"/api/images/{name}").json()["state"] == "labelled"
    assert client.post(f"/api/images/{name}/{address}", json={**body, "base_version": 2}).is_success
    assert client.post(f"/api/images/{name}/{address}", json=body).is_success  # who does not say goes on top


def test_request_for_another_folder_is_refused(start, studies):
    client = start()
    name = names(client)[0]
    here = client.get("/api/session").json()["folder"]
    assert start().get("/api/session").json()["folder"] == here
    client = start()
    client.headers["X-Folder"] = "0" * 32
    for answer in (
        put_label(client, name, square()),
        client.post(f"/api/images/{name}/state", json={"state": "skipped"}),
        client.put("/datastore/label", params={"image": name}, files={"label": ("a.png", png(square()))}),
    ):
        assert (answer.status_code, answer.json()["folder"]) == (409, here)
        assert "another one" in answer.json()["error"]
    assert not (studies / "annotations" / "labels").exists()
    client.headers["X-Folder"] = here
    assert put_label(client, name, square()).status_code == 201
    (studies / "annotations" / "folder.json").write_text("{")
    made = start().get("/api/session").json()["folder"]
    assert made not in (here, "")
    assert json.loads((studies / "annotations" / "folder.json").read_text()) == {"id": made}


def test_everything_is_there_after_a_restart(start):
    client = start()
    first, second, *_ = names(client)
    put_label(client, first, square(), seconds=3)
    client.post(f"/api/images/{second}/state", json={"state": "skipped", "comment": "blurred"})
    before = client.get("/api/images").json()
    again = start()
    assert again.get("/api/images").json() == before
    assert np.array_equal(decoded(again.get(f"/api/images/{first}/label")), square())


def test_skipped_image_that_is_labelled_after_all_counts_as_labelled(client):
    name = names(client)[0]
    assert client.post(f"/api/images/{name}/state", json={"state": "skipped"}).json()["state"] == "skipped"
    put_label(client, name, square())
    assert client.get(f"/api/images/{name}").json()["state"] == "labelled"
    assert client.post(f"/api/images/{name}/state", json={"state": "unlabelled"}).json()["state"] == "unlabelled"
    assert len(client.get(f"/api/images/{name}/versions").json()) == 1


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"no picture", 422, "no PNG"),
        (png(square(size=50)), 422, "50 x 50 pixels, its image 96 x 96"),
        (png(square(value=2)), 422, "class 2, the classes end at 1"),
        (png(np.zeros((SIZE, SIZE, 3), np.uint8) + np.uint8([1, 2, 3])), 422, "grey"),
        (png(square())[:-30], 422, "damaged"),
    ],
)
def test_label_that_is_none_is_refused_in_words(client, studies, data, status, words):
    name = names(client)[0]
    answer = client.put(f"/api/images/{name}/label", files={"label": ("a.png", data)}, data={"about": "{}"})
    assert answer.status_code == status
    assert words in answer.json()["error"]
    assert not (studies / "annotations" / "labels" / name).exists()


@pytest.mark.parametrize(
    "about", ["[]", "nonsense", '{"seconds": NaN}', '{"seconds": -1}', '{"clicks": [1]}', '{"who": 1}']
)
def test_wrong_about_is_refused(client, about):
    name = names(client)[0]
    answer = client.put(f"/api/images/{name}/label", files={"label": ("a.png", png(square()))}, data={"about": about})
    assert answer.status_code == 422
    assert "about" in answer.json()["error"]


def test_upload_is_checked_by_decoding(client, studies):
    good = png(np.full((40, 50, 3), 99, np.uint8))
    made = client.post("/api/images", files={"image": ("new one.png", good)})
    assert (made.status_code, made.json()["width"], made.json()["height"]) == (201, 50, 40)
    assert (studies / "images" / "new one.png").read_bytes() == good
    assert client.get("/api/images/new one.png").json()["state"] == "unlabelled"
    for filename, data, status in [
        ("new one.png", good, 409),
        ("x.png", b"\x89PNG\r\n\x1a\nnonsense", 422),
        ("x.exe", good, 422),
        ("../x.png", good, 201),  # starlette keeps the name alone; what matters is where it goes
        ("..\\..\\x.png", good, 422),
        (".hidden.png", good, 422),
        ("a" * 200 + ".png", good, 422),
        ("gif.png", _gif(), 422),
    ]:
        answer = client.post("/api/images", files={"image": (filename, data)})
        assert answer.status_code in (status, 422), (filename, answer.text)
    outside = [path for path in studies.parent.parent.rglob("*x.png") if studies / "images" != path.parent]
    assert not outside


def test_two_uploads_of_one_name_at_once(client, studies, monkeypatch):
    """Both have looked before either writes, as far as they are let."""
    both = threading.Barrier(2)

    def late(path, write):
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(timeout=1)
        write_atomically(path, write)

    monkeypatch.setattr("annotate.studies.write_atomically", late)
    images = [png(np.full((40, 50, 3), shade, np.uint8)) for shade in (10, 200)]
    with ThreadPoolExecutor(2) as people:
        send = lambda data: client.post("/api/images", files={"image": ("one.png", data)}).status_code  # noqa: E731
        statuses = list(people.map(send, images))
    assert sorted(statuses) == [201, 409]
    assert (studies / "images" / "one.png").read_bytes() == images[statuses.index(201)]


def _gif() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (9, 9)).save(buffer, "GIF")
    return buffer.getvalue()


def test_upload_beyond_the_limits(start):
    client = start(max_upload_bytes=3000, max_pixels=5000)
    noise = png(np.random.default_rng(0).integers(0, 255, (60, 60, 3), np.uint8))
    assert client.post("/api/images", files={"image": ("a.png", noise)}).status_code == 413
    large = png(np.zeros((200, 200), np.uint8))
    answer = client.post("/api/images", files={"image": ("a.png", large)})
    assert (answer.status_code, "5000 pixels" in answer.json()["error"]) == (413, True)
    assert client.post("/api/images", content=b"x" * 3_000_000).status_code == 413
    endless = (b"x" * 100_000 for _ in range(30))  # tells no length
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    assert client.post("/api/images", content=itertools.chain([head], endless), headers=form).status_code == 413


def test_views(client, studies):
    name = names(client)[0]
    original = np.asarray(Image.open(studies / "images" / name).convert("RGB"))
    assert np.array_equal(decoded(client.get(f"/api/images/{name}/view")), original)
    part = decoded(client.get(f"/api/images/{name}/region", params={"x": 10, "y": 20, "width": 30, "height": 15}))
    assert np.array_equal(part, original[20:35, 10:40])
    assert decoded(client.get(f"/api/images/{name}/view", params={"max": 32})).shape == (32, 32, 3)
    assert max(decoded(client.get(f"/api/images/{name}/thumbnail")).shape) <= 160
    outside = client.get(f"/api/images/{name}/region", params={"x": 96, "y": 0, "width": 5, "height": 5})
    assert outside.status_code == 422


def test_window_of_16_bits(client, studies):
    values = np.linspace(1000, 3000, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(values).save(studies / "images" / "wide.png")
    item = client.get("/api/images/wide.png").json()
    assert (item["bits"], item["range"]) == (16, [1000, 3000])
    whole = decoded(client.get("/api/images/wide.png/view"))
    assert (whole.dtype, whole.min(), whole.max()) == (np.uint8, 0, 255)
    half = decoded(client.get("/api/images/wide.png/view", params={"low": 1000, "high": 2000}))
    assert np.array_equal(half, np.rint((values.astype(np.float32) - 1000).clip(0, 1000) * 0.255))


def test_damaged_image_is_told_and_does_not_hide_the_others(client, studies):
    (studies / "images" / "bad.png").write_bytes(b"nothing")
    items = {item["id"]: item for item in client.get("/api/images").json()["items"]}
    assert "bad.png" in items["bad.png"]["error"]
    assert len(items) == 9
    for address in ("thumbnail", "view", ""):
        assert client.get(f"/api/images/bad.png/{address}".rstrip("/")).status_code == 422
    assert put_label(client, "bad.png", square()).status_code == 422


def test_files_that_were_taken_away(client, studies):
    name = names(client)[0]
    put_label(client, name, square())
    (studies / "annotations" / "labels" / name / "0001.png").unlink()
    for answer in (
        client.get(f"/api/images/{name}/label"),
        client.post(f"/api/images/{name}/restore", json={"version": 1}),
    ):
        assert (answer.status_code, "taken away" in answer.json()["error"]) == (404, True)
    (studies / "images" / name).unlink()
    assert client.get(f"/api/images/{name}/view").status_code == 404
    assert client.get("/api/images").json()["total"] == 7


def test_ids_lead_nowhere_else(client, studies):
    (studies.parent / "secret.png").write_bytes(png(square()))
    for image in ("../secret.png", "..%2Fsecret.png", "%2Fetc%2Fpasswd", "..%2F..%2Fsecret.png", "a%00b", "nobody.png"):
        for address in ("", "/view", "/label", "/versions/1"):
            assert client.get(f"/api/images/{image}{address}").status_code in (404, 405), image
    answer = client.get("/api/images/phantom_1.png")
    assert answer.status_code == 404


def test_next_and_statistics(client):
    listed = names(client)
    assert client.post("/api/next", json={"strategy": "first"}).json()["id"] == listed[0]
    assert client.post("/api/next", json={"strategy": "first", "after": listed[0]}).json()["id"] == listed[1]
    assert client.post("/api/next", json={"strategy": "random"}).json()["id"] in listed
    assert client.post("/api/next", json={"strategy": "epistemic"}).json()["id"] == listed[0]
    wrong = client.post("/api/next", json={"strategy": "randon"})
    assert (wrong.status_code, "did you mean 'random'" in wrong.json()["error"]) == (422, True)
    clicks = [{"x": 1, "y": 1, "positive": True, "t": 0}]
    for seconds, name in zip((10, 20, 60), listed, strict=False):
        put_label(client, name, square(), seconds=seconds, clicks=clicks)
    for name in listed[3:]:
        client.post(f"/api/images/{name}/state", json={"state": "skipped"})
    assert client.post("/api/next", json={}).status_code == 404
    told = client.get("/api/statistics").json()
    assert (told["labelled"], told["seconds_median"], told["clicks_median"]) == (3, 20, 1)
    assert [day["images"] for day in told["per_day"]] == [3]


def test_without_weights_it_says_so(client):
    name = names(client)[0]
    assert client.get("/api/session").json()["model"] is None
    answer = client.post("/api/infer", json={"image": name})
    assert answer.status_code == 409
    assert "no weights yet" in answer.json()["error"]
    assert client.get("/api/models").json() == []
    assert client.get("/api/training").json()["state"] == "idle"
    assert "two labelled images" in client.post("/api/training", json={"epochs": 1}).json()["error"]


def test_inference(predicting):
    client = predicting
    session = client.get("/api/session").json()
    assert session["model"]["version"] == 0
    assert session["classes"] == [{"index": 1, "name": "lesion", "colour": "#19b5fe"}]
    name = names(client)[0]
    made = client.post("/api/infer", json={"image": name, "maps": ["uncertainty", "edge"]})
    assert made.status_code == 202
    told = finished(client, made.json()["job"])
    assert told["state"] == "done", told
    probability = decoded(client.get(f"/api/jobs/{told['job']}/probability"))
    mask = decoded(client.get(f"/api/jobs/{told['job']}/mask"))
    assert probability.shape == mask.shape == (SIZE, SIZE)
    clear = np.abs(probability.astype(int) - 127.5) > 1
    assert np.array_equal(mask[clear] == 1, probability[clear] > 127)
    for what in ("edge", "uncertainty"):
        assert decoded(client.get(f"/api/jobs/{told['job']}/{what}")).shape == (SIZE, SIZE)
    plain = finished(client, client.post("/api/infer", json={"image": name}).json()["job"])
    assert client.get(f"/api/jobs/{plain['job']}/edge").status_code == 404
    assert client.get("/api/jobs/nonsense").status_code == 404
    clicked = client.post("/api/infer", json={"image": name, "foreground": [[200, 5]]})
    assert (clicked.status_code, "outside" in clicked.json()["error"]) == (422, True)
