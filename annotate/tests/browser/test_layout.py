"""The page on a telephone and on tablets: nothing cut off, everything in reach of a finger, most of it image."""

import pytest
from playwright.sync_api import expect

SCREENS = {"telephone": (390, 844, 0.4), "tablet": (820, 1180, 0.55), "tablet on its side": (1180, 820, 0.45)}
FINGER = 24  # CSS pixels: WCAG 2.2, 2.5.8
COMFORT = 44  # for what is used with every image

CUT = """() => [...document.querySelectorAll("button, input, select, textarea")].flatMap((element) => {
    if (!element.checkVisibility({ visibilityProperty: true }) || element.closest(".list, .skip")) return [];
    const box = element.getBoundingClientRect();
    const scrolls = element.closest(".panel, .options, .tools");
    const wide = box.left < -0.5 || box.right > innerWidth + 0.5;
    const off = wide || (!scrolls && (box.top < -0.5 || box.bottom > innerHeight + 0.5));
    const target = element.labels?.[0]?.closest(".check") ?? element;
    const size = target.getBoundingClientRect();
    return [{ name: element.title || element.textContent || element.id, off, width: size.width, height: size.height }];
})"""


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("screen", SCREENS)
def test_everything_is_in_reach(visit, clicking, screen, theme):
    width, height, share = SCREENS[screen]
    options = {"viewport": {"width": width, "height": height}, "has_touch": True, "is_mobile": True}
    at = visit("phantom_008.png", theme=theme, at=clicking, options=options)
    page = at.page
    for tool in ("c", "b", "p"):
        at.press("q", tool)
        for tab in (1, 2, 3):
            at.press(f"Alt+{tab}")
            assert page.evaluate("document.documentElement.scrollWidth") == width
            found = page.evaluate(CUT)
            assert len(found) > 20
            for each in found:
                assert not each["off"], each
                assert min(each["width"], each["height"]) >= FINGER, each
            for panel in ("options", "tools", "side", "readings"):
                box = page.locator(f"#{panel}").bounding_box()
                assert box["x"] >= 0
                assert box["x"] + box["width"] <= width
                assert box["y"] + box["height"] <= height
    side = page.locator(".panel:visible")
    assert side.evaluate("element => element.scrollWidth <= element.clientWidth")
    canvas = page.locator("#canvas").bounding_box()
    assert canvas["width"] * canvas["height"] >= share * width * height
    for name in ("submit", "skip", "flag", "next", "undo", "click", "brush", "polygon"):
        for button in page.locator(f"#tools [data-command={name}], #side [data-command={name}]").all():
            assert button.bounding_box()["height"] >= COMFORT, name
    for button in page.locator("#tools button:visible:enabled").all():
        button.click(trial=True)


def test_the_list_of_a_telephone_lies_over_the_image_until_one_is_chosen(visit, clicking):
    options = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    at = visit(at=clicking, options=options)
    at.page.locator(".item", has_text="phantom_009").tap()
    at.wait_for("phantom_009.png")
    expect(at.page.locator("#list")).to_be_hidden()
    at.page.get_by_role("button", name="Show the list of images").tap()
    expect(at.page.locator(".item").first).to_be_visible()
    box = at.page.locator("#canvas").bounding_box()
    at.page.touchscreen.tap(box["x"] + box["width"] - 20, box["y"] + 30)
    expect(at.page.locator("#list")).to_be_hidden()
    at.press("/")
    expect(at.page.get_by_label("Search by name")).to_be_focused()
