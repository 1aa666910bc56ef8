"""The page: complete, self-contained, safe with odd names, also of a run that still trains; and in a browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from custom_networks.errors import UserError
from custom_networks.report import write_report
from custom_networks.report.page import command_line
from custom_networks.statistics import read_per_image

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Ids, links, sources and the nesting of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.open += [] if tag in VOID else [tag]
        for name, value in attributes:
            self.ids |= {value or ""} if name == "id" else set()
            self.links += [value or ""] if name in ("href", "src") else []

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        self.open = self.open[:-1] if tag not in VOID else self.open

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def copied(evaluated: Path, tmp_path: Path) -> Path:
    """The evaluation, to be changed."""
    return Path(shutil.copytree(evaluated, tmp_path / "copied"))


def training(folder: Path, epochs: int, wanted: int = 3) -> Path:
    """Folder of a run that has done some epochs."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.json").write_text(json.dumps({"max_epochs": wanted, "seed": 0, "image_size": 64, "fold": 0}))
    if epochs:
        rows = [f"{epoch},{3 / epoch},0.{epoch},0.{epoch},{9 - epoch},1" for epoch in range(1, epochs + 1)]
        header = "epoch,loss,val_mean_dice,val_mean_iou,val_hd95,val_misses"
        (folder / "metrics.csv").write_text("\n".join([header, *rows]) + "\n")
        best = {"epoch": epochs, "val_mean_dice": epochs / 10, "val_mean_iou": 0.2, "val_hd95": 7.0, "val_misses": 1.0}
        (folder / "model.json").write_text(json.dumps({"metrics": best, "settings": {}}))
    return folder


def test_the_page_is_whole_and_needs_nothing_else(evaluated: Path, tmp_path: Path) -> None:
    output = tmp_path / "page.html"
    said = write_report(evaluated, output)
    text = output.read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids
    assert not re.search(r"https?://", text)
    frame = read_per_image(evaluated)
    assert all(f"<span>{name}</span>" in text for name in frame.index)
    assert f"{frame['dice'].mean():.4g}" in text
    assert text.count('class="panels"') == len(json.loads((evaluated / "summary.json").read_text())["cases"])
    for words in ("not a medical device", "Known failure cases", "Reliability", "patient", "SHA-256", "none needed"):
        assert words in text
    assert "page_per_image.csv" in said
    assert (tmp_path / "page_summary.json").read_bytes() == (evaluated / "summary.json").read_bytes()


def test_failures_are_counted_and_named(copied: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(copied / "per_image.csv", dtype={"id": str})
    frame[["missed", "false_alarm"]] = 0
    frame.loc[2, ["missed", "dice"]] = [1, 0.0]
    frame.to_csv(copied / "per_image.csv", index=False)
    write_report(copied, tmp_path / "page.html")
    assert "<strong>missed: 1</strong> – case 2" in (tmp_path / "page.html").read_text()


def test_names_are_text_whatever_they_hold(copied: Path, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    for name in ("per_image.csv", "summary.json"):
        path = copied / name
        path.write_text(path.read_text().replace("case 1", evil).replace("ellipses", evil))
    write_report(copied, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert evil not in text
    assert "&lt;script&gt;alert(1)" in text


@pytest.mark.parametrize("epochs", [0, 2])
def test_a_run_that_still_trains_says_so(tmp_path: Path, epochs: int) -> None:
    said = write_report(training(tmp_path / "run", epochs))
    text = (tmp_path / "run" / "report.html").read_text()
    for told in (said, text):
        assert f"This run has done {epochs} of 3 epochs: it is still training, or was stopped" in told
    assert ("Validation overlap" in text) == (epochs > 0)
    assert Page(text).open == []
    assert "still training" not in write_report(training(tmp_path / "run", 3))


def test_the_report_is_an_artifact_of_the_tracked_run(tmp_path: Path) -> None:
    folder = training(tmp_path / "run", 3)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = MlflowClient(uri)
    experiment = client.create_experiment("sgdnet", artifact_location=(tmp_path / "artifacts").as_uri())
    identity = client.create_run(experiment).info.run_id
    settings = json.loads((folder / "settings.json").read_text())
    (folder / "settings.json").write_text(json.dumps({**settings, "tracking_uri": uri}))
    (folder / "mlflow_run_id.txt").write_text(identity + "\n")
    assert f"added to run {identity}" in write_report(folder)
    assert [artifact.path for artifact in client.list_artifacts(identity)] == ["report.html"]
    (tmp_path / "mlflow.db").unlink()
    assert "not added to MLflow" in write_report(folder)
    assert not (tmp_path / "mlflow.db").exists()


def test_mistakes_are_one_sentence(
    sgdnet: Callable[..., tuple[int, str, str]], evaluated: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="no such folder"):
        write_report(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"neither summary\.json of an evaluation nor metrics\.csv"):
        write_report(tmp_path / "empty")
    with pytest.raises(UserError, match=r"must end in \.html"):
        write_report(evaluated, tmp_path / "report.pdf")
    (tmp_path / "mine.html").write_text("<p>my own</p>")
    code, _, error = sgdnet("report", evaluated, "--output", tmp_path / "mine.html")
    assert code == 1
    assert "not a report of `sgdnet report`" in error
    assert (tmp_path / "mine.html").read_text() == "<p>my own</p>"


def test_hundreds_of_images_stay_small_and_thousands_are_written(copied: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(copied / "per_image.csv")
    many = pd.concat([frame] * 500, ignore_index=True)
    many["id"] = [f"image {number:05d}" for number in range(len(many))]
    for count, limit in ((500, 15e6), (3000, 40e6)):
        many.head(count).to_csv(copied / "per_image.csv", index=False)
        about = json.loads((copied / "summary.json").read_text())
        (copied / "summary.json").write_text(json.dumps({**about, "cases": []}))
        write_report(copied, tmp_path / "page.html")
        assert (tmp_path / "page.html").stat().st_size < limit


def test_the_command_is_written_as_typed() -> None:
    assert command_line(["cli.py", "evaluate", "--datalist", "a b.json"]) == "sgdnet evaluate --datalist 'a b.json'"
    assert command_line(["__main__.py", "run", "evaluating"]) == "python -m monai.bundle run evaluating"
    assert command_line([]) == ""


def browse(page: Path, folder: Path) -> tuple[str, str]:
    """Load a page in headless Chromium; its document after the scripts ran, and the log."""
    words = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    words += ["--enable-logging=stderr", "--v=0", "--dump-dom", f"file://{page}"]
    with (folder / "dom.html").open("wb") as out, (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=log, start_new_session=True)
        try:
            deadline = time.monotonic() + 120
            while process.poll() is None and time.monotonic() < deadline:
                if (folder / "dom.html").read_bytes().rstrip().endswith(b"</html>"):
                    break
                time.sleep(0.2)
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # it may linger once it has written
            process.wait()
    return (folder / "dom.html").read_text(), (folder / "log.txt").read_text(errors="replace")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_the_table_sorts_finds_and_pages_in_a_browser(copied: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(copied / "per_image.csv")
    many = pd.concat([frame] * 20, ignore_index=True)
    many["id"] = [f"image {number:03d}" for number in range(len(many))]
    many["dice"] = [(37 * number % 120) / 120 for number in range(len(many))]
    many.to_csv(copied / "per_image.csv", index=False)
    with pytest.raises(UserError, match="are not of one evaluation"):
        write_report(copied, tmp_path / "page.html")
    about = json.loads((copied / "summary.json").read_text())
    (copied / "summary.json").write_text(json.dumps({**about, "cases": []}))
    write_report(copied, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    clicks = """<script>
      const all = selector => Array.from(document.querySelectorAll(selector));
      const rows = () => all("#images tbody tr").map(row => row.cells[0].innerText.trim());
      const button = name => all("#images button").find(each => each.innerText.trim() === name);
      const seen = { first: rows() };
      button("Dice").click(); seen.ascending = rows();
      button("Dice").click(); seen.descending = rows();
      document.getElementById("next").click(); seen.second = rows();
      const find = document.getElementById("find");
      find.value = "image 007"; find.dispatchEvent(new Event("input")); seen.found = rows();
      const result = document.createElement("pre"); result.id = "seen";
      result.textContent = JSON.stringify(seen); document.body.append(result);
    </script></body>"""
    (tmp_path / "clicked.html").write_text(text.replace("</body>", clicks))
    document, log = browse(tmp_path / "clicked.html", tmp_path)
    assert "CONSOLE" not in log, log
    match = re.search(r'<pre id="seen">(.*?)</pre>', document)
    assert match, log[-2000:]
    seen = json.loads(match[1])
    ranked = many.sort_values("dice")["id"].tolist()
    assert seen["first"] == [f"image {number:03d}" for number in range(50)]
    assert seen["ascending"] == ranked[:50]
    assert seen["descending"] == ranked[::-1][:50]
    assert seen["second"] == ranked[::-1][50:100]
    assert seen["found"] == ["image 007"]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_browser_would_refuse_anything_from_outside(copied: Path, tmp_path: Path) -> None:
    """The page's own policy is what keeps it from the network: a picture from elsewhere is told in the console."""
    write_report(copied, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    (tmp_path / "outside.html").write_text(text.replace("<header>", '<header><img src="http://127.0.0.1:9/a.png">'))
    _, log = browse(tmp_path / "outside.html", tmp_path)
    assert "Content Security Policy" in log
