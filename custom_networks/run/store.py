"""Where runs are tracked, for whom needs the place alone and not MLflow, which takes seconds to import."""

from __future__ import annotations

import importlib.util
import logging
import os
from pathlib import Path

logger = logging.getLogger(__name__)

RUN_ID = "mlflow_run_id.txt"
"""File in a run's folder with its id in the store."""
SQLITE = "sqlite:///"


def tracking_store(runs_dir: str | Path) -> str:
    """Where runs are tracked: `MLFLOW_TRACKING_URI` where it is set, else a SQLite file beside the runs.

    Nowhere, which is said, where the MLflow that is installed has no SQLite store (mlflow-skinny).
    """
    given = os.environ.get("MLFLOW_TRACKING_URI")
    if given:
        return given
    if not all(importlib.util.find_spec(name) for name in ("sqlalchemy", "alembic")):
        logger.warning("the run is not tracked: mlflow-skinny has no SQLite store; install mlflow")
        return ""
    return f"{SQLITE}{Path(runs_dir).resolve() / 'mlflow.db'}"
