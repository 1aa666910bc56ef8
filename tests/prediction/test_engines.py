"""Engines: the same maps by each, files made once, the fastest that is right chosen, and what is recorded."""

from __future__ import annotations

import importlib.util
import json
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from export_fixtures import BUNDLE
from networks import TOY, toy_network
from PIL import Image
from prediction_fixtures import variant
from torch import Tensor
from toy_weights import write_weights
from trees import nifti

from custom_networks.configuration.inference import load_source
from custom_networks.errors import UserError
from custom_networks.export.onnx_graph import ONNX
from custom_networks.files import file_stamp
from custom_networks.prediction import SGDNetPredictor
from custom_networks.prediction.choice import Choice, agreement, choose_engine, masks_of
from custom_networks.prediction.engine import EngineJob
from custom_networks.prediction.engine_files import MAKING, EngineFile
from custom_networks.prediction.execution import first_images
from custom_networks.prediction.inputs import ImageSource
from custom_networks.prediction.maps import MapSource
from custom_networks.prediction.plan import PredictionPlan
from custom_networks.processor import bfloat16_pays

Run = Callable[..., tuple[int, str, str]]
EXPORTED = ("openvino", "onnx")


@pytest.fixture(scope="module")
def weights(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights in a folder of their own, which gets exported files."""
    folder = tmp_path_factory.mktemp("engines")
    for ending in (".pt", ".json"):
        shutil.copy(checkpoint.with_suffix(ending), folder)
    return folder / checkpoint.name


@pytest.fixture(scope="module", params=EXPORTED)
def engine(request: pytest.FixtureRequest, weights: Path, pictures: Path) -> SGDNetPredictor:
    predictor = SGDNetPredictor.from_bundle(BUNDLE, weights, device="cpu", engine=request.param)
    next(predictor.predict(sorted(pictures.iterdir())))
    assert predictor.engine == request.param
    return predictor


@pytest.mark.parametrize(
    "options", [{}, {"mode": "pad"}, {"mode": "window"}, {"tta": "flips"}], ids=["stretch", "pad", "window", "flips"]
)
def test_maps_are_those_of_pytorch(
    engine: SGDNetPredictor, predictor: SGDNetPredictor, pictures: Path, options: dict[str, str]
) -> None:
    file = sorted(pictures.iterdir())[1]
    image = np.asarray(Image.open(file).convert("RGB").resize((150, 90)))
    got, expected = (variant(one, **options)(image) for one in (engine, predictor))
    assert 0.02 < expected.mask.mean() < 0.98
    assert (got.mask == expected.mask).mean() > 0.999
    for name in ("probability", "edge", "uncertainty"):
        one, other = getattr(got, name), getattr(expected, name)
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_allclose(one, other, atol=2e-3)


@pytest.mark.parametrize("kind", ["classes", pytest.param("weights", marks=pytest.mark.slow)])
def test_several_classes_or_weights(
    kind: str, weights: Path, two_classes: Path, pictures: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(two_classes.parent, tmp_path / "two")) / two_classes.name
    paths = [other] if kind == "classes" else [weights, weights]
    got, expected = (
        SGDNetPredictor.from_bundle(BUNDLE, paths, device="cpu", edge=False, engine=name)(sorted(pictures.iterdir())[2])
        for name in ("onnx", "torch")
    )
    assert got.edge is None
    np.testing.assert_allclose(got.probability, expected.probability, atol=2e-3)
    if kind == "classes":
        assert got.classes is not None
        assert {1, 2} <= set(np.unique(got.classes).tolist())
        assert (got.classes == expected.classes).mean() > 0.999


@pytest.mark.slow
@pytest.mark.skipif(not bfloat16_pays(), reason="this processor has no bfloat16")
def test_bfloat16_is_compared_with_float32(weights: Path, predictor: SGDNetPredictor, pictures: Path) -> None:
    rounded = SGDNetPredictor.from_bundle(BUNDLE, weights, device="cpu", engine="openvino", amp=True)
    image = sorted(pictures.iterdir())[0]
    difference = np.abs(rounded(image).probability - predictor(image).probability)
    assert 0 < difference.max() < 0.1


def words(checkpoint: Path, output: Path, *more: object) -> tuple[object, ...]:
    return ("--checkpoint", checkpoint, "--output", output, "--device", "cpu", "--bundle_root", BUNDLE, *more)


def engines_of(output: Path) -> list[str]:
    return json.loads((output / "predict.jsonl").read_text().splitlines()[0])["settings"]["engines"]


def test_a_run_says_and_records_its_engine_and_may_go_on_by_another(
    sgdnet: Run, weights: Path, pictures: Path, tmp_path: Path
) -> None:
    files = sorted(pictures.iterdir())
    out, by_torch = tmp_path / "out", tmp_path / "torch"
    first = ("predict", files[0], *words(weights, out, "--outputs", "instances"))
    code, said, err = sgdnet(*first, "--engine", "onnx", "--json")
    assert code == 0, err
    assert json.loads(said.splitlines()[-1])["engine"] == "onnx"
    assert sgdnet("predict", files[0], *words(weights, by_torch, "--outputs", "instances"))[0] == 0
    assert engines_of(by_torch) == ["torch"], "auto exports nothing for one image"
    name = f"{files[0].stem}_instances.png"
    one, other = (np.asarray(Image.open(folder / name)) for folder in (out, by_torch))
    assert one.max() == other.max() > 0
    assert (one == other).mean() > 0.999

    made = sorted(weights.with_suffix(".engines").rglob("model.onnx"))
    when = [path.stat().st_mtime_ns for path in made]
    code, said, err = sgdnet("predict", files[0], files[1], *words(weights, out))
    assert code == 0, err
    assert "1 predicted, 1 done before" in said
    assert said.rstrip().endswith("by onnx"), "auto keeps the engine of the folder"
    assert [path.stat().st_mtime_ns for path in made] == when, "made once"
    assert engines_of(out) == ["onnx"]

    code, _, err = sgdnet("predict", pictures, *words(weights, out, "--engine", "torch"))
    assert code == 0, err
    assert engines_of(out) == ["onnx", "torch"]
    assert sgdnet("predict", pictures, *words(weights, out))[1].count("4 done before") == 1
    assert engines_of(out) == ["onnx", "torch"]


def test_mistakes_are_one_sentence(
    sgdnet: Run, weights: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ("predict", pictures, *words(weights, tmp_path / "out"))
    assert "did you mean 'openvino'" in sgdnet(*given, "--engine", "openvio")[2]
    if bfloat16_pays():
        assert "--engine onnx: has no bfloat16 on a CPU" in sgdnet(*given, "--engine", "onnx", "--amp", "true")[2]
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "openvino" else find(name))
    code, _, err = sgdnet(*given, "--engine", "openvino")
    assert code == 1
    assert "--engine openvino: needs openvino; run `pip install openvino`" in err
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr("custom_networks.prediction.choice.WORTH", 0)
    monkeypatch.setattr("custom_networks.prediction.choice.ENGINES", {"torch": None, "openvino": _openvino()})
    code, said, err = sgdnet(*given)
    assert code == 0, err
    assert said.rstrip().endswith("by torch")


def _openvino() -> object:
    from custom_networks.prediction.engine import OpenVINOEngine

    return OpenVINOEngine


def test_wrong_masks_are_refused_and_auto_goes_on_by_pytorch(
    sgdnet: Run, weights: Path, pictures: Path, tmp_path: Path
) -> None:
    onnx = pytest.importorskip("onnx")
    path = Path(shutil.copytree(weights.parent, tmp_path / "weights")) / weights.name
    out = tmp_path / "out"
    files = sorted(pictures.iterdir())
    assert sgdnet("predict", files[0], *words(path, out, "--engine", "onnx"))[0] == 0
    made = next(path.with_suffix(".engines").rglob("model.onnx"))
    graph = onnx.load(made)
    (head,) = (each for each in graph.graph.initializer if each.name.endswith("heads.0.weight"))
    head.raw_data = (-onnx.numpy_helper.to_array(head)).tobytes()
    onnx.save(graph, made)
    before = {file: file.read_bytes() for file in out.iterdir()}
    code, _, err = sgdnet("predict", pictures, *words(path, out, "--engine", "onnx"))
    assert code == 1
    assert "--engine onnx: its masks differ from PyTorch's on the first 3 images (Dice" in err
    assert {file: file.read_bytes() for file in out.iterdir()} == before
    code, said, err = sgdnet("predict", pictures, *words(path, out))
    assert code == 0
    assert err.count("its masks differ") == 1
    assert said.rstrip().endswith("by torch")


def plain_weights(folder: Path) -> Path:
    """Weights whose graph is made in half the time: without dynamic convolution."""
    return write_weights(folder / "model.pt", {**TOY, "refinement": "add"}, image_size=64)


def exported(weights: Path) -> EngineFile:
    network = load_source(BUNDLE, weights, None).network
    return EngineFile(network, "onnx", ONNX, "float32", weights)


def test_the_file_goes_to_the_cache_where_the_folder_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SGDNET_CACHE", str(tmp_path / "cache"))
    path = plain_weights(tmp_path)
    path.with_suffix(".engines").write_text("in the way")
    file = exported(path)
    made = file.make(64)
    assert made.is_relative_to(tmp_path / "cache")
    assert file.find() == made
    (tmp_path / "second").write_text("")
    monkeypatch.setenv("SGDNET_CACHE", str(tmp_path / "second"))
    with pytest.raises(UserError, match=r"--engine onnx: its file cannot be made .*use --engine torch"):
        exported(path).make(64)


def test_a_damaged_file_is_made_anew_and_leftovers_go(tmp_path: Path) -> None:
    path = plain_weights(tmp_path)
    folder = path.with_suffix(".engines")
    (folder / f"{MAKING}x" / "half").mkdir(parents=True)
    (folder / "onnx-float32-0123").mkdir()
    with ThreadPoolExecutor(2) as pool:  # at once
        made = set(pool.map(lambda one: one.make(64), [exported(path), exported(path)]))
    assert len(made) == 1
    assert sorted(one.name for one in folder.iterdir()) == [".lock", next(iter(made)).parent.name]
    content = next(iter(made)).read_bytes()
    next(iter(made)).write_bytes(content[: len(content) // 2])
    damaged = file_stamp(next(iter(made)))
    run = exported(path).open(64, 1)
    assert run(np.zeros((1, 3, 64, 64), np.float32)).shape == (1, 2, 64, 64), "the edge's logits follow"
    fresh = file_stamp(next(iter(made)))
    assert exported(path).make(64, damaged) in made
    assert file_stamp(next(iter(made))) == fresh, "what another process made anew meanwhile stays"


class Timed(MapSource):
    """Gives the same maps in a time of its own."""

    channels = ("probability",)

    def __init__(self, seconds: float, value: float = 0.9) -> None:
        super().__init__(torch.device("cpu"))
        self.seconds, self.value = seconds, value

    def compute(self, images: Tensor) -> Tensor:
        time.sleep(self.seconds)
        return torch.full((len(images), 1, *images.shape[2:]), self.value)


@pytest.mark.parametrize(
    ("seconds", "images", "earlier", "expected"),
    [
        ({"torch": 0.05, "openvino": 0.01, "onnx": 0.03}, 1000, None, "openvino"),
        ({"torch": 0.02, "openvino": 0.05, "onnx": 0.04}, 1000, None, "torch"),
        ({"torch": 0.05, "openvino": 0.01, "onnx": 0.01}, 3, None, "torch"),
        ({"torch": 0.01, "openvino": 0.05, "onnx": 0.02}, 3, "onnx", "onnx"),
        ({"torch": 0.05, "openvino": 0.01, "onnx": 0.01}, 1000, "torch", "torch"),
    ],
)
def test_auto_takes_the_fastest(seconds: dict[str, float], images: int, earlier: str | None, expected: str) -> None:
    jobs = [EngineJob(toy_network().eval(), torch.device("cpu"))]
    batches = [torch.zeros(1, 3, 64, 64, dtype=torch.uint8)]
    choice = choose_engine("auto", lambda name, amp: Timed(seconds[name]), jobs, batches, 0.5, images, earlier, print)
    assert isinstance(choice, Choice)
    assert choice.name == expected


def test_one_image_of_many_that_differs_is_enough_to_refuse() -> None:
    class Once(Timed):
        calls = 0

        def compute(self, images: Tensor) -> Tensor:
            self.calls += 1
            return super().compute(images) - (0.9 if self.calls == 3 else 0)

    jobs = [EngineJob(toy_network().eval(), torch.device("cpu"), amp=True)]
    batches = [torch.zeros(1, 3, 64, 64, dtype=torch.uint8)] * 60
    sources = {"onnx": Once(0), "torch": Timed(0)}
    with pytest.raises(UserError, match=r"on the first 60 images \(Dice 0\.98.. on average, 0\.0000 at worst"):
        choose_engine("onnx", lambda name, amp: sources[name], jobs, batches, 0.5, 60, None, print)


@pytest.mark.parametrize(
    ("options", "count", "squares"),
    [({}, 4, 1), ({"mode": "window", "overlap": 0.0}, 1, 4), ({"tta": "flips"}, 4, 4)],
    ids=["stretch", "window", "flips"],
)
def test_the_choice_sees_the_first_images_that_can_be_read(
    weights: Path, pictures: Path, tmp_path: Path, options: dict[str, object], count: int, squares: int
) -> None:
    (tmp_path / "a.png").write_text("no picture")
    sources = [ImageSource(path, path.stem) for path in (tmp_path / "a.png", *sorted(pictures.iterdir())[:3])]
    plan = PredictionPlan(sources, tmp_path / "out", ("mask",), {})
    undecided = SGDNetPredictor.from_bundle(BUNDLE, weights, device="cpu", engine="onnx", **options)
    found, about = first_images(plan, [*sources, sources[1]], undecided)
    assert len(found) == count
    assert about == 5 * squares
    assert first_images(plan, sources, SGDNetPredictor.from_bundle(BUNDLE, weights, device="cpu"))[0] == []
    short = SGDNetPredictor.from_bundle(BUNDLE, weights, device="cpu", engine="auto")
    assert first_images(plan, sources, short) == ([], 4), "nothing is read twice for a few images"


def test_the_choice_sees_four_slices_of_a_volume(weights: Path, tmp_path: Path) -> None:
    undecided = SGDNetPredictor.from_bundle(BUNDLE, weights, device="cpu", engine="onnx")
    volumes = []
    for slices, seen in ((3, [0, 1, 2]), (5, [0, 1, 3, 4]), (10, [0, 3, 6, 9])):
        values = np.broadcast_to(np.arange(slices, dtype=np.int16), (6, 8, slices))
        source = ImageSource(nifti(tmp_path / f"{slices}.nii.gz", np.ascontiguousarray(values)), "volume")
        plan = PredictionPlan([source], tmp_path / "out", ("mask",), {})
        found, about = first_images(plan, [source], undecided)
        levels = [int(image.pixels[0, 0, 0]) for image in found]
        assert levels == [round(255 * number / (slices - 1)) for number in seen]
        assert about == slices
        volumes.append(source)
    assert len(first_images(plan, volumes, undecided)[0]) == 4, "three of the first, one of the next"
    auto = SGDNetPredictor.from_bundle(BUNDLE, weights, device="cpu", engine="auto")
    assert len(first_images(plan, [source], auto)[0]) == 4, "one volume is worth a choice, unlike a few pictures"


def test_masks_are_compared_by_their_worst_class_unless_hardly_a_pixel_differs() -> None:
    """Of 10,000 pixels 5 may differ: of such small masks Dice says nothing."""
    nothing = torch.zeros(100, 100, dtype=torch.uint8)
    few, many, two = nothing.clone(), nothing.clone(), nothing.clone()
    few[0, :4], many[0, :6] = 1, 1
    two[:50], two[50, :50] = 1, 2
    assert agreement(few, nothing) == agreement(nothing, few) == 1
    assert agreement(many, nothing) == 0
    half = two.clone()
    half[50, :25] = 0
    assert agreement(half, two) == pytest.approx(2 * 25 / 75)


def test_masks_of_maps_by_hand() -> None:
    maps = torch.tensor([[[[0.2, 0.5, 0.9]], [[0.1, 0.3, 0.4]], [[0.1, 0.2, 0.5]]]])
    assert masks_of(maps, ("probability", "class_1", "class_2"), 0.5).tolist() == [[[0, 1, 2]]]
    assert masks_of(maps[:, :1], ("probability",), 0.5).tolist() == [[[0, 1, 1]]]
    assert masks_of(maps, ("edge", "probability", "uncertainty"), 0.3).tolist() == [[[0, 1, 1]]]


def test_an_engine_that_cannot_be_checked_is_not_used() -> None:
    said: list[str] = []
    jobs = [EngineJob(toy_network().eval(), torch.device("cpu"))]
    choice = choose_engine("onnx", lambda name, amp: Timed(0), jobs, [], 0.5, 1000, None, said.append)
    assert choice.name == "torch"
    assert said == ["--engine onnx: none of the first images can be read to check it on; PyTorch is used"]
