"""Screen readers (axe-core: no violation), touch and pen, large images, a token."""

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_no_violation(visit, server, theme):
    at = visit(theme=theme)
    at.axe("list")
    at.open("phantom_000.png")
    at.axe("label")
    for tab in ("2", "3"):
        at.press(f"Alt+{tab}")
        at.page.wait_for_timeout(300)
        at.axe(f"tab {tab}")
    at.press("?")
    at.axe("cheat sheet")
    at.press("Escape", "q", "p")
    for point in [(30, 30), (60, 30), (60, 60)]:
        at.click(point)
    at.axe("polygon")
    at.press("y")
    expect(at.page.locator(".legend")).to_be_visible()
    at.axe("map")
    at.page.get_by_role("button", name="Annotator").click()
    at.axe("name")
    at.press("Escape")
    at.page.set_viewport_size({"width": 390, "height": 844})
    at.axe("telephone")
    at.page.get_by_role("button", name="Show the list of images").click()
    at.axe("drawer")


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_no_violation_in_a_conflict(visit, clicking, theme):
    image = f"phantom_01{['dark', 'light'].index(theme)}.png"
    first, second = (visit(image, tool="box", theme=theme, name=name, at=clicking) for name in ("Ada", "Bob"))
    for at, corner in ((first, 50), (second, 70)):
        at.drag([(10, 10), (corner, corner)], keys=["Shift"])
    first.submit()
    second.press("Control+Enter")
    expect(second.page.get_by_role("dialog", name="Somebody else")).to_be_visible()
    second.axe("conflict")
    second.page.get_by_role("button", name="Decide later").click()
    second.axe("to be decided")


def test_two_fingers_zoom_and_a_pens_pressure_makes_the_brush_thin(visit, server):
    at = visit("phantom_006.png", size=30, options={"has_touch": True})
    zoom = at.page.locator("#readings span").nth(1)
    before = zoom.text_content()
    cdp = at.page.context.new_cdp_session(at.page)
    x, y = at.screen((64, 64))

    def touch(kind, *points):
        cdp.send(
            "Input.dispatchTouchEvent",
            {"type": kind, "touchPoints": [{"x": a, "y": b, "id": i} for i, (a, b) in enumerate(points)]},
        )

    touch("touchStart", (x - 40, y))
    touch("touchStart", (x - 40, y), (x + 40, y))
    touch("touchMove", (x - 120, y), (x + 120, y))
    touch("touchEnd")
    expect(zoom).not_to_have_text(before or "")
    at.press("0")
    at.page.keyboard.press("Shift+Delete")

    def pen(point, pressure):
        at.page.evaluate(
            """([x, y, pressure]) => {
                const canvas = document.getElementById("canvas");
                canvas.setPointerCapture = () => {};
                for (const type of ["pointerdown", "pointerup"]) {
                    canvas.dispatchEvent(new PointerEvent(type, {
                        pointerId: 7, pointerType: "pen", clientX: x, clientY: y, pressure, button: 0,
                        buttons: type === "pointerdown" ? 1 : 0, bubbles: true}));
                }
            }""",
            [*at.screen(point), pressure],
        )

    pen((30, 64), 0.1)
    pen((90, 64), 0.9)
    label = server.label("phantom_006.png", at.submit())
    assert 0 < label[:, :60].sum() * 2 < label[:, 60:].sum()


@pytest.mark.slow
def test_an_image_of_6000_x_4000_is_fluid_and_exact(visit, server):
    rng = np.random.default_rng(0)
    small = rng.integers(60, 200, (40, 60, 3)).astype(np.uint8)
    Image.fromarray(small).resize((6000, 4000), Image.Resampling.BICUBIC).save(server.studies / "images" / "large.jpg")
    at = visit("large.jpg", tool="box")
    (x0, y0), (x1, y1) = at.drag([(1000, 1000), (4000, 3000)])
    frames = at.page.evaluate(
        """async () => {
            const canvas = document.getElementById("canvas");
            const box = canvas.getBoundingClientRect();
            const times = [];
            for (let i = 0; i < 40; i++) {
                const began = performance.now();
                const place = {clientX: box.x + 300, clientY: box.y + 250};
                canvas.dispatchEvent(new WheelEvent("wheel", {deltaY: i % 8 < 4 ? -120 : 120, ...place}));
                await new Promise(requestAnimationFrame);
                times.push(performance.now() - began);
            }
            return times.sort((a, b) => a - b);
        }"""
    )
    assert frames[len(frames) // 2] < 60, f"median frame {frames[len(frames) // 2]:.0f} ms"
    with at.page.expect_response(lambda response: "/region" in response.url and response.ok):
        at.press("z")
    at.press("0")
    version = at.submit()
    label = server.label("large.jpg", version)
    assert label.shape == (4000, 6000)
    expected = np.zeros((4000, 6000), np.uint8)
    expected[round(y0) : round(y1), round(x0) : round(x1)] = 1
    assert np.array_equal(label, expected)


@pytest.mark.slow
def test_repairs_of_24_megapixels_leave_the_page_answering(visit, clicking):
    Image.new("RGB", (6000, 4000), (200, 150, 120)).save(clicking.studies / "images" / "wide.png")
    at = visit("wide.png", tool="box", at=clicking)
    at.page.evaluate(
        """() => {
            window.longTasks = [];
            new PerformanceObserver((list) => longTasks.push(...list.getEntries().map(({ duration }) => duration)))
                .observe({ type: "longtask" });
        }"""
    )
    outer = at.drag([(500, 500), (5500, 3500)], keys=["Shift"])
    inner = at.drag([(2000, 1500), (4000, 2500)], keys=["Alt", "Shift"])
    speck = at.drag([(100, 100), (200, 200)], keys=["Shift"])
    expected = np.zeros((4000, 6000), np.uint8)
    for value, ((x0, y0), (x1, y1)) in zip((1, 0, 1), (outer, inner, speck), strict=True):
        expected[round(y0) : round(y1), round(x0) : round(x1)] = value
    assert np.array_equal(clicking.label("wide.png", at.submit()), expected)
    at.press("g", "l")  # the second waits for the first
    (x0, y0), (x1, y1) = outer
    expected[:] = 0
    expected[round(y0) : round(y1), round(x0) : round(x1)] = 1
    assert np.array_equal(clicking.label("wide.png", at.submit()), expected)
    at.page.mouse.move(*at.screen((3000, 2000)))
    at.press("m", "j")
    expect(at.page.get_by_role("button", name="Fill the polygon")).to_be_visible(timeout=30_000)
    at.press("Enter", "Shift+Delete", "Control+z")
    label = clicking.label("wide.png", at.submit())
    assert abs(int(label.sum()) - int(expected.sum())) < 0.01 * expected.sum()
    longest = max(at.page.evaluate("longTasks"), default=0)
    assert longest < 500, f"{longest:.0f} ms"


@pytest.mark.slow
def test_a_token_is_taken_from_the_address_and_asked_for_without(browser, visit, without_weights):
    token = "a-secret.of_many~letters"
    own = without_weights(token=token)
    at = visit(at=own, path=f"?token={token}")
    expect(at.page.locator(".item img").first).to_be_visible()
    assert "token" not in at.page.url
    at.page.reload()
    expect(at.page.locator(".item").first).to_be_visible()
    context = browser.new_context(storage_state={"cookies": [], "origins": []})
    stranger = context.new_page()
    stranger.add_init_script('localStorage.setItem("annotation-annotator", "Mallory")')
    stranger.goto(f"{own.url}/ui/")
    expect(stranger.get_by_text("The server asks for its token")).to_be_visible()
    context.close()
