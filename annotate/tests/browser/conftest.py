"""The real server in a process of its own, and the page in headless Chromium."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from annotator import Annotator
from networks import TOY, toy_network
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, sync_playwright
from server_process import Server
from support import BUNDLE
from torch import nn
from toy_weights import write_record

from custom_networks.data.phantoms import write_phantoms
from custom_networks.network.interactive import InteractiveSGDNet

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained weights of two classes that say they were trained at 64 x 64 pixels."""
    path = tmp_path_factory.mktemp("two_classes") / "model.pt"
    torch.manual_seed(0)
    network = toy_network(out_channels=3)
    torch.save(network.state_dict(), path)
    classes = {"1": "lesion", "2": "ink"}
    write_record(path, network, classes=classes, image_size=64, metrics={"val_mean_dice": 0.5})
    return path


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, two_classes: Path) -> Iterator[Server]:
    """A server with eighteen phantoms of 128 x 128, a 16-bit image, and weights of two classes."""
    studies = tmp_path_factory.mktemp("browser") / "studies"
    phantoms = write_phantoms(studies.parent / "phantoms", count=18, size=128)
    shutil.copytree(phantoms / "images", studies / "images")
    y, x = np.mgrid[:120, :160]
    disc = 1000 + 3000 * (np.hypot(x - 80, y - 60) < 40)
    Image.fromarray(disc.astype(np.uint16)).save(studies / "images" / "scan16.png")
    running = Server(studies, two_classes).start()
    yield running
    running.kill()


@pytest.fixture
def without_weights(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start a server with two phantoms of 64 x 64 and no weights; arguments are further settings."""
    running: list[Server] = []

    def start(**knobs: Any) -> Server:
        shutil.copytree(BUNDLE / "configs", tmp_path / "bundle" / "configs")
        phantoms = write_phantoms(tmp_path / "phantoms", count=2, size=64)
        running.append(Server(phantoms, None, bundle_root=str(tmp_path / "bundle"), **knobs))
        return running[0].start()

    yield start
    for server in running:
        server.kill()


@pytest.fixture(scope="session")
def interactive_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained weights of a small network that takes guidance, and whose answers depend on it."""
    path = tmp_path_factory.mktemp("interactive") / "model.pt"
    torch.manual_seed(0)
    network = InteractiveSGDNet(**TOY)
    for level in network.fusion.levels:
        nn.init.normal_(level.expand.weight, std=0.05)
    torch.save(network.state_dict(), path)
    write_record(path, network, image_size=64)
    return path


@pytest.fixture(scope="session")
def clicking(tmp_path_factory: pytest.TempPathFactory, interactive_weights: Path) -> Iterator[Server]:
    """A server with twelve phantoms of 128 x 128 and weights that take clicks, scribbles and boxes."""
    folder = tmp_path_factory.mktemp("clicking")
    running = Server(write_phantoms(folder / "phantoms", count=12, size=128), interactive_weights).start()
    yield running
    running.kill()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium: the system's where there is one, else Playwright's own."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        try:
            launched = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        except Exception as error:
            pytest.skip(f"no Chromium: {str(error).splitlines()[0]}")
        yield launched
        launched.close()


Visit = Callable[..., Annotator]


@pytest.fixture
def visit(server: Server, browser: Browser) -> Iterator[Visit]:
    """Open the page as an annotator, at an image, with settings of the page; an error of the page fails the test."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def begin(
        image: str | None = None,
        name: str = "Dr. Meier",
        theme: str = "dark",
        context: BrowserContext | None = None,
        options: dict[str, Any] | None = None,
        at: Server = server,
        path: str = "",
        **settings: Any,
    ) -> Annotator:
        if context is None:
            context = browser.new_context(
                **{"viewport": {"width": 1280, "height": 800}, "color_scheme": theme, **(options or {})}
            )
            contexts.append(context)
            chosen = {"automatic": False, "proceed": False, "tool": "brush", **settings}
            context.add_init_script(
                f"""if (!localStorage.getItem("annotation-settings")) {{
                    localStorage.setItem("annotation-settings", {json.dumps(json.dumps(chosen))});
                    localStorage.setItem("annotation-annotator", {json.dumps(name)});
                }}"""
            )
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        annotator = Annotator(page, at.url)
        annotator.open(image, path)
        return annotator

    yield begin
    for context in contexts:
        context.close()
    assert not errors, errors
