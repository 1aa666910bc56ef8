"""The record of trained weights: what network they belong to, how they were trained, and on which images.

It lies in `last.pt` under the key `record`, and as JSON beside `model.pt`, which stays a plain state dict. Version 1,
which carried no number, had neither the network's arguments nor the training images; it can still be read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from custom_networks.software import commit, installed
from custom_networks.typed_files import FileModel, parse_model
from custom_networks.weights.normalization import Normalization
from custom_networks.weights.segments import SegmentCode

BEST, LAST = "model.pt", "last.pt"
"""Files of a run: the best weights, and what is needed to resume."""
KEY = "record"
"""Where `last.pt` holds its record."""
VERSION: Final = 2
LIMIT = 1 << 28
"""Bytes of a record: one of a million training images has 70 MB."""
IMAGE_SIZE = 256
THRESHOLD = 0.5
"""Probability from which a pixel is foreground, where a record has none."""
FIX = "put back the file that the training wrote beside the weights"
WHOLE_NUMBERS = ("image_size", "fold", "seed")
"""Settings that evaluation, prediction and export follow."""


class Software(FileModel):
    """Code that trained or predicted: version of this package and, in a checkout, its commit."""

    sgdnet: str | None = None
    commit: str | None = None

    @classmethod
    def at_work(cls) -> Software:
        """What runs now."""
        return cls(sgdnet=installed(["sgdnet"]).get("sgdnet"), commit=commit())


class TrainingData(FileModel):
    """What was trained on, by content: a copy under another name is recognised, and no name or path is kept.

    Attributes:
        images: SHA-256 of each training image's file, sorted.
        earlier: the same of the weights that the training started from; None where these are not known.
        labels: SHA-256 over all pairs of image and label, whatever their order; None where it is not known.
        datalist: SHA-256 of the datalist; None where a folder was trained on.
    """

    images: list[str]
    earlier: list[str] | None = Field(default_factory=list)
    labels: str | None = None
    datalist: str | None = None

    def all_images(self) -> list[str] | None:
        """Return `images` and `earlier`, sorted; None where not all are known."""
        return None if self.earlier is None else sorted({*self.images, *self.earlier})


class WeightsRecord(FileModel):
    """What weights are.

    Attributes:
        version: of this form.
        network: arguments of `SGDNet`, all of them, or of a `Baseline`, `architecture` among them; None where they are
            not known (version 1).
        software: that trained; None where it is not known.
        normalization: of the images; None where it is not known.
        bit_depth: of grey images stored in 16 bits; None where none was trained on.
        classes: names of the foreground classes by number, numbers as text; empty for one class.
        label_kind: of the labels: mask, instances or classes; None where it is not known.
        segments: DICOM codes of the classes that the datalist names, numbers as text.
        metrics: row of the best epoch.
        last_metrics: row of the last epoch that was validated, which was not chosen by its figures.
        run_id: of the run that trained them; None where it is not known.
        sha256: of the file of the weights that this record lies beside.
        threshold: probability from which a pixel is foreground, as chosen on validation images; None for the usual one.
        settings: every knob and its value, and every override by its path, such as `network_def#edge_operator`.
        data: what was trained on; None where it is not known.
    """

    model_config = ConfigDict(allow_inf_nan=True, ser_json_inf_nan="constants")  # a metric may be undefined

    version: Literal[1, 2] = 1
    network: dict[str, Any] | None = None
    software: Software | None = None
    normalization: Normalization | None = None
    bit_depth: Annotated[int, Field(ge=8, le=16)] | None = None
    classes: dict[str, str] = Field(default_factory=dict)
    label_kind: Annotated[str, Field(pattern="^(mask|instances|classes)$")] | None = None
    segments: dict[str, SegmentCode] = Field(default_factory=dict)
    metrics: dict[str, float | None] = Field(default_factory=dict)
    last_metrics: dict[str, float | None] = Field(default_factory=dict)
    run_id: str | None = None
    sha256: str | None = None
    threshold: Annotated[float, Field(gt=0, lt=1)] | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    data: TrainingData | None = None

    @field_validator("classes")
    @classmethod
    def _numbered(cls, classes: dict[str, str]) -> dict[str, str]:
        wrong = [number for number in classes if not number.isdecimal() or int(number) < 1]
        if wrong:
            raise ValueError(f"must map class numbers from 1 up to names, got the number {wrong[0]!r}")
        return classes

    @field_validator("settings")
    @classmethod
    def _typed(cls, settings: dict[str, Any]) -> dict[str, Any]:
        for name in WHOLE_NUMBERS:
            if name in settings and type(settings[name]) is not int:
                raise ValueError(f"{name} must be a whole number, got {settings[name]!r}")
        return settings

    @model_validator(mode="after")
    def _complete(self) -> WeightsRecord:
        missing = [key for key in ("network", "normalization") if key not in self.model_fields_set]
        if missing and self.version == VERSION:
            raise ValueError(f'"{missing[0]}" is missing')
        return self

    @property
    def image_size(self) -> int:
        """Image size of the training, pixels; the paper's where it is not known."""
        return int(self.settings.get("image_size", IMAGE_SIZE))

    def as_dict(self) -> dict[str, Any]:
        """Return what `parse_record` reads, as JSON knows it."""
        content: dict[str, Any] = json.loads(self.model_dump_json())
        return content

    def summary(self) -> dict[str, Any]:
        """Return the same with the number of training images in place of their hashes."""
        content = self.as_dict()
        if self.data is not None:
            content["data"] |= {key: len(content["data"][key] or ()) for key in ("images", "earlier")}
        return content


def kept_by_json(content: Any) -> Any:
    """Return what JSON keeps of a value: lists for tuples, text for what it does not know."""
    return json.loads(json.dumps(content, default=str))


def parse_record(content: Any, source: str | Path) -> WeightsRecord:
    """Check the content of a record that lies inside another file.

    Args:
        content: as `as_dict` gives it.
        source: file it came from, for the message.

    Returns:
        The record.

    Raises:
        UserError: naming the file and the key that is missing, of another type or out of its range; for a version that
            this code does not know.
    """
    return parse_model(json.dumps(content, default=str), WeightsRecord, source, fix=FIX)
