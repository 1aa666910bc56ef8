"""A datalist: the images of a data set, what is known of each, and the lists that they are split into."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, PrivateAttr

from custom_networks.data.pairing import Item, and_more, existing_folder
from custom_networks.data.remote import fetch, fetch_names, is_remote, remote_base
from custom_networks.errors import UserError, nearest
from custom_networks.files import PathLike, is_file
from custom_networks.typed_files import FileModel, Json, read_model
from custom_networks.weights.segments import SegmentCode

LabelKind = Literal["mask", "instances", "classes"]
LABEL_KINDS: tuple[LabelKind, ...] = get_args(LabelKind)
"""A mask (object or background), a number for each object, or a class for each pixel."""
Split = Literal["training", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
PARTS = ("image", "label", "types")
"""Files of an image; "types" is the class map of an instance map."""
FACTS = ("name", "description", "licence", "reference")
"""What a datalist says of the data set as a whole."""
FIX = 'write a MONAI datalist, {"training": [{"image": "...", "label": "..."}, ...]}'


def _as_text(value: Any) -> Any:
    return str(value) if type(value) is int else value


def _as_group(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():  # pandas makes fractions of numbers beside gaps
        value = int(value)
    text = _as_text(value)
    return (text.strip() or None) if isinstance(text, str) else text


def _class_number(key: str) -> str:
    if re.fullmatch("[0-9]{1,9}", key) is None:
        raise ValueError('a class must be a whole number in quotes, as in {"1": "name"}')
    return key


Text = Annotated[str, BeforeValidator(_as_text)]
"""A name; a whole number is one, too."""
FileName = Annotated[str, Field(min_length=1)]
Millimetres = Annotated[float, Field(gt=0)]
ClassNumber = Annotated[str, AfterValidator(_class_number)]


class ListedImage(FileModel):
    """One image of a datalist; further keys are its columns.

    Attributes:
        id: unique in the datalist; None where only the file names it.
        image: path of the image.
        label: path of its mask, instance map or class map; None for a test image without one.
        types: path of the class map of an instance map.
        fold: that it is validated in.
        group: what is not torn apart: a patient, a slide, near-duplicates; None for a group of its own.
        source: kind of data set.
        sha256: of the image's file when the datalist was written.
        spacing: [row, column] in millimetres.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Json]

    id: Text | None = None
    image: FileName
    label: FileName | None = None
    types: FileName | None = None
    fold: int | None = None
    group: Annotated[str | None, BeforeValidator(_as_group)] = None
    source: str | None = None
    sha256: str | None = None
    spacing: Annotated[list[Millimetres], Field(min_length=2, max_length=2)] | None = None

    def columns(self) -> dict[str, Any]:
        """Return all that the datalist says of the image, as JSON knows it."""
        return self.model_dump(exclude_none=True)


def _test_images(value: Any) -> Any:
    """Take the file names of the Medical Segmentation Decathlon's test lists as images."""
    return [{"image": one} if isinstance(one, str) else one for one in value] if isinstance(value, list) else value


class Datalist(FileModel):
    """A MONAI datalist.

    Attributes:
        datalist_version: of this form.
        name: of the data set.
        description: of the data set.
        licence: of the data set.
        reference: to cite.
        label_kind: of the labels.
        bit_depth: of images whose grey is stored in 16 bits.
        classes: names of the foreground classes by number, numbers as text.
        segments: DICOM codes of the classes by number, for the DICOM SEG objects of predictions.
        training: list, in folds or not; it may be empty where there is a test list.
        validation: list; None where folds are validated.
        test: list, of which labels may be missing.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Json]

    datalist_version: Literal[1] = 1
    name: str | None = None
    description: str | None = None
    licence: str | None = None
    reference: str | None = None
    label_kind: LabelKind = "mask"
    bit_depth: Annotated[int, Field(ge=8, le=16)] | None = None
    classes: dict[ClassNumber, str] | None = None
    segments: dict[ClassNumber, SegmentCode] | None = None
    training: list[ListedImage]
    validation: list[ListedImage] | None = None
    test: Annotated[list[ListedImage] | None, BeforeValidator(_test_images)] = None
    _source: Path = PrivateAttr(default=Path("datalist.json"))

    @classmethod
    def read(cls, path: PathLike) -> Self:
        """Read a datalist.

        Args:
            path: JSON file, which may lie in a store; `~` is the user's folder.

        Raises:
            UserError: naming the file and the key that is missing or malformed.
        """
        source = Path(os.path.expanduser(path))  # noqa: PTH111
        datalist = read_model(fetch([path])[0] if is_remote(path) else source, cls, fix=FIX)
        datalist._source = source
        return datalist

    @classmethod
    def of(cls, content: Mapping[str, Any], source: Path) -> Self:
        """Make the datalist that is to be written as the file `source`."""
        datalist = cls.model_validate(content)
        datalist._source = source
        return datalist

    @property
    def source(self) -> Path:
        """The file it was read from, or is to be written as."""
        return self._source

    def listed(self, *splits: Split) -> list[ListedImage]:
        """Return the images of some lists, all of them by default, as they stand in the file."""
        return [image for split in splits or SPLITS for image in getattr(self, split) or ()]

    def facts(self) -> dict[str, str]:
        """Return what is said of the data set as a whole, those of `FACTS` that are not empty."""
        return {name: value for name in FACTS if (value := getattr(self, name))}

    def class_names(self) -> dict[int, str]:
        """Return the names of the classes by number; empty where there are none."""
        return {int(number): name for number, name in (self.classes or {}).items()}

    def located(self, split: Split, dataset_dir: PathLike | None = None) -> list[Item]:
        """Return the absolute paths of the files of each image of a list, whether they are there or not.

        Args:
            split: the list.
            dataset_dir: from which a relative path starts where no such file lies beside the datalist.

        Returns:
            "image", "label" and "types" of each image, those that it has.

        Raises:
            UserError: for a `dataset_dir` that is needed and is no folder.
        """
        listed = self.listed(split)
        parts = [
            (number, part, name)
            for number, image in enumerate(listed)
            for part in PARTS
            if (name := getattr(image, part)) is not None
        ]
        names = fetch_names([name for _, _, name in parts], remote_base(self.source, dataset_dir))
        beside = Path(os.path.abspath(self.source)).parent  # noqa: PTH100  links stay as they are
        paths = [os.path.normpath(beside / name) for name in names]
        if dataset_dir is not None and not all(map(is_file, paths)):  # strings: 20,000 of them in 0.1 s
            root = Path() if all(os.path.isabs(name) for name in names) else existing_folder(dataset_dir)  # noqa: PTH117
            elsewhere = [os.path.normpath(root / name) for name in names]
            paths = [near if is_file(near) else far for near, far in zip(paths, elsewhere, strict=True)]
        items: list[Item] = [{} for _ in listed]
        for (number, part, _), path in zip(parts, paths, strict=True):
            items[number][part] = path
        return items

    def pairs(self, split: Split, dataset_dir: PathLike) -> list[Item]:
        """Return the files of a list as `located`, of which each image has a label and all are there.

        Raises:
            UserError: for a list that is missing or empty, an image without label, or a file that is missing.
        """
        self.require_labels(split)
        items = self.located(split, dataset_dir)
        missing = [path for item in items for path in item.values() if not is_file(path)]
        if missing:
            raise UserError(
                f"{missing[0]}: listed in {self.source}, but no such file{and_more(missing)}; correct the list "
                f"(relative paths start from {dataset_dir} where they are not beside the list) or put the file there"
            )
        return items

    def require_labels(self, split: Split) -> None:
        """Raise UserError for a list that is missing or empty, or in which an image has no label."""
        if getattr(self, split) is None:
            raise UserError(f'{self.source}: no list of pairs under the key "{split}"; {_rename(split, self._extra())}')
        listed = self.listed(split)
        if not listed:
            raise UserError(
                f'{self.source}: "{split}" must be a list of at least one pair; list image and label of each'
            )
        bare = [number for number, image in enumerate(listed) if image.label is None]
        if bare:
            keys = listed[bare[0]].model_extra or {}
            raise UserError(
                f'{self.source}: "{split}[{bare[0]}]" has no "label"{and_more(bare)}; {_rename("label", keys)}'
            )

    def columns(self, dataset_dir: PathLike | None, *splits: Split) -> dict[str, ListedImage]:
        """Return the images of some lists, all of them by default, by the absolute path of their file."""
        return {
            item["image"]: image
            for split in splits or SPLITS
            for item, image in zip(self.located(split, dataset_dir), self.listed(split), strict=True)
        }

    def _extra(self) -> Iterable[str]:
        return self.model_extra or {}


def _rename(wanted: str, present: Iterable[str]) -> str:
    """Propose to rename what looks like a misspelt `wanted`, or else to add it."""
    near = next((name for name in present if nearest(name.lower(), [wanted])), None)
    return f"rename {near!r} to {wanted!r}" if near else f"add {wanted!r}"
