"""`sgdnet table` and `sgdnet report` of an experiment."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from custom_networks.errors import UserError, nearest
from custom_networks.experiment.folder import read_experiment
from custom_networks.experiment.plan import VALIDATION
from custom_networks.experiment.table import FORMATS, RowResult, as_frame, measured_frames, render_table, row_results
from custom_networks.files import write_bytes
from custom_networks.metrics.policies import METRICS
from custom_networks.report.command import page_path
from custom_networks.statistics.per_image import as_records

PAGE = "experiment.html"


def table_of(
    place: str | Path, output_dir: str | Path | None, test: str, form: str, file: str | None
) -> dict[str, Any]:
    """Print a table, and write it to a file where one is given.

    Args:
        place: plan, or folder of the experiment.
        output_dir: folder of the experiment, where `place` is the plan.
        test: "validation", or the name of a test set.
        form: "markdown", "csv" or "latex".
        file: that gets the table, too.

    Returns:
        The figures, as JSON knows them.

    Raises:
        UserError: for a format or a test set that does not exist, or an experiment that cannot be read.
    """
    if form not in FORMATS:
        raise UserError(f"--format {form}: must be one of {', '.join(FORMATS)}{nearest(form, FORMATS)}")
    experiment, folder = read_experiment(place, output_dir)
    _known_test(test, experiment.tests)
    found = row_results(experiment.plan, measured_frames(experiment.tasks(folder), test))
    text = render_table(experiment.plan, found, test, form)
    if file is not None:
        write_bytes(Path(file), text.encode())
    print(text, end="")
    return {"test": test, "cells": as_records(as_frame(experiment.plan, found))}


def write_page(place: str | Path, output: str | Path | None = None, test: str = VALIDATION) -> str:
    """Write the report of an experiment, one HTML file; the arguments are as those of `table_of`.

    Returns:
        What was written, in a sentence.

    Raises:
        UserError: as `table_of` and `page_path`; where fewer than two rows are measured.
    """
    from custom_networks.experiment.page import render_page

    experiment, folder = read_experiment(place)
    _known_test(test, experiment.tests)
    plan, tasks = experiment.plan, experiment.tasks(folder)
    frames = measured_frames(tasks, test)
    found = row_results(plan, frames)
    measured = [each.row.name for each in found if each.runs]
    others = [each for each in found if each.runs and each.row.name != plan.compared]
    if plan.compared not in measured or not others:
        raise UserError(f"{folder}: a report compares {plan.compared} with another row; run both first")
    best = min(others, key=lambda each: _rank(each, plan.metrics[0]))
    path = page_path(output, folder / PAGE)
    page = render_page(plan, tasks, frames, found, test, (plan.compared, best.row.name)).encode()
    write_bytes(path, page)
    return f"{path} ({len(page) / 1e6:.1f} MB)"


def _rank(row: RowResult, metric: str) -> tuple[bool, float]:
    """Order rows by a metric, the best first; one in which it is undefined is the last."""
    mean = row.figures[metric].mean
    return math.isnan(mean), -mean if METRICS[metric].better == "higher" else mean


def _known_test(test: str, tests: Any) -> None:
    known = [VALIDATION, *tests]
    if test not in known:
        raise UserError(f"--test {test}: must be one of {', '.join(known)}{nearest(test, known)}")
