"""`sgdnet report`: write the page and, beside it, its tables; add it to the tracked run."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import IO

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from custom_networks.errors import UserError
from custom_networks.evaluation.results import CLASSES_CSV, SUBGROUPS_CSV, SUMMARY_CSV, SUMMARY_JSON
from custom_networks.files import write_atomically
from custom_networks.report.collect import Run, collect
from custom_networks.report.page import render
from custom_networks.run.record import METRICS, SETTINGS
from custom_networks.statistics.per_image import PER_IMAGE

REPORT = "report.html"
GENERATOR = '<meta name="generator" content="sgdnet report">'
TABLES = (PER_IMAGE, SUMMARY_CSV, SUBGROUPS_CSV, CLASSES_CSV, SUMMARY_JSON, METRICS, SETTINGS)

logger = logging.getLogger(__name__)


def write_report(run: str | Path, output: str | Path | None = None) -> str:
    """Write the report of an evaluation or a training.

    Args:
        run: folder of either.
        output: the HTML file; `report.html` in that folder by default. An older report is replaced.

    Returns:
        What was written, in sentences.

    Raises:
        UserError: for a folder that is neither, or an output that is no HTML file or another's.
    """
    collected = collect(run)
    path = Path(output) if output else collected.folder / REPORT
    if path.is_dir():
        path = path / REPORT
    if path.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--output {path}: must end in .html")
    if path.exists() and GENERATOR not in path.read_text(encoding="utf-8", errors="replace")[:2000]:
        raise UserError(f"{path}: not a report of `sgdnet report`, so it is left alone; give another --output")
    page = render(collected).encode()
    write_atomically(path, lambda file: file.write(page))
    lines = [f"{path} ({len(page) / 1e6:.1f} MB)"]
    beside = copy_tables(collected, path)
    if beside:
        lines.append(f"beside it: {', '.join(beside)}")
    if collected.training and collected.training.progress:
        lines.append(collected.training.progress)
    tracked = log_artifact(collected, path)
    return "\n".join([*lines, *([tracked] if tracked else [])])


def copy_tables(run: Run, report: Path) -> list[str]:
    """Put the run's CSV and JSON files beside a report that lies elsewhere; returns the names beside it."""
    there = [name for name in TABLES if (run.folder / name).is_file()]
    if report.parent.resolve() == run.folder.resolve():
        return there
    names = []
    for name in there:
        target = report.with_name(f"{report.stem}_{name}")
        write_atomically(target, partial(_write, (run.folder / name).read_bytes()))
        names.append(target.name)
    return names


def _write(content: bytes, file: IO[bytes]) -> None:
    file.write(content)


def log_artifact(run: Run, report: Path) -> str | None:
    """Add the report to the MLflow run of its training; says so, or why not; None where nothing is tracked."""
    if run.training is None or run.training.tracking is None:
        return None
    uri, identity = run.training.tracking
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        return f"not added to MLflow: {uri} is not there any more"
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    folder = f"reports/{run.name}" if run.about else None
    try:
        MlflowClient(uri).log_artifact(identity, str(report), folder)
    except (MlflowException, OSError) as error:
        return f"not added to MLflow: {str(error).splitlines()[0][:160]}"
    return f"added to run {identity} in MLflow"
