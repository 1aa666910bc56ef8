"""Clicks, scribbles and a box: the real server answers with weights that take them."""

import base64
import io
import urllib.request

import numpy as np
from PIL import Image
from playwright.sync_api import expect


def ask_by(at, act):
    """Do what asks the model, and wait for its answer; gives what `act` gives."""
    with at.page.expect_response(lambda response: response.url.endswith("/mask") and response.ok, timeout=60_000):
        done = act()
    at.answered()
    return done


def previous_of(question):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(question["previous"]))))


def test_clicks_reach_the_model_and_corrections_by_hand_stay(visit, clicking):
    at = visit("phantom_000.png", tool="brush", size=30, at=clicking)
    (by_hand,) = at.drag([(30, 30)])
    at.press("c")
    added = ask_by(at, lambda: at.click((80, 80)))
    first = clicking.label("phantom_000.png", at.submit())
    removed = ask_by(at, lambda: at.click((100, 40), button="right"))
    expect(at.page.locator("#effort")).to_contain_text("1 click")
    question = at.questions[-1]
    assert question["foreground"] == [[int(added[0]), int(added[1])]]
    assert question["background"] == [[int(removed[0]), int(removed[1])]]
    assert np.array_equal(previous_of(question) > 0, first > 0)
    version = at.submit()
    label = clicking.label("phantom_000.png", version)
    assert label[int(by_hand[1]), int(by_hand[0])] == 1
    assert label[int(added[1]), int(added[0])] == 1
    assert label[int(removed[1]), int(removed[0])] == 0
    about = clicking.about("phantom_000.png", version)
    assert [click["positive"] for click in about["clicks"]] == [False]
    assert about["model"] == 0
    # Undo takes a click and its answer back together; the brush stays.
    at.press("Control+z")
    assert np.array_equal(clicking.label("phantom_000.png", at.submit()), first)
    at.press("Control+z")
    alone = clicking.label("phantom_000.png", at.submit())
    y, x = np.mgrid[:128, :128] + 0.5
    assert np.array_equal(alone.astype(bool), np.hypot(x - by_hand[0], y - by_hand[1]) <= 15)


def test_the_label_is_the_servers_answer_pixel_by_pixel(visit, clicking):
    at = visit("phantom_001.png", tool="click", automatic=True, at=clicking)
    at.answered()
    with at.page.expect_response(lambda response: response.url.endswith("/mask") and response.ok) as answer:
        at.click((70, 60))
    at.answered()
    mask = np.asarray(Image.open(io.BytesIO(urllib.request.urlopen(answer.value.url).read())))
    label = clicking.label("phantom_001.png", at.submit())
    assert mask.any()
    assert np.array_equal(label > 0, mask > 0)


def test_a_click_on_what_was_erased_by_hand_overrules_it(visit, clicking):
    at = visit("phantom_002.png", tool="eraser", size=40, at=clicking)
    at.drag([(64, 64)])
    at.press("c")
    point = ask_by(at, lambda: at.click((64, 64)))
    label = clicking.label("phantom_002.png", at.submit())
    assert label[int(point[1]), int(point[0])] == 1
    assert label[int(point[1]), int(point[0]) + 12] == 0


def test_scribbles_and_a_box_reach_the_model(visit, clicking):
    at = visit("phantom_003.png", tool="scribble", at=clicking)
    added = ask_by(at, lambda: at.drag([(30, 30), (50, 40), (60, 60)]))
    at.press("x")
    removed = ask_by(at, lambda: at.drag([(100, 30), (110, 60)]))
    at.press("r")
    ask_by(at, lambda: at.drag([(20, 20), (90, 90)]))
    question = at.questions[-1]
    assert len(question["foreground_scribbles"]) == 1
    assert len(question["background_scribbles"]) == 1
    x0, _, x1, y1 = question["box"]
    assert abs(x0 - 20) < 2
    assert abs(y1 - 90) < 2
    assert x1 > x0
    label = clicking.label("phantom_003.png", at.submit())
    assert all(label[int(y), int(x)] == 1 for x, y in added)
    assert not any(label[int(y), int(x)] for x, y in removed)
