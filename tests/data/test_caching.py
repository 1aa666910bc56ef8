"""The caches give the same items, choose by what is free, and never mix up what they keep."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import CacheDataset, DataLoader, Dataset
from monai.data.utils import set_rnd
from monai.transforms import Compose
from PIL import Image
from pipelines import compose, save, training_config
from warm_process import run_warm

from custom_networks import UserError
from custom_networks.data import caching, images
from custom_networks.data.caching import DiskCacheDataset, cached_dataset, item_bytes

GIGA = 2**30


@pytest.fixture
def items(tmp_path: Path) -> list[dict[str, Any]]:
    generator = np.random.default_rng(0)
    return [
        {
            "image": save(tmp_path / f"images/{number}.png", generator.integers(0, 256, (50, 70, 3), np.uint8)),
            "label": save(tmp_path / f"masks/{number}.png", generator.integers(0, 2, (50, 70), np.uint8) * 255),
        }
        for number in range(5)
    ]


def transform(part: str = "train", image_size: int = 64) -> Compose:
    return training_config(image_size=image_size).get_parsed_content(f"{part}#preprocessing")


def done_once(image_size: int = 64, **knobs: Any) -> Compose:
    """The transforms that are done once."""
    return compose(training_config(image_size=image_size, **knobs), "load")


KEPT = len(training_config()["load"])


def content(dataset: Dataset) -> list[torch.Tensor]:
    set_rnd(dataset, 7)
    return [torch.as_tensor(item[key]) for item in dataset for key in ("image", "label")]


@pytest.mark.parametrize("part", ["train", "validate"])
def test_every_cache_gives_the_same_items(items: list[dict[str, Any]], tmp_path: Path, part: str) -> None:
    expected = content(Dataset(items, transform(part)))
    for cache in ("memory", "disk", "disk", "none", None, "auto"):
        dataset = cached_dataset(items, transform(part), KEPT, cache, tmp_path / "cache")
        for _ in range(2):
            for ours, theirs in zip(content(dataset), expected, strict=True):
                assert ours.dtype == theirs.dtype
                assert torch.equal(ours, theirs)
        if part == "validate":  # a saver of figures, and the sheet, name their images by it
            assert [item["image"].meta["filename_or_obj"] for item in dataset] == [item["image"] for item in items]


@pytest.mark.parametrize("part", ["train", "validate"])
def test_images_are_kept_in_8_bits(items: list[dict[str, Any]], tmp_path: Path, part: str) -> None:
    memory = cached_dataset(items, transform(part), KEPT, "memory")
    assert isinstance(memory.kept, CacheDataset)
    assert {item[key].dtype for item in memory.kept._cache for key in ("image", "label")} == {torch.uint8}
    content(cached_dataset(items, transform(part), KEPT, "disk", tmp_path / "cache"))
    (kept, *_) = [torch.load(path, weights_only=True) for path in (tmp_path / "cache").iterdir()]
    assert {key: (tensor.dtype, tuple(tensor.shape)) for key, tensor in kept.items()} == {
        "image": (torch.uint8, (3, 64, 64)),
        "label": (torch.uint8, (1, 64, 64)),
    }
    assert 4 * 64 * 64 <= item_bytes(items[0], done_once()) < 4 * 64 * 64 + 20_000


@pytest.mark.parametrize(
    ("free", "disk", "processes", "kind", "words"),
    [
        (GIGA, GIGA, 1, CacheDataset, "kept in memory: 0.1 MB, 1.0 GB are free"),
        (1000, GIGA, 1, DiskCacheDataset, "kept on disk in "),
        (300_000, GIGA, 1, CacheDataset, "kept in memory"),
        (300_000, GIGA, 8, DiskCacheDataset, "in each of 8 processes, 0.3 MB are free, 1.0 GB on the disk"),
        (1000, 1000, 1, Dataset, "kept nowhere: 0.1 MB, 0.0 MB are free, 0.0 MB on the disk"),
    ],
)
def test_auto_chooses_by_what_is_free_and_says_so(
    items: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    free: int | None,
    disk: int,
    processes: int,
    kind: type,
    words: str,
) -> None:
    monkeypatch.setattr(caching, "free_memory", lambda: free)
    monkeypatch.setattr(caching.shutil, "disk_usage", lambda path: type("Usage", (), {"free": disk}))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    caplog.set_level("INFO", logger=caching.__name__)
    dataset = cached_dataset(items, transform(), KEPT, "auto", tmp_path / "new" / "cache")
    assert isinstance(getattr(dataset, "kept", dataset), kind)
    said = [record.getMessage() for record in caplog.records if record.name == caching.__name__]
    assert [words in line for line in said] == [True], said


def test_another_size_or_a_changed_picture_is_another_file(items: list[dict[str, Any]], tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    content(DiskCacheDataset(items, done_once(), folder))
    first = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert len(first) == len(items)
    content(DiskCacheDataset(items[::-1], done_once(), folder))
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == first, "nothing is made twice"

    larger = content(DiskCacheDataset(items, done_once(128), folder))
    assert larger[0].shape == (3, 128, 128)
    assert len(list(folder.iterdir())) == 2 * len(items)

    before = content(DiskCacheDataset(items, done_once(), folder))
    status = Path(items[0]["image"]).stat()
    save(Path(items[0]["image"]), np.full((50, 70, 3), 9, np.uint8))
    os.utime(items[0]["image"], ns=(status.st_atime_ns, status.st_mtime_ns))
    after = content(DiskCacheDataset(items, done_once(), folder))
    assert not torch.equal(after[0], before[0])
    assert torch.equal(after[2], before[2])
    assert len(list(folder.iterdir())) == 2 * len(items) + 1


@pytest.mark.parametrize("package", ["sgdnet", "torch", "pillow", "nibabel"])
def test_an_upgrade_is_another_file(
    items: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    before = DiskCacheDataset(items, done_once(), tmp_path / "cache").keys
    real = images.installed
    monkeypatch.setattr(images, "installed", lambda names: {**real(names), package: "999"})
    images.decoders.cache_clear()
    try:
        assert not set(before) & set(DiskCacheDataset(items, done_once(), tmp_path / "cache").keys)
    finally:
        images.decoders.cache_clear()


@pytest.mark.parametrize("part", ["image", "label", "types"])
def test_an_edit_of_any_file_is_another_file(items: list[dict[str, Any]], tmp_path: Path, part: str) -> None:
    types = save(tmp_path / "types/0.png", np.eye(50, 70, dtype=np.uint8))
    items[0]["label"] = [items[0]["label"], types]
    path = {"image": items[0]["image"], "label": items[0]["label"][0], "types": types}[part]
    before = DiskCacheDataset(items, done_once(label_kind="instances"), tmp_path / "cache").keys
    status = Path(path).stat()
    pixels = np.asarray(Image.open(path)).copy()
    pixels[0, 0] = 1 - pixels[0, 0]
    save(Path(path), pixels)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = DiskCacheDataset(items, done_once(label_kind="instances"), tmp_path / "cache").keys
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, True, True, True, True]


def test_another_kind_of_label_is_another_file(items: list[dict[str, Any]], tmp_path: Path) -> None:
    content(DiskCacheDataset(items, done_once(), tmp_path / "cache"))
    labels = content(DiskCacheDataset(items, done_once(label_kind="instances"), tmp_path / "cache"))[1]
    assert set(labels.unique().tolist()) == {0, 255}


def test_another_process_finds_the_files(items: list[dict[str, Any]], tmp_path: Path) -> None:
    """Names do not depend on the process: not on addresses, not on Python's seed of hashes."""
    content(DiskCacheDataset(items, done_once(), tmp_path / "cache"))
    names = {path.name for path in (tmp_path / "cache").iterdir()}
    program = (
        "print(hash('a'))\n"
        "from pipelines import compose, training_config; from custom_networks.data.caching import DiskCacheDataset\n"
        "transform = compose(training_config(image_size=64), 'load')\n"
        f"print(*DiskCacheDataset({items!r}, transform, {str(tmp_path / 'cache')!r}).keys)"
    )
    result = run_warm(["-c", program], tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]
    assert int(result.stdout.splitlines()[0]) != hash("a")
    assert {f"{key}.pt" for key in result.stdout.splitlines()[-1].split()} == names


@pytest.mark.parametrize("damage", [b"", b"no tensor", None], ids=["empty", "other bytes", "cut short"])
def test_a_damaged_file_is_made_anew(
    items: list[dict[str, Any]], tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: bytes | None
) -> None:
    dataset = DiskCacheDataset(items, done_once(), tmp_path / "cache")
    expected = content(dataset)
    file = tmp_path / "cache" / f"{dataset.keys[2]}.pt"
    intact = file.read_bytes()
    file.write_bytes(intact[:-300] if damage is None else damage)
    for ours, theirs in zip(content(dataset), expected, strict=True):
        assert torch.equal(ours, theirs)
    assert "damaged" in caplog.text
    assert "made anew" in caplog.text
    assert len(file.read_bytes()) == len(intact)


def test_workers_fill_and_read_the_folder(items: list[dict[str, Any]], tmp_path: Path) -> None:
    dataset = cached_dataset(items, transform("validate"), KEPT, "disk", tmp_path / "cache")
    for _ in range(2):
        batches = list(DataLoader(dataset, batch_size=2, num_workers=2))
        assert [len(batch["image"]) for batch in batches] == [2, 2, 1]
    assert len(list((tmp_path / "cache").iterdir())) == len(items)


def test_other_data_leave_the_folder_alone(items: list[dict[str, Any]], tmp_path: Path) -> None:
    dataset = DiskCacheDataset(items[:2], done_once(), tmp_path / "cache")
    content(dataset)
    dataset.set_data(items[2:])
    assert len(content(dataset)) == 6
    assert len(list((tmp_path / "cache").iterdir())) == len(items)


def test_mistakes_are_one_sentence(items: list[dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--cache memry: must be one of .*did you mean 'memory'"):
        cached_dataset(items, transform(), KEPT, "memry")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file.*: no folder for decoded images .*--cache_dir"):
        cached_dataset(items, transform(), KEPT, "disk", tmp_path / "file")
    dataset = cached_dataset(items, transform(), KEPT, "disk", tmp_path / "cache")
    (tmp_path / "cache").rmdir()
    (tmp_path / "cache").write_text("")
    with pytest.raises((UserError, RuntimeError), match=r"cache: cannot be written .*--cache_dir"):
        content(dataset)
    Path(items[1]["image"]).unlink()
    with pytest.raises(UserError, match=r"1\.png: no such file"):
        cached_dataset(items, transform(), KEPT, "disk", tmp_path / "other")
