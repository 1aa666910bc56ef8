"""The model's part: automatic outline, threshold, maps, fine-tuning."""

import json
import shutil
import urllib.request

import numpy as np
import pytest
from playwright.sync_api import expect
from server_process import Server

from annotate.models import Models
from custom_networks.data.phantoms import write_phantoms


def test_a_new_image_gets_the_models_outline_and_the_threshold_moves_it(visit, server):
    at = visit("phantom_008.png", automatic=True)
    at.answered()
    at.press("Shift+ArrowDown")  # nothing of the label changes
    automatic = server.label("phantom_008.png", at.submit())
    slider = at.page.get_by_label("Threshold", exact=True)
    slider.fill("30")
    lower = server.label("phantom_008.png", at.submit())
    slider.fill("70")
    higher = server.label("phantom_008.png", at.submit())
    areas = [(label == 1).sum() for label in (lower, automatic, higher)]
    assert areas == sorted(areas, reverse=True)
    assert areas[0] > areas[2]
    assert server.about("phantom_008.png", 1)["model"] == 0
    at.press("Control+z", "Control+z")
    assert np.array_equal(server.label("phantom_008.png", at.submit()), automatic)


@pytest.mark.slow
def test_maps_are_asked_for_and_shown_without_touching_the_label(visit, server):
    at = visit("phantom_009.png", tool="box")
    at.drag([(30, 30), (80, 80)])
    drawn = server.label("phantom_009.png", at.submit())
    for key, name in (("u", "Uncertainty"), ("d", "Edges"), ("y", "Probability")):
        at.press(key)
        legend = at.page.locator(".legend")
        expect(legend).to_contain_text(name)
        expect(legend).to_contain_text("low to high", timeout=60_000)
    assert np.array_equal(server.label("phantom_009.png", at.submit()), drawn)
    at.press("y")
    expect(at.page.locator(".legend")).to_be_hidden()


@pytest.mark.slow
def test_without_weights_the_models_buttons_are_off_and_its_keys_say_why(visit, without_weights):
    own = without_weights()
    at = visit("phantom_000.png", at=own, tool="box", map="probability")
    expect(at.page.locator(".legend")).to_be_hidden()
    for name in ("Probability", "Uncertainty", "Edges", "Ask again", "Start over"):
        expect(at.page.get_by_role("button", name=name)).to_be_disabled()
    at.drag([(10, 10), (40, 40)])
    at.press("Shift+A")
    expect(at.page.get_by_text("The server has no weights yet: draw by hand")).to_be_visible()
    assert own.label("phantom_000.png", at.submit()).any(), "what was drawn by hand is still there"


def test_fine_tuning_is_started_followed_and_cancelled(visit, server):
    at = visit("phantom_013.png", tool="box")
    at.drag([(30, 30), (90, 90)])
    at.submit()
    at.press("Alt+3")
    panel = at.page.get_by_role("tabpanel", name="Model")
    expect(panel.get_by_text("in use")).to_be_visible()
    panel.get_by_label("Epochs", exact=True).fill("50")
    panel.get_by_role("button", name="Fine-tune").click()
    expect(panel.get_by_text("Epoch 0 of 50")).to_be_visible(timeout=30_000)
    panel.get_by_role("button", name="Cancel").click()
    expect(panel.get_by_text("It was cancelled; the model stays as it was.")).to_be_visible(timeout=60_000)
    expect(panel.get_by_role("button", name="Fine-tune")).to_be_visible()


def test_the_place_in_the_queue_is_shown_while_others_are_served(visit, server):
    at = visit("phantom_015.png")
    body = json.dumps({"image": "phantom_000.png", "maps": ["uncertainty"]}).encode()
    for _ in range(60):  # a toy network takes some 0.1 s for each
        request = urllib.request.Request(f"{server.url}/api/infer", body, {"Content-Type": "application/json"})
        urllib.request.urlopen(request).close()
    at.press("q", "a")
    status = at.page.locator("#model-status")
    expect(status).to_contain_text("in the queue")
    places = at.page.evaluate(
        """() => new Promise((resolve) => {
            const status = document.getElementById("model-status");
            const seen = [status.textContent];
            const observer = new MutationObserver(() => {
                seen.push(status.textContent);
                if (status.textContent.includes("last answer")) resolve(seen);
            });
            observer.observe(status, { childList: true, subtree: true, characterData: true });
            setTimeout(() => resolve(seen), 60000);
        })"""
    )
    numbers = [int(text.split("place ")[1].split()[0]) for text in places if "place " in text]
    assert len(set(numbers)) > 1, places
    assert numbers == sorted(numbers, reverse=True)
    assert "last answer" in places[-1]


def test_an_earlier_model_is_used_again(visit, interactive_weights, weights, tmp_path):
    phantoms = write_phantoms(tmp_path / "phantoms", count=2, size=128)
    newer = tmp_path / "newer" / "model.pt"
    newer.parent.mkdir()
    for file in (weights, weights.with_suffix(".json")):
        shutil.copy(file, newer.with_suffix(file.suffix))
    own = Server(phantoms, interactive_weights)
    about = {"published": True, "dice": 0.9, "before": 0.8, "trained_on": 4, "when": "2026-01-02T03:04:05Z"}
    Models(own.studies / "annotations" / "models", interactive_weights).add(newer, about)
    own.start()
    try:
        at = visit("phantom_000.png", at=own)
        expect(at.page.get_by_text("model 1 · Dice 0.900")).to_be_visible()
        expect(at.page.locator("#tools [data-command=click]")).to_be_disabled()
        at.press("q", "a")
        at.answered()
        assert own.about("phantom_000.png", at.submit())["model"] == 1
        at.press("Alt+3")
        expect(at.page.get_by_role("article", name="Model 1", exact=True)).to_contain_text("in use")
        at.page.get_by_role("article", name="Model 0", exact=True).get_by_role("button", name="Use this one").click()
        at.message("Model 0 is in use.")
        expect(at.page.get_by_role("article", name="Model 0", exact=True)).to_contain_text("in use")
        at.press("Alt+2")
        expect(at.page.get_by_role("article", name="Version 1", exact=True)).to_contain_text("Outlined by model 1")
        # The older weights take clicks, and it is they that answer.
        expect(at.page.locator("#tools [data-command=click]")).to_be_enabled()
        at.press("q", "c")
        with at.page.expect_response(lambda response: response.url.endswith("/mask") and response.ok):
            at.click((64, 64))
        at.answered()
        assert own.about("phantom_000.png", at.submit())["model"] == 0
        expect(at.page.get_by_role("article", name="Version 2", exact=True)).to_contain_text("Outlined by model 0")
        assert json.loads((own.studies / "annotations/models/active.json").read_text())["version"] == 0
    finally:
        own.kill()


@pytest.mark.slow
def test_fine_tuning_to_its_end_shows_curve_and_dice_before_and_after(visit, weights, tmp_path):
    phantoms = write_phantoms(tmp_path / "phantoms", count=4, size=128)
    own = Server(phantoms, weights).start()
    try:
        at = visit("phantom_000.png", tool="box", at=own)
        for number in range(4):
            at.open(f"phantom_{number:03}.png")
            at.drag([(30, 30), (90, 90)])
            at.submit()
        at.press("Alt+3")
        panel = at.page.get_by_role("tabpanel", name="Model")
        panel.get_by_label("Epochs", exact=True).fill("2")
        panel.get_by_role("button", name="Fine-tune").click()
        expect(panel.get_by_text("Done.")).to_be_visible(timeout=300_000)
        expect(panel.get_by_role("img", name="After epoch 2")).to_be_visible()
        expect(panel.get_by_text("Dice (overlap, 1 is perfect) on 1 held-out image", exact=True)).to_be_visible()
        at.message("Fine-tuning is done.")
        expect(panel.get_by_role("article")).not_to_have_count(0)
        for _ in ("dark", "light"):
            at.axe("the curve")
            at.press("Shift+L")
    finally:
        own.kill()
