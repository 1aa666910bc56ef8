"""The folder of an experiment: which plan, which flags and which data its runs belong to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from custom_networks.errors import UserError
from custom_networks.experiment.cell import IGNORED, Task, identity
from custom_networks.experiment.plan import ABOUT, ExperimentPlan, check_knobs, read_plan
from custom_networks.files import sha256
from custom_networks.run.resume import same_setting
from custom_networks.typed_files import FileModel, Json, read_model

OTHER = "choose another --output_dir"


class Experiment(FileModel):
    """What an experiment's folder belongs to, `experiment.json`.

    Attributes:
        version: of this form.
        plan: as it was last run.
        knobs: flags of the command line, which count for all rows.
        data: SHA-256 of the datalist, or the data set's folder.
        tests: datalists of further test sets, by name.
        processes: that train each run together.
    """

    version: Literal[1] = 1
    plan: ExperimentPlan
    knobs: dict[str, Json]
    data: str
    tests: dict[str, str]
    processes: int = 1

    @classmethod
    def begin(
        cls, plan: ExperimentPlan, folder: Path, given: Mapping[str, Any], tests: Mapping[str, str], processes: int = 1
    ) -> Experiment:
        """Describe an experiment that goes into a folder, together with what is there.

        Raises:
            UserError: for flags that belong to each run, and for a folder whose runs have other flags or other data.
        """
        if processes < 1:
            raise UserError(f"--processes {processes}: must be 1 or more")
        check_knobs(given, "--")
        new = cls(
            plan=plan, knobs=dict(given), data=_data({**plan.knobs, **given}), tests=dict(tests), processes=processes
        )
        if not (folder / ABOUT).is_file():
            return new
        present = read_model(folder / ABOUT, cls)
        if present.data != new.data:
            raise UserError(f"{folder}: holds an experiment on other data ({present.data}); {OTHER}")
        if present.processes != processes:
            raise UserError(f"{folder}: its runs have --processes {present.processes}, now it is {processes}; {OTHER}")
        for name in sorted({*present.knobs, *new.knobs} - IGNORED):
            own, now = (each.knobs.get(name, _DEFAULT) for each in (present, new))
            if not (own == now or same_setting(name, own, now)):
                raise UserError(f"{folder}: its runs have --{name} {own}, now it is {now}; {OTHER}")
        for name, path in new.tests.items():
            own = present.tests.get(name, path)
            if not (same_setting("datalist", own, path) or _same_content(own, path)):
                raise UserError(f"{folder}: its runs have --test {name}={own}, now it is {path}; give it another name")
        return new.model_copy(update={"tests": {**present.tests, **new.tests}})

    def tasks(self, folder: Path, keep: bool = False) -> list[Task]:
        """List the runs; raises UserError for an overlay that is missing or no configuration."""
        return [
            Task(cell, identity(cell), folder, self.tests, keep) for cell in self.plan.cells(self.knobs, self.processes)
        ]


_DEFAULT = "its default"


def _data(knobs: Mapping[str, Any]) -> str:
    """Name the data; raises UserError for a datalist or a folder that is not there."""
    if knobs.get("datalist"):
        path = Path(str(knobs["datalist"]))
        if not path.is_file():
            raise UserError(f"--datalist {path}: no such file; make one with `sgdnet prepare`, or correct the path")
        return sha256(path)
    folder = Path(str(knobs.get("dataset_dir") or "."))
    if not folder.is_dir():
        raise UserError(f"--dataset_dir {folder}: no such folder; correct the path")
    return str(folder.resolve())


def _same_content(one: str, other: str) -> bool:
    """Whether two files are there with the same bytes: a datalist may have moved."""
    return Path(one).is_file() and Path(other).is_file() and sha256(Path(one)) == sha256(Path(other))


def default_folder(plan: str | Path) -> Path:
    """Folder of a plan's runs where no other is given: `experiments/NAME` of the present folder."""
    return Path("experiments") / Path(plan).stem


def read_experiment(place: str | Path, output_dir: str | Path | None = None) -> tuple[Experiment, Path]:
    """Read what an experiment is.

    Args:
        place: its plan, or its folder.
        output_dir: its folder, where `place` is the plan and it is not the default one.

    Returns:
        The experiment, with the plan as it is now where that was given, and its folder.

    Raises:
        UserError: where nothing was run yet, or files cannot be read.
    """
    if Path(place).is_dir():
        folder = Path(place)
        return read_model(folder / ABOUT, Experiment), folder.resolve()
    plan = read_plan(place)
    folder = Path(output_dir) if output_dir else default_folder(place)
    if not (folder / ABOUT).is_file():
        raise UserError(f"{folder}: nothing of {place} was run there; start with `sgdnet experiment {place}`")
    return read_model(folder / ABOUT, Experiment).model_copy(update={"plan": plan}), folder.resolve()
