"""The list of images, and the ways through it."""

import io

import numpy as np
from PIL import Image
from playwright.sync_api import expect


def test_search_filter_and_thumbnails(visit):
    at = visit()
    items = at.page.locator(".item")
    expect(items).not_to_have_count(0)
    expect(items.first.locator("img")).to_be_visible()
    at.press("/")
    at.page.keyboard.type("scan")
    expect(items).to_have_count(1)
    at.page.get_by_label("Search by name").fill("nothing like it")
    expect(at.page.get_by_text("No image fits the search.")).to_be_visible()
    at.page.get_by_label("Search by name").fill("")
    done = at.page.get_by_role("group", name="Filter by state").get_by_role("button", name="Done")
    done.click()
    expect(done).to_have_attribute("aria-pressed", "true")


def test_flag_with_comment_skip_and_next(visit, server):
    at = visit("phantom_004.png")
    at.page.get_by_label("Comment", exact=True).fill("two lesions")
    at.page.get_by_role("button", name="Flag", exact=True).click()
    at.message("phantom_004.png is flagged")
    expect(at.page.locator("#title strong")).not_to_have_text("phantom_004.png")
    at.page.get_by_role("group", name="Filter by state").get_by_role("button", name="Flagged").click()
    row = at.page.locator(".item", has_text="phantom_004.png")
    expect(row).to_contain_text("flagged")
    row.click()
    at.wait_for("phantom_004.png")
    expect(at.page.get_by_label("Comment", exact=True)).to_have_value("two lesions")
    at.press("k")
    at.message("phantom_004.png is skipped")


def test_after_submitting_the_next_image_opens(visit):
    at = visit("phantom_005.png", tool="box", proceed=True, strategy="first")
    at.drag([(20, 20), (60, 60)])
    at.submit()
    expect(at.page.locator("#title strong")).not_to_have_text("phantom_005.png")


def test_upload(visit, server):
    at = visit()
    picture = io.BytesIO()
    Image.fromarray(np.full((50, 60, 3), 128, np.uint8)).save(picture, "PNG")
    files = [
        {"name": "added here.png", "mimeType": "image/png", "buffer": picture.getvalue()},
        {"name": "no image.png", "mimeType": "image/png", "buffer": b"not a picture"},
    ]
    at.page.get_by_label("Image files").set_input_files(files)
    at.message("1 image added.")
    expect(at.page.locator(".message.bad")).to_be_visible()
    expect(at.page.locator(".item", has_text="added")).to_be_visible()


def test_window_of_a_16_bit_image(visit):
    at = visit("scan16.png", tool="window")
    section = at.page.get_by_role("region", name="Window")
    white = section.get_by_label("Value shown white")
    expect(white).to_be_visible()
    with at.page.expect_response(lambda response: "high=2000" in response.url and response.ok):
        white.fill("2000")
        white.press("Enter")
    with at.page.expect_response(lambda response: "/view" in response.url and response.ok):
        at.drag([(50, 50), (100, 60)])
    section.get_by_role("button", name="Automatic").click()


def test_name_is_asked_once(browser, server):
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{server.url}/ui/")
    page.get_by_label("Your name").fill("Dr. Ngô")
    page.get_by_role("button", name="Use this name").click()
    expect(page.get_by_role("button", name="Annotator: Dr. Ngô")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Annotator: Dr. Ngô")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    context.close()
