"""`summary.json` of an evaluation as a model: what it must hold to be read again, by the report above all."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from custom_networks.metrics.policies import METRICS
from custom_networks.typed_files import FileModel, Json

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
MetricName = Annotated[str, Field(pattern=f"^({'|'.join(METRICS)})$")]
Reason = Literal["missed", "false alarm", "worst", "median", "best"]


class Counts(FileModel):
    """Images whose object was missed, where something was found that is not there, and without any of either."""

    missed: Count
    false_alarm: Count
    both_empty: Count


class MetricSummary(FileModel):
    """A metric over some images; a figure that cannot be computed is null."""

    mean: float | None
    ci_low: float | None
    ci_high: float | None
    sd: float | None
    median: float | None
    q1: float | None
    q3: float | None
    min: float | None
    max: float | None
    undefined: Count


class SubgroupRow(FileModel):
    """A metric over a subgroup, named as `subgroup`, or over a class, named as `class`."""

    subgroup: str | None = None
    of_class: str | None = Field(default=None, alias="class")
    metric: MetricName
    mean: float | None
    ci_low: float | None = None
    ci_high: float | None = None
    images: Count = 0
    images_with: Count = 0
    missed: Count = 0
    false_alarm: Count = 0


class Subgroups(FileModel):
    """The subgroups of one column, and how they were made."""

    meaning: str | None = None
    rows: list[SubgroupRow]


class SubgroupDifference(FileModel):
    """A subgroup against the rest of the images."""

    column: str
    subgroup: str
    metric: MetricName
    images: Count
    groups: Count
    mean: float
    difference: float
    ci_low: float | None = None
    ci_high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    weaker: bool


class Estimate(FileModel):
    """A figure with its 95 % interval, over so many groups."""

    value: float | None
    ci_low: float | None = None
    ci_high: float | None = None
    groups: Count = 0


class Detection(FileModel):
    """Lesions that were detected, and what was found beside them."""

    iou: Share
    lesions: Count
    detected: Count
    false: Count
    sensitivity: Estimate
    false_per_image: Estimate


class Area(FileModel):
    """Predicted against true areas."""

    unit: str
    mean_difference: float | None
    ci_low: float | None = None
    ci_high: float | None = None
    limits_of_agreement: Annotated[list[float | None], Field(min_length=2, max_length=2)]
    relative_error: float | None = None


class ReaderFigure(FileModel):
    """Agreement of a second reader with the labels in one metric."""

    mean: float | None
    ci_low: float | None = None
    ci_high: float | None = None
    groups: Count = 0


class DataFacts(FileModel):
    """What is known of the images."""

    name: str | None = None
    description: str | None = None
    licence: str | None = None
    reference: str | None = None
    card: str | None = None
    datalist: str | None = None
    dataset_dir: str | None = None


class TrainingFacts(FileModel):
    """What the record of the weights says of their training."""

    model_config = ConfigDict(allow_inf_nan=True)  # a metric may be undefined

    settings: dict[str, Json] = Field(default_factory=dict)
    metrics: dict[str, float | None] = Field(default_factory=dict)
    normalization: dict[str, Json] | None = None
    data: dict[str, Json] | None = None


class Weights(FileModel):
    """The weights that were evaluated."""

    path: str = ""
    sha256: str = ""
    training: TrainingFacts | None = None


class Made(FileModel):
    """Where the figures come from."""

    at: str = ""
    commit: str = "unknown"
    command: list[str] = Field(default_factory=list)
    device: str = ""
    versions: dict[str, str] = Field(default_factory=dict)


class Bin(FileModel):
    """A point of the reliability curve."""

    probability: Share
    observed: Share
    pixels: Annotated[float, Field(gt=0)]


class CalibrationFacts(FileModel):
    """Calibration over all pixels."""

    ece: float | None = None
    border_ece: float | None = None
    curve: list[Bin] = Field(default_factory=list)


class Instances(FileModel):
    """How instances were cut out, and what is pooled over all of them."""

    watershed: dict[str, Json]
    tuned_here: bool = False
    pooled: dict[str, float | None]


class CaseEntry(FileModel):
    """An image that the report shows in full."""

    id: str
    reasons: Annotated[list[Reason], Field(min_length=1)]
    file: str


class Summary(FileModel):
    """The file; keys that are not listed here are left alone."""

    version: Literal[1] = 1
    images: Annotated[int, Field(ge=1)]
    groups: Count | None = None
    counts: Counts
    split: str
    label_kind: str
    resolution: Literal["original", "network"]
    unit: Literal["px", "mm"]
    threshold: Share
    tolerance_pixels: Annotated[float, Field(ge=0)] = 2.0
    data: DataFacts = DataFacts()
    notes: list[str] = Field(default_factory=list)
    checkpoint: Weights | None = None
    settings: dict[str, Json] = Field(default_factory=dict)
    config: dict[str, Json] = Field(default_factory=dict)
    made: Made = Made()
    metrics: Annotated[dict[MetricName, MetricSummary], Field(min_length=1)]
    subgroups: dict[str, Subgroups] = Field(default_factory=dict)
    subgroup_differences: list[SubgroupDifference] = Field(default_factory=list)
    detection: Detection | None = None
    area: Area | None = None
    reader: dict[str, ReaderFigure | str] = Field(default_factory=dict)
    per_class: list[SubgroupRow] = Field(default_factory=list)
    calibration: CalibrationFacts | None = None
    instances: Instances | None = None
    cases: list[CaseEntry] = Field(default_factory=list)
