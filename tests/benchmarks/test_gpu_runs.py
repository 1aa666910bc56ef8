"""What a loan of a GPU runs, on a CPU in tiny: the archive, the order of the runs, and one run to its figures."""

from __future__ import annotations

import json
import re
import subprocess
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from networks import TOY_OVERRIDES
from PIL import Image

from benchmarks import check_cases, gpu_data, gpu_isic2018
from benchmarks.measure import Settings
from custom_networks.data.datalist import Datalist
from custom_networks.data.formats import read
from custom_networks.errors import UserError

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def listed(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The phantoms as a datalist, as training list in two folds and as test list."""
    folder = tmp_path_factory.mktemp("listed")
    pairs = [
        {
            "id": image.stem,
            "image": str(image),
            "label": str(dataset / "masks" / f"{image.stem}.png"),
            "fold": number % 2,
        }
        for number, image in enumerate(sorted((dataset / "images").iterdir()))
    ]
    (folder / "datalist.json").write_text(json.dumps({"label_kind": "mask", "training": pairs, "test": pairs[:3]}))
    return folder / "datalist.json"


def test_an_archive_holds_what_the_datalist_lists(listed: Path, tmp_path: Path) -> None:
    assert gpu_data.main([str(tmp_path / "data.zip"), f"isic2018={listed}", f"ph2={listed}"]) == 0
    gpu_data.unpack(tmp_path / "data.zip", tmp_path / "there")
    before, after = Datalist.read(listed), Datalist.read(tmp_path / "there" / "ph2" / "datalist.json")
    assert [(image.id, image.fold) for image in after.training] == [(image.id, image.fold) for image in before.training]
    for old, new in zip(before.pairs("training", "."), after.pairs("training", "."), strict=True):
        assert read(new["label"], "mask").image.tobytes() == read(old["label"], "mask").image.tobytes()
        assert read(new["image"], "image").image.size == read(old["image"], "image").image.size
        assert Path(new["image"]).suffix == ".jpg"


def test_a_small_jpeg_goes_as_it_is_and_a_large_picture_is_brought_down(tmp_path: Path) -> None:
    Image.new("RGB", (90, 60), "brown").save(tmp_path / "small.jpg")
    Image.new("RGB", (900, 600), "brown").save(tmp_path / "large.jpg")
    Image.new("L", (900, 600), 255).save(tmp_path / "mask.png")
    pairs = [{"image": name, "label": "mask.png"} for name in ("small.jpg", "large.jpg")]
    (tmp_path / "list.json").write_text(json.dumps({"training": pairs}))
    gpu_data.pack(tmp_path / "data.zip", {"set": tmp_path / "list.json"}, 256, 50)
    gpu_data.unpack(tmp_path / "data.zip", tmp_path / "there")
    images = tmp_path / "there" / "set" / "images"
    assert (images / "small.jpg").read_bytes() == (tmp_path / "small.jpg").read_bytes()
    assert read(images / "large.jpg", "image").image.size == (384, 256)


def test_an_archive_that_is_too_large_leaves_the_old_one(listed: Path, tmp_path: Path) -> None:
    archive = tmp_path / "data.zip"
    gpu_data.pack(archive, {"set": listed}, 256, 50)
    before = archive.read_bytes()
    with pytest.raises(UserError, match=r"data.zip: would have \d+ MiB, more than 0; take a smaller --image_size"):
        gpu_data.pack(archive, {"set": listed}, 256, 0.0001)
    assert archive.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["data.zip"]


def test_what_cannot_be_packed_is_named(listed: Path, tmp_path: Path) -> None:
    pairs = json.loads(listed.read_text())["training"]
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    for changes, sentence in (
        ({"image": "gone.png"}, "gone.png: listed in"),
        ({"image": str(tmp_path / "cut.jpg")}, "cut.jpg: "),
        ({"label": None}, r'"training\[0\]" has no "label"'),
    ):
        (tmp_path / "list.json").write_text(json.dumps({"training": [{**pairs[0], **changes}]}))
        with pytest.raises(UserError, match=sentence):
            gpu_data.pack(tmp_path / "data.zip", {"set": tmp_path / "list.json"}, 256, 50)
        assert not (tmp_path / "data.zip").exists()


def test_an_archive_without_the_data_sets_and_flags_that_are_no_json_are_refused(listed: Path, tmp_path: Path) -> None:
    words = [str(tmp_path / "data.zip"), "--output", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
    gpu_data.pack(tmp_path / "data.zip", {"isic2018": listed}, 256, 50)
    with pytest.raises(UserError, match="has no ph2; pack it with"):
        gpu_isic2018.main([*words, "--device", "cpu"])
    gpu_data.pack(tmp_path / "data.zip", {"isic2018": listed, "ph2": listed}, 256, 50)
    with pytest.raises(UserError, match=r"--knobs \{bad: no JSON object"):
        gpu_isic2018.main([*words, "--device", "cpu", "--knobs", "{bad"])


def test_nothing_is_unpacked_outside_and_no_other_file_is_taken(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as file:
        file.writestr("../outside", "x")
    with pytest.raises(UserError, match="names files outside its folder"):
        gpu_data.unpack(tmp_path / "data.zip", tmp_path / "there")
    assert not (tmp_path / "outside").exists()
    (tmp_path / "data.zip").write_bytes(b"no archive")
    with pytest.raises(UserError, match="cannot be unpacked"):
        gpu_data.unpack(tmp_path / "data.zip", tmp_path / "there")


def test_the_most_informative_runs_come_first_and_each_once() -> None:
    order = [(plan.rows[0].name, plan.folds[0]) for plan in gpu_isic2018.steps()]
    assert order[:7] == [("SGD-Net", 0), ("CTO", 0), ("U-Net", 0), *(("SGD-Net", fold) for fold in (1, 2, 3, 4))]
    assert len(set(order)) == len(order) == 20


def test_some_of_the_runs_by_name() -> None:
    titles = ["U-Net, fold 0", "SGD-Net, fold 2"]
    assert [plan.title for plan in gpu_isic2018.chosen(titles)] == titles
    assert len(gpu_isic2018.chosen(None)) == 20
    with pytest.raises(UserError, match="there is no run 'UNet, fold 0'; did you mean 'U-Net, fold 0'"):
        gpu_isic2018.chosen(["UNet, fold 0"])


def test_the_pack_script_says_how_it_is_called() -> None:
    done = subprocess.run(["bash", "benchmarks/gpu_pack.sh"], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 1
    assert "benchmarks/gpu_pack.sh FOLDER NAME=DATALIST" in done.stderr


@pytest.mark.slow
def test_a_run_to_its_figures_and_not_again(listed: Path, tmp_path: Path) -> None:
    pairs = json.loads(listed.read_text())["training"]
    for name, lists in (("isic2018", {"training": pairs[:7]}), ("ph2", {"training": [], "test": pairs[7:]})):
        (tmp_path / f"{name}.json").write_text(json.dumps({"label_kind": "mask", **lists}))
    names = {name: tmp_path / f"{name}.json" for name in ("isic2018", "ph2")}
    gpu_data.pack(tmp_path / "data.zip", names, 256, 50)
    knobs = {**TOY_OVERRIDES, "image_size": 64, "batch_size": 4, "max_epochs": 1, "num_workers": 1}
    place = ["--output", str(tmp_path / "out"), "--work", str(tmp_path / "work"), "--device", "cpu", "--most", "1"]
    words = [str(tmp_path / "data.zip"), *place, "--knobs", json.dumps(knobs)]
    assert gpu_isic2018.main([*words, "--minutes", "0"]) == 0  # nothing fits
    assert not (tmp_path / "out" / "gpu_isic2018.json").exists()
    for folds in ([0], [0, 1]):  # the second call leaves what is done, and finds that CTO and U-Net have no such flags
        assert gpu_isic2018.main(words) == (len(folds) > 1)
        results = json.loads((tmp_path / "out" / "gpu_isic2018.json").read_text())
        assert [(run["row"], run["fold"], run["ph2"]["images"]) for run in results["runs"]] == [
            ("SGD-Net", fold, 3) for fold in folds
        ]
        images = pd.read_csv(tmp_path / "out" / "per_image.csv")
        assert list(images[images["fold"] == 0]["test"]) == ["validation"] * 4 + ["ph2"] * 3


@pytest.mark.slow
def test_tests_of_a_gpu_that_take_too_long_say_how_far_they_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "import time, pytest\npytestmark = pytest.mark.gpu\ndef test_one(): pass\ndef test_two(): time.sleep(60)\n"
    (tmp_path / "test_it.py").write_text(text)
    monkeypatch.setattr(check_cases, "files", lambda: [str(tmp_path / "test_it.py")])
    monkeypatch.setattr(check_cases, "SECONDS", 20)
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:randomly")
    found = check_cases.run(Settings(quick=True))
    assert found["error"] == "not at their end after 20 s"
    assert found["rows"] == [{"result": "passed", "tests": "1"}, {"result": "failed", "tests": "0"}]


def test_tests_of_a_gpu_are_found_and_need_nothing_that_its_host_lacks() -> None:
    found = check_cases.files()
    assert {"tests/operators/backends/test_fused.py", "tests/training/test_graphed.py"} <= {*found}
    imported = {name: (check_cases.ROOT / name).read_text() for name in found}
    lacking = re.compile(r"^(?:import|from) (?:highdicom|pydicom|mlflow|onnx)\b", re.MULTILINE)
    assert not [name for name, text in imported.items() if lacking.search(text)]
