"""Reloads, lost files, a full browser, odd images and odd names: the work is kept, and the page says what is wrong."""

import os
import signal

import numpy as np
import pytest
from annotator import capsule, drawn
from PIL import Image
from playwright.sync_api import expect

ODD = "naevus 1 #2 50% ä&b+c ß 🔬.png"


def saved(server, name, width, height):
    """Write an image of one colour into the studies."""
    path = server.studies / "images" / name
    Image.new("RGB", (width, height), (200, 150, 120)).save(path)
    return path


def filled(width, height, box):
    (x0, y0), (x1, y1) = box
    expected = np.zeros((height, width), np.uint8)
    expected[max(0, round(y0)) : round(y1), max(0, round(x0)) : round(x1)] = 1
    return expected


def test_reload_in_the_middle_of_a_stroke_keeps_what_was_drawn(visit, clicking):
    image = "phantom_004.png"
    at = visit(image, at=clicking, size=20)
    begun = [at.screen(point) for point in [(30, 30), (60, 30), (90, 60)]]
    at.page.mouse.move(*begun[0])
    at.page.mouse.down()
    for place in begun[1:]:
        at.page.mouse.move(*place)
    at.page.wait_for_timeout(600)
    at.page.reload()
    at.page.mouse.up()
    at.wait_for(image)
    at.message("is here again")
    places = [at.image(place) for place in begun]
    expected = drawn(128, 128, capsule(*places[:2], 10)) | drawn(128, 128, capsule(*places[1:], 10))
    assert np.array_equal(clicking.label(image, at.submit()), expected)


def test_a_server_that_dies_during_a_submission_gets_the_label_once(visit, clicking):
    image = "phantom_005.png"
    at = visit(image, tool="box", at=clicking)
    box = at.drag([(20, 20), (80, 70)], keys=["Shift"])
    os.kill(clicking.process.pid, signal.SIGSTOP)
    try:
        with at.page.expect_request(lambda request: request.method == "PUT"):
            at.press("Control+Enter")
        clicking.kill()
        at.message("is sent when the server is back")
    finally:
        clicking.kill()
        clicking.start()
    version = at.submitted()
    assert version == 1
    assert np.array_equal(clicking.label(image, version), filled(128, 128, box))


@pytest.mark.parametrize("replacement", ["nothing", "pipe"])
def test_an_image_that_goes_while_it_is_open_costs_no_work(visit, clicking, replacement):
    name = f"goes_{replacement}.png"
    path = saved(clicking, name, 100, 80)
    at = visit(name, tool="box", at=clicking)
    box = at.drag([(20, 20), (80, 60)], keys=["Shift"])
    content = path.read_bytes()
    path.unlink()
    if replacement == "pipe":
        os.mkfifo(path)
    at.press("Control+Enter")
    expect(at.page.locator(".message.bad").last).to_be_visible()
    at.page.locator(".item", has_text="phantom_006").click()
    at.wait_for("phantom_006.png")
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    at.open(name)
    at.message("is here again")
    assert np.array_equal(clicking.label(name, at.submit()), filled(100, 80, box))


def test_a_browser_that_is_full_says_so_and_submits_all_the_same(visit, clicking):
    image = "phantom_007.png"
    at = visit(image, tool="box", at=clicking)
    cdp = at.page.context.new_cdp_session(at.page)
    cdp.send("Storage.overrideQuotaForOrigin", {"origin": clicking.url, "quotaSize": 1})
    box = at.drag([(10, 10), (90, 90)], keys=["Shift"])
    at.message("storage is full")
    assert np.array_equal(clicking.label(image, at.submit()), filled(128, 128, box))


@pytest.mark.parametrize(("width", "height"), [(1, 1), (20, 8000)])
def test_images_of_odd_shapes_are_drawn_on_exactly(visit, clicking, width, height):
    name = f"odd_{width}_{height}.png"
    saved(clicking, name, width, height)
    at = visit(name, tool="box", at=clicking)
    at.drag([(-2, -2), (width + 2, height / 2 if height > 2 else 3)], keys=["Shift"])
    label = clicking.label(name, at.submit())
    assert label.shape == (height, width)
    rows = np.flatnonzero(label.any(axis=1))
    assert np.array_equal(rows, np.arange(len(rows)))
    assert label[: len(rows)].all()
    assert abs(len(rows) - max(1, height / 2)) < 10
    at.press("g", "m", "l", "Shift+Delete")
    assert not clicking.label(name, at.submit()).any()


def test_a_name_of_any_letters(visit, clicking):
    saved(clicking, ODD, 90, 70)
    at = visit(at=clicking)
    at.page.locator(".item", has_text="🔬").click()
    at.wait_for(ODD)
    at.press("r")
    box = at.drag([(10, 10), (60, 50)], keys=["Shift"])
    at.drafted(ODD)
    at.page.reload()
    at.wait_for(ODD)
    at.message("is here again")
    assert np.array_equal(clicking.label(ODD, at.submit()), filled(90, 70, box))
    expect(at.page.locator(".item", has_text="🔬").locator("img")).to_be_visible()


def test_an_address_that_is_no_name_opens_the_list(visit, clicking):
    at = visit(path="#%E0%A4%A", at=clicking)
    expect(at.page.get_by_text("Choose an image from the list")).to_be_visible()
    expect(at.page.locator(".message.bad")).to_have_count(0)


def test_a_16_bit_image_is_labelled_exactly(visit, server):
    at = visit("scan16.png", tool="box")
    box = at.drag([(40, 20), (120, 100)])
    assert np.array_equal(server.label("scan16.png", at.submit()), filled(160, 120, box))
