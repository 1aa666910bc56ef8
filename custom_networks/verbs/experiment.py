"""Verbs of tables of experiments."""

from __future__ import annotations

from typing import Annotated, Any

from custom_networks.arguments import FILES, Help
from custom_networks.verbs.result import DONE, PART_FAILED, Result

PLAN = Help("plan of the table, a YAML file: rows, folds, seeds", FILES)
FOLDER = Help(
    "folder of the experiment: its runs and figures; what is done there is not done again",
    FILES,
    "experiments/NAME of the plan",
)
TESTS = "Test sets"
OWN = ("test", "dry_run", "budget", "cluster", "keep_checkpoints", "processes")


def experiment(
    plan: Annotated[str, PLAN],
    *,
    output_dir: Annotated[str | None, FOLDER] = None,
    test: Annotated[
        str, Help("further test sets, such as ph2=data/ph2/datalist.json, with commas between several", TESTS, "none")
    ] = "",
    dry_run: Annotated[bool, Help("true prints the runs with their expected time, and runs none")] = False,
    budget: Annotated[
        str, Help("time such as 40m or 3h; no run starts that is not expected to end within it", default="no limit")
    ] = "",
    cluster: Annotated[
        str, Help("address of a Dask scheduler, as tcp://10.0.0.1:8786, whose workers train", default="none")
    ] = "",
    keep_checkpoints: Annotated[
        bool, Help("true keeps last.pt of runs that are done, three times the weights' size")
    ] = False,
    processes: Annotated[
        int, Help("that train each run together, one for each GPU of the machine; they share --batch_size")
    ] = 1,
    **knobs: Any,
) -> Result:
    """Run the rows of a table: train and measure what is not done yet, resume what was killed."""
    from custom_networks.bundle_run import configuration_of
    from custom_networks.errors import UserError, nearest
    from custom_networks.experiment.runner import run_experiment

    settings = configuration_of(("train.json",), {}).files
    for name in knobs:  # a misspelt flag of `sgdnet train` is told with the plan
        if name.replace("::", "#").split("#")[0] not in settings and (hint := nearest(name, OWN)):
            raise UserError(f"--{name}: no such flag{hint}")
    failed = run_experiment(plan, output_dir, knobs, test, dry_run, budget, cluster, keep_checkpoints, processes)
    return Result(PART_FAILED if failed else DONE)


def table(
    plan: Annotated[str, Help("plan of the table, or the folder of its experiment", FILES)],
    *,
    output_dir: Annotated[str | None, FOLDER] = None,
    test: Annotated[str, Help("validation, or the name of a test set of the experiment", TESTS)] = "validation",
    format: Annotated[str, Help("markdown, csv (numbers) or latex")] = "markdown",
    file: Annotated[str | None, Help("file that gets the table, too", FILES, "none")] = None,
) -> Result:
    """Print what was measured of a plan beside what was published, with intervals and paired tests."""
    from custom_networks.experiment.command import table_of

    return Result(found=table_of(plan, output_dir, test, format, file))
