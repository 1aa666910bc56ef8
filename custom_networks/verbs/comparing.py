"""Verbs that compare and report what was evaluated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from custom_networks.arguments import FILES, Help
from custom_networks.bundle_files import default_bundle
from custom_networks.verbs.result import Result, found_in

BOOTSTRAP = "Bootstrap"


def compare(
    *runs: Annotated[str, Help("folders of two or more evaluations, which hold per_image.csv", FILES)],
    output_dir: Annotated[
        str,
        Help("new folder for comparison.csv, .json and .png and, of more than two runs, ranking.csv", FILES),
    ] = "comparison",
    metrics: Annotated[str, Help("names separated by commas", default="all that the runs hold")] = "",
    margin: Annotated[
        str,
        Help(
            "of non-inferiority, such as dice=0.02,hd95=1: how much worse a later run may be than an earlier one",
            default="none",
        ),
    ] = "",
    resamples: Annotated[int, Help("how many", BOOTSTRAP)] = 5000,
    seed: Annotated[int, Help("of the random numbers", BOOTSTRAP)] = 0,
) -> Result:
    """Compare evaluated runs on the same images: paired tests, effect sizes, ranks, a table and a picture."""
    from custom_networks.statistics.compare_runs import compare_runs

    print(compare_runs(runs, output_dir, metrics, margin, resamples, seed))
    return Result(found=found_in(Path(output_dir), "comparison.json"))


def folds(
    *runs: Annotated[
        str, Help("folders of two or more evaluations: of the folds of one data set, or all on one test set", FILES)
    ],
    output_dir: Annotated[
        str, Help("new folder for folds.csv, folds.json and, of folds, per_image.csv with the images of all", FILES)
    ] = "folds",
    seed: Annotated[int, Help("of the random numbers", BOOTSTRAP)] = 0,
) -> Result:
    """Summarise the evaluations of a cross-validation: mean and standard deviation over the folds."""
    from custom_networks.statistics.fold_runs import fold_runs

    print(fold_runs(runs, output_dir, seed))
    return Result(found=found_in(Path(output_dir), "folds.json"))


def report(
    run: Annotated[
        str,
        Help("folder of an evaluation (its --output_dir), a training or an experiment, or an experiment's plan", FILES),
    ],
    *,
    output: Annotated[
        str | None,
        Help("the file", FILES, "report.html in that folder, report_anonymised.html with --anonymise"),
    ] = None,
    anonymise: Annotated[bool, Help("true leaves paths, file names and names out")] = False,
    mlflow: Annotated[
        bool, Help("true adds the page to its run in MLFLOW_TRACKING_URI, or in the runs/mlflow.db of the bundle")
    ] = False,
    bundle_root: Annotated[str | None, Help("folder of the bundle, the one that holds configs/", FILES)] = None,
) -> None:
    """Make one HTML file of an evaluation or a training: figures, curves, cases, subgroups, model card."""
    from custom_networks.errors import UserError
    from custom_networks.experiment.plan import is_experiment
    from custom_networks.report import write_report
    from custom_networks.run import tracking_store

    if is_experiment(run):
        from custom_networks.experiment.command import write_page

        for flag, given in (("anonymise", anonymise), ("mlflow", mlflow)):
            if given:
                raise UserError(
                    f"--{flag}: not for the report of an experiment; leave it out, or report one of its evaluations, a "
                    "folder in evaluations/"
                )
        print(write_page(run, output))
        return
    store = tracking_store(Path(bundle_root or default_bundle()) / "runs") if mlflow else None
    print(write_report(run, output, anonymise, store))
