"""MLflow: every run with its knobs, curves, pictures and configuration, closed as FINISHED or FAILED."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
from pathlib import Path

from ignite.engine import Events
from mlflow.entities import RunStatus
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from monai.engines.workflow import Workflow

from custom_networks.errors import UserError
from custom_networks.processes import rank
from custom_networks.run.record import CONFIG, SETTINGS, Row, RunRecord

EXPERIMENT = "sgdnet"
RUN_ID = "mlflow_run_id.txt"
PARAMETER_LENGTH = 500  # MLflow's own stores take no longer values


def tracking_store(runs_dir: str | Path) -> str:
    """Where runs are tracked: `MLFLOW_TRACKING_URI` where it is set, else a SQLite file beside the runs."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path(runs_dir).resolve() / 'mlflow.db'}"


def git_commit() -> str:
    """Commit of the code that runs, with "-dirty" for uncommitted changes; "unknown" outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=20
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


class MLflowTracking:
    """Handler that logs the run to MLflow.

    Put it after `EpochRecorder`. A resumed run goes on in the MLflow run it began.

    Args:
        record: of the run.
        uri: store, see `tracking_store`; empty switches tracking off.
    """

    def __init__(self, record: RunRecord, uri: str | None) -> None:
        self.record = record
        self.uri = uri
        self.client: MlflowClient | None = None

    def attach(self, engine: Workflow) -> None:
        """Listen to the run's start, epochs and end, in the first process alone."""
        if not self.uri or rank() > 0:
            return
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.log)
        engine.add_event_handler(Events.COMPLETED | Events.TERMINATE, self.finish)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.fail)

    def start(self, engine: Workflow) -> None:
        """Open the run, or open it again when it is resumed.

        Raises:
            UserError: when the store does not answer.
        """
        assert self.uri is not None
        for name in ("mlflow", "alembic"):  # a new SQLite store tells of every table it makes
            logging.getLogger(name).setLevel(logging.WARNING)
        try:
            self.client = client = MlflowClient(self.uri)
            path = self.record.folder / RUN_ID
            if engine.state.epoch > 0 and path.is_file():
                self.record.tracking_id = path.read_text().strip()
                client.update_run(self.record.tracking_id, status=RunStatus.to_string(RunStatus.RUNNING))
                logged = {point.step for point in client.get_metric_history(self.record.tracking_id, "loss")}
                for row in self.record.rows:  # an epoch that was saved, but not logged before the run was killed
                    if row["epoch"] not in logged:
                        self.log_row(row)
                return
            experiment = client.get_experiment_by_name(EXPERIMENT)
            identity = experiment.experiment_id if experiment else self.create_experiment(client)
            run = client.create_run(identity, run_name=self.record.folder.name)
            self.record.tracking_id = run.info.run_id
            path.write_text(run.info.run_id + "\n")
            parameters = {**self.record.settings, "git_commit": git_commit(), "output_dir": self.record.folder}
            for name, value in parameters.items():
                client.log_param(run.info.run_id, name, str(value)[:PARAMETER_LENGTH])
            for artifact in (SETTINGS, CONFIG):
                if (self.record.folder / artifact).is_file():
                    client.log_artifact(run.info.run_id, str(self.record.folder / artifact))
        except (MlflowException, OSError) as error:
            raise UserError(
                f"{self.uri}: the MLflow store does not answer ({str(error).splitlines()[0][:160]}); "
                "mend it or train with --tracking false"
            ) from error

    def create_experiment(self, client: MlflowClient) -> str:
        """Create the experiment; artifacts of a SQLite store lie beside its file."""
        assert self.uri is not None
        if self.uri.startswith("sqlite:///"):
            artifacts = Path(self.uri.removeprefix("sqlite:///")).resolve().parent / "mlflow_artifacts"
            return client.create_experiment(EXPERIMENT, artifact_location=artifacts.as_uri())
        return client.create_experiment(EXPERIMENT)

    def log(self, engine: Workflow) -> None:
        """Log the epoch's row."""
        self.log_row(self.record.rows[-1])

    def log_row(self, row: Row) -> None:
        """Log an epoch's figures."""
        assert self.client is not None
        assert self.record.tracking_id is not None
        for name, value in row.items():
            if name != "epoch":
                self.client.log_metric(self.record.tracking_id, name, value, step=int(row["epoch"]))

    def finish(self, engine: Workflow) -> None:
        """Close the run as FINISHED, with the metrics CSV."""
        assert self.client is not None
        assert self.record.tracking_id is not None
        if self.record.metrics_path.is_file():
            self.client.log_artifact(self.record.tracking_id, str(self.record.metrics_path))
        self.client.set_terminated(self.record.tracking_id, RunStatus.to_string(RunStatus.FINISHED))

    def fail(self, engine: Workflow, error: BaseException) -> None:
        """Close the run as FAILED and let the exception go on."""
        if self.client is not None and self.record.tracking_id is not None:
            with contextlib.suppress(MlflowException):  # the first error is the one to tell
                self.client.set_terminated(self.record.tracking_id, RunStatus.to_string(RunStatus.FAILED))
        raise error


def log_file(record: RunRecord, uri: str | None, path: Path) -> None:
    """Add a file to the run's artifacts, where it is tracked."""
    if uri and record.tracking_id:
        MlflowClient(uri).log_artifact(record.tracking_id, str(path))
