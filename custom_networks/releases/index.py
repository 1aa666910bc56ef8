"""The index of a release, `weights.json`: what a folder or a URL publishes.

It comes from a stranger: names are names of files beside it and nothing else, and texts hold no control characters.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from custom_networks.errors import UserError, nearest
from custom_networks.typed_files import FileModel, parse_model

INDEX = "weights.json"
LIMIT = 1 << 24
"""Bytes of an index."""
LARGEST = 1 << 36
"""Bytes of a file of weights."""
FIX = "ask who published it to correct it"

Precision = Literal["float16", "bfloat16", "float32"]
ReleaseName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
"""Of weights and files: without a slash, and no hidden file."""
PlainText = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f]*$", max_length=500)]
"""For a terminal: without line breaks and control characters."""
Required = Annotated[PlainText, Field(min_length=1)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class PublishedFile(FileModel):
    """A file beside the index.

    Attributes:
        file: its name.
        size: bytes.
        sha256: of its content.
    """

    file: ReleaseName
    size: Annotated[int, Field(gt=0, le=LARGEST)]
    sha256: Digest


class PublishedWeights(FileModel):
    """Weights of a release.

    Attributes:
        name: by which they are fetched.
        weights: `model.pt` of the release.
        record: of the weights, the `model.json` that belongs to them.
        precision: of the convolutions' and matrices' numbers in the file; computing is in float32 all the same.
        license: of the weights, an SPDX identifier where there is one.
        data: what they were trained on, in words.
        data_license: of that data.
        metrics: row of the epoch that was published, on the training's own validation images.
        network: class of the network.
        software: version of this package that trained them.
        description: anything else, in a sentence.
    """

    name: ReleaseName
    weights: PublishedFile
    record: PublishedFile
    precision: Precision
    license: Required
    data: Required
    data_license: Required
    metrics: dict[PlainText, float | None] = Field(default_factory=dict)
    network: PlainText = ""
    software: PlainText | None = None
    description: PlainText = ""

    def lines(self) -> list[str]:
        """Describe the weights for people."""
        figures = {key.removeprefix("val_"): value for key, value in self.metrics.items() if key.startswith("val_")}
        shown = [f"{key} {value:.4g}" for key, value in figures.items() if value is not None]
        said = [
            f"{self.name}: {self.network}, {self.weights.size / 1e6:,.0f} MB, {self.precision}, "
            f"sgdnet {self.software or 'of an unknown version'}",
            f"  license {self.license}; trained on {self.data}, license {self.data_license}",
            f"  validation while training: {', '.join(shown) or 'not recorded'}",
            f"  sha256 {self.weights.sha256}",
        ]
        return [*said, f"  {self.description}"] if self.description else said


class Index(FileModel):
    """All weights of a release.

    Attributes:
        version: of this form.
        weights: each with a name of its own.
    """

    version: Literal[1] = 1
    weights: list[PublishedWeights]

    @model_validator(mode="after")
    def _unique(self) -> Index:
        names = [each.name for each in self.weights]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"weights: the name {twice!r} stands twice")
        return self

    def named(self, name: str, source: str) -> PublishedWeights:
        """Find weights; raises UserError naming the nearest name where there are none of that name."""
        names = [each.name for each in self.weights]
        if name not in names:
            raise UserError(f"{source}: publishes no weights {name!r}{nearest(name, names)}; it has {_listed(names)}")
        return self.weights[names.index(name)]

    def with_entry(self, entry: PublishedWeights) -> Index:
        """Return the index with an entry added, or in place of the one of that name."""
        others = [each for each in self.weights if each.name != entry.name]
        return self.model_copy(update={"weights": sorted([*others, entry], key=lambda each: each.name)})


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"


def parse_index(content: bytes, source: str) -> Index:
    """Read an index; raises UserError naming the source and the key that is wrong."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{source}: not a text file in UTF-8 (byte {error.start}); {FIX}") from None
    return parse_model(text, Index, source, fix=FIX)
