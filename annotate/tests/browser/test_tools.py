"""Every tool draws what it should: the file on the server's disk is compared pixel by pixel."""

import numpy as np
from annotator import capsule, drawn, polygon
from playwright.sync_api import expect


def test_brush_and_eraser_are_exact_on_disk(visit, server):
    at = visit("phantom_000.png", size=20)
    line = at.drag([(40, 50), (90, 70)])
    at.press("e")
    gone = at.drag([(64, 60)])
    at.press("b")
    also_gone = at.drag([(45, 52)], button="right")
    version = at.submit()
    expected = drawn(128, 128, capsule(*line, 10))
    for (point,) in (gone, also_gone):
        expected &= ~drawn(128, 128, capsule(point, point, 10))
    label = server.label("phantom_000.png", version)
    assert label.dtype == np.uint8
    assert np.array_equal(label, expected.astype(np.uint8))
    about = server.about("phantom_000.png", version)
    assert about["by"] == "Dr. Meier"
    assert about["seconds"] > 0


def test_box_fills_and_empties(visit, server):
    at = visit("phantom_001.png", tool="box")
    (x0, y0), (x1, y1) = at.drag([(20, 30), (100, 90)])
    (a0, b0), (a1, b1) = at.drag([(50, 50), (60, 70)], keys=["Alt"])
    version = at.submit()
    expected = np.zeros((128, 128), np.uint8)
    expected[round(y0) : round(y1), round(x0) : round(x1)] = 1
    expected[round(b0) : round(b1), round(a0) : round(a1)] = 0
    assert np.array_equal(server.label("phantom_001.png", version), expected)


def test_polygon_with_points_dragged_added_and_removed(visit, server):
    at = visit("phantom_002.png", tool="polygon")
    points = [at.click(p) for p in [(30, 30), (100, 35), (95, 100), (60, 110), (25, 90)]]
    at.click((30, 30))  # the first point closes it
    expect(at.page.get_by_role("button", name="Fill the polygon")).to_be_visible()
    points[1] = at.drag([(100, 35), (110, 20)])[-1]
    middle = ((points[2][0] + points[3][0]) / 2, (points[2][1] + points[3][1]) / 2)
    points.insert(3, at.drag([middle, (85, 120)])[-1])
    at.click(points[5], button="right")
    del points[5]
    at.press("Enter")
    expect(at.page.get_by_role("button", name="Fill the polygon")).to_be_hidden()
    version = at.submit()
    assert np.array_equal(server.label("phantom_002.png", version), drawn(128, 128, polygon(points)).astype(np.uint8))


def test_outline_becomes_a_polygon_and_back(visit, server):
    at = visit("phantom_003.png", size=60)
    at.drag([(64, 64)])
    before = server.label("phantom_003.png", at.submit()).astype(bool)
    at.page.mouse.move(*at.screen((64, 64)))
    at.press("j")
    expect(at.page.get_by_role("button", name="Fill the polygon")).to_be_visible()
    at.press("Enter")
    after = server.label("phantom_003.png", at.submit()).astype(bool)
    assert 2 * (before & after).sum() / (before.sum() + after.sum()) > 0.97


def test_fill_holes_smooth_and_largest_piece(visit, server):
    at = visit("phantom_004.png", tool="box")
    (x0, y0), (x1, y1) = at.drag([(20, 20), (90, 90)])
    at.drag([(40, 40), (60, 60)], keys=["Alt"])
    at.drag([(100, 100), (104, 104)])
    at.press("g", "l")
    solid = np.zeros((128, 128), np.uint8)
    solid[round(y0) : round(y1), round(x0) : round(x1)] = 1
    assert np.array_equal(server.label("phantom_004.png", at.submit()), solid)
    at.press("m")
    smooth = server.label("phantom_004.png", at.submit())
    corner = slice(round(y0), round(y0) + 2), slice(round(x0), round(x0) + 2)
    assert smooth[corner].sum() < 4
    assert abs(int(smooth.sum()) - int(solid.sum())) < 60


def test_undo_and_redo_over_everything(visit, server):
    at = visit("phantom_016.png", size=20)
    undo = at.page.locator("[data-command=undo]")
    redo = at.page.locator("[data-command=redo]")
    at.drag([(40, 40), (80, 40)])
    at.press("r")
    at.drag([(20, 80), (60, 110)])
    at.press("p")
    for point in [(70, 70), (110, 70), (90, 110)]:
        at.click(point)
    at.press("Enter", "Enter", "m", "Shift+Delete")
    empty = server.label("phantom_016.png", at.submit())
    assert not empty.any()
    at.press("Control+z")
    drawn_all = server.label("phantom_016.png", at.submit())
    for _ in range(20):
        if undo.is_disabled():
            break
        undo.click()
    assert not server.label("phantom_016.png", at.submit()).any()
    for _ in range(20):
        if redo.is_disabled():
            break
        redo.click()
    at.press("Control+z")
    assert np.array_equal(server.label("phantom_016.png", at.submit()), drawn_all)
    assert drawn_all.any()


def test_second_class_with_its_number(visit, server):
    at = visit("phantom_017.png", tool="box")
    at.drag([(10, 10), (60, 60)])
    at.press("2")
    expect(at.page.get_by_role("radio", name="ink")).to_be_checked()
    at.drag([(40, 40), (90, 90)])
    label = server.label("phantom_017.png", at.submit())
    assert set(np.unique(label)) == {0, 1, 2}
    assert (label == 2).sum() > (label == 1).sum() > 0


def test_everything_by_keyboard_alone(visit, server):
    at = visit("phantom_007.png", size=10)
    at.press("q", "Escape", "ArrowRight", "Enter")
    at.press(*["Shift+ArrowRight"] * 3, "Enter")  # a stroke of thirty pixels
    at.press("]", "i")
    expect(at.page.get_by_label("Comment", exact=True)).to_be_focused()
    at.page.keyboard.type("seen by keyboard")
    at.page.keyboard.press("Control+Enter")
    version = at.submitted()
    label = server.label("phantom_007.png", version)
    rows, columns = np.nonzero(label)
    assert 34 <= np.ptp(columns) <= 44
    assert 8 <= np.ptp(rows) <= 10
    assert server.about("phantom_007.png", version)["comment"] == "seen by keyboard"
    at.page.keyboard.press("Escape")
    at.press("p", "Shift+ArrowUp", "Enter", *["Shift+ArrowDown"] * 2, "Enter", *["Shift+ArrowLeft"] * 2, "Enter")
    at.press("Escape", "Enter", "Enter")
    assert server.label("phantom_007.png", at.submit()).sum() > label.sum()


def test_cheat_sheet_lists_every_command(visit):
    at = visit("phantom_000.png")
    at.press("?")
    sheet = at.page.get_by_role("dialog", name="Keys")
    for words in ("Brush", "Fill holes", "Submit", "Threshold lower (larger lesion)", "Move the crosshair"):
        expect(sheet.get_by_text(words, exact=False).first).to_be_visible()
    at.press("Escape")
    expect(sheet).to_be_hidden()
