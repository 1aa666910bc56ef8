"""The documentation has the figures of `docs/results/`, links that lead somewhere, and this code's counts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cogapp import Cog
from conftest import REPOSITORY

from benchmarks.figures import row_of
from benchmarks.macs import count_macs, count_parameters
from custom_networks import SGDNet

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
PROLOGUE = "from benchmarks.figures import *"


def check(page: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = Cog().main(["cog", "--check", "-p", PROLOGUE, str(page)])
    return code, capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_figures_are_those_of_the_results(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, output = check(page, capsys)
    assert code == 0, f"{output}; run `make figures`"


def test_a_figure_changed_by_hand_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (REPOSITORY / "docs" / "results.md").read_text()
    page = tmp_path / "results.md"
    page.write_text(text.replace("74,005,848", "75,005,848"))
    assert page.read_text() != text
    assert check(page, capsys)[0] != 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not target.startswith(("http:", "https:")):
            assert (page.parent / target).exists(), target


def test_counts_are_those_of_this_code() -> None:
    network = SGDNet()
    row = row_of("benchmark_network_cpu", "network", "SGD-Net")
    assert row["parameters"] == count_parameters(network)
    assert row["gmacs"] == pytest.approx(count_macs(network, 256) / 1e9, rel=1e-6)
