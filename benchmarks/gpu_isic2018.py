"""The paper's protocol on ISIC 2018 on a GPU: 256 x 256, batch 16, 50 epochs, as many runs as a budget allows.

`python -m benchmarks.gpu_isic2018 build/gpu/data.zip --output FOLDER --minutes 60` unpacks the archive of
`gpu_pack.sh`, trains with `sgdnet experiment` and tests on PH2 too. In FOLDER, `gpu_isic2018.json` has the figures of
every run that is done and `per_image.csv` those of every image, written anew after each run. The same command goes on:
a run that FOLDER has is not made again, and one that was killed resumes where `--work` is still there.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml

from benchmarks.environment import describe
from benchmarks.gpu_data import DATALIST, unpack
from benchmarks.measure import Row, Settings
from custom_networks.errors import UserError, nearest
from custom_networks.experiment.cell import Task
from custom_networks.experiment.folder import Experiment
from custom_networks.experiment.plan import VALIDATION, ExperimentPlan, read_plan, read_tests
from custom_networks.experiment.runner import run_experiment
from custom_networks.files import write_bytes, write_json
from custom_networks.messages import readable_errors
from custom_networks.run.record import METRICS, read_metrics

FULL = "SGD-Net"
FIRST = ("CTO", "U-Net")
TABLES = ("table4", "table5", "table6")
OTHER_FOLDS = (1, 2, 3, 4)
FIGURES = "gpu_isic2018.json"
IMAGES = "per_image.csv"
COLUMNS = (
    "id",
    "dice",
    "iou",
    "hd95",
    "assd",
    "boundary_iou",
    "sensitivity",
    "precision",
    "area_true",
    "area_predicted",
)
FAST: dict[str, Any] = {
    "amp": True,
    "cuda_graph": True,
    "data_on_device": True,
    "num_workers": 8,
    "val_interval": 10,
    "save_interval": 10,
    "tracking_uri": "",
}
"""How it is trained, not what: the paper's 256 x 256, batch 16, 50 epochs, rate and loss are the defaults."""


def steps() -> Iterator[ExperimentPlan]:
    """One row and fold after the other, the most informative first; a row that two tables have comes once."""
    plans = {name: read_plan(f"tables/{name}.yaml") for name in ("table2", *TABLES)}
    of_table2 = {row.name: row for row in plans["table2"].rows}
    order = [(of_table2[name], 0) for name in (FULL, *FIRST)]
    order += [(of_table2[FULL], fold) for fold in OTHER_FOLDS]
    order += [(row, 0) for name in TABLES for row in plans[name].rows if row.cited is None and row.name != FULL]
    for row, fold in order:
        yield ExperimentPlan(title=f"{row.name}, fold {fold}", rows=[row], folds=[fold])


def chosen(titles: Sequence[str] | None) -> list[ExperimentPlan]:
    """Return the steps of these titles, in their order, or all.

    Raises:
        UserError: for a title that no step has.
    """
    plans = {plan.title: plan for plan in steps()}
    for title in titles or ():
        if title not in plans:
            raise UserError(f"--runs: there is no run {title!r}{nearest(title, plans)}")
    return [plans[title] for title in titles or plans]


def task_of(plan: ExperimentPlan, work: Path, knobs: dict[str, Any], tests: dict[str, str]) -> Task:
    """The one run of a plan."""
    return Experiment.begin(plan, work, knobs, tests).tasks(work)[0]


def figures(task: Task) -> tuple[Row, pd.DataFrame]:
    """Collect what a run that is done has measured: its figures, and those of each image."""
    folder = task.run_folder()
    assert folder is not None
    rows = read_metrics(folder / METRICS)
    images = []
    found: Row = {"row": task.cell.row.name, "fold": task.cell.fold, "identity": task.identity}
    found |= {"epochs": len(rows), "images_per_second": rows[-1]["images_per_second"], "curve": rows}
    for test in (VALIDATION, *task.tests):
        table = pd.read_csv(task.evaluation(test) / IMAGES)
        means = table[[name for name in COLUMNS if name in table and name != "id"]].mean(numeric_only=True)
        found[test] = {"images": len(table), **means.to_dict()}
        kept = table[[name for name in COLUMNS if name in table]]
        images.append(kept.assign(row=task.cell.row.name, fold=task.cell.fold, test=test))
    return found, pd.concat(images)


def write(output: Path, results: Row, images: pd.DataFrame) -> None:
    """Write both files, each at once."""
    write_json(output / FIGURES, results)
    write_bytes(output / IMAGES, images.to_csv(index=False, float_format="%.6g").encode())


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_isic2018", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("archive", type=Path, help="made by benchmarks/gpu_pack.sh, with isic2018 and ph2")
    parser.add_argument("--output", type=Path, required=True, help=f"folder of {FIGURES} and {IMAGES}")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "gpu_isic2018", help="[%(default)s]")
    parser.add_argument(
        "--minutes", type=float, help="no run starts that is not expected to end in time [no limit, nothing estimated]"
    )
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"], help="[cuda]")
    parser.add_argument(
        "--runs", nargs="+", metavar="RUN", help='some, as "CTO, fold 0" [all, in the order of `steps`]'
    )
    parser.add_argument("--most", type=int, default=100, help="runs at most [100]")
    parser.add_argument("--knobs", default="{}", help='further flags of `sgdnet train`, as {"max_epochs": 2}')
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Run; 1 where a run failed."""
    given = parse(words)
    end = math.inf if given.minutes is None else time.monotonic() + 60 * given.minutes
    readable_errors()
    given.output.mkdir(parents=True, exist_ok=True)
    unpack(given.archive, given.work / "data")
    data = given.work / "data" / "isic2018"
    knobs = {**FAST, "device": given.device, "datalist": str(data / DATALIST), "dataset_dir": str(data)}
    for name in ("isic2018", "ph2"):
        if not (given.work / "data" / name / DATALIST).is_file():
            raise UserError(
                f"{given.archive}: has no {name}; pack it with benchmarks/gpu_pack.sh, with {name}=DATALIST"
            )
    try:
        knobs |= json.loads(given.knobs)
    except (ValueError, TypeError) as error:
        raise UserError(f'--knobs {given.knobs}: no JSON object ({error}); write {{"max_epochs": 2}}') from None
    tests = f"ph2={given.work / 'data' / 'ph2' / DATALIST}"
    place, images_place = given.output / FIGURES, given.output / IMAGES
    results: Row = {
        "environment": describe(Settings(given.device, torch.get_num_threads())),
        "knobs": knobs,
        "runs": [],
    }
    images = pd.DataFrame()
    if place.is_file() and images_place.is_file():
        results["runs"], images = json.loads(place.read_text("utf-8"))["runs"], pd.read_csv(images_place)
    failed = made = 0
    for plan in chosen(given.runs):
        if made == given.most or time.monotonic() >= end:
            break
        try:
            task = task_of(plan, given.work / "experiment", knobs, read_tests(tests))
        except UserError as error:  # such as flags that this row's network does not have
            print(f"{plan.title}: {error}", file=sys.stderr)
            failed += 1
            continue
        if any(run["identity"] == task.identity for run in results["runs"]):
            continue
        file = given.work / "plan.yaml"
        file.write_text(yaml.safe_dump(plan.as_dict()), "utf-8")
        budget = f"{max(0.0, end - time.monotonic()) / 60:.2f}m" if math.isfinite(end) else ""
        begin = time.monotonic()
        failed += run_experiment(file, given.work / "experiment", knobs, tests, budget=budget)
        made += 1
        if not task.missing():
            found, of_images = figures(task)
            results["runs"].append({**found, "seconds": time.monotonic() - begin})
            images = pd.concat([images, of_images])
            write(given.output, results, images)
    print(f"{len(results['runs'])} runs in {place}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
