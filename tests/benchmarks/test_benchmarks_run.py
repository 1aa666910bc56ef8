"""The commands write what they promise, and failures stay on their own line."""

import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).resolve().parents[2]))  # benchmarks/ is not installed

from benchmarks import convolution_cases, gpu, measure, network_cases, networks, operator_cases, report, rooms
from benchmarks.measure import Case, Settings, Unavailable

REPOSITORY = Path(__file__).resolve().parents[2]


def make(value):
    return lambda: torch.full((3,), float(value))


def refuse():
    raise Unavailable("not here")


def fail():
    raise RuntimeError("broken | badly")


@pytest.mark.slow
def test_operator_command(tmp_path):
    words = [sys.executable, "-m", "benchmarks", "operator", "--quick", "--output", str(tmp_path), "--threads", "1"]
    result = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr[-3000:]
    found = json.loads((tmp_path / "operator.json").read_text())

    environment = found["environment"]
    assert {"date", "commit", "processor", "threads", "os", "python", "versions"} <= set(environment)
    assert {"torch", "onnxruntime"} <= set(environment["versions"])
    assert environment["threads"] == 1

    rows = found["operator"]["rows"]
    assert len(rows) == 2 * 2 * 3 * 3  # passes, batch sizes, scales, backends
    for row in rows:
        assert "error" not in row
        assert row["min_ms"] <= row["median_ms"] <= row["max_ms"]
        assert row["max_difference"] <= 1e-5
        assert 0 <= row["call_mib"] <= row["total_mib"]
    for line in found["operator"]["summary"]:
        parts = [row for row in rows if all(row[key] == line[key] for key in ("pass", "batch", "name"))]
        assert line["sum_ms"] == pytest.approx(sum(row["median_ms"] for row in parts))
        if line["name"] == "unfold":
            assert line["times_unfold_speed"] == 1

    text = (tmp_path / "operator.md").read_text()
    assert all(word in text for word in ("unfold", "streaming", "tiled", environment["processor"], environment["date"]))


def test_forms_of_a_convolution():
    """Each layer has the plain form and others, one of which is taken; all give the same."""
    rows = convolution_cases.run(Settings(rounds=1, quick=True, memory=False))["rows"]
    assert not convolution_cases.run(Settings(device="cuda"))["rows"]
    groups = {}
    for row in rows:
        groups.setdefault((row["layer"], row["pass"]), []).append(row)
        assert row["max_error"] < 1e-5
    assert len(groups) == 2 * len(convolution_cases.QUICK)
    for (layer, _), forms in groups.items():
        assert sum(row["taken"] == "yes" for row in forms) == 1
        assert forms[0]["name"] == "PyTorch"
        assert forms[0]["times_plain_speed"] == 1
        assert ("Winograd" in [row["name"] for row in forms]) == (convolution_cases.QUICK[layer].kernel == 3)


@pytest.mark.slow
def test_peak_memory_is_that_of_the_call():
    code = """
from benchmarks.measure import Case, _weigh_here

def build(kept, passing):
    weights = bytearray(b"1") * (kept << 20)
    return lambda: (bytearray(b"1") * (passing << 20), weights)[1]

bytearray(b"1") * (300 << 20)  # an earlier peak
for kept, passing in ((50, 100), (30, 20)):
    print(*_weigh_here(Case("", lambda: build(kept, passing)), 1).values())
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    weighed = [float(word) for word in result.stdout.split()]
    for got, least in zip(weighed, (100, 150, 20, 50), strict=True):
        assert least - 2 < got < least + 10


def test_cases_take_turns_and_failures_stay_alone(monkeypatch):
    turns = []

    def build(name):
        return lambda: turns.append(name)

    cases = [
        Case("a", partial(build, "a")),
        Case("refused", refuse),
        Case("failed", fail),
        Case("b", partial(build, "b")),
    ]
    rows, calls, outputs = measure.run_cases(cases, Settings(rounds=3, quick=True, memory=False))
    assert [row.get("error") for row in rows] == [None, "not here", "RuntimeError: broken | badly", None]
    assert list(calls) == list(outputs) == ["a", "b"]
    assert turns[-6:] == ["a", "b"] * 3
    assert all(len(row["samples_ms"]) == 3 for row in rows if "error" not in row)


def test_a_call_that_fails_while_it_is_timed_leaves_the_others():
    """As a call does that has too little memory beside the rest."""
    calls = {"good": lambda: None, "bad": partial(int, "x")}
    told = []
    samples = measure.time_interleaved(calls, Settings(quick=True, rounds=2), lambda name, error: told.append(name))
    assert told == ["bad"]
    assert {name: len(each) for name, each in samples.items()} == {"good": 2}
    with pytest.raises(ValueError, match="invalid literal"):
        measure.time_interleaved(calls, Settings(quick=True, rounds=2))


def test_for_a_gpu_a_network_is_made_once_and_copied():
    made = []

    def make():
        made.append(torch.nn.Linear(2, 2))
        return made[-1]

    first, second = networks.made(make, "cuda"), networks.made(make, "cuda")
    assert len(made) == 1
    assert first is not second
    assert first.weight is not made[0].weight
    assert networks.made(make, "cpu") is made[1]


def test_memory_is_kept_where_the_room_runs(monkeypatch):
    """Not in the process that starts the rooms: an allocator's settings are not inherited."""
    kept = []
    monkeypatch.setattr(rooms, "keep_freed_memory", lambda: kept.append(True))
    for keep in (False, True):
        assert "error" in rooms.run_room("nowhere", {}, Settings(threads=torch.get_num_threads(), keep_memory=keep))
    assert kept == [True]


def test_after_the_budget_no_room_starts(tmp_path):
    assert gpu.main(["--device", "cpu", "--quick", "--budget", "0", "--output", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "gpu.json").read_text())
    assert [results[room] for room in gpu.rooms(True)] == [{"error": "no time left"}] * 6


def test_no_case_starts_after_the_deadline():
    settings = Settings(quick=True, memory=False, deadline=time.monotonic() - 1)
    rows, calls, _ = measure.run_cases([Case("late", partial(make, 1))], settings)
    assert rows == [{"name": "late", "error": "no time left"}]
    assert not calls


def test_summary_leaves_out_what_was_not_measured_everywhere():
    def row(name, scale, **others):
        return {
            "pass": "forward",
            "batch": 1,
            "dtype": "float32",
            "floor_ms": 0.5,
            "scale": scale,
            "name": name,
            **others,
        }

    measured = {"max_difference": 0.0, "call_mib": 1.0}
    rows = [
        row("unfold", "a", median_ms=6.0, **measured),
        row("unfold", "b", median_ms=2.0, **measured),
        row("tiled", "a", median_ms=1.0, **measured),
        row("tiled", "b", median_ms=1.0, **measured),
        row("triton", "a", median_ms=1.0, **measured),
        row("triton", "b", error="none"),
    ]
    lines = operator_cases.summarize(rows)
    assert [(line["name"], line["sum_ms"], line["times_unfold_speed"], line["times_floor"]) for line in lines] == [
        ("unfold", 8.0, 1.0, 8.0),
        ("tiled", 2.0, 4.0, 2.0),
    ]


def test_table():
    columns = [
        report.Column("name", "name"),
        report.Column("ms", "ms", report.digits(1)),
        report.Column("none", "none"),
    ]
    rows = [{"name": "a", "ms": 1234.56}, {"name": "b", "error": "x | y"}]
    assert report.table(columns, rows) == [
        "| name | ms |  |",
        "|---|---|---|",
        "| a | 1,234.6 |  |",
        "| b |  | x / y |",
    ]


def test_onnx_runtime_gives_a_networks_numbers(tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    image, network = network_cases.picture(16, 2, "cpu"), torch.nn.Conv2d(3, 4, 3).eval()
    file = str(tmp_path / "network.onnx")
    network_cases.write_onnx(network, image, file)
    torch.testing.assert_close(network_cases.OnnxRuntime(file, image)(), network_cases.Inference(network, image)())


@pytest.mark.parametrize("words", [["--device", "gpu"], ["nothing"]])
def test_refused_words(words, capsys):
    from benchmarks.__main__ import parse

    with pytest.raises(SystemExit):
        parse(words)
    assert "invalid choice" in capsys.readouterr().err
