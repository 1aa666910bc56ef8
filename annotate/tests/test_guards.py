from __future__ import annotations

import json
from pathlib import Path

import pytest
from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelClientException
from support import BUNDLE, REPOSITORY, Running, put_label, square

from annotate.settings import Settings, is_loopback
from custom_networks.errors import UserError

TOKEN = "0123456789abcdef"


def test_open_address_needs_a_token(tmp_path: Path):
    with pytest.raises(UserError, match="set --token"):
        Settings(studies=tmp_path, bundle_root=BUNDLE, host="0.0.0.0")
    with pytest.raises(UserError, match="at least 16"):
        Settings(studies=tmp_path, bundle_root=BUNDLE, host="0.0.0.0", token="short")
    assert Settings(studies=tmp_path, bundle_root=BUNDLE).host == "127.0.0.1"
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "10.0.0.1", "a.b")] == [
        *[True] * 3,
        *[False] * 3,
    ]


def test_token_is_asked_for_everywhere_but_at_the_page(start):
    client = start(token=TOKEN)
    for path in ("/api/session", "/api/images", "/info/", "/openapi.json", "/"):
        refused = client.get(path, follow_redirects=False)
        assert (refused.status_code, "token" in refused.json()["error"]) == (401, True)
    assert client.get("/ui/").status_code == 200
    assert client.get("/ui/../api/session").status_code == 401
    assert client.get("/uipath").status_code == 401
    wrong = {"Authorization": "Bearer 0123456789abcdeg"}
    assert client.get("/api/images", headers=wrong).status_code == 401
    assert client.get("/api/images", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert client.get("/api/images").status_code == 401
    session = client.get("/api/session", headers={"Authorization": f"Bearer {TOKEN}"})
    assert "httponly" in session.headers["set-cookie"].lower()
    assert client.get("/api/images").status_code == 200  # the cookie that the session has set


def test_token_as_the_password_of_http_basic(start):
    client = start(token=TOKEN)
    assert client.get("/info/", auth=("ada", TOKEN)).status_code == 200
    for wrong in (("ada", TOKEN[:-1]), (TOKEN, ""), ("ada", "")):
        assert client.get("/info/", auth=wrong).status_code == 401
    for header in ("Basic", "Basic ", "Basic ****", "Basic /w==", f"Basic {TOKEN}"):
        assert client.get("/info/", headers={"Authorization": header}).status_code == 401
    refused = client.get("/info/")
    assert "www-authenticate" not in refused.headers  # a browser would ask for a password over the page
    other_site = client.get("/info/", auth=("ada", TOKEN), headers={"Origin": "https://evil.example"})
    assert other_site.status_code == 403
    answer = put_label(client, "phantom_000.png", square(), by="", auth=("Ada Lovelace", TOKEN))
    assert answer.status_code == 201
    versions = client.get("/api/images/phantom_000.png/versions", auth=("b", TOKEN)).json()
    assert versions[0]["by"] == "Ada Lovelace"


def test_token_in_the_address_for_clients_that_know_an_address_only(start):
    """As QuPath has it: Java's client drops user info, and QuPath appends its paths to the address as it stands."""
    address = f"/token/{TOKEN}"
    client = start(token=TOKEN)
    assert client.get(f"{address}/info/").json()["strategies"]
    assert client.get(f"{address}/datastore/image", params={"image": "phantom_000.png"}).content[:4] == b"\x89PNG"
    assert client.post(f"{address}/activelearning/first").json()["id"] == "phantom_000.png"
    for wrong in (
        "/token/",
        "/token",
        f"/token/{TOKEN[:-1]}/info/",
        f"/token/{TOKEN}x/info/",
        f"//token/{TOKEN}/info/",
    ):
        assert client.get(wrong).status_code == 401, wrong
    assert client.get(f"/token/wrong/token/{TOKEN}/info/").status_code == 401
    assert client.get(f"{address}/nothing").status_code == 404
    assert client.get("/info/").status_code == 401


def test_monai_labels_own_client_keeps_the_token_of_the_address(studies: Path):
    server = Running(studies, "--token", TOKEN, "--score", "false")
    try:
        client = MONAILabelClient(f"{server.address}/token/{TOKEN}")
        assert "first" in client.info()["strategies"]
        assert client.next_sample("first", {})["id"] == "phantom_000.png"
        with pytest.raises(MONAILabelClientException):
            MONAILabelClient(server.address).info()
    finally:
        server.stop()


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "a@127.0.0.1", ""])
def test_other_host_names_are_refused_without_a_token(client, host):
    assert client.get("/api/session", headers={"Host": host}).status_code == 403


def test_other_web_sites_are_refused(client):
    for origin in ("https://evil.example", "null", "http://127.0.0.1:9"):
        answer = client.post("/api/next", json={}, headers={"Origin": origin, "Host": "127.0.0.1:8000"})
        assert (answer.status_code, "other web sites" in answer.json()["error"]) == (403, True)
    own = {"Origin": "http://127.0.0.1:8000", "Host": "127.0.0.1:8000"}
    assert client.post("/api/next", json={}, headers=own).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_images_and_links_of_other_web_sites_are_refused(client, site):
    """They tell no origin."""
    told = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
    link = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
    for path in ("/api/images/phantom_000.png/view", "/api/export", "/api/session"):
        for headers in (told, link):
            answer = client.get(path, headers=headers)
            assert (answer.status_code, "other web sites" in answer.json()["error"]) == (403, True)
        assert client.get(path, headers={"Sec-Fetch-Site": "same-origin"}).status_code in (200, 404)
    assert client.get("/ui/js/main.js", headers=told).status_code == 403
    for path in ("/ui/", "/"):
        assert client.get(path, headers=link).status_code == 200
    headers = client.get("/api/images/phantom_000.png/view", headers={"Sec-Fetch-Site": "none"}).headers
    assert headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("token", ["", TOKEN])
def test_headers_that_are_no_address_are_refused(start, token):
    client = start(token=token)
    for headers in ({"Host": "["}, {"Host": "[::1"}, {"Origin": "http://["}):
        assert client.get("/api/session", headers=headers).status_code == 403


def test_the_printed_address_works(tmp_path: Path):
    for token in ("abc+def/ghi==xxxxx", "a secret of many letters", "geheimes Wört.....", "%41%41%41%41%41%41"):
        with pytest.raises(UserError, match="letters, digits and"):
            Settings(studies=tmp_path, bundle_root=BUNDLE, token=token)
    for host, shown in (("::1", "[::1]"), ("[::1]", "[::1]"), ("127.0.0.1", "127.0.0.1")):
        made = Settings(studies=tmp_path, bundle_root=BUNDLE, host=host, token="abc-def_ghi.jkl~1")
        assert made.address(8904) == f"http://{shown}:8904/ui/?token=abc-def_ghi.jkl~1"


def test_headers_that_browsers_heed(client):
    headers = client.get("/api/session").headers
    assert headers["x-content-type-options"] == "nosniff"
    page = client.get("/ui/").headers
    assert page["cache-control"] == "no-cache"
    assert page["content-security-policy"].startswith("default-src 'self'")


def test_every_error_is_a_sentence(client):
    for method, path, kwargs in [
        ("GET", "/api/nothing", {}),
        ("PUT", "/api/session", {}),
        ("POST", "/api/next", {"content": b"{", "headers": {"Content-Type": "application/json"}}),
        ("GET", "/api/images", {"params": {"limit": -1}}),
        ("POST", "/api/infer", {"json": {"image": "x", "unknown": 1}}),
        ("POST", "/api/training", {"json": {"epochs": "many"}}),
    ]:
        answer = client.request(method, path, **kwargs)
        assert 400 <= answer.status_code < 500
        assert isinstance(answer.json()["error"], str)


def test_second_server_on_the_same_folder_is_refused(start, studies: Path):
    client = start()
    with pytest.raises(AssertionError, match="another server uses these studies"):
        Running(studies, "--score", "false")
    assert client.get("/api/session").status_code == 200


def test_port_that_is_taken_and_a_folder_that_is_missing(served, tmp_path):
    port = served.address.rsplit(":", 1)[1]
    with pytest.raises(AssertionError, match="cannot listen there"):
        Running(tmp_path, "--port", port)
    with pytest.raises(AssertionError, match="no such folder"):
        Running(tmp_path / "nothing")


def test_openapi_describes_every_address(client):
    described = client.get("/openapi.json").json()["paths"]
    assert {"/api/images/{image}/label", "/infer/{model}", "/datastore/label"} <= set(described)
    assert json.dumps(described)
    assert (REPOSITORY / "annotate").is_dir()
