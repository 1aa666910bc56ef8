"""The `sgdnet` command: its help, its verbs on real files, and each mistake told in one sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import TOY_OVERRIDES, toy_network
from PIL import Image

from custom_networks.run.folder import is_locked

Run = Callable[..., tuple[int, str, str]]


def words(folder: Path, dataset: Path, **knobs: object) -> list[object]:
    settings = {
        "dataset_dir": dataset,
        "image_size": 64,
        "batch_size": 4,
        "num_workers": 0,
        "output_dir": folder / "run",
        "model_path": folder / "models" / "model.pt",
        "max_epochs": 1,
        "tracking": "false",
        **TOY_OVERRIDES,
        **knobs,
    }
    return [word for name, value in settings.items() for word in (f"--{name}", value)]


def test_numbers_on_the_command_line_are_numbers(sgdnet: Run, tmp_path: Path) -> None:
    """A verb without text arguments once made text of every knob."""
    code, _, err = sgdnet("train", *words(tmp_path, tmp_path / "missing"))
    assert code == 1
    assert "no such folder" in err


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_general_help_lists_the_verbs(sgdnet: Run, arguments: tuple[str, ...]) -> None:
    code, out, _ = sgdnet(*arguments)
    assert code == 0
    for verb in ("phantoms", "train", "evaluate", "predict"):
        assert f"\n  {verb} " in out


def test_help_of_a_verb_describes_every_knob(sgdnet: Run) -> None:
    code, out, _ = sgdnet("train", "--help")
    assert code == 0
    assert "--max_epochs [50]" in out
    assert "multiple of 64" in out
    assert "--split" not in out
    out = sgdnet("evaluate", "--help")[1]
    assert "--split" in out
    assert "--max_epochs" not in out, "it would change nothing there"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("trian",), "did you mean 'train'?"),
        (("train", "--epchs", "5"), "--epchs: no such setting; did you mean 'max_epochs'?"),
        (("evaluate", "--max_epochs", "5"), "--max_epochs: is a setting of the training and has no effect here"),
        (("evaluate", "--resume", "true"), "--resume: is a setting of the training and has no effect here"),
        (("evaluate", "--cuda_graph", "true"), "--cuda_graph: is a setting of the training and has no effect here"),
        (("train", "--loss#edge_wieght", "1"), "loss has no such argument; did you mean 'edge_weight'?"),
        (("train", "--bacth_size", "5"), "did you mean 'batch_size'?"),
        (("phantoms", "--cuont", "5"), "did you mean 'count'?"),
        (("train", "some_folder"), "--dataset_dir some_folder"),
        (("train", "--max_epochs", "ten"), "--max_epochs ten: must be a whole number from 1 up"),
        (("train", "--batch_size", "0"), "--batch_size 0: must be a whole number from 1 up"),
        (("train", "--learning_rate", "-1"), "--learning_rate -1: must be a number above 0"),
        (("train", "--rotation_degrees", "-5"), "--rotation_degrees -5: must be a number of degrees from 0 to 180"),
        (("train", "--device", "gpu"), "--device gpu: no such device; use cuda"),
        (("train", "--amp", "maybe"), "--amp maybe: must be true or false"),
        (("train", "--config_file", "no.json"), "no.json: no such file"),
        (("train", "--resume", "nowhere"), "nowhere: no last.pt to resume from"),
    ],
)
def test_misspellings_and_impossible_values_are_one_sentence(
    sgdnet: Run, arguments: tuple[str, ...], sentence: str
) -> None:
    code, _, err = sgdnet(*arguments)
    assert code in (1, 2)
    assert len(err.strip().splitlines()) == 1
    assert err.startswith("Error: ")
    assert sentence in err


def copy_of(dataset: Path, folder: Path) -> Path:
    return Path(shutil.copytree(dataset, folder / "copy"))


def no_folder(dataset: Path) -> Path:
    return dataset / "phantomz"


def no_pairs(dataset: Path) -> Path:
    (dataset / "empty").mkdir()
    return dataset / "empty"


def lonely_image(dataset: Path) -> Path:
    (dataset / "masks" / "phantom_003.png").unlink()
    return dataset


def lonely_mask(dataset: Path) -> Path:
    (dataset / "images" / "phantom_003.png").unlink()
    return dataset


def truncated(dataset: Path) -> Path:
    path = dataset / "images" / "phantom_003.png"
    path.write_bytes(path.read_bytes()[:900])
    return dataset


def corrupt(dataset: Path) -> Path:
    (dataset / "masks" / "phantom_003.png").write_bytes(b"not a picture")
    return dataset


def other_size(dataset: Path) -> Path:
    Image.fromarray(np.zeros((50, 64), np.uint8)).save(dataset / "masks" / "phantom_003.png")
    return dataset


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (no_folder, "phantomz: no such folder"),
        (no_pairs, "no image and mask pairs"),
        (lonely_image, "phantom_003.png: no mask for this image"),
        (lonely_mask, "phantom_003.png: no image for this mask"),
        (truncated, "phantom_003.png: damaged or cut short"),
        (corrupt, "phantom_003.png: not an image"),
        (other_size, "phantom_003.png: the mask is 64 x 50 pixels"),
    ],
)
def test_bad_data_is_one_sentence_and_writes_nothing(
    sgdnet: Run, dataset: Path, tmp_path: Path, spoil: Callable[[Path], Path], sentence: str
) -> None:
    code, _, err = sgdnet("train", *words(tmp_path, spoil(copy_of(dataset, tmp_path))))
    assert code == 1
    lines = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1
    assert sentence in lines[0]
    assert "Traceback" not in err
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "models").exists()


def test_fold_out_of_range(sgdnet: Run, dataset: Path, tmp_path: Path) -> None:
    code, _, err = sgdnet("train", *words(tmp_path, dataset, fold=7))
    assert code == 1
    assert "set fold from 0 to 4" in err


def test_datalist_with_an_empty_fold(sgdnet: Run, dataset: Path, tmp_path: Path) -> None:
    names = [path.name for path in sorted((dataset / "images").iterdir())]
    items = [
        {"image": f"images/{name}", "label": f"masks/{name}", "fold": 0 if number < 5 else 2}
        for number, name in enumerate(names)
    ]
    (tmp_path / "list.json").write_text(json.dumps({"training": items}))
    code, _, err = sgdnet("train", *words(tmp_path, dataset, datalist=tmp_path / "list.json", fold=1))
    assert code == 1
    assert "list.json" in err
    assert "0, 2" in err


def test_size_that_is_no_multiple_of_64(sgdnet: Run, dataset: Path, tmp_path: Path) -> None:
    code, _, err = sgdnet("train", *words(tmp_path, dataset, image_size=100))
    assert code == 1
    assert "use --image_size 128" in err


def test_unwritable_output(sgdnet: Run, dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    code, _, err = sgdnet("train", *words(tmp_path, dataset, output_dir=tmp_path / "file" / "run"))
    assert code == 1
    assert "cannot be written" in err
    assert "--output_dir" in err


def test_odd_images_are_converted_and_said_once(sgdnet: Run, dataset: Path, tmp_path: Path) -> None:
    odd = copy_of(dataset, tmp_path)
    for number, mode in ((1, "RGBA"), (2, "RGBA"), (4, "L"), (5, "CMYK")):
        path = odd / "images" / f"phantom_{number:03d}.png"
        picture = Image.open(path).convert(mode)
        path.unlink()
        picture.save(path.with_suffix(".tif"))
    mask = Image.open(odd / "masks" / "phantom_006.png")
    mask.resize((32, 32)).resize((64, 64), Image.Resampling.BILINEAR).save(odd / "masks" / "phantom_006.png")
    code, out, err = sgdnet("train", *words(tmp_path, odd))
    assert code == 0, err
    assert out.count("CMYK") == 1
    assert out.count("RGBA") == 1
    assert "above 127 is foreground" in out
    assert (tmp_path / "models" / "model.pt").is_file()


def test_a_run_is_never_overwritten(sgdnet: Run, trained: Path, dataset: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*") if path.is_file()}
    code, _, err = sgdnet("train", *words(tmp_path, dataset, output_dir=trained / "run"))
    assert code == 1
    assert "already holds a run" in err
    assert not is_locked(trained / "run")  # what failed in this process holds nothing
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*") if path.is_file()} == before


def test_finished_run_is_not_resumed(sgdnet: Run, trained: Path, dataset: Path, tmp_path: Path) -> None:
    knobs = {"resume": trained / "run", "output_dir": trained / "run", "max_epochs": 3}
    code, _, err = sgdnet("train", *words(tmp_path, dataset, **knobs))
    assert code == 1
    assert "has done 3 epochs already" in err


def test_a_run_killed_before_its_sheet_was_drawn_is_brought_to_its_end(
    sgdnet: Run, trained: Path, dataset: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained / "run", run)
    rows, sheet = (run / "metrics.csv").read_bytes(), (run / "sheet.png").read_bytes()
    (run / "sheet.png").unlink()
    knobs = {"resume": run, "output_dir": run, "max_epochs": 3, "tracking_uri": ""}
    code, out, err = sgdnet("train", *words(tmp_path, dataset, **knobs))
    assert code == 0, err
    assert "sheet.png" in out
    assert (run / "sheet.png").read_bytes() == sheet
    assert (run / "metrics.csv").read_bytes() == rows


def test_weights_of_another_architecture_name_the_keys(sgdnet: Run, dataset: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    torch.save(toy_network(refinement="add").state_dict(), path)
    words = ("--dataset_dir", dataset, "--image_size", 64, "--output_dir", tmp_path / "eval")
    code, _, err = sgdnet("evaluate", *words, "--checkpoint", path)
    assert code == 1
    assert f"{path}: these weights are not those of this SGDNet" in err
    assert "refine.0" in err


def test_evaluate_writes_a_row_per_image(sgdnet: Run, trained: Path, dataset: Path, tmp_path: Path) -> None:
    arguments = ("--dataset_dir", dataset, "--image_size", 64, "--num_workers", 0, "--output_dir", tmp_path / "eval")
    checkpoint = trained / "run" / "model.pt"
    code, out, err = sgdnet("evaluate", *arguments, "--checkpoint", checkpoint, "--split", "all")
    assert code == 0, err
    assert "   false alarms " in out
    assert len((tmp_path / "eval" / "per_image.csv").read_text().splitlines()) == 11


@pytest.mark.parametrize("checkpoint", ["missing.pt", "text.pt"])
def test_evaluate_without_weights(sgdnet: Run, dataset: Path, tmp_path: Path, checkpoint: str) -> None:
    (tmp_path / "text.pt").write_text("no weights")
    path = tmp_path / checkpoint
    words = ("--dataset_dir", dataset, "--image_size", 64, "--output_dir", tmp_path / "eval")
    code, _, err = sgdnet("evaluate", *words, "--checkpoint", path)
    assert code == 1
    assert str(path) in err.splitlines()[-1]


def test_predict_gives_a_mask_of_each_image_size(sgdnet: Run, trained: Path, dataset: Path, tmp_path: Path) -> None:
    images = tmp_path / "to predict"
    images.mkdir()
    picture = Image.open(dataset / "images" / "phantom_001.png")
    picture.resize((150, 90)).save(images / "wide é.jpg")
    picture.resize((77, 130)).convert("L").save(images / "tall.png")
    code, _, err = sgdnet(
        *("predict", "--dataset_dir", images, "--image_size", 64),
        *("--checkpoint", trained / "run" / "model.pt", "--output_dir", tmp_path / "masks"),
    )
    assert code == 0, err
    masks = list((tmp_path / "masks").glob("*.png"))
    assert {path.name: Image.open(path).size for path in masks} == {"wide é.png": (150, 90), "tall.png": (77, 130)}
    for path in masks:
        assert set(np.unique(np.asarray(Image.open(path)))) <= {0, 255}
