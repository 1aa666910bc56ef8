"""Read every case once, in processes: hash, size and foreground share, and a copy where one is wanted."""

from __future__ import annotations

import hashlib
import io
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from custom_networks.data.cluster import cluster_pool
from custom_networks.data.formats import Opened
from custom_networks.data.prepare.cases import Case, stored_stamp
from custom_networks.errors import UserError
from custom_networks.files import write_atomically

FITS = ("short", "exact")
FOLDERS = {"image": "images", "label": "masks", "types": "types"}
_AT_ONCE = 4  # cases that a process is given
_FEW = 16  # cases that one process reads before others would have started
_LONGEST_NAME = 255  # bytes, of most file systems
Facts = dict[str, Any]


@dataclass(frozen=True)
class CaseJob:
    """What a process does to one case.

    Args:
        case: to be read.
        folder: output folder.
        label_kind: "mask", "instances" or "classes".
        image_size: side in pixels that copies get; 0 keeps their size.
        fit: "short" makes the short side that long and keeps the aspect, "exact" makes a square.
    """

    case: Case
    folder: Path
    label_kind: str
    image_size: int = 0
    fit: str = "short"


def read_all(
    jobs: Sequence[CaseJob], num_workers: int = 0, cluster: str = ""
) -> Generator[Facts | UserError, None, None]:
    """Do the jobs and give their results in order.

    Args:
        jobs: to be done.
        num_workers: processes; 0 takes one for each core this process may use.
        cluster: address of a Dask scheduler whose workers do the jobs instead; empty for none.

    Yields:
        The facts of each case as `read_case` gives them, or its error.

    Raises:
        UserError: when a process is killed.
    """
    if cluster:
        with cluster_pool(cluster) as executor:
            for group in executor.map(_attempt_all, _grouped(jobs)):
                yield from group
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(num_workers or cores, len(jobs))
    if workers < 2 or len(jobs) < _FEW:
        yield from map(_attempt, jobs)
        return
    # forking saves the seconds that importing torch takes in each process; elsewhere it is unsafe or unknown
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    others = multiprocessing.active_children()
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_live_with_the_parent)
    results = pool.map(_attempt_all, _grouped(jobs))
    processes = [process for process in multiprocessing.active_children() if process not in others]
    try:
        for group in results:
            yield from group
    except BrokenProcessPool:
        raise UserError(
            f"{jobs[0].folder}: a process was killed, perhaps for want of memory; run the command again with fewer "
            "--num_workers, and it resumes"
        ) from None
    except BaseException:  # interrupted: waiting for the processes would wait for ever if Ctrl-C is pressed twice
        for process in processes:
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _live_with_the_parent() -> None:
    """Leave interrupts to the parent, and end when it is killed: an idle process would wait for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_after_the_parent, daemon=True).start()


def _end_after_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _grouped(jobs: Sequence[CaseJob]) -> list[list[CaseJob]]:
    """Divide jobs among processes: a volume's slices to one of them, which decodes it once; others by a few."""
    keys = (
        getattr(job.case.image, "path", "") if getattr(job.case.image, "at", None) else i // _AT_ONCE
        for i, job in enumerate(jobs)
    )
    return [
        [job for job, _ in group] for _, group in itertools.groupby(zip(jobs, keys, strict=True), lambda pair: pair[1])
    ]


def _attempt_all(jobs: Sequence[CaseJob]) -> list[Facts | UserError]:
    return [_attempt(job) for job in jobs]


def _attempt(job: CaseJob) -> Facts | UserError:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read_case(job)
    except UserError as error:
        return error


def read_case(job: CaseJob) -> Facts:
    """Read one case, check that its pictures fit, and copy them where a size is wanted or no datalist could name them.

    Args:
        job: the case and what to do with it.

    Returns:
        "id"; "image", "label" and "types", the files for the datalist, relative to the folder where they are copies;
        "sha256" of the image's file; "size" (width, height) before resizing; "share" of the foreground; "objects" of an
        instance map; "spacing" in mm (rows, columns) of the file; "bit_depth" of grey stored in
        16 bits; "copied"; "stamps" of the sources.

    Raises:
        UserError: for a file that cannot be read, sizes that differ, or a file that cannot be written.
    """
    case = job.case
    image, label = case.image.image(), case.label.label(job.label_kind)
    pictures = {"image": image.image, "label": label.image}
    if case.types is not None:
        pictures["types"] = case.types.label("classes").image
    for part, picture in pictures.items():
        if picture.size != image.image.size:
            name = case.label.name if part == "label" or case.types is None else case.types.name
            raise UserError(
                f"{name}: {picture.width} x {picture.height} pixels (width x height), but its image {case.image.name} "
                f"is {image.image.width} x {image.image.height}; save it at the size of its image"
            )
    values = np.asarray(label.image)
    if job.label_kind == "mask":
        pictures["label"] = label.image.point([0] + [255] * 255)
    facts: Facts = {"id": case.id, "size": list(image.image.size), "share": round(float((values > 0).mean()), 6)}
    if job.label_kind == "instances":
        facts["objects"] = int(np.count_nonzero(np.unique(values)))
    copied = needs_copy(job)
    if copied:
        facts |= _write_copies(job, pictures)
    else:
        facts |= {part: source.file for part, source in _sources(case).items()}
        facts["sha256"] = hashlib.sha256(Path(str(case.image.file)).read_bytes()).hexdigest()
    if image.depth is not None:
        facts["bit_depth"] = image.depth
    spacing = _spacing_after(image, label, job)
    if spacing is not None:
        facts["spacing"] = spacing
    return facts | {"copied": copied, "stamps": stamps(case)}


def needs_copy(job: CaseJob) -> bool:
    """Tell whether the case's pictures are copied into the output folder."""
    return bool(job.image_size) or any(source.file is None for source in _sources(job.case).values())


def copies(job: CaseJob) -> dict[str, str]:
    """Names of the copies, relative to the output folder."""
    name = job.case.id
    if len(f"{name}.png".encode()) > _LONGEST_NAME:
        name = f"{name.encode()[:200].decode(errors='ignore')}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return {part: f"{FOLDERS[part]}/{name}.png" for part in _sources(job.case)}


def stamps(case: Case) -> list[list[int]]:
    """Size and time of the files that a case is read from."""
    return [list(stored_stamp(path)) for path in sorted({source.path for source in _sources(case).values()})]


def resize(picture: Image.Image, size: tuple[int, int], part: str, label_kind: str) -> Image.Image:
    """Resize a picture, pixel centres at half-integers on both scales.

    Args:
        picture: image in mode "RGB" or "I;16", mask in mode "L" (0, 255) or label map in mode "I".
        size: (width, height) wanted.
        part: "image", "label" or "types".
        label_kind: of the label.

    Returns:
        Images averaged where they shrink; masks likewise, and cut at one half; label maps by nearest neighbour.
    """
    if picture.size == size:
        return picture
    if picture.mode == "I;16":  # through floating point: PIL resizes 16 bits with an error of some levels
        levels = np.asarray(Image.fromarray(np.asarray(picture, np.float32)).resize(size, Image.Resampling.BILINEAR))
        return Image.fromarray(np.rint(levels).astype(np.uint16))
    if part == "image":
        return picture.resize(size, Image.Resampling.BILINEAR)
    if part == "label" and label_kind == "mask":
        return picture.resize(size, Image.Resampling.BILINEAR).point([0] * 128 + [255] * 128)
    return picture.resize(size, Image.Resampling.NEAREST)


def _sources(case: Case) -> dict[str, Any]:
    return {"image": case.image, "label": case.label} | ({"types": case.types} if case.types is not None else {})


def _wanted_size(job: CaseJob, size: tuple[int, int]) -> tuple[int, int]:
    if not job.image_size:
        return size
    if job.fit == "exact":
        return job.image_size, job.image_size
    scale = job.image_size / min(size)
    return round(size[0] * scale), round(size[1] * scale)


def _write_copies(job: CaseJob, pictures: dict[str, Image.Image]) -> Facts:
    facts: Facts = {}
    size = _wanted_size(job, pictures["image"].size)
    for part, name in copies(job).items():
        picture = resize(pictures[part], size, part, job.label_kind)
        if picture.mode == "I":
            most = 255 if part == "types" or job.label_kind == "classes" else 65535
            picture = _narrowed(picture, most, getattr(job.case, part).name)
        buffer = io.BytesIO()
        picture.save(buffer, "PNG", compress_level=1)
        content = buffer.getvalue()
        write_atomically(job.folder / name, lambda file, content=content: file.write(content))  # type: ignore[misc]
        facts[part] = name
        if part == "image":
            facts["sha256"] = hashlib.sha256(content).hexdigest()
    return facts


def _narrowed(picture: Image.Image, most: int, name: str) -> Image.Image:
    """Store a label map in 8 bits, or 16 where a PNG needs them."""
    values = np.asarray(picture)
    if values.max() > most:
        raise UserError(f"{name}: holds {values.max()}, but its copy as PNG holds {most} at most; number from 1 up")
    return Image.fromarray(values.astype(np.uint8 if most == 255 else np.uint16))


def _spacing_after(image: Opened, label: Opened, job: CaseJob) -> list[float] | None:
    """Millimetres between rows and columns of what the datalist names."""
    spacing = image.spacing or label.spacing
    if spacing is None:
        return None
    width, height = _wanted_size(job, image.image.size)
    scales = image.image.height / height, image.image.width / width
    return [round(mm * scale, 6) for mm, scale in zip(spacing, scales, strict=True)]
