"""Labels exported through the page: the file that the browser keeps is opened and compared pixel by pixel."""

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

NAME = "phantom_009.png"


@pytest.fixture
def labelled(visit, server):
    """The page at an image with a label of two classes, one with a hole; and that label."""
    at = visit(NAME, tool="box")
    at.drag([(10, 20), (70, 90)], keys=["Shift"])
    at.drag([(30, 40), (50, 60)], keys=["Alt"])
    at.press("2")
    at.drag([(90, 90), (120, 110)], keys=["Shift"])
    return at, server.label(NAME, at.submit())


def downloaded(at, kind):
    """Export in a format; gives the archive that was downloaded."""
    at.press("Alt+3")
    at.page.get_by_label("Export the labels").select_option(kind)
    with at.page.expect_download() as download:
        at.page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == f"labels_{kind}.zip"
    return zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes()))


def test_datalist(labelled, server):
    at, label = labelled
    archive = downloaded(at, "datalist")
    content = json.loads(archive.read("datalist.json"))
    item = next(item for item in content["training"] if item["image"] == f"images/{NAME}")
    assert content["classes"] == {"1": "lesion", "2": "ink"}
    assert set(np.unique(label)) == {0, 1, 2}
    assert np.array_equal(np.asarray(Image.open(archive.open(item["label"]))), label)
    assert archive.read(item["image"]) == (server.studies / "images" / NAME).read_bytes()


def test_coco(labelled):
    at, label = labelled
    content = json.loads(downloaded(at, "coco").read("annotations.json"))
    image = next(image for image in content["images"] if image["file_name"] == f"images/{NAME}")
    found = {each["category_id"]: each for each in content["annotations"] if each["image_id"] == image["id"]}
    assert set(found) == {1, 2}
    for value, each in found.items():
        assert each["area"] == (label == value).sum()
    counts = found[1]["segmentation"]["counts"]
    flat = np.repeat(np.arange(len(counts)) % 2, counts)
    assert np.array_equal(flat.reshape(128, 128).T, label == 1)


def test_dicom_seg(labelled):
    at, label = labelled
    archive = downloaded(at, "dicomseg")
    file = dcmread(io.BytesIO(archive.read(NAME.replace(".png", ".seg.dcm"))))
    assert [one.SegmentLabel for one in file.SegmentSequence] == ["lesion", "ink"]
    bits = np.unpackbits(np.frombuffer(file.PixelData, np.uint8), bitorder="little")
    frames = bits[: 2 * label.size].reshape(2, *label.shape)
    for value in (1, 2):
        assert np.array_equal(frames[value - 1], label == value)
