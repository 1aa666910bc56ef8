"""Work survives: reload, crash, a lost server, two people on one image."""

import contextlib
import shutil

import numpy as np
import pytest
from playwright.sync_api import Error, expect
from server_process import Server


def test_reload_and_crash_keep_the_work(visit, server):
    at = visit("phantom_014.png", tool="box")
    at.drag([(20, 20), (70, 70)])
    at.page.get_by_label("Comment", exact=True).fill("half done")
    at.drafted("phantom_014.png")
    at.page.wait_for_timeout(400)
    at.page.reload()
    at.wait_for("phantom_014.png")
    at.message("is here again")
    expect(at.page.get_by_label("Comment", exact=True)).to_have_value("half done")
    at.press("r")
    at.drag([(80, 80), (110, 110)])
    at.page.wait_for_timeout(500)
    context = at.page.context
    with contextlib.suppress(Error):
        at.page.goto("chrome://crash", timeout=5000)
    again = visit("phantom_014.png", context=context)
    again.message("is here again")
    label = server.label("phantom_014.png", again.submit())
    assert label[30, 30] == 1
    assert label[100, 100] == 1
    again.page.reload()
    again.wait_for("phantom_014.png")
    again.page.wait_for_timeout(500)
    expect(again.page.locator(".message", has_text="is here again")).to_have_count(0)


def test_two_tabs_of_one_browser_do_not_mix_their_work(visit, server):
    first = visit("phantom_015.png", tool="box")
    first.drag([(10, 10), (40, 40)])
    first.drafted("phantom_015.png")
    second = visit("phantom_015.png", context=first.page.context)
    second.message("open in another tab")
    second.press("r")
    second.drag([(80, 80), (110, 110)])
    label = server.label("phantom_015.png", second.submit())
    assert label[30, 30] == 0
    assert label[100, 100] == 1


def test_the_second_of_two_people_is_told_sees_both_and_chooses(visit, server):
    image = "phantom_001.png"
    first = visit(image, name="Dr. Åsa", tool="box")
    second = visit(image, name="李医生", tool="box")
    first.drag([(5, 5), (30, 30)])
    second.drag([(90, 90), (120, 120)])
    theirs = first.submit()
    second.press("Control+Enter")
    dialog = second.page.get_by_role("dialog", name="Somebody else submitted this image")
    expect(dialog.get_by_text("Dr. Åsa").first).to_be_visible()
    expect(dialog.get_by_role("img")).to_have_count(3)
    expect(dialog.get_by_text("They differ in")).to_be_visible()
    dialog.get_by_role("button", name="Decide later").click()
    expect(second.page.locator(".item", has_text="your choice needed")).to_be_visible()
    second.page.get_by_role("button", name="two labels: choose").click()
    dialog.get_by_role("button", name="Submit mine as the newest").click()
    second.message(f"the other one stays as version {theirs}")
    mine = server.label(image, theirs + 1)
    assert mine[100, 100] == 1
    assert server.about(image, theirs + 1)["by"] == "李医生"
    assert server.label(image, theirs)[10, 10] == 1
    # Now the first is behind, and takes the other label.
    first.drag([(40, 5), (60, 30)])
    first.press("Control+Enter")
    dialog = first.page.get_by_role("dialog", name="Somebody else submitted this image")
    expect(dialog.get_by_text("李医生").first).to_be_visible()
    dialog.get_by_role("button", name="Open theirs").click()
    first.message("Undo brings yours back")
    assert np.array_equal(server.label(image, first.submit()), mine)


def test_a_killed_server_loses_nothing_and_gets_the_label_when_it_is_back(visit, server):
    image = "phantom_002.png"
    at = visit(image, tool="box")
    server.kill()
    try:
        (x0, y0), (x1, y1) = at.drag([(15, 15), (75, 75)])
        at.press("Control+Enter")
        at.message("is kept in this browser and is sent when the server is back")
        expect(at.page.get_by_text("server does not answer").first).to_be_visible()
        expect(at.page.get_by_text("1 submission waiting")).to_be_visible()
        at.press("f")  # a mark does not push the label out
        expect(at.page.get_by_text("2 submissions waiting")).to_be_visible()
    finally:
        server.start()
    version = at.submitted()
    expect(at.page.get_by_text("waiting")).to_have_count(0)
    expect(at.page.locator(".item", has_text=image)).to_contain_text("flagged")
    label = server.label(image, version)
    assert label[round(y0) : round(y1), round(x0) : round(x1)].all()


def with_two_versions(visit, image):
    """Submit twice and open the list of versions: the page, the older one's entry, and both numbers."""
    at = visit(image, tool="box")
    at.drag([(5, 5), (50, 50)])
    first = at.submit()
    at.drag([(60, 60), (110, 110)])
    second = at.submit()
    at.press("Alt+2")
    return at, at.page.get_by_role("article", name=f"Version {first}", exact=True), first, second


def test_versions_are_listed_opened_and_restored(visit, server):
    image = "phantom_003.png"
    at, old, first, second = with_two_versions(visit, image)
    expect(old).to_contain_text("Dr. Meier")
    old.get_by_role("button", name="Make newest").click()
    at.message(f"Version {first} is the newest again, as version {second + 1}")
    assert np.array_equal(server.label(image, second + 1), server.label(image, first))
    at.press("q", "Control+z")
    assert np.array_equal(server.label(image, at.submit()), server.label(image, second))


def test_a_skip_does_not_hide_the_label_that_somebody_submitted_meanwhile(visit, server):
    image = "phantom_001.png"
    behind = visit(image, name="Dr. Åsa")
    other = visit(image, name="李医生", tool="box")
    other.drag([(5, 5), (30, 30)])
    first = other.submit()
    behind.press("k")
    behind.message(f"{image} was submitted by 李医生 as version {first} meanwhile; it is not skipped.")
    expect(other.page.locator(".item", has_text=image)).to_contain_text("done")
    behind.page.get_by_role("button", name="Look at it").click()
    behind.message(f"Version {first} is open")
    behind.press("k")
    behind.message(f"{image} is skipped.")


def test_a_skip_that_waited_does_not_hide_a_label_either(visit, server):
    image = "phantom_014.png"
    behind = visit(image, name="Dr. Åsa")
    behind.page.context.set_offline(True)
    behind.press("k")
    behind.message("is marked when the server is back")
    other = visit(image, name="李医生", tool="box")
    other.drag([(5, 5), (30, 30)])
    first = other.submit()
    behind.page.context.set_offline(False)
    behind.message(f"{image} was submitted by 李医生 as version {first} meanwhile; it is not skipped.")
    expect(behind.page.get_by_text("waiting")).to_have_count(0)
    expect(behind.page.locator(".item", has_text=image)).to_contain_text("done")


def test_make_newest_is_refused_where_a_newer_version_was_not_seen(visit, server):
    image = "phantom_003.png"
    at, old, first, _ = with_two_versions(visit, image)
    expect(old).to_be_visible()
    other = visit(image, name="李医生", tool="box")
    other.drag([(60, 5), (90, 30)])
    theirs = other.submit()
    old.get_by_role("button", name="Make newest").click()
    at.message(f"version {theirs} by 李医生")
    expect(at.page.get_by_role("article", name=f"Version {theirs}", exact=True)).to_contain_text("李医生")
    assert not (server.studies / "annotations" / "labels" / image / f"{theirs + 1:04}.json").exists()
    at.page.get_by_role("button", name="Try again").click()
    at.message(f"Version {first} is the newest again, as version {theirs + 1}")


@pytest.fixture
def two_folders(server, tmp_path):
    """Servers of two folders of one name with the same image, at one address; the first one runs."""
    servers = []
    for study in ("study1", "study2"):
        folder = tmp_path / study / "images"
        folder.mkdir(parents=True)
        shutil.copy(server.studies / "images" / "phantom_002.png", folder / "p2.png")
        servers.append(Server(folder, None))
    first, second = servers
    second.port, second.url = first.port, first.url
    second.knobs["port"] = first.port
    first.start()
    yield first, second
    for each in servers:
        each.kill()


def test_work_for_one_folder_does_not_go_to_another_of_its_name(visit, two_folders):
    first, second = two_folders
    at = visit("p2.png", at=first, tool="box")
    first.kill()
    at.drag([(15, 15), (75, 75)])
    at.press("Control+Enter")
    at.message("is kept in this browser and is sent when the server is back")
    second.start()
    at.message("Another studies folder answers at this address now")
    at.press("k")  # neither does a skip
    expect(at.page.get_by_text("2 submissions waiting")).to_be_visible()
    other = visit("p2.png", at=second, context=at.page.context)
    expect(other.page.locator("#title")).to_contain_text("not submitted yet")
    expect(other.page.get_by_text("waiting")).to_have_count(0)
    other.page.wait_for_timeout(500)
    expect(other.page.locator(".message", has_text="is here again")).to_have_count(0)
    other.page.close()
    assert not (second.studies / "annotations" / "labels").exists()
    second.kill()
    first.start()
    at.page.reload()
    assert first.label("p2.png", at.submitted())[40, 40] == 1
    expect(at.page.get_by_text("waiting")).to_have_count(0)
    expect(at.page.locator(".item", has_text="p2.png")).to_contain_text("skipped")


def kept(at, store, image):
    """How many records about an image the browser's database holds."""
    return at.page.evaluate(
        """async ([store, image]) => {
            const open = indexedDB.open("annotation", 1);
            const database = await new Promise((resolve) => (open.onsuccess = () => resolve(open.result)));
            const all = database.transaction(store).objectStore(store).getAllKeys();
            const keys = await new Promise((resolve) => (all.onsuccess = () => resolve(all.result)));
            database.close();
            return keys.filter((key) => key.endsWith(" " + image)).length;
        }""",
        [store, image],
    )


def submit_mine_as_the_newest(at, version):
    dialog = at.page.get_by_role("dialog", name="Somebody else submitted this image")
    dialog.get_by_role("button", name="Submit mine as the newest").click()
    at.message(f"the other one stays as version {version}")


def two_tabs(visit, server, image):
    """Two tabs of one browser, in which different boxes of an image were drawn, the second one later."""
    first = visit(image, at=server, tool="box")
    context = first.page.context
    first.drag([(40, 5), (60, 25)])
    first.drafted(image)
    second = visit(image, at=server, context=context)
    second.message("open in another tab")
    second.press("r")
    second.drag([(5, 40), (25, 60)])
    second.page.wait_for_timeout(600)
    assert kept(second, "drafts", image) == 2
    return first, second, context


def test_work_of_two_closed_tabs_is_offered_one_after_the_other(visit, without_weights):
    image, server = "phantom_001.png", without_weights()
    first, second, context = two_tabs(visit, server, image)
    first.page.close()
    second.page.close()
    at = visit(image, at=server, context=context)
    told = at.page.locator(".message", has_text="That of another tab is kept until this is submitted")
    told.get_by_label("Close the message").click()
    assert kept(at, "drafts", image) == 2
    version = at.submit()
    label = server.label(image, version)
    assert (label[50, 15], label[15, 50]) == (1, 0)
    at.message("Another tab left work on phantom_001.png")
    at.page.get_by_role("button", name="Open it").click()
    at.message("is here again")
    at.press("Control+Enter")
    submit_mine_as_the_newest(at, version)
    label = server.label(image, version + 1)
    assert (label[50, 15], label[15, 50]) == (0, 1)
    at.page.wait_for_timeout(600)
    assert kept(at, "drafts", image) == 0


def test_labels_that_waited_in_two_closed_tabs_both_arrive(visit, without_weights):
    image, server = "phantom_001.png", without_weights()
    first, second, context = two_tabs(visit, server, image)
    context.set_offline(True)
    for tab in (first, second):
        tab.press("Control+Enter")
        tab.message("is kept in this browser and is sent when the server is back")
        tab.page.close()
    context.set_offline(False)
    at = visit(image, at=server, context=context)
    version = at.submitted()
    label = server.label(image, version)
    assert (label[50, 15], label[15, 50]) == (0, 1)
    at.page.get_by_role("button", name="Choose", exact=True).click()
    submit_mine_as_the_newest(at, version)
    label = server.label(image, version + 1)
    assert (label[50, 15], label[15, 50]) == (1, 0)
    at.page.wait_for_timeout(600)
    assert (kept(at, "outbox", image), kept(at, "drafts", image)) == (0, 0)
