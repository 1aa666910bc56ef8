"""Fetch published weights and install them, as a training publishes its own.

Everything lies in `.fetch` beside the target until it is whole, has the index's SHA-256 and loads into its network: a
killed fetch resumes there, and a file that is none of these replaces nothing.
"""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import IO

from tqdm import tqdm

from custom_networks.errors import UserError
from custom_networks.files import lock_file, sha256
from custom_networks.releases.index import FIX, INDEX, LIMIT, Index, PublishedFile, PublishedWeights, parse_index
from custom_networks.releases.source import InterruptedTransfer, Source, open_source
from custom_networks.run.publishing import keep_stranger, publish, publishing
from custom_networks.weights.network import load_checkpoint, trained_network
from custom_networks.weights.reading import record_of

ATTEMPTS = 4
"""That bring no further byte, before a connection counts as lost."""
PAUSE = 1.0
"""Seconds before the second of them; each further one waits twice as long."""
BUSY = "another process fetches weights there; wait for its end, or give another --model_path"
AGAIN = "what has arrived is kept, and the same command resumes"


def read_index(place: str) -> tuple[Source, Index]:
    """Read what a folder or an address publishes.

    Raises:
        UserError: where there is no index, it cannot be read, or says something else than an index does.
    """
    source, name = open_source(place)
    content = bytearray()
    for at, block in source.pieces(name, 0, None):
        content[at:] = block
        if len(content) > LIMIT:
            raise UserError(f"{source.address(name)}: larger than {LIMIT >> 20} MiB, too large for an index; {FIX}")
    return source, parse_index(bytes(content), source.address(name))


def fetch_weights(name: str, place: str, target: Path, digest: str = "") -> str:
    """Fetch weights and install them with their record.

    Weights that are there already, and that no run's folder holds, are kept as `model.previous.pt` beside.

    Args:
        name: of the weights.
        place: folder or address that publishes them.
        target: file that they become; their record goes beside it.
        digest: SHA-256 that the weights must have, from a paper or another place that the publisher of the index does
            not write; empty for the index's own.

    Returns:
        What was done, in a sentence.

    Raises:
        UserError: for weights that are not published, do not arrive, are others than the index says, or do not load;
            nothing is installed then.
    """
    if target.suffix != ".pt":
        raise UserError(f"--model_path {target}: must end in .pt, as models/model.pt does")
    source, index = read_index(place)
    entry = index.named(name, place)
    if digest and digest.lower() != entry.weights.sha256:
        raise UserError(f"--sha256 {digest}: {place} publishes {name} with another one, {entry.weights.sha256}")
    folder = target.parent / ".fetch"
    weights = folder / f"{entry.weights.sha256}.pt"
    record = weights.with_suffix(".json")
    lock = lock_file(folder / "lock", BUSY, fix="choose another --model_path")
    try:
        present = _installed(entry, target)
        if not present:
            download(source, entry.record, record)
            present = _but_for_threshold(entry, target, weights)
        if not present:
            download(source, entry.weights, weights)
            load_checkpoint(trained_network(weights), weights)
            with publishing(target):
                keep_stranger(target, "", weights)
                publish(weights, target)
                publish(record, target.with_suffix(".json"))
        for path in (weights, record):  # the same files as the target's, or what a killed fetch left
            path.unlink(missing_ok=True)
    finally:
        if lock is not None:
            lock.release()
    return f"{target}: holds {name} already" if present else f"{name}, license {entry.license}: {target}"


def _installed(entry: PublishedWeights, target: Path) -> bool:
    pairs = ((entry.weights, target), (entry.record, target.with_suffix(".json")))
    return all(_is(file, path) for file, path in pairs)


def _but_for_threshold(entry: PublishedWeights, target: Path, fetched: Path) -> bool:
    """Tell whether the weights are installed, with a threshold that was chosen since; it stays."""
    if not (_is(entry.weights, target) and target.with_suffix(".json").is_file()):
        return False
    published = record_of(fetched)
    return record_of(target).model_copy(update={"threshold": published.threshold}) == published


def _is(file: PublishedFile, path: Path) -> bool:
    return path.is_file() and path.stat().st_size == file.size and sha256(path) == file.sha256


def download(source: Source, file: PublishedFile, path: Path) -> None:
    """Fetch a file, going on with what an earlier attempt left.

    Args:
        source: where it lies.
        file: its name, size and SHA-256.
        path: that it gets once it is whole and right.

    Raises:
        UserError: for a file that does not arrive (what has arrived stays, as `PATH.part`), or is another one than the
            index says (nothing stays).
    """
    if _is(file, path):
        return
    part = path.with_name(f"{path.name}.part")
    have = part.stat().st_size if part.is_file() else 0
    if have > file.size:
        part.unlink()
        have = 0
    _check_room(path, file.size - have)
    attempts = 0
    hidden = not sys.stderr.isatty()
    with tqdm(total=file.size, initial=have, unit="B", unit_scale=True, desc=file.file, disable=hidden) as bar:
        while have < file.size:
            try:
                _append(source, file, part, have, bar)
            except InterruptedTransfer as error:
                reason = str(error)
            else:
                reason = f"{source.address(file.file)}: the connection ended early"
            now = part.stat().st_size if part.is_file() else 0
            attempts = 0 if now > have else attempts + 1
            have = now
            if have < file.size and attempts == ATTEMPTS:
                raise UserError(f"{reason} after {have:,} of {file.size:,} bytes; {AGAIN}")
            if have < file.size:
                time.sleep(PAUSE * 2 ** max(0, attempts - 1))
    if sha256(part) != file.sha256:
        part.unlink()
        raise UserError(
            f"{source.address(file.file)}: not the file that {INDEX} names (the sha256 differs), so nothing was "
            f"installed; run the command again, or {FIX}"
        )
    part.replace(path)


def _check_room(path: Path, wanted: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < wanted:
        raise UserError(
            f"{path.parent}: {wanted / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB are free; make room, or give "
            "another --model_path"
        )


def _append(source: Source, file: PublishedFile, part: Path, have: int, bar: tqdm) -> None:
    """Write what comes after the bytes that are there, or all of them where the source cannot begin there."""
    try:
        with closing(source.pieces(file.file, have, file.size)) as pieces, _opened(part) as opened:
            for at, block in pieces:
                if at + len(block) > file.size:
                    part.unlink()
                    address = source.address(file.file)
                    raise UserError(f"{address}: has more than the index's {file.size:,} bytes; {FIX}")
                opened.seek(at)
                opened.write(block)
                opened.truncate()
                bar.update(at + len(block) - bar.n)
    except OSError as error:
        raise UserError(f"{part}: cannot be written ({error.strerror}); make room, and run the command again") from None


def _opened(part: Path) -> IO[bytes]:
    return part.open("r+b" if part.is_file() else "wb")
