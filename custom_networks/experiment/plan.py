"""The plan of a table: its rows, folds and seeds, and what was published for them."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, model_validator

from custom_networks.bundle_files import config_file, default_bundle
from custom_networks.errors import UserError, nearest
from custom_networks.flags import flag
from custom_networks.metrics.policies import METRICS
from custom_networks.typed_files import FileModel, Json, Number, parse_model, read_text

ABOUT = "experiment.json"
"""File of an experiment's folder."""
FIX = "correct the plan; docs/experiments.md shows one"
VALIDATION = "validation"
"""Name of the figures of the fold that a run did not train on."""
OWN = ("output_dir", "resume", "fold", "seed")
"""Flags of `sgdnet train` that each run has its own of."""
TRAINING = "training"
"""Name of what is still to do of a run that is not trained."""
NotEmpty = Annotated[str, Field(min_length=1)]


def check_knobs(knobs: Iterable[str], prefix: str = "") -> None:
    """Refuse flags that each run has its own of; the prefix says where they stand. Raises UserError."""
    for name in OWN:
        if name in knobs:
            raise UserError(f"{prefix}{name}: belongs to each run of the plan; leave it out")


class PlanModel(FileModel):
    """Part of a plan, which knows no other keys."""

    @model_validator(mode="before")
    @classmethod
    def _known(cls, content: Any) -> Any:
        for key in content if isinstance(content, dict) else ():
            if key not in cls.model_fields:
                raise ValueError(f"no such key as {key!r}{nearest(str(key), cls.model_fields)}")
        return content


class TableRow(PlanModel):
    """A row of the table.

    Attributes:
        name: as the table prints it.
        overlays: configuration files on top of `train.json`, as `--config_file` takes them.
        knobs: flags of `sgdnet train` of this row alone.
        published: figures as they were published, in percent and pixels, by metric.
        cited: where the figures of a row come from that has no code here, and is not run.
    """

    name: NotEmpty
    overlays: list[NotEmpty] = Field(default_factory=list)
    knobs: dict[NotEmpty, Json] = Field(default_factory=dict)
    published: dict[str, Number] = Field(default_factory=dict)
    cited: str | None = None

    @model_validator(mode="after")
    def _runs_or_is_cited(self) -> TableRow:
        if self.cited is not None and (self.overlays or self.knobs):
            raise ValueError(f"{self.name}: a cited row is not run, so it has no overlays and no knobs")
        check_knobs(self.knobs)
        return self


class ExperimentPlan(PlanModel):
    """A table of experiments.

    Attributes:
        version: of this form.
        title: of the table.
        rows: of the table.
        reference: name of the row that the others are tested against; the last one that runs by default.
        folds: to validate on, each in a run of its own.
        seeds: of initial weights and shuffling, each in a run of its own.
        knobs: flags of `sgdnet train` for all rows.
        metrics: columns of the table.
        published: where the published figures stand, such as "Table 4".
    """

    version: Literal[1] = 1
    title: NotEmpty
    rows: Annotated[list[TableRow], Field(min_length=1)]
    reference: str | None = None
    folds: Annotated[list[int], Field(min_length=1)] = Field(default_factory=lambda: [0])
    seeds: Annotated[list[int], Field(min_length=1)] = Field(default_factory=lambda: [0])
    knobs: dict[NotEmpty, Json] = Field(default_factory=dict)
    metrics: Annotated[list[str], Field(min_length=1)] = Field(default_factory=lambda: ["dice", "iou", "hd95"])
    published: str = "published"

    @model_validator(mode="after")
    def _names(self) -> ExperimentPlan:
        names = [row.name for row in self.rows]
        several: tuple[list[Any], ...] = (names, [slug(name) for name in names], self.folds, self.seeds, self.metrics)
        for each in several:
            if len(set(each)) < len(each):
                raise ValueError(f"{next(one for one in each if each.count(one) > 1)!r} stands twice")
        check_knobs(self.knobs)
        run = [row.name for row in self.rows if row.cited is None]
        if not run:
            raise ValueError("every row is cited, so there is nothing to run")
        if self.reference is not None and self.reference not in run:
            raise ValueError(f"reference: no row that runs is called {self.reference!r}{nearest(self.reference, run)}")
        for metric in (*self.metrics, *(name for row in self.rows for name in row.published)):
            if metric not in METRICS:
                raise ValueError(f"no metric is called {metric!r}{nearest(metric, METRICS)}")
        return self

    @property
    def compared(self) -> str:
        """Name of the row that the others are tested against."""
        return self.reference or [row.name for row in self.rows if row.cited is None][-1]

    def cells(self, given: Mapping[str, Any] | None = None, processes: int = 1) -> list[Cell]:
        """List the runs, most informative first: all rows on one fold, then the next fold, then the next seed.

        Args:
            given: flags of the command line, which count for all rows.
            processes: that train each run together.
        """
        cells = []
        for seed, fold, row in itertools.product(self.seeds, self.folds, self.rows):
            if row.cited is None:
                knobs = typed_values({**self.knobs, **(given or {}), **row.knobs})
                cells.append(Cell(row, fold, seed, {**knobs, "fold": fold, "seed": seed}, processes))
        return cells


@dataclass(frozen=True)
class Cell:
    """One run of a plan.

    Args:
        row: of the table.
        fold: to validate on.
        seed: of the run.
        knobs: flags of `sgdnet train`.
        processes: that train it together; `batch_size` is that of all of them.
    """

    row: TableRow
    fold: int
    seed: int
    knobs: Mapping[str, Any]
    processes: int = 1

    @property
    def name(self) -> str:
        """Name for folders and messages."""
        return f"{slug(self.row.name)}_fold{self.fold}_seed{self.seed}"


def slug(name: str) -> str:
    """Turn the name of a row into one for a folder."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower().replace("+", " plus ").replace("λ", "lambda")).strip("-") or "row"


def is_experiment(place: str | Path) -> bool:
    """Whether something is a plan, or the folder of an experiment."""
    return Path(place).suffix in (".yaml", ".yml") or (Path(place) / ABOUT).is_file()


def plan_file(name: str | Path) -> Path:
    """The file of that name, or the bundle's own in `configs/` where there is none, such as `tables/table4.yaml`.

    A misspelt one is looked for in the bundle, too, where its folder is not here: the message names the nearest there.
    """
    path, own = Path(name), config_file(default_bundle(), str(name))
    if path.exists():
        return path
    return own if own.is_file() or (own.parent.is_dir() and not path.parent.is_dir()) else path


def read_plan(name: str | Path) -> ExperimentPlan:
    """Read a plan, YAML or JSON, see `plan_file`.

    Raises:
        UserError: for a file that cannot be read, is no YAML, or says something else than a plan does.
    """
    path = plan_file(name)
    text = read_text(path, fix=FIX, limit=1 << 20)
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{path}: no YAML ({' '.join(str(error).split())[:160]}); {FIX}") from None
    try:
        written = json.dumps(content)
    except (TypeError, ValueError, RecursionError) as error:  # a date, for example, which YAML knows and JSON does not
        raise UserError(f"{path}: {error}; {FIX}") from None
    return parse_model(written, ExperimentPlan, path, fix=FIX)


def read_tests(given: str) -> dict[str, str]:
    """Read further test sets, as `ph2=data/ph2/datalist.json`, with commas between several.

    Returns:
        Datalists by name.

    Raises:
        UserError: for another form, a name that stands twice, or one that a run's own parts have.
    """
    found: dict[str, str] = {}
    for part in filter(None, given.split(",")):
        name, equals, path = part.partition("=")
        if not equals or not path or slug(name) != name:
            raise UserError(f"--test {part}: must be a short name and a datalist, such as ph2=data/ph2/datalist.json")
        if name in found or name in (VALIDATION, TRAINING):
            raise UserError(f"--test {part}: the name {name!r} is taken; choose another")
        found[name] = path
    return found


def seconds_of(budget: str) -> float:
    """Read a time such as "90s", "40m" or "2.5h".

    Raises:
        UserError: for another form.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", budget.strip())
    if match is None:
        raise UserError(f"--budget {budget}: must be a time such as 90s, 40m, 2.5h or 3d")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


def duration(seconds: float) -> str:
    """Write seconds as people say them."""
    minutes, hours = seconds / 60, seconds / 3600
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if minutes < 90 else f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"


def command_words(knobs: Mapping[str, Any]) -> Sequence[str]:
    """Write flags as a command line takes them."""
    words = []
    for name, value in knobs.items():
        words += [f"--{name}", value if isinstance(value, str) else json.dumps(value)]
    return words


def typed_values(value: Any) -> Any:
    """Read numbers and switches as the command line does: YAML takes 1e-4 for text."""
    if isinstance(value, dict):
        return {name: typed_values(each) for name, each in value.items()}
    if isinstance(value, list):
        return [typed_values(each) for each in value]
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return flag(value)
    return value
