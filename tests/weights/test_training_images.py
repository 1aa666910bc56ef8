"""What a record says of the training images: their content, whatever they are called."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from toy_weights import write_record

from custom_networks.errors import UserError
from custom_networks.run.checkpoints import Checkpoints
from custom_networks.weights import About, record_of
from custom_networks.weights.training import _hash, image_hashes, image_paths


def test_images_and_datalist_are_recorded_by_content(dataset: Path, tmp_path: Path) -> None:
    images = sorted((dataset / "images").iterdir())
    datalist = tmp_path / "datalist.json"
    datalist.write_text("{}")
    write_record(
        tmp_path / "model.pt", torch.nn.Identity(), items=[{"image": str(path)} for path in images], datalist=datalist
    )
    data = record_of(tmp_path / "model.pt").data
    assert data is not None
    assert data.images == sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in images)
    assert data.datalist == hashlib.sha256(b"{}").hexdigest()
    assert images[0].name not in (tmp_path / "model.json").read_text()
    assert record_of(tmp_path / "model.pt").summary()["data"]["images"] == len(images)


def test_resuming_notices_a_label_that_was_edited_or_swapped(tmp_path: Path) -> None:
    items = [{"image": str(tmp_path / f"{n}.png"), "label": str(tmp_path / f"{n}_mask.png")} for n in range(3)]
    for number, item in enumerate(items):
        Path(item["image"]).write_bytes(b"image %d" % number)
        Path(item["label"]).write_bytes(b"label %d" % number)
    stored = About(items=items).record(torch.nn.Identity(), {}, {})

    def resume(given: list[dict[str, str]]) -> None:
        run = SimpleNamespace(about=About(items=given), last=tmp_path / "last.pt")
        Checkpoints.check_data(run, stored)  # type: ignore[arg-type]

    resume(items[::-1])
    swapped = [items[0] | {"label": items[1]["label"]}, items[1] | {"label": items[0]["label"]}, items[2]]
    with pytest.raises(UserError, match=r"last\.pt: the training labels are not those that this run was started with"):
        resume(swapped)
    Path(items[2]["label"]).write_bytes(b"edited")
    with pytest.raises(UserError, match="the training labels are not those"):
        resume(items)
    Path(items[2]["image"]).write_bytes(b"edited")
    with pytest.raises(UserError, match="the training images are not those"):
        resume(items)


def test_a_changed_file_is_hashed_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"one")
    first = image_hashes([str(path)])
    path.write_bytes(b"other")
    assert image_hashes([str(path)])[str(path)] == hashlib.sha256(b"other").hexdigest() != first[str(path)]
    with pytest.raises(UserError, match=r"b\.png: cannot be read"):
        image_hashes([str(tmp_path / "b.png")])
    assert image_paths([{"image": "a"}, {"image": ["b", "c"]}]) == ["a", "b", "c"]


def test_thousands_of_images_cost_little(tmp_path: Path) -> None:
    """2,594 files of 20 KB, those of ISIC 2018 at 256 x 256; the second look reads none."""
    paths = []
    for number in range(2594):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(number.to_bytes(4, "little") * 5120)
        paths.append(str(path))
    start = time.perf_counter()
    assert len(set(image_hashes(paths).values())) == 2594
    assert time.perf_counter() - start < 5  # 0.2 s on two idle cores
    before = _hash.cache_info().misses
    image_hashes(paths)
    assert _hash.cache_info().misses == before


def test_images_of_the_weights_that_a_training_started_from_are_kept(tmp_path: Path) -> None:
    images = [tmp_path / f"{number}.png" for number in range(3)]
    for path in images:
        path.write_bytes(path.name.encode())
    first, second = tmp_path / "first.pt", tmp_path / "second.pt"
    items = [{"image": str(path)} for path in images]
    write_record(first, torch.nn.Identity(), items=items[:2])
    write_record(second, torch.nn.Identity(), items=items[2:], started_from=first)
    data = record_of(second).data
    assert data is not None
    assert data.all_images() == sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in images)
    assert len(data.images) == 1
    old = tmp_path / "old.pt"
    write_record(old, torch.nn.Identity())
    data = About(items=items, started_from=old).data
    assert data is not None
    assert data.earlier is None
