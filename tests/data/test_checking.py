"""`sgdnet check`: every error and warning on a file that has it, the table, the JSON, the sheet and the exit codes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from custom_networks.data.checking.findings import FindingKind
from custom_networks.data.checking.read import read_data_set
from custom_networks.data.checking.run import Report, run_check
from custom_networks.data.splitting import load_datalist, load_test_list
from custom_networks.errors import UserError

Run = Callable[..., tuple[int, str, str]]
SIDE = 96


def picture(seed: int, side: int = SIDE) -> Image.Image:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((side, side)), 3)
    grey = np.clip(128 + 400 * noise, 30, 255)
    return Image.fromarray((grey[..., None] * [1, 0.8, 0.7]).astype(np.uint8))


def square(value: int = 255, low: int = 20, high: int = 60, dtype: Any = np.uint8) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), dtype)
    mask[low:high, low:high] = value
    return mask


class Folder:
    """A data set that a test writes pair by pair."""

    def __init__(self, path: Path) -> None:
        self.path, self.number = path, 0
        self.content: dict[str, Any] = {"name": path.name, "training": []}
        path.mkdir()

    def add(
        self, name: str, image: Image.Image | None = None, mask: Any = None, split: str = "training", **columns: Any
    ):
        self.number += 1
        (image or picture(len(self.path.name) * 100 + self.number)).save(self.path / f"{name}.png")
        Image.fromarray(square() if mask is None else mask).save(self.path / f"{name}_mask.png")
        item = {
            "id": name,
            "image": f"{name}.png",
            "label": f"{name}_mask.png",
            "fold": (self.number - 1) % 2,
            **columns,
        }
        self.content.setdefault(split, []).append(item)
        return item

    def write(self) -> Path:
        path = self.path / "datalist.json"
        path.write_text(json.dumps(self.content), encoding="utf-8")
        return path

    def check(self, **options: Any) -> Report:
        return run_check([read_data_set(self.write())], **options)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path / "peau é")
    made.add("good one")
    made.add("good two", fold=1)
    return made


def kinds(report: Report) -> list[FindingKind]:
    return [finding.kind for finding in report.findings]


def only_finding(folder: Folder) -> Any:
    report = folder.check()
    assert len(report.findings) == 1, report.findings
    return report.findings[0]


def test_a_good_set_has_no_finding(folder: Folder) -> None:
    report = folder.check()
    assert report.findings == []
    assert report.data_sets == [("peau é", {"training": 2, "validation": 0, "test": 0})]
    assert report.shares == [[pytest.approx(1600 / SIDE**2)] * 2]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.write_bytes(b""), "the file is empty (0 bytes)"),
        (lambda path: path.write_bytes(path.read_bytes()[:-600]), "damaged or cut short"),
        (lambda path: path.unlink(), "no such file"),
        (lambda path: picture(1).save(path, save_all=True, append_images=[picture(2)]), "2 frames in one file"),
    ],
)
@pytest.mark.parametrize("name", ["bad.png", "bad_mask.png"])
def test_unreadable_files(folder: Folder, name: str, damage: Callable[[Path], Any], words: str) -> None:
    folder.add("bad", mask=np.asarray(picture(5).convert("L").point(lambda level: 255 * (level > 128))))
    damage(folder.path / name)
    finding = only_finding(folder)
    assert finding.kind is FindingKind.FILE
    assert words in finding.sentence
    assert finding.sentence.startswith(str(folder.path / name))


@pytest.mark.parametrize(
    ("shape", "words"),
    [((48, 48), "save the mask at the size of its image"), ((48, 96), "the aspect ratio differs too")],
)
def test_size(folder: Folder, shape: tuple[int, int], words: str) -> None:
    folder.add("bad", mask=np.eye(*shape, dtype=np.uint8) * 255)
    finding = only_finding(folder)
    assert finding.kind is FindingKind.SIZE
    assert words in finding.sentence


def test_aspect_is_not_blamed_where_it_is_kept(folder: Folder) -> None:
    folder.add("bad", mask=np.eye(48, dtype=np.uint8) * 255)
    assert only_finding(folder).sentence.endswith("is 96 x 96; save the mask at the size of its image")


def test_coloured_mask(folder: Folder) -> None:
    folder.add("bad", mask=np.asarray(picture(3)))
    assert "the mask is coloured" in only_finding(folder).sentence


def test_undeclared_class(folder: Folder) -> None:
    folder.content |= {"label_kind": "classes", "classes": {"255": "lesion", "2": "other"}}
    bad = square()
    bad[50:90, 50:90] = 2
    folder.add("good", mask=bad)
    bad = bad.copy()
    bad[0, 0] = 7
    folder.add("bad", mask=bad)
    finding = next(finding for finding in folder.check().findings if finding.kind is FindingKind.VALUES)
    assert finding.sentence.startswith(f"{folder.path / 'bad_mask.png'}: holds 7, which is no declared class (2, 255)")


def test_instances_and_their_types(folder: Folder) -> None:
    folder.content |= {"label_kind": "instances", "classes": {"1": "a", "2": "b"}, "training": []}
    for value, name in ((1, "fine"), (4, "bad")):
        folder.add(name, mask=square(70, dtype=np.uint16), types=f"{name}_types.png", fold=value // 4)
        types = square(value)
        types[30:32, 30:32] = 2
        Image.fromarray(types).save(folder.path / f"{name}_types.png")
    report = folder.check()
    assert kinds(report)[0] is FindingKind.VALUES
    assert "bad_types.png: holds 4" in report.findings[0].sentence
    assert [finding.detail for finding in report.findings[1:]] == ["class 1 has 399 times the pixels of class 2"]


def test_repeated_id(folder: Folder) -> None:
    folder.add("third")["id"] = "good one"
    finding = only_finding(folder)
    assert finding.kind is FindingKind.SAME_ID
    assert "its id 'good one'" in finding.sentence
    assert "good one.png" in finding.sentence


def test_item_without_label_or_file_name(folder: Folder) -> None:
    folder.add("third", fold=1).pop("label")
    assert [finding.kind for finding in folder.check().errors] == [FindingKind.LIST]
    assert '"training[2]" has no "label"; add' in folder.check().errors[0].sentence
    folder.content["training"] += ["text"]
    with pytest.raises(UserError, match=r'datalist\.json: "training\[3\]": input should be an object'):
        folder.check()


def test_the_check_refuses_what_training_refuses(folder: Folder) -> None:
    """Lists that were good for `check` and that `train` refused."""
    for wrong, sentence in (
        ({"training": [{**folder.content["training"][0]}]}, "every item is in fold 0"),
        ({"training": []}, "must be a list of at least one pair"),
        ({"validation": []}, "must be a list of at least one pair"),
        ({"validation": folder.content["training"][:1]}, "keep it in one of them"),
    ):
        (folder.path / "datalist.json").write_text(json.dumps(folder.content | wrong))
        report = run_check([read_data_set(folder.path / "datalist.json")])
        assert FindingKind.LIST in [finding.kind for finding in report.errors]
        assert sentence in next(finding.sentence for finding in report.errors if finding.kind is FindingKind.LIST)
        with pytest.raises(UserError, match=sentence):
            load_datalist(folder.path, folder.path / "datalist.json")


def test_test_images_may_lack_labels_and_a_test_list_may_stand_alone(folder: Folder) -> None:
    folder.content["test"] = [folder.content["training"].pop()]
    folder.content["test"][0].pop("label")
    folder.content["training"].clear()
    assert folder.check().findings == []


@pytest.mark.parametrize(
    ("split", "columns", "kind"),
    [
        ("test", {}, FindingKind.LEAK),
        ("training", {"fold": 0}, FindingKind.SAME_PICTURE),
        ("training", {"fold": 1}, FindingKind.SAME_FOLDS),
    ],
)
def test_the_same_pixels_twice(folder: Folder, split: str, columns: dict[str, int], kind: FindingKind) -> None:
    folder.add("copy", Image.open(folder.path / "good one.png"), split=split, **columns)
    finding = only_finding(folder)
    assert finding.kind is kind
    assert {Path(finding.path).name, Path(finding.other).name} == {"copy.png", "good one.png"}


@pytest.mark.parametrize(("split", "kind"), [("test", FindingKind.TORN_SPLITS), ("training", FindingKind.TORN_FOLDS)])
def test_a_torn_group(folder: Folder, split: str, kind: FindingKind, caplog: pytest.LogCaptureFixture) -> None:
    folder.content["training"][0]["group"] = "patient"
    folder.add("third", split=split, fold=1, group="patient")
    assert only_finding(folder).kind is kind
    read_as_training = load_test_list if split == "test" else load_datalist
    read_as_training(folder.path, folder.write())
    assert "groups in common (1, such as patient)" in caplog.text


@pytest.mark.parametrize(
    ("split", "columns", "kind"),
    [
        ("test", {}, FindingKind.NEAR_SPLITS),
        ("training", {"fold": 0}, FindingKind.NEAR),
        ("training", {"fold": 1}, FindingKind.NEAR_FOLDS),
    ],
)
def test_near_duplicates(folder: Folder, split: str, columns: dict[str, int], kind: FindingKind) -> None:
    darker = Image.open(folder.path / "good one.png").point([int(level * 0.8) for level in range(256)] * 3)
    folder.add("copy", darker, split=split, **columns)
    assert only_finding(folder).kind is kind
    assert folder.check(near_duplicates=False).findings == []


def test_near_duplicates_across_data_sets(folder: Folder, tmp_path: Path) -> None:
    other = Folder(tmp_path / "other")
    other.add("mirrored", Image.open(folder.path / "good two.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    other.add("copied", Image.open(folder.path / "good one.png"), fold=1)
    report = run_check([read_data_set(folder.write()), read_data_set(other.write())])
    assert kinds(report) == [FindingKind.NEAR_SETS] * 2


def jpeg_like() -> np.ndarray:
    mask = square().astype(int)
    mask[19] = mask[:, 19] = np.arange(SIDE) % 12
    return mask.astype(np.uint8)


@pytest.mark.parametrize(
    ("mask", "kind"),
    [
        (square(0), FindingKind.EMPTY),
        (square(255, 0, SIDE), FindingKind.FULL),
        (square(255, 40, 42), FindingKind.TINY),
        (square(255, 0, 40), FindingKind.CUT),
        (square(180), FindingKind.GREY),
        (jpeg_like(), FindingKind.JPEG),
    ],
)
def test_masks_worth_a_warning(folder: Folder, mask: np.ndarray, kind: FindingKind) -> None:
    folder.add("odd", mask=mask)
    finding = only_finding(folder)
    assert finding.kind is kind
    assert not finding.kind.is_error


@pytest.mark.parametrize("values", [(2,), (1, 2), (1, 2, 3, 4, 5, 6)])
def test_masks_of_numbers_are_refused_with_the_kind_to_set(
    sgdnet: Run, folder: Folder, values: tuple[int, ...]
) -> None:
    mask = square(0)
    for place, value in enumerate(values):
        mask[20:40, 8 * place + 8 : 8 * place + 16] = value
    folder.add("odd", mask=mask, fold=0)
    finding = only_finding(folder)
    assert finding.kind is FindingKind.NUMBERS
    assert finding.kind.is_error
    assert '"label_kind" of the datalist, or --label_kind, to classes or instances' in finding.sentence
    words = "--dataset_dir", folder.path, "--datalist", folder.write(), "--image_size", 64, "--tracking", "false"
    code, _, err = sgdnet("train", *words, "--output_dir", folder.path / "run")
    assert code == 1
    assert err.strip().splitlines()[-1] == f"Error: {finding.sentence}"
    assert sgdnet("check", folder.write(), "--label_kind", "instances")[0] == 0
    assert "did you mean 'classes'" in sgdnet("check", folder.write(), "--label_kind", "clases")[2]
    folder.content["label_kind"] = "instances"
    assert folder.check().errors == []


def test_sha256(folder: Folder) -> None:
    digest = hashlib.sha256((folder.path / "good one.png").read_bytes()).hexdigest()
    folder.content["training"][0]["sha256"] = digest
    assert folder.check().findings == []
    folder.content["training"][0]["sha256"] = "0" * 64
    assert only_finding(folder).kind is FindingKind.HASH


def test_missing_class(folder: Folder) -> None:
    folder.content |= {"label_kind": "classes", "classes": {"255": "lesion", "2": "other"}}
    assert only_finding(folder).detail == "class 2 has no pixel"


@pytest.mark.parametrize("change", [{"label_kind": "mesk"}, {"classes": {"lesion": 1}}, {"training": {"a": 1}}])
def test_malformed_datalists(folder: Folder, change: dict[str, Any]) -> None:
    folder.content |= change
    with pytest.raises(UserError, match=r"datalist\.json: "):
        folder.check()


def test_files_may_lie_in_another_folder(folder: Folder, tmp_path: Path) -> None:
    moved = tmp_path / "list.json"
    folder.write().rename(moved)
    assert run_check([read_data_set(moved, folder.path)]).findings == []
    assert kinds(run_check([read_data_set(moved)])) == [FindingKind.FILE] * 2


def test_command(sgdnet: Run, folder: Folder, tmp_path: Path) -> None:
    outputs = "--json", tmp_path / "out" / "report.json", "--sheet", tmp_path / "out" / "sheet.png"
    code, out, err = sgdnet("check", folder.write(), *outputs)
    assert (code, err) == (0, "")
    assert "peau é: 2 training; foreground 17.4% of the median image" in out
    assert "0 errors, 0 warnings" in out
    folder.add("odd", mask=square(0))
    code, out, _ = sgdnet("check", folder.write())
    assert code == 0
    assert "     1  empty masks (no foreground): check that there is nothing to segment" in out
    folder.add("bad")
    (folder.path / "bad.png").write_bytes(b"")
    code, out, _ = sgdnet("check", folder.write(), *outputs)
    assert code == 1
    assert "1 error, 1 warning" in out
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert [(finding["kind"], finding["error"]) for finding in report["findings"]] == [("empty", False), ("file", True)]
    with Image.open(tmp_path / "out" / "sheet.png") as sheet:
        assert sheet.size[0] > 4 * 160


def test_sheet_is_bounded_and_shows_the_outline(folder: Folder, tmp_path: Path) -> None:
    from custom_networks.data.checking.sheet import CELL, MARGIN, OUTLINE, write_contact_sheet

    report = folder.check()
    write_contact_sheet(tmp_path / "small.png", report)
    pixels = np.asarray(Image.open(tmp_path / "small.png"))
    assert (pixels == OUTLINE).all(2).sum() > 100
    report.places = report.places * 100
    write_contact_sheet(tmp_path / "large.png", report)
    assert Image.open(tmp_path / "large.png").size[0] == MARGIN + 10 * (CELL + MARGIN)
    assert Image.open(tmp_path / "large.png").size[1] < 6 * 220


@pytest.mark.parametrize("kind", ["classes", "instances"])
def test_sheet_outlines_each_class_and_instance_in_its_colour(folder: Folder, tmp_path: Path, kind: str) -> None:
    from custom_networks.data.checking.sheet import OUTLINES, write_contact_sheet

    folder.content = {
        "label_kind": kind,
        "training": [],
        **({"classes": {"1": "a", "2": "b"}} if kind == "classes" else {}),
    }
    numbers = (1, 2) if kind == "classes" else (1, 300)
    label = square(numbers[0], 10, 40, np.uint16) + square(numbers[1], 50, 90, np.uint16)
    folder.add("two", mask=label)
    folder.add("none", mask=square(0))
    report = folder.check()
    assert report.errors == []
    write_contact_sheet(tmp_path / "sheet.png", report)
    pixels = np.asarray(Image.open(tmp_path / "sheet.png"))
    drawn = [(pixels == colour).all(2).sum() for colour in OUTLINES]
    # borders of squares of 30 and of 40 pixels' side, in a sheet of the image's own size
    expected = [0] * len(OUTLINES)
    for number, side in zip(numbers, (30, 40), strict=True):
        expected[(number - 1) % len(OUTLINES)] = 4 * (side - 1)
    assert drawn == expected


def test_command_on_folders_and_mistakes(sgdnet: Run, dataset: Path, tmp_path: Path) -> None:
    assert sgdnet("check", dataset, "--near_duplicates", "false")[0] == 0
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    picture(0).save(tmp_path / "images" / "a.png")
    picture(0).save(tmp_path / "masks" / "b.png")
    code, out, _ = sgdnet("check", tmp_path)
    assert code == 1
    assert "no mask for this image" in out
    for words, sentence in (
        ((), "needs a datalist or a folder"),
        ((dataset, "--jsn", "a.json"), "did you mean 'json'?"),
        ((dataset, "--sheet", "a.txt"), "--sheet a.txt: give the name of a file that ends in .png"),
        ((dataset, "--num_workers", "0"), "--num_workers 0: must be a whole number from 1 up"),
        ((tmp_path / "nowhere",), "no such folder"),
        ((tmp_path / "nowhere.json",), "no such file; write a MONAI datalist"),
    ):
        code, _, err = sgdnet("check", *words)
        assert code == 1
        assert sentence in err
        assert len(err.strip().splitlines()) == 1


def test_train_refuses_with_the_same_sentence(sgdnet: Run, folder: Folder, tmp_path: Path) -> None:
    folder.add("copy", Image.open(folder.path / "good one.png"), split="validation")
    sentence = folder.check().errors[0].sentence
    code, _, err = sgdnet(
        *("train", "--dataset_dir", folder.path, "--datalist", folder.write(), "--image_size", 64),
        *("--output_dir", tmp_path / "run", "--tracking", "false"),
    )
    assert code == 1
    assert err.strip().splitlines()[-1] == f"Error: {sentence}"
