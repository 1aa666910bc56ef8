"""Data sets in one small archive, for a GPU machine that has neither a network nor the pictures.

`python -m benchmarks.gpu_data data.zip isic2018=DATALIST ph2=DATALIST` packs prepared data sets: JPEG files that are
small already as they are, all others with their short side at `--image_size` as JPEG, and the masks as PNG.
`unpack` gives the folder NAME of each data set with its `datalist.json`.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import zipfile
from pathlib import Path, PurePosixPath

from PIL import Image

from custom_networks.data.datalist import SPLITS, Datalist
from custom_networks.data.formats import read
from custom_networks.data.prepare.cache import resize
from custom_networks.errors import UserError
from custom_networks.files import write_bytes
from custom_networks.messages import readable_errors

DATALIST = "datalist.json"
MIB = 2**20
QUALITY = 92


def _scaled(picture: Image.Image, part: str, side: int) -> Image.Image:
    """Bring the short side of a larger picture to `side`."""
    scale = min(1.0, side / min(picture.size))
    size = (round(picture.width * scale), round(picture.height * scale))
    return resize(picture, size, part, "mask")


def _image(path: Path, side: int) -> bytes:
    """Return the file itself where it is a small JPEG, else its picture as JPEG; a damaged one is refused."""
    opened = read(path, "image")
    if path.suffix.lower() in (".jpg", ".jpeg") and min(opened.image.size) <= side:
        return path.read_bytes()
    buffer = io.BytesIO()
    _scaled(opened.image, "image", side).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def _mask(path: Path, side: int) -> bytes:
    buffer = io.BytesIO()
    mask = read(path, "mask").image.point([0, *[255] * 255])
    _scaled(mask, "label", side).convert("1").save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def pack(archive: Path, datalists: dict[str, Path], side: int, most: float) -> float:
    """Write the archive.

    Args:
        archive: to write.
        datalists: of data sets whose labels are masks, by the name of their folder.
        side: pixels of the short side of larger pictures.
        most: MiB that it may have.

    Returns:
        Its MiB.

    Raises:
        UserError: for a datalist or a picture that cannot be read, labels that are missing or no masks, or an archive
            of more than `most`.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for folder, path in datalists.items():
            datalist = Datalist.read(path)
            if datalist.label_kind != "mask":
                raise UserError(f"{path}: labels are {datalist.label_kind}, but only masks can be packed here")
            content = datalist.as_dict()
            for split in SPLITS:
                items = datalist.pairs(split, path.parent) if datalist.listed(split) else []
                for listed, item, entry in zip(datalist.listed(split), items, content.get(split) or (), strict=True):
                    name = listed.id or Path(item["image"]).stem
                    entry |= {"image": f"images/{name}.jpg", "label": f"masks/{name}.png", "sha256": None}
                    file.writestr(f"{folder}/{entry['image']}", _image(Path(item["image"]), side))
                    file.writestr(f"{folder}/{entry['label']}", _mask(Path(item["label"]), side))
            file.writestr(f"{folder}/{DATALIST}", json.dumps(content), zipfile.ZIP_DEFLATED)
    size = buffer.getbuffer().nbytes / MIB
    if size > most:
        raise UserError(f"{archive}: would have {size:.0f} MiB, more than {most:.0f}; take a smaller --image_size")
    write_bytes(archive, buffer.getvalue())
    return size


def unpack(archive: Path, folder: Path) -> None:
    """Unpack what is not there yet.

    Raises:
        UserError: for a file that is no such archive.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            names = [name for name in file.namelist() if not (folder / name).is_file()]
            if any(".." in PurePosixPath(name).parts or name.startswith("/") for name in names):
                raise UserError(f"{archive}: names files outside its folder; pack it again")
            names.sort(key=lambda name: name.endswith(DATALIST))  # last: where it is, all is there
            file.extractall(folder, names)
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{archive}: cannot be unpacked ({error}); make it with benchmarks/gpu_pack.sh") from None


def main(words: list[str] | None = None) -> int:
    """Pack, as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_data", description="Pack prepared data sets.")
    parser.add_argument("archive", type=Path)
    parser.add_argument("datasets", nargs="+", metavar="NAME=DATALIST")
    parser.add_argument("--image_size", type=int, default=256, help="short side of larger pictures in pixels [256]")
    parser.add_argument("--most", type=float, default=50, help="MiB that the archive may have [50]")
    given = parser.parse_args(words)
    named = dict(each.partition("=")[::2] for each in given.datasets)
    for name, path in named.items():
        if not path:
            parser.error(f"{name}: write NAME=DATALIST, such as isic2018=data/isic2018/datalist.json")
    readable_errors()
    size = pack(given.archive, {name: Path(path) for name, path in named.items()}, given.image_size, given.most)
    print(f"{given.archive}: {size:.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
