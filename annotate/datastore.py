"""MONAI Label's datastore over our studies and label versions.

MONAI Label's own keeps one label a tag, writes in place, and joins ids and tags to paths; nothing of it is used. Tag
"final" is the newest version of a label; "original" is a proposal of the model that a client asked to keep.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from monailabel.interfaces.datastore import Datastore

from annotate.errors import Conflict, NotFound, Unfit
from annotate.export import export_labels
from annotate.fitting import fitting
from annotate.foreign import read_foreign
from annotate.labels import label_png
from annotate.service import Service
from annotate.studies import short_name
from custom_networks.files import write_atomically, write_json

FINAL, ORIGINAL = "final", "original"


class StudiesDatastore(Datastore):
    """The images and labels of a service.

    Args:
        service: whose they are.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self.proposals = service.settings.annotations / "proposals"

    def name(self) -> str:
        """Name of the folder."""
        return self.service.settings.studies.name

    def set_name(self, name: str) -> None:
        """Refuse: the folder keeps its name."""
        raise Conflict("the studies folder keeps its name")

    def description(self) -> str:
        """What this is."""
        return "Images with every version of their labels"

    def set_description(self, description: str) -> None:
        """Refuse: there is nothing to describe."""
        raise Conflict("the studies folder has no other description")

    def datalist(self) -> list[dict[str, Any]]:
        """Pairs of image and newest label."""
        labels, studies = self.service.labels, self.service.studies
        fit, _ = fitting(labels, studies)
        return [{"image": str(studies.path(name)), "label": str(labels.path(name))} for name in fit]

    def get_labels_by_image_id(self, image_id: str) -> dict[str, str]:
        """Label ids by tag."""
        name = self.service.studies.find(image_id)
        found = {FINAL: name} if self.service.labels.newest(name) else {}
        return found | ({ORIGINAL: name} if self._proposal(name).is_file() else {})

    def get_label_by_image_id(self, image_id: str, tag: str) -> str:
        """Label id of a tag, empty without one."""
        return self.get_labels_by_image_id(image_id).get(str(tag), "")

    def get_image(self, image_id: str, params: Any = None) -> io.BytesIO:
        """Bytes of an image."""
        return io.BytesIO(self.service.studies.path(image_id).read_bytes())

    def get_image_uri(self, image_id: str) -> str:
        """Path of an image; raises NotFound."""
        return str(self.service.studies.path(image_id))

    def get_label(self, label_id: str, label_tag: str, params: Any = None) -> io.BytesIO:
        """Bytes of a label."""
        return io.BytesIO(Path(self.get_label_uri(label_id, label_tag)).read_bytes())

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        """Path of a label; raises NotFound, Unfit for another tag."""
        name, tag = self.service.studies.find(label_id), checked_tag(label_tag)
        if tag == FINAL:
            return str(self.service.labels.path(name))
        if not self._proposal(name).is_file():
            raise NotFound(f"{name}: no proposal of the model is kept; ask for inference with save_label")
        return str(self._proposal(name))

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """What is known of an image."""
        name = self.service.studies.find(image_id)
        size = self.service.studies.size(name)
        score = self.service.chooser.uncertainty().get(name)
        return {"name": name, "width": size.width, "height": size.height, "epistemic_entropy": score}

    def get_label_info(self, label_id: str, label_tag: str) -> dict[str, Any]:
        """What is known of a label."""
        name = self.service.studies.find(label_id)
        if checked_tag(label_tag) == ORIGINAL:
            return dict(json.loads(Path(self.get_label_uri(name, ORIGINAL)).with_suffix(".json").read_text()))
        version = self.service.labels.get(name)
        return {"name": f"{name}.png", "version": version.version, "by": version.by, "ts": version.when}

    def get_labeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """Images with a label that counts."""
        return self.service.labels.labelled(self.service.studies.names())

    def get_unlabeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """Images without a label that were not skipped or flagged."""
        names = self.service.studies.names()
        return [name for name in names if self.service.labels.state(name).state == "unlabelled"]

    def list_images(self) -> list[str]:
        """All images."""
        return list(self.service.studies.names())

    def get_dataset_archive(self, limit_cases: int | None) -> str:
        """Path of a zip archive of images and labels, which the caller deletes."""
        return str(export_labels(self.service, "datalist"))

    def refresh(self) -> None:
        """Nothing to do: the folder is looked at each time."""

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Store a new image; raises as `Studies.add`."""
        file = Path(image_filename)
        name = image_id if Path(image_id).suffix.lower() == file.suffix.lower() else f"{image_id}{file.suffix}"
        return self.service.studies.add(name, file.read_bytes())

    def remove_image(self, image_id: str) -> None:
        """Refuse: images are the user's own."""
        raise Conflict(f"{image_id[:80]}: images are not deleted from here; take the file out of the folder")

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Store a label of a file; see `store_label`."""
        file = Path(label_filename)
        return self.store_label(image_id, file.read_bytes(), file.name, label_tag, label_info)

    def store_label(
        self, image_id: str, data: bytes, filename: str, tag: str, info: dict[str, Any], by: str = "anonymous"
    ) -> str:
        """Store a label as a new version, or as a proposal.

        Args:
            image_id: of its image.
            data: the file.
            filename: whose ending tells the format.
            tag: "final" or "original".
            info: what the client says of it; base_version, where given, must be the newest, and without it the label
                goes on top of the newest.
            by: the annotator.

        Returns:
            The label's id, which is the image's.

        Raises:
            NotFound: for another image.
            Unfit: for a file that is no label, or another tag.
            Conflict: where base_version is not the newest.
        """
        service = self.service
        name, tag = service.studies.find(image_id), checked_tag(tag)
        size = service.studies.size(name)
        pixels = read_foreign(data, filename, (size.width, size.height), service.classes())
        if tag == ORIGINAL:
            self.keep_proposal(name, pixels, info)
            return name
        newest = service.labels.newest(name)
        base = info.get("base_version", newest.version if newest else 0)
        model = info.get("model")
        about = {"base_version": base, "model": str(model)[:100] if model is not None else None}
        service.labels.submit(name, pixels, by, about)
        return name

    def keep_proposal(self, name: str, pixels: np.ndarray, info: dict[str, Any]) -> None:
        """Keep a label of the model under the tag "original"."""
        data = label_png(pixels)
        write_atomically(self._proposal(name), lambda file: file.write(data))
        write_json(self._proposal(name).with_suffix(".json"), {"model": str(info.get("model", ""))[:100]})

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Refuse: versions stay."""
        raise Conflict(f"{label_id[:80]}: labels are not deleted; put the image in the state unlabelled instead")

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Take no notes of an image; MONAI Label only notes when it was chosen."""
        self.service.studies.find(image_id)

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Refuse: a version is never changed."""
        raise Conflict(f"{label_id[:80]}: versions of labels are not changed; submit a new one")

    def status(self) -> dict[str, Any]:
        """Counts, as MONAI Label tells them."""
        labels = {FINAL: len(self.get_labeled_images())}
        return {
            "total": len(self.list_images()),
            "completed": labels[FINAL],
            "label_tags": labels,
            "train": self.datalist(),
        }

    def json(self) -> dict[str, Any]:
        """Every image with its labels, as MONAI Label tells them."""
        objects: dict[str, Any] = {}
        for name in self.list_images():
            tags = {tag: {"ext": ".png", "info": {"name": name}} for tag in self.get_labels_by_image_id(name)}
            objects[name] = {"image": {"ext": "", "info": {"name": name}}, "labels": tags}
        return {"name": self.name(), "description": self.description(), "objects": objects}

    def _proposal(self, name: str) -> Path:
        return self.proposals / f"{short_name(name)}.png"


def checked_tag(tag: str) -> str:
    """Return a tag if it is one; raises Unfit."""
    text = str(getattr(tag, "value", tag) or FINAL)
    if text not in (FINAL, ORIGINAL):
        raise Unfit(f"tag {text[:40]!r}: must be final or original")
    return text
