"""Make a release: weights at half their size, their record without paths, and an entry of the index.

Matrices and convolutions are rounded; biases, normalisation and layer scales, under a hundredth of the bytes, stay in
float32, since 1e-6 has few bits left in float16. Whoever loads the file computes in float32.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from custom_networks.errors import UserError, nearest
from custom_networks.files import lock_file, sha256, unfinished_folder, write_atomically, write_json
from custom_networks.network.weights import read_checkpoint, read_state_dict
from custom_networks.releases.index import INDEX, LIMIT, Index, PublishedFile, PublishedWeights
from custom_networks.typed_files import parse_model, read_model
from custom_networks.weights.network import load_checkpoint, trained_network
from custom_networks.weights.portable import portable_record
from custom_networks.weights.record import KEY

PRECISIONS = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
BUSY = "another process packs weights there; wait for its end, or choose another --output"
UNKNOWN = PublishedFile(file="unknown", size=1, sha256="0" * 64)


def pack_weights(
    model: Path, output: Path, about: dict[str, str], precision: str = "float16", overwrite: bool = False
) -> PublishedWeights:
    """Write weights for others into the folder of a release.

    File names carry the content's hash and the index comes last, so that a folder is whole at every moment.

    Args:
        model: `model.pt` of a run.
        output: folder of the release; weights of other names that are there stay.
        about: what `PublishedWeights` cannot know: name, license, data, data_license and description.
        precision: "float16", "bfloat16" or "float32".
        overwrite: whether weights of that name may be replaced.

    Returns:
        The entry of the index.

    Raises:
        UserError: for weights that do not load into their network or do not fit the precision, for a name that is taken
            or cannot be one, and for a folder that cannot be written.
    """
    if precision not in PRECISIONS:
        known = f"{', '.join(PRECISIONS)}{nearest(precision, PRECISIONS)}"
        raise UserError(f"--precision {precision}: must be one of {known}")
    entry = _entry({**about, "precision": precision, "weights": UNKNOWN.as_dict(), "record": UNKNOWN.as_dict()})
    content = read_checkpoint(model, mapped=True)
    if isinstance(content, dict) and KEY in content:
        raise UserError(f"{model}: a checkpoint to resume from, not the best weights; give model.pt of the run")
    network = trained_network(model)
    load_checkpoint(network, model)
    described = portable_record(model, network)
    state = _rounded(read_state_dict(model), precision, model)
    lock = lock_file(output / f".{INDEX}.lock", BUSY, fix="choose another --output")
    try:
        index = read_model(output / INDEX, Index, limit=LIMIT) if (output / INDEX).exists() else Index(weights=[])
        earlier = next((each for each in index.weights if each.name == entry.name), None)
        if earlier is not None and not overwrite:
            raise UserError(f"{output}: has weights {entry.name!r} already; add --overwrite, or give another --name")
        with unfinished_folder(output / INDEX) as pending:
            weights = _written(pending, entry.name, ".pt", lambda file: torch.save(state, file))
            record = described.model_copy(update={"sha256": weights.sha256}).as_dict()
            text = (json.dumps(record, indent=2) + "\n").encode()
            entry = entry.model_copy(
                update={
                    "weights": weights,
                    "record": _written(pending, entry.name, ".json", lambda file: file.write(text)),
                    "metrics": {key: value for key, value in described.metrics.items() if math.isfinite(value or 0)},
                    "network": str((described.network or {}).get("architecture", type(network).__name__)),
                    "software": described.software.sgdnet if described.software else None,
                }
            )
            entry = _entry(entry.as_dict())
            for file in (entry.weights, entry.record):
                (pending / file.file).replace(output / file.file)
        write_json(output / INDEX, index.with_entry(entry).as_dict())
        for file in (earlier.weights, earlier.record) if earlier is not None else ():
            if file not in (entry.weights, entry.record):
                (output / file.file).unlink(missing_ok=True)
    finally:
        if lock is not None:
            lock.release()
    return entry


def _entry(content: dict[str, Any]) -> PublishedWeights:
    """Check an entry; a mistake in it is one in what was typed."""
    return parse_model(json.dumps(content), PublishedWeights, "the release", fix="correct that flag")


def _rounded(state: dict[str, Tensor], precision: str, source: Path) -> dict[str, Tensor]:
    dtype = PRECISIONS[precision]
    rounded = {name: tensor.to(dtype) if _is_matrix(tensor) else tensor for name, tensor in state.items()}
    lost = next((name for name, tensor in rounded.items() if not tensor.isfinite().all()), None)
    if lost is not None:
        raise UserError(f"{source}: {lost} holds numbers too large for {precision}; add --precision bfloat16")
    return rounded


def _is_matrix(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and sum(side > 1 for side in tensor.shape) > 1


def _written(folder: Path, name: str, suffix: str, write: Callable[[IO[bytes]], Any]) -> PublishedFile:
    """Write a file under a name that holds the beginning of its SHA-256."""
    path = folder / f"{name}{suffix}"
    write_atomically(path, write)
    digest = sha256(path)
    named = path.replace(folder / f"{name}-{digest[:8]}{suffix}")
    return PublishedFile(file=named.name, size=named.stat().st_size, sha256=digest)
