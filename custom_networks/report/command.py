"""`sgdnet report`: write the page and, beside it, its tables; add it to the tracked run where that is asked for."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from custom_networks.errors import UserError
from custom_networks.evaluation.begun import SUMMARY_JSON
from custom_networks.evaluation.results import CLASSES_CSV, SUBGROUPS_CSV, SUMMARY_CSV
from custom_networks.files import open_regular, write_bytes
from custom_networks.report.anonymise import anonymised
from custom_networks.report.collect import collect
from custom_networks.report.page import render_report
from custom_networks.report.received import file_in
from custom_networks.run.folder import SETTINGS, SQLITE
from custom_networks.run.record import METRICS
from custom_networks.statistics.per_image import PER_IMAGE

REPORT, ANONYMISED = "report.html", "report_anonymised.html"
GENERATOR = '<meta name="generator" content="sgdnet report">'
TABLES = (PER_IMAGE, SUMMARY_CSV, SUBGROUPS_CSV, CLASSES_CSV, SUMMARY_JSON, METRICS, SETTINGS)
RUN_ID = re.compile(r"[0-9a-f]{32}")

logger = logging.getLogger(__name__)


def write_report(
    run: str | Path, output: str | Path | None = None, anonymise: bool = False, store: str | None = None
) -> str:
    """Write the report of an evaluation or a training.

    Args:
        run: folder of either. It may come from somebody else: nothing outside it is read, and no address in it is used.
        output: the HTML file; in that folder by default. An older report is replaced.
        anonymise: whether names and paths are left out; the tables, which hold them, are then not copied.
        store: MLflow store of the user that gets the report, as an artifact of the run it belongs to; None sends
            nothing.

    Returns:
        What was written, in sentences.

    Raises:
        UserError: for a folder that is neither, or an output that is no HTML file or another's.
    """
    collected = collect(run)
    folder = Path(run)
    path = page_path(output, folder / (ANONYMISED if anonymise else REPORT))
    page = render_report(anonymised(collected) if anonymise else collected, anonymise).encode()
    write_bytes(path, page)
    lines = [f"{path} ({len(page) / 1e6:.1f} MB)"]
    beside = [] if anonymise else copy_tables(folder, path)
    if beside:
        lines.append(f"beside it: {', '.join(beside)}")
    if collected.training and collected.training.progress and collected.summary is None:
        lines.append(collected.training.progress)
    if store is not None:
        identity = collected.training.run_id if collected.training else None
        lines.append(send(path, identity, store, f"reports/{collected.name}" if collected.summary else None))
    return "\n".join(lines)


def page_path(output: str | Path | None, default: Path) -> Path:
    """Find the file that a report goes to.

    Args:
        output: file or folder that was asked for, if any.
        default: file without it.

    Returns:
        The file.

    Raises:
        UserError: for a file that is no HTML, and one that is there and is no report, or a symlink, whose target may
            be anything.
    """
    path = Path(output) if output else default
    if path.is_dir():
        path = path / default.name
    if path.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--output {path}: must end in .html")
    if not os.path.lexists(path):
        return path
    if path.is_symlink():
        raise UserError(f"{path}: a symlink, so it is left alone; give another --output")
    with open_regular(path) as file:
        start = file.read(2000).decode(errors="replace")
    if GENERATOR not in start:
        raise UserError(f"{path}: not a report of `sgdnet report`, so it is left alone; give another --output")
    return path


def copy_tables(folder: Path, report: Path) -> list[str]:
    """Put a run's CSV and JSON files beside a report that lies elsewhere; returns the names beside it."""
    there = {name: path for name in TABLES if (path := file_in(folder, name))}
    if report.parent.resolve() == folder.resolve():
        return list(there)
    names = []
    for name, path in there.items():
        target = report.with_name(f"{report.stem}_{name}")
        write_bytes(target, path.read_bytes())
        names.append(target.name)
    return names


def send(report: Path, identity: str | None, store: str, folder: str | None) -> str:
    """Add the report to an MLflow run; says so, or why not.

    Args:
        report: the file.
        identity: of the run, as the folder's files have it.
        store: the user's own.
        folder: of the artifacts that gets it.
    """
    if identity is None or not RUN_ID.fullmatch(identity):
        return "not added to MLflow: no file of the folder names a run of MLflow"
    if store.startswith(SQLITE) and not Path(store.removeprefix(SQLITE)).is_file():
        return f"not added to MLflow: {store} is not there"
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        MlflowClient(store).log_artifact(identity, str(report), folder)
    except (MlflowException, OSError) as error:
        return f"not added to MLflow: {str(error).splitlines()[0][:160]}"
    return f"added to run {identity} in MLflow"
