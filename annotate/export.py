"""Labels as archives: a datalist that `sgdnet train --datalist` takes, COCO, or DICOM SEG.

- datalist: datalist.json, images/, labels/
- coco: annotations.json, images/
- dicomseg: NAME.dcm, the image as DICOM Secondary Capture, and NAME.seg.dcm, which refers to it

Labelled images that do not fit their label any more are left out; left_out.txt names them.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotate.errors import NotFound, Unfit
from annotate.fitting import fitting, left_out_sentence
from annotate.labels import Version
from annotate.service import Service
from custom_networks.data.formats import read, stem
from custom_networks.prediction.outputs.coco import coco_file, coco_rows
from custom_networks.prediction.outputs.tables import OutputRow
from custom_networks.prediction.reading import ReadImage
from custom_networks.prediction.result import PredictedCase, Prediction

FORMATS = ("datalist", "coco", "dicomseg")


def export_labels(service: Service, kind: str) -> Path:
    """Write the archive of the newest labels.

    Args:
        service: with images and labels.
        kind: one of `FORMATS`.

    Returns:
        A temporary file, which the caller deletes.

    Raises:
        NotFound: where nothing is labelled.
        Unfit: for another format.
        UserError: for an image that cannot be read.
    """
    if kind not in FORMATS:
        raise Unfit(f"format {kind[:40]!r}: must be one of {', '.join(FORMATS)}")
    names, left_out = fitting(service.labels, service.studies)
    if not names:
        raise NotFound(left_out_sentence(left_out) or "no image is labelled yet; submit a label first")
    classes = {each["index"]: each["name"] for each in service.classes()}
    folder = service.settings.annotations / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix="export-", suffix=".zip", delete=False) as file:
        path = Path(file.name)
        try:
            with zipfile.ZipFile(file, "w", strict_timestamps=False) as archive:
                writer = {"datalist": _datalist, "coco": _coco, "dicomseg": _dicom}[kind]
                writer(archive, service, names, classes)
                if left_out:
                    archive.writestr("left_out.txt", "\n".join([*left_out.values(), ""]))
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    return path


def label_names(names: list[str]) -> dict[str, str]:
    """File name of each image's label: its own with the ending .png, the whole name where two would be the same."""
    stems = [stem(name) for name in names]
    return {name: f"{base if stems.count(base) == 1 else name}.png" for name, base in zip(names, stems, strict=True)}


def _datalist(archive: zipfile.ZipFile, service: Service, names: list[str], classes: Mapping[int, str]) -> None:
    items = []
    for name, label in label_names(names).items():
        version = service.labels.get(name)
        archive.write(service.studies.path(name), f"images/{name}")
        archive.write(service.labels.path(name, version.version), f"labels/{label}")
        about = {"annotator": version.by, "version": version.version, "sha256": version.sha256}
        items.append({"image": f"images/{name}", "label": f"labels/{label}", **about})
    several = len(classes) > 1
    content = {
        "label_kind": "classes" if several else "mask",
        **({"classes": {str(number): name for number, name in classes.items()}} if several else {}),
        "training": items,
    }
    archive.writestr("datalist.json", json.dumps(content, indent=2) + "\n")


def _coco(archive: zipfile.ZipFile, service: Service, names: list[str], classes: Mapping[int, str]) -> None:
    listed: list[tuple[OutputRow, list[OutputRow]]] = []
    for name in names:
        pixels = _pixels(service, name, service.labels.get(name))
        mask = pixels > 0
        nothing = np.zeros(mask.shape, np.float32)
        drawn = Prediction(
            ReadImage(np.zeros((*mask.shape, 3), np.uint8)), mask, nothing, None, None, 1.0, False, pixels
        )
        rows = [
            {key: value for key, value in row.items() if key != "score"}
            for row in coco_rows(PredictedCase(service.studies.path(name), name, drawn))
        ]
        listed.append(({"image": f"images/{name}", "width": mask.shape[1], "height": mask.shape[0]}, rows))
        archive.write(service.studies.path(name), f"images/{name}")
    archive.writestr("annotations.json", coco_file(listed, classes))


def _dicom(archive: zipfile.ZipFile, service: Service, names: list[str], classes: Mapping[int, str]) -> None:
    from annotate.secondary_capture import secondary_capture
    from custom_networks.prediction.outputs.segmentation import segmentation_file

    codes = service.models.codes(classes)
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "image.dcm"
        for name, label in label_names(names).items():
            version = service.labels.get(name)
            image = np.asarray(read(service.studies.path(name), "image").image)
            source.write_bytes(secondary_capture(image, name))
            base = label.removesuffix(".png")
            archive.write(source, f"{base}.dcm")
            how = "MANUAL" if version.model is None else "SEMIAUTOMATIC"
            pixels = _pixels(service, name, version)
            archive.writestr(f"{base}.seg.dcm", segmentation_file(source, pixels, classes, how, codes))


def _pixels(service: Service, name: str, version: Version) -> NDArray[np.uint8]:
    values = np.asarray(read(service.labels.path(name, version.version), "classes").image)
    return values.astype(np.uint8 if values.max() <= 255 else np.uint16)
