"""What an annotator does at the page, in the image's own coordinates."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from axe_playwright_python.sync_playwright import Axe
from numpy.typing import NDArray
from playwright.sync_api import Page, Request, expect

Point = tuple[float, float]
Shape = Callable[[NDArray[Any], NDArray[Any]], NDArray[np.bool_]]  # of x and y of points
RULES = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
}
MARGIN = 24  # screen pixels that the page leaves around an image that is shown whole


class Annotator:
    """The page, open on an image.

    Args:
        page: of the browser.
        url: of the server.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.width = self.height = 0
        self.questions: list[dict[str, Any]] = []
        page.on("request", self.keep_question)

    def open(self, image: str | None = None, path: str = "") -> None:
        """Open the page at an image, or without one."""
        self.page.goto(f"{self.url}/ui/{path}" + (f"#{image}" if image else ""))
        if image:
            self.wait_for(image)
        else:
            expect(self.page.locator(".item").first).to_be_visible()

    def wait_for(self, image: str) -> None:
        """Wait until an image is on the canvas."""
        expect(self.page.locator("#title strong")).to_have_text(image)
        detail = self.page.locator("#title .detail").text_content() or ""
        self.width, self.height = map(int, re.findall(r"(\d+) x (\d+)", detail)[0])
        self.page.wait_for_function(
            "() => { const c = document.querySelector('#stage canvas'); const d = c.getContext('2d')"
            ".getImageData(c.width >> 1, c.height >> 1, 1, 1).data; return d[3] > 0; }"
        )

    def keep_question(self, request: Request) -> None:
        """Keep what the page asks the model."""
        if request.method == "POST" and request.url.endswith("/api/infer"):
            self.questions.append(json.loads(request.post_data or "{}"))

    def answered(self) -> None:
        """Wait for the model's answer to the last question."""
        expect(self.page.locator("#model-status")).to_contain_text("last answer", timeout=60_000)

    # --- the canvas

    def screen(self, point: Point) -> Point:
        """Whole screen pixel at a point of the image that is shown whole."""
        box = self.page.locator("#canvas").bounding_box()
        assert box is not None
        scale = min((box["width"] - MARGIN) / self.width, (box["height"] - MARGIN) / self.height)
        x = box["x"] + box["width"] / 2 + (point[0] - self.width / 2) * scale
        y = box["y"] + box["height"] / 2 + (point[1] - self.height / 2) * scale
        return round(x), round(y)

    def image(self, point: Point) -> Point:
        """Point of the image at a screen pixel."""
        box = self.page.locator("#canvas").bounding_box()
        assert box is not None
        scale = min((box["width"] - MARGIN) / self.width, (box["height"] - MARGIN) / self.height)
        x = (point[0] - box["x"] - box["width"] / 2) / scale + self.width / 2
        y = (point[1] - box["y"] - box["height"] / 2) / scale + self.height / 2
        return x, y

    def drag(self, points: Sequence[Point], button: Any = "left", keys: Sequence[str] = ()) -> list[Point]:
        """Press, move and release; gives the places in the image that the pointer really had."""
        pixels = [self.screen(point) for point in points]
        mouse = self.page.mouse
        mouse.move(*pixels[0])
        for key in keys:
            self.page.keyboard.down(key)
        mouse.down(button=button)
        for pixel in pixels[1:]:
            mouse.move(*pixel)
        mouse.up(button=button)
        for key in keys:
            self.page.keyboard.up(key)
        return [self.image(pixel) for pixel in pixels]

    def click(self, point: Point, button: Any = "left", keys: Sequence[str] = ()) -> Point:
        """Click; gives the place in the image that the pointer really had."""
        return self.drag([point], button, keys)[0]

    def press(self, *keys: str) -> None:
        """Press keys on the canvas."""
        for key in keys:
            self.page.keyboard.press(key)

    def axe(self, place: str) -> None:
        """Fail where axe-core finds a violation, in a dialog or in the page."""
        response = Axe().run(self.page, options=RULES).response
        assert len(response["passes"]) > 15, "axe has looked at nothing"
        found = response["violations"]
        told = [(each["id"], [node["target"] for node in each["nodes"]][:4]) for each in found]
        assert not told, (place, told)

    # --- the server

    def submit(self) -> int:
        """Submit by key; gives the version."""
        self.page.keyboard.press("Control+Enter")
        return self.submitted()

    def submitted(self) -> int:
        """Wait for the message of a submission; gives the version."""
        message = self.page.locator(".message.good", has_text="submitted as version").last
        expect(message).to_be_visible()
        text = message.text_content() or ""
        message.get_by_label("Close the message").click()
        return int(re.findall(r"version (\d+)", text)[-1])

    def message(self, text: str | re.Pattern[str]) -> None:
        """Wait for a message."""
        expect(self.page.locator(".message", has_text=text).last).to_be_visible()

    def drafted(self, image: str) -> None:
        """Wait until the work on an image is in the browser's database."""
        for _ in range(100):
            kept = self.page.evaluate(
                """async (image) => {
                    const open = indexedDB.open("annotation", 1);
                    const database = await new Promise((resolve) => (open.onsuccess = () => resolve(open.result)));
                    const all = database.transaction("drafts").objectStore("drafts").getAllKeys();
                    const keys = await new Promise((resolve) => (all.onsuccess = () => resolve(all.result)));
                    database.close();
                    return keys.some((key) => key.endsWith(" " + image));
                }""",
                image,
            )
            if kept:
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"no draft of {image}")


def drawn(width: int, height: int, inside: Shape) -> NDArray[np.bool_]:
    """Pixels whose centre is inside of a shape."""
    y, x = np.mgrid[:height, :width] + 0.5
    return inside(x, y)


def capsule(a: Point, b: Point, radius: float) -> Shape:
    """Points within a radius of a line."""

    def inside(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.bool_]:
        dx, dy = b[0] - a[0], b[1] - a[1]
        length = dx * dx + dy * dy
        t = np.clip(((x - a[0]) * dx + (y - a[1]) * dy) / length, 0, 1) if length else 0
        return np.hypot(x - a[0] - t * dx, y - a[1] - t * dy) <= radius

    return inside


def polygon(points: Sequence[Point]) -> Shape:
    """Points inside of a polygon, by the even-odd rule."""

    def inside(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.bool_]:
        odd = np.zeros(x.shape, bool)
        for (xa, ya), (xb, yb) in zip(points, [*points[1:], points[0]], strict=True):
            if ya != yb:
                odd ^= ((ya <= y) != (yb <= y)) & (x > xa + (y - ya) / (yb - ya) * (xb - xa))
        return odd

    return inside
