"""The page: complete, self-contained, also of a run that still trains; its tables; its way to MLflow."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from conftest import store_in
from evaluation_fixtures import evaluate
from mlflow.tracking import MlflowClient

from custom_networks.errors import UserError
from custom_networks.report import write_report
from custom_networks.report.page import command_line
from custom_networks.statistics import read_per_image

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
    assert {link[:1] for link in page.links} == {"#", "d"}
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids
    assert not re.search(r"https?://", text)
    frame = read_per_image(evaluated)
    assert all(f"<span>{name}</span>" in text for name in frame.index)
    assert "6 images in 3 groups" in text
    assert text.count("to be filled in") > 15
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


@pytest.mark.parametrize("epochs", [0, 2])
def test_a_run_that_still_trains_says_so(tmp_path: Path, epochs: int) -> None:
    said = write_report(training(tmp_path / "run", epochs))
    text = (tmp_path / "run" / "report.html").read_text()
    for told in (said, text):
        assert f"This run has done {epochs} of 3 epochs: it is still training, or was stopped" in told
    assert ("Validation overlap" in text) == (epochs > 0)
    assert Page(text).open == []
    assert "still training" not in write_report(training(tmp_path / "run", 3))


def test_the_report_is_sent_to_the_users_own_store_where_that_is_asked_for(tmp_path: Path) -> None:
    folder = training(tmp_path / "run", 3)
    uri = store_in(tmp_path)
    client = MlflowClient(uri)
    experiment = client.create_experiment("sgdnet", artifact_location=(tmp_path / "artifacts").as_uri())
    identity = client.create_run(experiment).info.run_id
    (folder / "mlflow_run_id.txt").write_text(identity + "\n")
    settings = json.loads((folder / "settings.json").read_text())
    (folder / "settings.json").write_text(json.dumps({**settings, "tracking_uri": uri}))
    assert "MLflow" not in write_report(folder)
    assert client.list_artifacts(identity) == []
    assert f"added to run {identity}" in write_report(folder, store=uri)
    assert [artifact.path for artifact in client.list_artifacts(identity)] == ["report.html"]
    assert "is not there" in write_report(folder, store=f"sqlite:///{tmp_path / 'gone.db'}")
    assert not (tmp_path / "gone.db").exists()
    (folder / "mlflow_run_id.txt").write_text("../../experiments\n")
    assert "no file of the folder names a run" in write_report(folder, store=uri)


def test_the_flag_means_the_store_of_the_environment(
    sgdnet: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = training(tmp_path / "run", 3)
    (folder / "mlflow_run_id.txt").write_text("0" * 32)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'own.db'}")
    code, printed, _ = sgdnet("report", folder, "--mlflow")
    assert code == 0
    assert f"not added to MLflow: sqlite:///{tmp_path / 'own.db'} is not there" in printed
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    code, printed, _ = sgdnet("report", folder, "--mlflow", "true", "--bundle_root", tmp_path / "bundle")
    assert f"sqlite:///{tmp_path / 'bundle' / 'runs' / 'mlflow.db'} is not there" in printed
    code, _, error = sgdnet("report", folder, "--mlflow", "http://127.0.0.1:9")
    assert code == 1
    assert "must be true or false" in error


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


@pytest.mark.parametrize(("count", "limit"), [(500, 15e6), pytest.param(3000, 40e6, marks=pytest.mark.slow)])
def test_hundreds_of_images_stay_small_and_thousands_are_written(
    copied: Path, tmp_path: Path, count: int, limit: float
) -> None:
    frame = pd.read_csv(copied / "per_image.csv")
    many = pd.concat([frame] * (count // len(frame) + 1), ignore_index=True)
    many["id"] = [f"image {number:05d}" for number in range(len(many))]
    many.head(count).to_csv(copied / "per_image.csv", index=False)
    about = json.loads((copied / "summary.json").read_text())
    (copied / "summary.json").write_text(json.dumps({**about, "cases": [], "images": count}))
    write_report(copied, tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < limit


def test_scripts_and_styles_are_allowed_by_their_hash_alone(evaluated: Path, tmp_path: Path) -> None:
    write_report(evaluated, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    assert policy
    allowed = html.unescape(policy[1])
    assert "unsafe" not in allowed
    for tag in ("script", "style"):
        (body,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() in allowed
    assert not re.search(r"<[^>]+ (style|on\w+)=", text)


def test_the_report_of_an_evaluation_has_the_curves_of_its_training(
    trained: Path, dataset: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "eval"
    evaluate(
        "--checkpoint", trained / "run" / "model.pt", "--dataset_dir", dataset, "--cases", 0, "--output_dir", folder
    )
    moved = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    write_report(moved)
    text = (moved / "report.html").read_text()
    for words in ("Validation overlap", "Training images: 8", "max_epochs"):
        assert words in text


def test_the_command_is_written_as_typed() -> None:
    assert command_line(["cli.py", "evaluate", "--datalist", "a b.json"]) == "sgdnet evaluate --datalist 'a b.json'"
    assert command_line(["__main__.py", "run", "evaluating"]) == "python -m monai.bundle run evaluating"
    assert command_line([]) == ""
