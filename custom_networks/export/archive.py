"""`sgdnet package`: the bundle as one archive that runs wherever it is unzipped.

`custom_networks` lies in the bundle's folder there: `python -m monai.bundle run`, started in that folder, finds it, and
so does MONAI Label, which puts the folder of a bundle on Python's path.
"""

from __future__ import annotations

import copy
import hashlib
import json
import zipfile
from pathlib import Path
from typing import IO, Any

import torch

import custom_networks
from custom_networks.bundle_files import bundle_source
from custom_networks.configuration.inference import TrainedSource, load_source
from custom_networks.errors import UserError
from custom_networks.export.torch_formats import open_torchscript, torchscript_metadata
from custom_networks.export.verify import check_agreement, check_probabilities, compare_file
from custom_networks.files import only_writer, remove_unfinished, sha256, write_atomically
from custom_networks.weights.portable import portable_record

NAME = "sgdnet_2d_segmentation"
CHECKSUMS = "checksums.sha256"
DATE = (1980, 1, 1, 0, 0, 0)  # the same for every file, so that the same files make the same archive
STORED = (".pt", ".ts")  # weights do not shrink
SOURCES = (".py", ".pyi", ".html", ".css", ".js")  # code, and the templates of the report

Files = dict[str, bytes | Path]


def package_sources() -> Files:
    """Return the package's own files by their names in the archive."""
    root = Path(custom_networks.__file__).parent
    wanted = (path for path in root.rglob("*") if path.suffix in SOURCES or path.name == "py.typed")
    return {f"custom_networks/{path.relative_to(root).as_posix()}": path for path in wanted}


def requirements(metadata: dict[str, Any]) -> bytes:
    """Write the versions that `metadata.json` names as a requirements file."""
    pinned = {
        "torch": metadata["pytorch_version"],
        "monai": metadata["monai_version"],
        "numpy": metadata["numpy_version"],
        **metadata["required_packages_version"],
    }
    return "".join(f"{name}=={version}\n" for name, version in pinned.items()).encode()


def about_bundle(source: TrainedSource) -> bytes:
    """Write `metadata.json`, whose output has a channel for each class where the weights tell several apart."""
    about = copy.deepcopy(source.about)
    if source.classes:
        output = about["network_data_format"]["outputs"]["pred"]
        names = {0: "background", **source.classes}
        output |= {"num_channels": len(names), "channel_def": {str(number): name for number, name in names.items()}}
        about["pred_classes"] = f"class numbers: {', '.join(f'{number} {name}' for number, name in names.items())}"
    return _as_json(about)


def _as_json(content: Any) -> bytes:
    return (json.dumps(content, indent=4, ensure_ascii=False) + "\n").encode()


def check_script(path: Path, source: TrainedSource) -> None:
    """Raise UserError where a TorchScript file was made of other weights, or is damaged.

    `sgdnet export` writes the hash of the weights into it and has compared the masks on images; a file of another
    exporter must compute what the weights do in float32.
    """
    image = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0)).numpy()
    try:
        about = torchscript_metadata(path)
        made_of = about.get("checkpoint_sha256")
        if made_of not in (None, sha256(source.checkpoint)):
            raise UserError("the hashes differ")
        agreement = compare_file(open_torchscript(path, 1), source.network, [image], True, source.threshold)
        if made_of is None:
            check_agreement(agreement, "float32")
        else:
            check_probabilities(agreement, str(about.get("precision")))
    except (UserError, RuntimeError, KeyError, ValueError):
        raise UserError(
            f"{path}: not made of {source.checkpoint}; make it again with `sgdnet export --format torchscript "
            "--overwrite true`, or move it away"
        ) from None


def archive_files(bundle_root: Path, source: TrainedSource) -> Files:
    """Return every file of the archive by name: bytes, or the path to copy."""
    own = bundle_source(bundle_root)
    files: Files = {"LICENSE": own / "LICENSE", "requirements.txt": requirements(source.about)}
    for folder in ("configs", "docs"):
        files |= {
            path.relative_to(own).as_posix(): path
            for path in (own / folder).rglob("*")
            if path.is_file() and not path.name.startswith(".")
        }
    files |= {
        "models/model.pt": source.checkpoint,
        "models/model.json": _as_json(portable_record(source.checkpoint, source.network).as_dict()),
    }
    files["configs/metadata.json"] = about_bundle(source)
    script = bundle_root / "models" / "model.ts"
    if script.is_file():
        check_script(script, source)
        files["models/model.ts"] = script
    return files | package_sources()


def add(archive: zipfile.ZipFile, name: str, content: bytes | Path) -> str:
    """Add one file, of fixed date and mode; returns its SHA-256."""
    entry = zipfile.ZipInfo(f"{NAME}/{name}", DATE)
    entry.compress_type = zipfile.ZIP_STORED if name.endswith(STORED) else zipfile.ZIP_DEFLATED
    entry.external_attr = 0o100644 << 16
    entry.create_system = 3
    data = content.read_bytes() if isinstance(content, Path) else content
    archive.writestr(entry, data)
    return hashlib.sha256(data).hexdigest()


def write_archive(
    bundle_root: str | Path,
    output: str | Path = f"{NAME}.zip",
    checkpoint: str | Path | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the archive.

    Args:
        bundle_root: folder of the bundle.
        output: the `.zip` file.
        checkpoint: weights; None takes the bundle's `models/model.pt`.
        overwrite: whether an archive that is there may be replaced.

    Returns:
        The archive.

    Raises:
        UserError: for missing or unfit weights, a TorchScript file of other weights, or a file in the way.
    """
    path, root = Path(output), Path(bundle_root)
    if path.suffix != ".zip":
        raise UserError(f"--output {path}: must end in .zip, as in {NAME}.zip")
    source = load_source(root, checkpoint, None)
    files = archive_files(root, source)

    def write(file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            sums = [f"{add(archive, name, files[name])}  {name}\n" for name in sorted(files)]
            add(archive, CHECKSUMS, "".join(sums).encode())

    with only_writer(path, "give another --output"):
        if path.exists() and not overwrite:
            raise UserError(f"{path}: is there already; add --overwrite true, or give another --output")
        remove_unfinished(path.parent, [path.name])
        write_atomically(path, write)
    return path
