"""The page in headless Chromium: no accessibility fault, nothing from outside, its table, its zoom, its print form."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from custom_networks.report import write_report

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: requirements-dev.txt")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
Open = Callable[..., "sync_api.Page"]


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    """The system's Chromium, else Playwright's own."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_api.sync_playwright() as playwright:
        try:
            launched = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        except sync_api.Error as error:
            pytest.skip(f"no Chromium: {str(error).splitlines()[0]}")
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def report(evaluated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of an evaluation with curves of a training and 120 images."""
    folder = Path(shutil.copytree(evaluated, tmp_path_factory.mktemp("browser") / "evaluation"))
    frame = pd.read_csv(folder / "per_image.csv")
    many = pd.concat([frame] * 20, ignore_index=True)
    many["id"] = [*frame["id"], *(f"image {number:03d}" for number in range(len(frame), len(many)))]
    many["dice"] = [(37 * number % 120) / 120 for number in range(len(many))]
    many.to_csv(folder / "per_image.csv", index=False)
    about = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps({**about, "images": len(many)}))
    (folder / "training").mkdir(exist_ok=True)
    (folder / "training" / "metrics.csv").write_text("epoch,loss,edge,val_mean_dice\n1,2,1,0.5\n2,1,0.5,0.6\n")
    write_report(folder)
    return folder / "report.html"


@pytest.fixture
def open_page(browser: sync_api.Browser, report: Path) -> Iterator[Open]:
    """Open the report, or another page; what the browser complains of is in `page.complaints`."""
    contexts = []

    def visit(path: Path = report, **options: object) -> sync_api.Page:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.complaints, page.requests = [], []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: page.requests.append(request.url[:5]))
        page.goto(path.as_uri())
        return page

    yield visit
    for context in contexts:
        context.close()


@pytest.mark.parametrize("theme", [pytest.param("light", marks=pytest.mark.slow), "dark"])
def test_axe_finds_no_violation(open_page: Open, theme: str) -> None:
    page = open_page(color_scheme=theme, bypass_csp=True)  # axe-core runs as an inline script
    response = axe.Axe().run(page).response
    assert [(each["id"], each["nodes"][0]["html"][:120]) for each in response["violations"]] == []
    assert len(response["passes"]) > 15, "axe has looked at nothing"


def test_nothing_comes_from_outside(open_page: Open, report: Path, tmp_path: Path) -> None:
    page = open_page()
    assert page.complaints == []
    assert set(page.requests) <= {"file:", "data:"}
    text = report.read_text()
    hostile = '<header><img src="http://127.0.0.1:9/a.png"><script>document.title = "mine"</script>'
    (tmp_path / "page.html").write_text(text.replace("<header>", hostile))
    page = open_page(tmp_path / "page.html")
    assert page.title().startswith("SGD-Net report")
    assert sum("Content Security Policy" in each for each in page.complaints) == 2


def test_the_table_sorts_finds_and_pages(open_page: Open) -> None:
    page = open_page()
    shown = "Array.from(document.querySelectorAll('#images tbody tr')).filter(row => row.offsetParent)"
    seen = f"{shown}.map(row => row.cells[0].innerText.trim())"
    assert len(page.evaluate(seen)) == 50
    page.get_by_role("button", name="Dice", exact=True).click()
    column = f"{shown}.map(row => Number(row.cells[1].dataset.sort))"
    ascending = page.evaluate(column)
    assert ascending == sorted(ascending)
    assert ascending[0] == 0
    page.get_by_role("button", name="Next").click()
    assert page.locator("#where").inner_text() == "51 to 100 of 120"
    assert page.evaluate(column)[0] > ascending[-1]
    page.locator("#find").fill("image 007")
    assert page.evaluate(seen) == ["image 007"]


def test_print_has_every_row(open_page: Open) -> None:
    page = open_page()
    rows = "Array.from(document.querySelectorAll('#images tbody tr')).filter(row => row.getClientRects().length).length"
    assert page.evaluate(rows) == 50
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate(rows) == 120
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("nav").is_hidden()
    assert page.pdf(format="A4").startswith(b"%PDF")


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_a_click_enlarges_a_panel(open_page: Open, scripts: bool) -> None:
    page = open_page(java_script_enabled=scripts, viewport={"width": 1100, "height": 800})
    panel = page.locator(".zoom summary").nth(2)
    small = panel.bounding_box()
    panel.click()
    large = panel.bounding_box()
    assert small is not None
    assert large is not None
    assert large["width"] > 4 * small["width"]
    panel.click()
    again = panel.bounding_box()
    assert again is not None
    assert again["width"] == small["width"]
