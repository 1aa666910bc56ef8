"""Slides: the maps of windows over the whole, on the disk as pyramids and polygons, resumed, in flat memory."""

from __future__ import annotations

import csv
import errno
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from export_fixtures import BUNDLE
from killing import kill_within
from numpy.typing import NDArray
from PIL import Image
from prediction_fixtures import variant
from prediction_process import request_of, results, start
from slide_files import write_slide

pytest.importorskip("openslide", reason="needs the packages of the extra `slides`")

from custom_networks.data.formats.slides import Slide, is_slide
from custom_networks.errors import UserError
from custom_networks.prediction import SGDNetPredictor, slide_rows
from custom_networks.prediction.execution import Outcome, execute
from custom_networks.prediction.journal import PredictionJournal
from custom_networks.prediction.objects import area, components, objects, rings
from custom_networks.prediction.options import Options
from custom_networks.prediction.outputs import chosen_outputs
from custom_networks.prediction.outputs.pyramid import read_bands, write_pyramid
from custom_networks.prediction.plan import make_plan, settings_of
from custom_networks.prediction.slides import is_glass

Command = Callable[..., tuple[int, str, str]]
SIZE = (500, 380)


@pytest.fixture(scope="module")
def tissue(pictures: Path) -> NDArray[np.uint8]:
    """Pixels of a slide: phantoms side by side, glass on the right."""
    pixels = np.full((SIZE[1], SIZE[0], 3), 245, np.uint8)
    files = sorted(pictures.iterdir())
    for number in range(6):
        across, down = number % 3, number // 3
        phantom = np.asarray(Image.open(files[number % len(files)]).convert("RGB").resize((120, 190)))
        pixels[190 * down : 190 * down + 190, 120 * across : 120 * across + 120] = phantom
    return pixels


@pytest.fixture(scope="module")
def slide(tissue: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slide(tmp_path_factory.mktemp("slide") / "in" / "s.svs", tissue)


def run(
    predictor: SGDNetPredictor, source: Path, output: Path, outputs: str = "mask,probability,geojson", **more: Any
) -> Outcome:
    chosen = chosen_outputs(outputs, predictor.options.tta)
    settings = settings_of(predictor.options, "0", chosen, more.get("spacing", 0.0))
    return execute(make_plan([str(source)], output, chosen, settings=settings, **more), lambda: predictor, 4, 1, print)


def level(path: Path, number: int = 0) -> NDArray[np.uint8]:
    return np.concatenate(list(read_bands(path, number)))


def pixels_of(path: Path) -> NDArray[np.uint8]:
    with Slide(path) as opened:
        return opened.region((0, 0, *opened.size), opened.size)


@pytest.mark.parametrize("name", ["a.svs", "a.tif"])
def test_regions_are_those_of_the_pixels(tmp_path: Path, tissue: NDArray[np.uint8], name: str) -> None:
    path = write_slide(tmp_path / name, tissue, mpp=0.5)
    assert is_slide(path)
    with Slide(path) as opened:
        assert (opened.size, opened.downsamples, opened.spacing) == (SIZE, (1, 2, 4), (0.0005, 0.0005))
        whole = opened.region((0, 0, *SIZE), SIZE)
        assert np.abs(whole.astype(int) - tissue).mean() < 2
        np.testing.assert_array_equal(opened.region((37, 11, 137, 91), (100, 80)), whole[11:91, 37:137])
        quarter = np.asarray(Image.fromarray(tissue).resize((125, 95), Image.Resampling.BOX)).astype(int)
        assert np.abs(opened.region((0, 0, *SIZE), (125, 95)) - quarter).mean() < 2
        third = opened.region((0, 0, *SIZE), (167, 127))
        inner = opened.region((30, 60, 330, 360), (100, 100))
        assert np.abs(third[20:120, 10:110].astype(int) - inner).mean() < 3


def test_what_is_a_slide(tmp_path: Path, tissue: NDArray[np.uint8]) -> None:
    """Tiles and levels make one; a plain picture, several pages and damaged bytes do not."""
    Image.fromarray(tissue).save(tmp_path / "plain.tif")
    Image.fromarray(tissue).save(tmp_path / "pages.tif", save_all=True, append_images=[Image.fromarray(tissue)])
    tifffile.imwrite(tmp_path / "tiles.tif", tissue, tile=(64, 64), photometric="rgb")
    (tmp_path / "damaged.tif").write_bytes(b"II*\0" + bytes(20))
    assert not any(is_slide(tmp_path / f"{name}.tif") for name in ("plain", "pages", "tiles", "damaged", "absent"))
    with tifffile.TiffWriter(tmp_path / "ome.tif") as file:  # levels below the page, as OME has them
        file.write(tissue, tile=(64, 64), photometric="rgb", subifds=1)
        file.write(tissue[::2, ::2], tile=(64, 64), photometric="rgb", subfiletype=1)
    assert is_slide(tmp_path / "ome.tif")
    np.testing.assert_array_equal(pixels_of(tmp_path / "ome.tif"), tissue)


def test_maps_are_those_of_windows_over_the_whole(predictor: SGDNetPredictor, slide: Path, tmp_path: Path) -> None:
    windows = variant(predictor, mode="window")
    assert run(windows, slide, tmp_path / "out").failures == []
    expected = windows(pixels_of(slide))
    np.testing.assert_array_equal(level(tmp_path / "out" / "s.tif") == 255, expected.mask)
    assert 0.01 < expected.mask.mean() < 0.99
    probability = level(tmp_path / "out" / "s_probability.tif")
    np.testing.assert_allclose(probability, expected.probability * 255, atol=0.6)  # other batches round otherwise
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["foreground"]) == pytest.approx(expected.mask.mean(), rel=1e-4)
    assert float(row["confidence"]) == pytest.approx(expected.confidence, rel=1e-4)
    assert (row["width"], row["height"], row["windows_of_glass"]) == ("500", "380", "0")
    assert not list((tmp_path / "out").glob(".slide-*"))
    features = json.loads((tmp_path / "out" / "s.geojson").read_text())["features"]
    found = list(objects(components(expected.mask)))
    assert sorted(one["properties"]["area_px"] for one in features) == sorted(one.mask.sum() for one in found)
    areas = sorted(round(abs(area(rings(one)[0])), 1) for one in found)
    assert sorted(round(abs(area(np.array(one["geometry"]["coordinates"][0]))), 1) for one in features) == areas
    whole = sum(one["properties"]["area_um2"] for one in features)
    assert whole == pytest.approx(expected.mask.sum() * 0.25**2, rel=1e-4)


@pytest.mark.parametrize("options", [{"mpp": 0.5}, {"level": 1}, {"scale": 0.5, "mode": "window"}])
def test_a_coarser_resolution(predictor: SGDNetPredictor, slide: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    """Half as fine, however it is said; polygons stay in pixels of level 0, the mask says its own microns."""
    assert run(variant(predictor, **options), slide, tmp_path / "out").failures == []
    with tifffile.TiffFile(tmp_path / "out" / "s.tif") as file:
        page = file.pages[0]
        assert page.shape == (190, 250)
        numerator, denominator = page.tags["XResolution"].value
        assert 1e4 * denominator / numerator == pytest.approx(0.5)
    mask = level(tmp_path / "out" / "s.tif")
    features = json.loads((tmp_path / "out" / "s.geojson").read_text())["features"]
    assert sum(one["properties"]["area_px"] for one in features) == 4 * np.count_nonzero(mask)
    corners = np.concatenate([one["geometry"]["coordinates"][0] for one in features])
    rows, columns = np.nonzero(mask)
    np.testing.assert_allclose(corners.min(0), [2 * columns.min() + 1 - 1, 2 * rows.min() + 1 - 1], atol=1)
    np.testing.assert_allclose(corners.max(0), [2 * columns.max() + 2, 2 * rows.max() + 2], atol=1)


def test_glass_is_left_out_where_that_is_asked_for(predictor: SGDNetPredictor, slide: Path, tmp_path: Path) -> None:
    plain = run(variant(predictor, mode="window"), slide, tmp_path / "all")
    outcome = run(variant(predictor, mode="window", skip_glass=True), slide, tmp_path / "some")
    assert (plain.glass, outcome.windows) == (0, plain.windows)
    assert 0 < outcome.glass < outcome.windows
    assert f"{outcome.glass} of {outcome.windows} windows of slides left out as glass" in str(outcome)
    before, after = (level(tmp_path / name / "s_probability.tif") for name in ("all", "some"))
    np.testing.assert_array_equal(before[:, :300], after[:, :300])
    assert (after[:, 450:] == 0).all()


def test_what_glass_is() -> None:
    window = np.full((64, 64, 3), 235, np.uint8)
    assert is_glass(window)
    window[:2, :2] = 120
    assert is_glass(window)  # dust
    window[:8, :8] = (230, 180, 210)
    assert not is_glass(window)


def test_slides_and_pictures_in_one_folder(
    predictor: SGDNetPredictor, slide: Path, tissue: NDArray[np.uint8], tmp_path: Path
) -> None:
    """A slide gets the outputs that it can have; a damaged one fails alone; run again, nothing is left to do."""
    folder = tmp_path / "in"
    write_slide(folder / "good.tif", tissue)
    (folder / "damaged.svs").write_bytes(slide.read_bytes()[:5000])
    Image.fromarray(tissue).save(folder / "picture.png")
    for done in (2, 0):
        outcome = run(predictor, folder, tmp_path / "out", "overlay,geojson,measurements")
        assert (outcome.done, [one.path.name for one, _ in outcome.failures]) == (done, ["damaged.svs"])
        with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
            windows = [int(row["windows"]) for row in csv.DictReader(file) if row["windows"]]
        assert outcome.windows == (sum(windows) if done else 0)
    assert {one.name for one in (tmp_path / "out").glob("*.*") if not one.name.startswith(".")} == {
        "good.tif", "good.geojson", "picture.png", "picture.geojson", "picture_overlay.jpg",
        "measurements.csv", "predictions.csv", "predict.jsonl",
    }  # fmt: skip


def test_polygons_are_added_without_the_network(
    predictor: SGDNetPredictor, slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(predictor, slide, tmp_path / "whole")
    run(predictor, slide, tmp_path / "out", "mask")
    rows = (tmp_path / "out" / "predictions.csv").read_text()
    monkeypatch.setattr(predictor, "_maps", object())
    assert run(predictor, slide, tmp_path / "out", "mask,geojson").failures == []
    assert (tmp_path / "out" / "s.geojson").read_bytes() == (tmp_path / "whole" / "s.geojson").read_bytes()
    assert (tmp_path / "out" / "predictions.csv").read_text() == rows


class Dying:
    """Maps that end after some calls."""

    def __init__(self, maps: Any, calls: int) -> None:
        self.maps, self.calls, self.channels = maps, calls, maps.channels

    def __call__(self, images: Any) -> Any:
        self.calls -= 1
        if self.calls < 0:
            raise KeyboardInterrupt
        return self.maps(images)


class Growing(Dying):
    """Maps during which a file is written to."""

    def __init__(self, maps: Any, path: Path) -> None:
        super().__init__(maps, 10**6)
        self.path = path

    def __call__(self, images: Any) -> Any:
        with self.path.open("ab") as file:
            file.write(b"more")
        return super().__call__(images)


@pytest.mark.parametrize("overlap", [0.25, pytest.param(0.6, marks=pytest.mark.slow)])
def test_interrupted_it_resumes_with_the_next_row(
    predictor: SGDNetPredictor, slide: Path, tmp_path: Path, overlap: float
) -> None:
    windows = variant(predictor, mode="window", overlap=overlap)
    run(windows, slide, tmp_path / "whole")
    names = ("s.tif", "s_probability.tif", "s.geojson", "predictions.csv")
    counting = variant(windows)
    counting._maps = Dying(windows.maps, 10**6)
    run(counting, slide, tmp_path / "count")
    needed = 10**6 - counting.maps.calls
    dying = variant(windows)
    dying._maps = Dying(windows.maps, 2 * needed // 3)
    with pytest.raises(KeyboardInterrupt):
        run(dying, slide, tmp_path / "out")
    (unfinished,) = (tmp_path / "out").glob(".slide-*.rows")
    with unfinished.open("r+b") as file:  # as if it had been killed while it wrote
        file.seek(-7, 2)
        file.truncate()
    rest = variant(windows)
    rest._maps = Dying(windows.maps, 10**6)
    run(rest, slide, tmp_path / "out")
    assert 10**6 - rest.maps.calls < needed
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert not list((tmp_path / "out").glob(".slide-*"))


def test_an_output_that_is_added_resumes_too(predictor: SGDNetPredictor, slide: Path, tmp_path: Path) -> None:
    windows = variant(predictor, mode="window")
    run(windows, slide, tmp_path / "out", "mask")
    whole, dying, rest = (variant(windows) for _ in range(3))
    whole._maps = Dying(windows.maps, 10**6)
    run(whole, slide, tmp_path / "whole", "mask,probability")
    needed = 10**6 - whole.maps.calls
    dying._maps, rest._maps = Dying(windows.maps, 2 * needed // 3), Dying(windows.maps, 10**6)
    with pytest.raises(KeyboardInterrupt):
        run(dying, slide, tmp_path / "out", "mask,probability")
    run(rest, slide, tmp_path / "out", "mask,probability")
    assert 10**6 - rest.maps.calls < needed
    assert results(tmp_path / "out") == results(tmp_path / "whole")


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_the_same(tissue: NDArray[np.uint8], checkpoint: Path, tmp_path: Path) -> None:
    """While it predicts, and while it writes the pyramid and the polygons."""
    write_slide(tmp_path / "in" / "s.svs", np.tile(tissue, (2, 2, 1)))

    def begin(output: str) -> BaseProcess:
        request = request_of(tmp_path / "in", tmp_path / output, checkpoint, BUNDLE, outputs="mask,probability,geojson")
        return start(request, tmp_path / f"{output}.txt")

    began = time.monotonic()
    process = begin("whole")
    process.join(100)
    seconds = time.monotonic() - began
    assert process.exitcode == 0, (tmp_path / "whole.txt").read_text()
    chance = random.Random(4)
    killed = 0
    while killed < 4:
        if kill_within(begin("out"), chance, seconds) is not None:
            killed += 1
        else:  # it was faster than the killer, so that there is nothing more to kill
            shutil.rmtree(tmp_path / "out")
            seconds *= 0.8
    process = begin("out")
    process.join(100)
    assert process.exitcode == 0, (tmp_path / "out.txt").read_text()
    assert results(tmp_path / "out") == results(tmp_path / "whole")


def test_killed_after_its_files_were_written(
    predictor: SGDNetPredictor, slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows stay until the journal has the slide, so that nothing is computed twice; then they go."""
    run(predictor, slide, tmp_path / "whole")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(PredictionJournal, "add", die)
        with pytest.raises(KeyboardInterrupt):
            run(predictor, slide, tmp_path / "out")
    lazy = variant(predictor)
    lazy._maps = Dying(predictor.maps, 0)
    (rows,) = (tmp_path / "out").glob(".slide-*.rows")
    kept = rows.read_bytes()
    assert run(lazy, slide, tmp_path / "out").failures == []
    assert not rows.exists()
    assert results(tmp_path / "out") == results(tmp_path / "whole")
    rows.write_bytes(kept)  # killed once more, just before it was removed
    run(predictor, slide.parent, tmp_path / "out", "mask,probability,geojson,measurements")
    assert not rows.exists()


def test_rows_of_other_settings_are_not_taken(predictor: SGDNetPredictor, slide: Path, tmp_path: Path) -> None:
    high = variant(predictor, threshold=0.7)
    run(high, slide, tmp_path / "whole")
    dying = variant(predictor)
    dying._maps = Dying(predictor.maps, 12)
    with pytest.raises(KeyboardInterrupt):
        run(dying, slide, tmp_path / "out")
    run(high, slide, tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "s.tif").read_bytes() == (tmp_path / "whole" / "s.tif").read_bytes()


@pytest.mark.parametrize("number", [errno.ENOSPC, pytest.param(errno.EROFS, marks=pytest.mark.slow)])
def test_a_full_disk_ends_the_run_and_the_next_one_resumes(
    predictor: SGDNetPredictor, slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    run(predictor, slide, tmp_path / "whole")
    left = iter(range(3))

    def full(_: int) -> None:
        if next(left, None) is None:
            raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(slide_rows.os, "fsync", full)
        with pytest.raises(UserError, match=rf"cannot be written \({os.strerror(number)}\)"):
            run(predictor, slide, tmp_path / "out")
    assert run(predictor, slide, tmp_path / "out").failures == []
    for name in ("s.tif", "s_probability.tif", "s.geojson", "predictions.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_slide_that_is_cut_short_fails_alone(predictor: SGDNetPredictor, slide: Path, tmp_path: Path) -> None:
    """Its header is whole, and its last tiles are missing, or one of them is no JPEG."""
    data = slide.read_bytes()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "good.svs").write_bytes(data)
    with tifffile.TiffFile(slide) as file:
        place, length = file.pages[0].dataoffsets[2], file.pages[0].databytecounts[2]
    (tmp_path / "in" / "tile.svs").write_bytes(data[:place] + bytes(length) + data[place + length :])
    (tmp_path / "in" / "cut.svs").write_bytes(data[: len(data) // 2])
    outcome = run(predictor, tmp_path / "in", tmp_path / "out")
    assert outcome.done == 1
    assert sorted(one.path.name for one, _ in outcome.failures) == ["cut.svs", "tile.svs"]
    for source, told in outcome.failures:
        assert told.startswith(f"{source.path}: ")
        assert "\n" not in told


def test_a_slide_that_changes_while_it_is_predicted(predictor: SGDNetPredictor, slide: Path, tmp_path: Path) -> None:
    path = tmp_path / "in" / "s.svs"
    path.parent.mkdir()
    shutil.copy(slide, path)
    growing = variant(predictor)
    growing._maps = Growing(predictor.maps, path)
    ((_, told),) = run(growing, path, tmp_path / "out").failures
    assert told == f"{path}: changed while it was read; predict it again when it is complete"
    assert not list((tmp_path / "out").glob("s*.tif"))


@pytest.mark.parametrize("size", [(40, 30), (64, 64), (300, 20), (65, 130)])
def test_slides_smaller_than_a_window(predictor: SGDNetPredictor, tmp_path: Path, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3)).astype(np.uint8)
    path = write_slide(tmp_path / "in" / "s.tif", pixels, levels=2)
    windows = variant(predictor, mode="window")
    assert run(windows, path, tmp_path / "out").failures == []
    np.testing.assert_array_equal(level(tmp_path / "out" / "s.tif") == 255, windows(pixels_of(path)).mask)


def test_what_cannot_be_is_one_sentence(
    predictor: SGDNetPredictor, slide: Path, tissue: NDArray[np.uint8], tmp_path: Path
) -> None:
    unknown = write_slide(tmp_path / "in" / "u.tif", tissue, mpp=None)
    for options, source, words in (
        ({"mpp": 0.5}, unknown, "does not say its microns a pixel"),
        ({"mpp": 0.05}, slide, "too coarse for --mpp 0.05"),
        ({"level": 3}, slide, "has levels 0 to 2; there is no --level 3"),
        ({"min_area": 5}, slide, "leave --min_area out"),
    ):
        ((_, told),) = run(variant(predictor, **options), source, tmp_path / words[:4]).failures
        assert words in told
        assert str(source) in told
    assert run(variant(predictor, mpp=0.5), unknown, tmp_path / "given", spacing=0.00025).failures == []
    assert level(tmp_path / "given" / "u.tif").shape == (190, 250)
    for wrong in ({"mpp": 0}, {"level": -1}, {"mpp": 1.0, "level": 1}, {"scale": 0.5, "mpp": 1, "mode": "window"}):
        with pytest.raises(UserError, match=r"--(mpp|level)"):
            Options(**wrong)
    with pytest.raises(UserError, match="predict it with `sgdnet predict`"):
        predictor(slide)


def test_without_openslide_the_extra_is_named(slide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openslide", None)
    with pytest.raises(UserError, match=r"pip install 'sgdnet\[slides\]'"):
        Slide(slide)


@pytest.mark.slow
def test_classes_of_a_slide(two_classes: Path, slide: Path, tmp_path: Path) -> None:
    predictor = SGDNetPredictor.from_bundle(BUNDLE, two_classes, device="cpu", mode="window")
    expected = predictor(pixels_of(slide))
    assert run(predictor, slide, tmp_path, names=predictor.names).failures == []
    np.testing.assert_array_equal(level(tmp_path / "s.tif"), expected.classes)
    features = json.loads((tmp_path / "s.geojson").read_text())["features"]
    assert {one["properties"]["classification"]["name"] for one in features} == {"round", "long"}
    for number, name in predictor.names.items():
        pixels = sum(one["properties"]["area_px"] for one in features if one["properties"]["class"] == number)
        assert pixels == np.count_nonzero(expected.classes == number), name


@pytest.mark.parametrize("size", [(1, 1), (512, 512), (513, 1030), (1500, 700)])
def test_a_pyramid_holds_the_map(tmp_path: Path, size: tuple[int, int]) -> None:
    import openslide

    values = np.random.default_rng(1).integers(0, 3, (size[1], size[0])).astype(np.uint8)
    write_pyramid(tmp_path / "m.tif", np.array_split(values, min(len(values), 7)), size, (0.001, 0.0005))
    np.testing.assert_array_equal(level(tmp_path / "m.tif"), values)
    with tifffile.TiffFile(tmp_path / "m.tif") as file:
        assert [page.is_reduced for page in file.pages] == [number > 0 for number in range(len(file.pages))]
    opened = openslide.OpenSlide(tmp_path / "m.tif")  # as viewers do
    assert opened.dimensions == size
    assert float(opened.properties["openslide.mpp-y"]) == pytest.approx(1)
    for number in range(opened.level_count):
        shown = np.asarray(opened.read_region((0, 0), number, opened.level_dimensions[number]))[..., 0]
        np.testing.assert_array_equal(shown, values[:: 2**number, :: 2**number])
    assert max(opened.level_dimensions[-1]) <= 512


PROGRAM = """
import resource, sys
from pathlib import Path
import torch
sys.path[:0] = sys.argv[3:]
from custom_networks.cli import main
torch.set_num_threads(1)
try:
    main(["predict", sys.argv[1], "--output", sys.argv[2], "--outputs", "mask,probability,geojson", "--batch_size", "4",
        "--checkpoint", CHECKPOINT, "--bundle_root", BUNDLE, "--device", "cpu"])
except SystemExit as end:
    assert not end.code, end.code
print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(source: Path, output: Path, checkpoint: Path) -> int:
    """Most memory, bytes, that a run takes in a process of its own."""
    program = f"CHECKPOINT, BUNDLE = {str(checkpoint)!r}, {str(BUNDLE)!r}\n{PROGRAM}"
    words = [sys.executable, "-W", "ignore", "-c", program, str(source), str(output), *sys.path]
    result = subprocess.run(words, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr[-2000:]
    found = re.search(r"PEAK (\d+)", result.stdout)
    assert found is not None
    return 1024 * int(found[1])


@pytest.mark.slow
def test_memory_does_not_grow_with_the_height(tmp_path: Path, tissue: NDArray[np.uint8], checkpoint: Path) -> None:
    """A slide of 2,000 x 1,500 pixels and one eight times as high."""
    wide = np.tile(tissue, (4, 4, 1))[:1500, :2000]
    low = write_slide(tmp_path / "low.tif", wide)
    high = write_slide(tmp_path / "high.tif", np.tile(wide, (8, 1, 1)))
    first, second = (peak(one, tmp_path / one.stem, checkpoint) for one in (low, high))
    assert second - first < 40e6  # its pixels alone are 72 MB
