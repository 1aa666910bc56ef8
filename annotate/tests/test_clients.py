"""Requests in the shapes of QuPath, CVAT, 3D Slicer, OHIF and DSA, as their plugins for MONAI Label 0.8.5 send them."""

from __future__ import annotations

import base64
import gzip
import importlib.util
import io
import json
import time
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import nibabel
import nrrd
import numpy as np
import pytest
from fastapi.testclient import TestClient
from monailabel.client import MONAILabelClient
from PIL import Image
from skimage.draw import polygon
from support import REPOSITORY, SIZE, Running, png, put_label, square

from annotate.contours import asap_xml, inside, label_of_asap, outlines
from annotate.errors import Unfit

FIRST = "phantom_000.png"
CLASSES = [{"index": 1, "name": "lesion", "colour": "#ff8c1a"}]


@pytest.fixture(scope="module")
def automatic(predicting: TestClient) -> np.ndarray:
    """The mask that our own address gives, (H, W)."""
    job = predicting.post("/api/infer", json={"image": FIRST}).json()["job"]
    assert predicting.get(f"/api/jobs/{job}", params={"wait": 60}).json()["state"] == "done"
    return np.asarray(Image.open(io.BytesIO(predicting.get(f"/api/jobs/{job}/mask").content)))


def test_what_monai_labels_own_client_asks(served: Running, automatic: np.ndarray, tmp_path: Path):
    """3D Slicer and the CVAT functions speak through this client."""
    client = MONAILabelClient(served.address, str(tmp_path), client_id="ada")
    info = client.info()
    assert info["models"]["sgdnet"]["labels"] == {"lesion": 1}
    assert info["models"]["sgdnet"]["type"] == "segmentation"
    assert "sgdnet_clicks" not in info["models"]
    assert set(info["strategies"]) == {"epistemic", "random", "first"}
    sample = client.next_sample("first", {})
    assert (sample["id"], Path(sample["path"]).name) == (FIRST, FIRST)

    file, told = client.infer("sgdnet", FIRST, {})
    assert np.array_equal(np.asarray(Image.open(file)), automatic)
    assert told["label_names"] == {"lesion": 1}

    file, _ = client.infer("sgdnet", "phantom_000", {"result_extension": ".nrrd", "result_dtype": "uint8"})
    values, header = nrrd.read(file)
    assert np.array_equal(values[..., 0].T, automatic)
    assert header["space"] == "left-posterior-superior"

    label = tmp_path / "label.nii.gz"
    drawn = square(10, 30)
    nibabel.save(nibabel.Nifti1Image(drawn.T[..., None], np.diag([-1.0, -1, 1, 1])), label)
    assert client.save_label(FIRST, str(label), "final", {"label_info": []}) == {"image": FIRST, "label": FIRST}
    back = np.asarray(Image.open(client.download_label(FIRST, "final")))
    assert np.array_equal(back, drawn)
    assert client.datastore()["objects"][FIRST]["labels"]["final"]
    new = tmp_path / "new.png"
    new.write_bytes(png(np.zeros((40, 40, 3), np.uint8)))
    assert client.upload_image(str(new), "patch_1")["image"] == "patch_1.png"
    session = client.create_session(str(new))["session_id"]
    assert client.get_session(session)["name"] == session
    file, _ = client.infer("sgdnet", "", {}, session_id=session)
    assert Image.open(file).size == (40, 40)
    client.remove_session(session)
    assert not client.train_status(check_if_running=True)


def test_cvat_detector_and_interactor(served: Running, tmp_path: Path):
    """As `plugins/cvat/detector.py` and `interactor.py` ask and read, and as our own function passes on."""
    photograph = tmp_path / "frame.jpg"
    Image.new("RGB", (80, 60), (200, 150, 140)).save(photograph)
    client = MONAILabelClient(served.address, str(tmp_path))
    _, told = client.infer(model="sgdnet", image_id="", file=str(photograph), params={"output": "json"})
    told = json.loads(told) if isinstance(told, str | bytes) else told
    for each in told["annotations"]:
        for element in each["annotation"]["elements"]:
            assert element["label"] == "lesion"
            assert all(np.array(contour, int).flatten().size % 2 == 0 for contour in element["contours"])
    file, _ = client.infer(
        model="sgdnet",
        image_id="",
        file=str(photograph),
        params={"output": "mask", "foreground": [], "background": []},
    )
    assert np.asarray(Image.open(file)).shape == (60, 80)


@pytest.mark.parametrize("upload", ["frame.jpg", "frame.png"])
def test_our_cvat_function(served: Running, monkeypatch: pytest.MonkeyPatch, upload: str):
    spec = importlib.util.spec_from_file_location("cvat_function", REPOSITORY / "annotate" / "cvat" / "main.py")
    function = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(function)
    monkeypatch.setenv("SGDNET_SERVER", served.address)
    context = SimpleNamespace(user_data=SimpleNamespace(), Response=SimpleNamespace)
    function.init_context(context)
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG" if upload.endswith("png") else "JPEG")
    image = base64.b64encode(buffer.getvalue()).decode()
    answer = function.handler(context, SimpleNamespace(body={"image": image}))
    assert answer.status_code == 200, answer.body
    polygons = json.loads(answer.body)
    assert polygons
    assert {(one["label"], one["type"], len(one["points"]) % 2) for one in polygons} == {("lesion", "polygon", 0)}
    context.user_data.model = "sgdnet_clicks"
    clicked = {"image": image, "pos_points": [[5, 5]], "neg_points": [], "obj_bbox": [[1, 2], [30, 40]]}
    answer = function.handler(context, SimpleNamespace(body=json.dumps(clicked)))
    assert (answer.status_code, "take no clicks" in answer.body) == (409, True)


@pytest.mark.parametrize("upload", [False, True])
def test_qupath_asks_for_asap_xml(predicting, automatic, studies_image, upload):
    """RunInference.java: an image of the datastore as JSON, another one as multipart."""
    body = {
        "level": 0,
        "location": [0, 0],
        "size": [0, 0] if upload else [SIZE, SIZE],
        "tile_size": [1024, 1024],
        "min_poly_area": 1,
        "params": {"foreground": [], "background": [], "max_workers": 1},
    }
    if upload:
        form = {"data": {"wsi": json.dumps(body)}, "files": {"file": (FIRST, studies_image, "image/png")}}
        answer = predicting.post("/infer/wsi_v2/sgdnet?output=asap", **form)
    else:
        assert predicting.head("/datastore/image?image=phantom_000").status_code == 200
        answer = predicting.post("/infer/wsi/sgdnet?output=asap&image=phantom_000", json=body)
    assert answer.status_code == 200, answer.text
    root = ElementTree.fromstring(answer.content)
    assert {one.get("Name") for one in root.iter("Annotation")} == {"lesion"}
    assert np.array_equal(label_of_asap(answer.content, (SIZE, SIZE), CLASSES) > 0, _without_holes(automatic))


@pytest.fixture
def studies_image(phantoms: Path) -> bytes:
    return (phantoms / "images" / FIRST).read_bytes()


def _without_holes(mask: np.ndarray) -> np.ndarray:
    from scipy.ndimage import binary_fill_holes

    return np.asarray(binary_fill_holes(mask > 0))


def test_qupath_submits_asap_xml(client, studies):
    drawn = np.zeros((SIZE, SIZE), np.uint8)
    drawn[20:61, 10:50] = 1
    xml = asap_xml(outlines(drawn, CLASSES), "QuPath")
    answer = client.put(
        "/datastore/label?image=phantom_000", files={"label": ("annotation.xml", xml)}, data={"params": "{}"}
    )
    assert answer.status_code == 200, answer.text
    assert np.array_equal(_label(client), drawn)
    patch = client.put("/datastore/image?image=patch_3", files={"file": ("/tmp/patch8.png", png(drawn))})
    assert patch.json() == {"image": "patch_3.png"}


def _label(client: TestClient) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(client.get(f"/api/images/{FIRST}/label").content)))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<x/>", "not of ASAP_Annotations"),
        (b"<ASAP", "not valid XML"),
        (b'<!DOCTYPE a [<!ENTITY x "y">]><ASAP_Annotations/>', "document type"),
        (
            b'<ASAP_Annotations><Annotation Name="lesion"><Coordinate X="1" Y="1"/></Annotation></ASAP_Annotations>',
            "three",
        ),
        (
            b'<ASAP_Annotations><Annotation Name="l"><Coordinate X="nan" Y="1"/></Annotation></ASAP_Annotations>',
            "number",
        ),
    ],
)
def test_wrong_asap_xml_is_refused(data, words):
    with pytest.raises(Unfit, match=words):
        label_of_asap(data, (9, 9), CLASSES)


def test_utf_16_does_not_hide_an_entity():
    text = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "1">]><ASAP_Annotations/>'
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        with pytest.raises(Unfit, match="must be UTF-8"):
            label_of_asap(text.encode(encoding), (9, 9), CLASSES)


@pytest.mark.parametrize("seed", range(12))
def test_polygons_are_filled_as_skimage_fills_them(seed):
    """Random ones that cross themselves and leave the image; no centre lies on an outline."""
    generator = np.random.default_rng(seed)
    corners = generator.uniform(-20, 70, (generator.integers(3, 40), 2))
    if seed % 3 == 0:
        corners = np.round(corners)  # corners of pixels, as our own outlines have them
    expected, found = np.zeros((40, 50), bool), np.zeros((40, 50), bool)
    expected[polygon(corners[:, 1] - 0.5, corners[:, 0] - 0.5, (40, 50))] = True
    found[inside([(x, y) for x, y in corners], (50, 40))] = True
    on_an_edge = seed % 3 == 0  # slanted edges between corners of pixels may meet centres
    assert (found & ~expected).sum() == 0
    assert (expected & ~found).sum() <= (60 if on_an_edge else 0)


def asap_of(points: np.ndarray, count: int = 1) -> bytes:
    one = "".join(f'<Coordinate X="{x}" Y="{y}"/>' for x, y in points)
    return f"<ASAP_Annotations>{count * f'<Annotation>{one}</Annotation>'}</ASAP_Annotations>".encode()


def test_a_long_outline_takes_no_minutes_and_too_much_is_refused():
    angle = np.linspace(0, 2 * np.pi, 20_000, endpoint=False)
    wide = 1 + 0.2 * np.sin(400 * angle)
    ring = np.stack([1500 + 1100 * wide * np.cos(angle), 1000 + 750 * wide * np.sin(angle)], 1)
    begin = time.process_time()
    label = label_of_asap(asap_of(ring), (3000, 2000), CLASSES)
    assert time.process_time() - begin < 10
    area = 0.5 * abs(np.sum(ring[:, 0] * np.roll(ring[:, 1], -1) - ring[:, 1] * np.roll(ring[:, 0], -1)))
    assert abs(label.sum() / area - 1) < 1e-3
    begin = time.process_time()
    with pytest.raises(Unfit, match="too many or too long to fill"):
        label_of_asap(asap_of(np.array([[0, 0], [20000, 0], [0, 20000]]), 9), (20000, 10000), CLASSES)
    assert time.process_time() - begin < 1


def test_asap_xml_of_several_classes():
    classes = [*CLASSES, {"index": 2, "name": "scar & ink", "colour": "#2f9bff"}]
    drawn = np.zeros((30, 40), np.uint8)
    drawn[2:9, 3:20] = 1
    drawn[15:28, 10:30] = 2
    xml = asap_xml(outlines(drawn, classes), 'a "title"')
    assert np.array_equal(label_of_asap(xml, (40, 30), classes), drawn)
    with pytest.raises(Unfit, match="no class 'scar & ink'; known are lesion, nail"):
        label_of_asap(xml, (40, 30), [*CLASSES, {"index": 2, "name": "nail"}])


def test_dsa_gets_polylines(predicting, automatic):
    """MONAILabelAnnotation.py, whose description stands on the last line but one."""
    body = {
        "level": 0,
        "location": [-1, -1],
        "size": [-1, -1],
        "tile_size": [1024, 1024],
        "min_poly_area": 1,
        "output": "dsa",
        "girder_api_url": "http://10.0.0.1/api/v1",
        "girder_token": "secret",
        "params": {"wsi_tiles": []},
    }
    answer = predicting.post("/infer/wsi/sgdnet?image=phantom_000&output=dsa", json=body)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    mask = np.zeros((SIZE, SIZE), bool)
    for one in told["elements"]:
        assert (one["type"], one["closed"], one["label"]["value"]) == ("polyline", True, "lesion")
        mask[inside([(x, y) for x, y, _ in one["points"]], (SIZE, SIZE))] = True
    assert np.array_equal(mask, _without_holes(automatic))
    line = answer.text[-5000:].split("\n")[-2].replace('"description": ', "")
    assert json.loads(json.loads(line))["count"] == len(told["elements"])


def test_region_limits_what_is_outlined(predicting):
    body = {"location": [0, 0], "size": [SIZE // 2, SIZE], "min_poly_area": 0}
    told = predicting.post("/infer/wsi/sgdnet?image=phantom_000&output=json", json=body).json()
    points = [p for a in told["annotations"] for e in a["annotation"]["elements"] for c in e["contours"] for p in c]
    assert points
    assert all(x <= SIZE // 2 for x, _ in points)


def test_ohif_gets_raw_nrrd_and_sends_raw_bytes(predicting, client, automatic):
    """MonaiLabelClient.js of OHIF: `output=image` with uncompressed NRRD, labels as label.bin."""
    params = {
        "result_extension": ".nrrd",
        "result_dtype": "uint8",
        "result_compress": False,
        "restore_label_idx": False,
    }
    answer = predicting.post(f"/infer/sgdnet?image={FIRST}&output=image", files={"params": (None, json.dumps(params))})
    assert answer.status_code == 200, answer.text
    assert nrrd.read_header(io.BytesIO(answer.content))["encoding"] == "raw"
    assert np.array_equal(np.frombuffer(answer.content[-SIZE * SIZE :], np.uint8).reshape(SIZE, SIZE), automatic)
    drawn = square(5, 40)
    sent = client.put(
        f"/datastore/label?image={FIRST}",
        data={"params": json.dumps({"label_info": []})},
        files={"label": ("label.bin", drawn.tobytes())},
    )
    assert sent.status_code == 200
    assert np.array_equal(_label(client), drawn)
    refused = predicting.post(f"/infer/sgdnet?image={FIRST}&output=dicom_seg")
    assert (refused.status_code, "DICOMweb" in refused.json()["error"]) == (422, True)


def test_slicer_label_of_nrrd_and_broken_ones(client):
    drawn = square(3, 50)
    header = b"NRRD0004\ntype: short\ndimension: 3\nsizes: %d %d 1\nendian: little\nencoding: gzip\n\n" % (SIZE, SIZE)
    good = header + gzip.compress(drawn.astype("<i2").tobytes())
    put = lambda data, name: client.put(f"/datastore/label?image={FIRST}", files={"label": (name, data)})  # noqa: E731
    assert put(good, "label.nrrd").status_code == 200
    assert np.array_equal(_label(client), drawn)
    bomb = header + gzip.compress(bytes(10_000_000))
    for data, name, words in [
        (bomb, "a.nrrd", "unpacked"),
        (good[:-20], "a.nrrd", "cut short"),
        (b"NRRD0004\nnonsense", "a.nrrd", "damaged"),
        (header.replace(b"96", b"40") + gzip.compress(bytes(3200)), "a.nrrd", "40 x 40 pixels, its image 96 x 96"),
        (header.replace(b"encoding: gzip", b"encoding: raw\ndata file: /etc/passwd"), "a.nrrd", "one file"),
        (gzip.compress(b"no nifti"), "a.nii.gz", "label"),
        (b"\x1f\x8b broken", "a.nii.gz", "gzip"),
        (b"x", "a.exe", "unknown format"),
        (b"x" * 5, "a.bin", "5 bytes"),
    ]:
        answer = put(data, name)
        assert (answer.status_code, words in answer.json()["error"]) == (422, True), answer.text
    assert len(client.get(f"/api/images/{FIRST}/versions").json()) == 1


def test_clients_labels_are_versions_too(client):
    put_label(client, FIRST, square(), by="ada")
    client.put(f"/datastore/label?image={FIRST}", files={"label": ("a.png", png(255 * square(1, 9)))})
    told = client.get(f"/api/images/{FIRST}/versions").json()
    assert [each["by"] for each in told] == ["ada", "anonymous"]
    assert np.array_equal(_label(client), square(1, 9))
    stale = {"params": json.dumps({"base_version": 1})}
    answer = client.put(f"/datastore/label?image={FIRST}", files={"label": ("a.png", png(square()))}, data=stale)
    assert answer.status_code == 409
    assert client.delete(f"/datastore/label?id={FIRST}").status_code == 409
    assert client.delete(f"/datastore/image?id={FIRST}").status_code == 409


def test_proposal_is_kept_and_scored(predicting):
    saved = predicting.post(f"/infer/sgdnet?image={FIRST}", data={"params": json.dumps({"save_label": True})})
    assert saved.status_code == 200
    proposal = predicting.get(f"/datastore/label?label={FIRST}&tag=original")
    mask = np.asarray(Image.open(io.BytesIO(proposal.content)))
    versions = len(predicting.get(f"/api/images/{FIRST}/versions").json())
    put_label(predicting, FIRST, mask, base=versions)
    assert predicting.post("/scoring/dice").json()[FIRST] == 1
    info = predicting.get(f"/datastore/label/info?label={FIRST}&tag=original").json()
    assert info["model"] == "sgdnet version 0"


@pytest.mark.parametrize(
    ("method", "address", "status"),
    [
        ("PUT", "/datastore/label?image=phantom_000&tag=../../x", 422),
        ("GET", "/datastore/label?label=phantom_000&tag=../../etc", 422),
        ("GET", "/datastore/image?image=/etc/passwd", 404),
        ("GET", "/datastore/image?image=../../etc/passwd", 404),
        ("HEAD", "/datastore/image?image=nothing", 404),
        ("POST", "/infer/sgdnet?image=/etc/passwd", 404),
        ("POST", "/infer/sgdnet?image=../outside.png", 404),
        ("POST", "/infer/nothing?image=phantom_000", 404),
        ("POST", "/infer/sgdnet", 422),
        ("POST", "/infer/sgdnet?session_id=../../..", 404),
        ("POST", "/infer/wsi/sgdnet?image=/etc/passwd", 404),
        ("GET", "/session/..%2F..", 404),
        ("POST", "/activelearning/nothing", 404),
        ("GET", "/train/", 404),
        ("DELETE", "/train/", 409),
        ("POST", "/train/nothing", 404),
        ("POST", "/scoring/nothing", 404),
        ("GET", "/model/nothing", 404),
        ("GET", "/proxy/dicom/anything", 404),
        ("GET", "/logs/", 404),
    ],
)
def test_what_the_stock_server_lets_through_is_told_in_words(predicting, studies, method, address, status):
    files = {"label": ("a.png", png(square()))} if method == "PUT" else None
    answer = predicting.request(method, address, files=files)
    assert answer.status_code == status, answer.text
    if method != "HEAD":
        assert len(answer.json()["error"]) > 5


def test_clicks_without_a_model_for_them(predicting):
    answer = predicting.post(
        f"/infer/sgdnet_clicks?image={FIRST}", data={"params": json.dumps({"foreground": [[5, 5]]})}
    )
    assert answer.status_code == 409
    assert "take no clicks" in answer.json()["error"]
    for params in ({"foreground": 5}, {"foreground": [["a", 1]]}, {"roi": [1]}, {"lesion": [[1]]}):
        answer = predicting.post(f"/infer/sgdnet_clicks?image={FIRST}", data={"params": json.dumps(params)})
        assert answer.status_code == 400, params
