"""The model's part: automatic outline, threshold, maps, fine-tuning."""

import numpy as np
import pytest
from playwright.sync_api import expect
from server_process import Server

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
        expect(panel.get_by_text("Dice on 1 held-out image", exact=True)).to_be_visible()
        at.message("Fine-tuning is done.")
        expect(panel.get_by_role("article")).not_to_have_count(0)
    finally:
        own.kill()
