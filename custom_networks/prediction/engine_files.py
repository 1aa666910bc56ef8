"""The exported file of an engine, made once and kept beside the weights, or in the user's cache.

It stands in a folder named for all that decides its content. That folder appears complete or not at all.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tempfile
from functools import cache, cached_property
from pathlib import Path

from custom_networks.errors import UserError
from custom_networks.export.format import Compute, ExportJob, Format
from custom_networks.files import Stamp, file_stamp, lock_file, sha256, user_cache
from custom_networks.network.sgdnet import SGDNet
from custom_networks.software import installed

PACKAGES = ("sgdnet", "torch", "numpy", "onnx", "onnxruntime", "openvino")
SOURCES = ("network", "operators", "export")
MAKING = ".making-"


@cache
def _code() -> str:
    """SHA-256 of the code that an export depends on: a checkout changes without another version."""
    root, digest = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(path for name in SOURCES for path in (root / name).rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class EngineFile:
    """A file of an engine: any batch, height and width, with the edge logits where the network has them.

    Args:
        network: to export.
        engine: its name.
        format: of the file.
        precision: of its weights.
        weights: file of the network's weights; None keeps the exported file only while this object lives.
    """

    def __init__(self, network: SGDNet, engine: str, format: Format, precision: str, weights: Path | None) -> None:
        self.network, self.engine, self.format, self.precision = network, engine, format, precision
        self.weights = weights
        self.temporary = tempfile.TemporaryDirectory(prefix="sgdnet-") if weights is None else None

    def open(self, image_size: int, threads: int) -> Compute:
        """Open the file, made before where it is not there; one that cannot be opened is made anew.

        Args:
            image_size: side to trace with, pixels.
            threads: to compute with.

        Returns:
            A function of arrays (B, 3, X, Y).

        Raises:
            UserError: where it can be written nowhere.
        """
        path, damaged = self.find() or self.make(image_size), None
        try:
            damaged = file_stamp(path)
            return self.format.open(path, threads)
        except Exception:  # each runtime has its own
            path = self.make(image_size, damaged)
        return self.format.open(path, threads)

    def find(self) -> Path | None:
        """Return the file where it was made before."""
        paths = (folder / self.folder_name / self.format.name for folder in self.folders)
        return next((path for path in paths if path.is_file()), None)

    def make(self, image_size: int, damaged: Stamp | None = None) -> Path:
        """Make the file in the first folder that can be written.

        Args:
            image_size: side to trace with, pixels.
            damaged: stamp of the file that is there and is replaced; another process may have done so already.

        Raises:
            UserError: where it can be written nowhere.
        """
        reasons = []
        for folder in self.folders:
            try:
                return self._make_in(folder, image_size, damaged)
            except (OSError, UserError, RuntimeError) as error:  # exporters wrap a full disk in a RuntimeError
                reasons.append(" ".join(f"{folder}: {getattr(error, 'strerror', None) or error}".split())[:300])
        raise UserError(
            f"--engine {self.engine}: its file cannot be made ({'; '.join(reasons)}); free some space, or use "
            "--engine torch"
        )

    @property
    def folders(self) -> list[Path]:
        """Where the file may be kept, in the order of preference."""
        if self.weights is None:
            assert self.temporary is not None
            return [Path(self.temporary.name)]
        digest = str(self.key["weights"])
        return [self.weights.with_suffix(".engines"), user_cache() / "engines" / digest[:16]]

    @cached_property
    def key(self) -> dict[str, object]:
        """What decides the file's content."""
        return {
            "weights": None if self.weights is None else sha256(self.weights),
            "engine": self.engine,
            "precision": self.precision,
            "sizes": self.format.sizes,
            "versions": installed(PACKAGES),
            "code": _code(),
        }

    @property
    def folder_name(self) -> str:
        """Name of the folder that holds the file."""
        digest = hashlib.sha256(json.dumps(self.key, sort_keys=True).encode()).hexdigest()
        return f"{self.engine}-{self.precision}-{digest[:16]}"

    def _make_in(self, folder: Path, image_size: int, damaged: Stamp | None) -> Path:
        """Write the file, unless another process did meanwhile; what older versions of it there are goes."""
        lock = lock_file(folder / ".lock")
        try:
            made = folder / self.folder_name
            path = made / self.format.name
            if path.is_file() and file_stamp(path) != damaged:
                return path
            print(f"making {path} for --engine {self.engine}, once", file=sys.stderr, flush=True)
            for left in folder.glob(f"{MAKING}*"):  # of a killed process: this one holds the lock
                shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=MAKING, dir=folder, ignore_cleanup_errors=True) as name:
                fresh = Path(name) / made.name
                fresh.mkdir()
                metadata = {**self.key, "precision": self.precision}
                job = ExportJob(self.network, self.precision, image_size, metadata, edge=self.network.has_edge)
                self.format.write(job, fresh / self.format.name)
                shutil.rmtree(made, ignore_errors=True)  # damaged, or without its file, which somebody removed
                fresh.replace(made)
            for older in folder.glob(f"{self.engine}-{self.precision}-*"):
                if older != made:
                    shutil.rmtree(older, ignore_errors=True)
            return path
        finally:
            if lock is not None:
                lock.release()
