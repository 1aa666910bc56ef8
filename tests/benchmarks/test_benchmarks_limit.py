"""The limit's table: its stages are the whole network, its floors follow from counts and ceilings."""

import dataclasses
import json
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from networks import toy_network
from torch import nn

sys.path.append(str(Path(__file__).resolve().parents[2]))  # benchmarks/ is not installed

from benchmarks import drawing, limit_cases, network_cases, report
from benchmarks.limit_cases import BOTH, FORMS, FORWARD, NETWORK, SUM
from benchmarks.macs import count_macs, counting_macs
from benchmarks.measure import Settings
from benchmarks.stages import METHODS

FLOAT32 = [dataclasses.replace(form, step="") for form in FORMS if form.dtype == torch.float32]
TIMED = [FLOAT32[1], FLOAT32[-1]]
QUICK = Settings(rounds=1, quick=True, memory=False)


@pytest.fixture(scope="module")
def base():
    torch.manual_seed(0)
    return toy_network(dropout=0.0).eval()


@pytest.fixture(scope="module")
def counted(base):
    """Counts by form, each counted once for one image of 64 x 64, which is what a quick run counts."""
    count = limit_cases.count_stages
    return cache(lambda form: count(form, base, 64, 1))


@pytest.fixture(scope="module")
def result(base, counted):
    def recall(form, network, size, batch):
        assert (network, size, batch) == (base, 64, 1)
        return counted(form)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limit_cases, "sgdnet", lambda: base)
        patch.setattr(limit_cases, "count_stages", recall)
        return limit_cases.run(QUICK, forms=TIMED)


@pytest.mark.parametrize(
    "form",
    [*FLOAT32[:2], *(pytest.param(form, marks=pytest.mark.slow) for form in FLOAT32[2:])],
    ids=[f"{form.name}, {form.passes}" for form in FLOAT32],
)
def test_stages_are_all_the_arithmetic_of_the_network(form, counted):
    counts = dict(counted(form))
    assert list(counts) == [*METHODS, NETWORK]
    assert counts.pop(NETWORK) == sum(counts.values()) > 0
    assert all(counts.values())


def test_one_image_counts_as_elsewhere(base, counted):
    assert counted(FLOAT32[0])[NETWORK] == count_macs(base, 64)


@pytest.mark.slow
def test_gradients_cost_a_forward_pass_each(counted):
    """Except where training computes more: StitchViT everywhere, and all three heads; the image has no gradient."""
    once, both = counted(FLOAT32[0]), counted(FLOAT32[-1])
    assert FLOAT32[-1].passes == BOTH
    for stage in ("dual attention", "reduce", "SGDC /4", "SGDC /8", "SGDC /16", "decoder"):
        assert both[stage] == 3 * once[stage]
    assert 2.5 * once["encoder"] < both["encoder"] < 3 * once["encoder"]
    assert both["StitchViT"] > 3 * once["StitchViT"]


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_gradients_of_grouped_convolutions(groups, kind):
    with torch.device("meta"):
        layer = kind(4, 8, 3, stride=2, padding=1, groups=groups)
        image = torch.zeros(2, 4, 6, 6, requires_grad=True)
    with counting_macs(layer) as counted:
        out = layer(image)
        forward = counted()
        out.sum().backward()
        assert (
            counted()
            == 3 * forward
            == 3 * 36 * (8 * 4 // groups) * (out if kind is nn.Conv2d else image)[:, 0].numel() // 4
        )


def test_rows(result):
    forms = {(row["pass"], row["form"]) for row in result["stages"]}
    assert forms == {(form.passes, form.name) for form in TIMED}
    assert not [row for row in result["stages"] if "error" in row and row["name"] != "OpenVINO"]
    for form in forms:
        rows = {row["name"]: row for row in result["stages"] if (row["pass"], row["form"]) == form}
        stages = [rows[name] for name in METHODS]
        for row in stages:
            arithmetic = max(row["convolution_per_s"], row["product_per_s"])
            assert row["arithmetic_ms"] == pytest.approx(1000 * row["gmacs"] / arithmetic)
            assert row["memory_ms"] == pytest.approx(row["moved_mib"] * 2**20 / row["copy_per_s"] / 1e6)
            assert row["floor_ms"] == max(row["arithmetic_ms"], row["memory_ms"]) > 0
            assert row["ratio"] == pytest.approx(row["median_ms"] / row["floor_ms"])
        for key in ("gmacs", "moved_mib", "floor_ms", "median_ms"):
            assert rows[SUM][key] == pytest.approx(sum(row[key] for row in stages))
        assert rows[NETWORK]["gmacs"] == pytest.approx(rows[SUM]["gmacs"])
        assert rows[NETWORK]["floor_ms"] == rows[SUM]["floor_ms"]


def test_bytes_by_hand(result):
    """The heads read the decoded maps and write logits; training moves maps and weights three times, logits twice."""

    def moved(passes):
        row = next(row for row in result["stages"] if row["pass"] == passes and row["name"] == "heads")
        return row["moved_mib"] * 2**20

    fine, weights = 16 * 16, 8 + 1
    assert moved(FORWARD) == 4 * (9 * fine + weights)
    assert moved(BOTH) == 4 * (3 * 3 * weights + (3 * 8 + 2) * (fine + fine // 4 + fine // 16))


def test_ceilings_and_worst(result):
    kinds = {(row["dtype"], row["kind"]) for row in result["ceilings"] if "error" not in row}
    assert {("float32", "convolution"), ("float32", "product"), ("float32", "copy")} <= kinds
    for row in result["worst"]:
        rows = [each for each in result["stages"] if all(each[key] == row[key] for key in ("pass", "form", "dtype"))]
        lost = sorted((each for each in rows if each.get("stage")), key=lambda each: -each["above_ms"])
        assert [each.rsplit(" (", 1)[0] for each in row["stages"].split("; ")] == [each["name"] for each in lost[:3]]


def test_a_form_that_fails_keeps_its_row(base, monkeypatch):
    monkeypatch.setattr(limit_cases, "sgdnet", lambda: base)
    monkeypatch.setattr(limit_cases, "count_stages", lambda *_: 1 / 0)
    found = limit_cases.run(QUICK, forms=FLOAT32[:1])
    assert [row["error"] for row in found["stages"]] == ["ZeroDivisionError: division by zero"]
    assert not found["worst"]
    assert not drawing.draw({"limit": found}, Path("nowhere"), "limit")


def test_written_and_drawn(result, tmp_path):
    results = {
        "environment": dict.fromkeys(("date", "commit", "processor", "cores", "threads", "os", "python"), "")
        | {"versions": {}, "processor_flags": [], "memory_gib": 1, "keeps_freed_memory": False, "load_average": None},
        "settings": {"rounds": 1, "quick": True},
        "limit": result,
    }
    as_json, as_markdown = report.write(results, tmp_path, "limit")
    assert json.loads(as_json.read_text())["limit"] == result
    assert "dual attention" in as_markdown.read_text()
    assert "Worst stages" in as_markdown.read_text()
    assert drawing.draw(results, tmp_path, "limit") == [tmp_path / "limit_stages.png"]
    assert (tmp_path / "limit_stages.png").read_bytes().startswith(b"\x89PNG")


def test_growth_of_a_sweep_is_fitted_and_drawn(tmp_path):
    rows = [
        {"name": "a", "size": size, "batch": batch, "median_ms": 3.0 * size**2 * batch**2, "call_mib": 1.0 * size}
        for size, batch in network_cases.SWEEP
    ]
    rows.append({"name": "b", "size": 128, "batch": 1, "error": "out of memory"})
    growth = network_cases.growth(rows)
    slopes = {(row["name"], row["against"], row["what"]): row["slope"] for row in growth}
    assert slopes == {
        ("a", "pixels", "median_ms"): pytest.approx(1),
        ("a", "pixels", "call_mib"): pytest.approx(0.5),
        ("a", "batch", "median_ms"): pytest.approx(2),
        ("a", "batch", "call_mib"): pytest.approx(0, abs=1e-9),
    }
    assert {row["last"] for row in growth} == {1024**2, 16}
    assert drawing.draw({"network": {"rows": [], "growth": growth}}, tmp_path, "network") == [
        tmp_path / "network_growth.png"
    ]
