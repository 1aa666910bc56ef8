"""MLflow: every run with its knobs, curves, pictures and configuration, closed as FINISHED, FAILED or KILLED.

A store that does not answer at the start stops the run, because nothing is lost then; one that fails later does not:
what it missed is logged when it answers again, at the latest when the run is resumed or another one is started.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import lazy_loader
from ignite.engine import Events
from monai.engines.workflow import Workflow

from custom_networks.errors import UserError
from custom_networks.files import lock_file
from custom_networks.processes import rank
from custom_networks.run.folder import RUN_ID, SETTINGS, SQLITE, is_locked
from custom_networks.run.record import CONFIG, METRICS, EpochRow, RunRecord, read_metrics
from custom_networks.software import commit

if TYPE_CHECKING:
    from mlflow import MlflowClient

mlflow = lazy_loader.load("mlflow")  # a run that is not tracked does without it
logger = logging.getLogger(__name__)

EXPERIMENT = "sgdnet"
PARAMETER_LENGTH = 500  # MLflow's own stores take no longer values
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""MLflow's own values wait for minutes, and the training with them."""


class MLflowTracking:
    """Handler that logs the run to MLflow.

    Put it after `EpochRecorder` and `Checkpoints`. A resumed run continues the MLflow run it began.

    Args:
        record: of the run.
        uri: store, see `tracking_store`; empty switches tracking off.
    """

    def __init__(self, record: RunRecord, uri: str | None) -> None:
        self.record = record
        self.uri = uri
        self.client: MlflowClient | None = None
        self.logged: set[int] = set()
        self.answers = True

    def attach(self, engine: Workflow) -> None:
        """Listen to the run's start, epochs and end, in the first process alone."""
        if not self.uri or rank() > 0:
            return
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.log)
        engine.add_event_handler(Events.COMPLETED | Events.TERMINATE, self.finish)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.fail)

    def start(self, engine: Workflow) -> None:
        """Open the run, or open it again when it is resumed; close those of killed processes.

        Raises:
            UserError: when the store does not answer.
        """
        assert self.uri is not None
        for name in ("mlflow", "alembic"):  # a new SQLite store tells of every table it makes
            logging.getLogger(name).setLevel(logging.WARNING)
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # it tells of every attempt during an outage
        for variable, value in PATIENCE.items():
            os.environ.setdefault(variable, value)
        try:
            self.client = client = open_store(self.uri)
            path = self.record.folder / RUN_ID
            if engine.state.epoch > 0 and path.is_file():
                self.record.tracking_id = path.read_text().strip()
                set_status(client, self.record.tracking_id, mlflow.entities.RunStatus.RUNNING)
                self.logged = logged_epochs(client, self.record.tracking_id)
                self.fill_in()
            else:
                self.create_run(client, path)
            close_killed(client, self.record.folder.parent)
        except (mlflow.exceptions.MlflowException, OSError) as error:
            raise UserError(
                f"{self.uri}: the MLflow store does not answer ({_said(error)}); mend it or train with --tracking false"
            ) from error

    def create_run(self, client: MlflowClient, path: Path) -> None:
        """Create the run with its parameters and configuration; its id is kept in the folder."""
        assert self.uri is not None
        run = client.create_run(experiment_id(client, self.uri), run_name=self.record.folder.name)
        self.record.tracking_id = run.info.run_id
        path.write_text(run.info.run_id + "\n")
        parameters = {**self.record.settings, "git_commit": commit() or "unknown"}
        client.log_batch(
            run.info.run_id,
            params=[
                mlflow.entities.Param(_key(name), str(value)[:PARAMETER_LENGTH]) for name, value in parameters.items()
            ],
        )
        for artifact in (SETTINGS, CONFIG):
            if (self.record.folder / artifact).is_file():
                client.log_artifact(run.info.run_id, str(self.record.folder / artifact))

    def log(self, engine: Workflow) -> None:
        """Log the epoch, and those that an outage kept out."""
        with self.tolerated():
            self.fill_in()

    def fill_in(self) -> None:
        """Log every row that is not logged yet."""
        assert self.client is not None
        assert self.record.tracking_id is not None
        for row in self.record.rows:
            if row["epoch"] not in self.logged:
                log_row(self.client, self.record.tracking_id, row)
                self.logged.add(int(row["epoch"]))

    def finish(self, engine: Workflow) -> None:
        """Close the run as FINISHED, with the metrics CSV."""
        assert self.client is not None
        assert self.record.tracking_id is not None
        with self.tolerated():
            self.fill_in()
            if self.record.metrics_path.is_file():
                self.client.log_artifact(self.record.tracking_id, str(self.record.metrics_path))
            set_status(self.client, self.record.tracking_id, mlflow.entities.RunStatus.FINISHED)

    def fail(self, engine: Workflow, error: BaseException) -> None:
        """Close the run as FAILED, or as KILLED by a signal, and raise the exception again."""
        if self.client is not None and self.record.tracking_id is not None:
            status = (
                mlflow.entities.RunStatus.FAILED if isinstance(error, Exception) else mlflow.entities.RunStatus.KILLED
            )
            with contextlib.suppress(mlflow.exceptions.MlflowException, OSError):  # the first error is the one to tell
                set_status(self.client, self.record.tracking_id, status)
        raise error

    @contextlib.contextmanager
    def tolerated(self) -> Iterator[None]:
        """Let the training continue through an outage of the store: one warning, and a line when it is over."""
        try:
            yield
        except (mlflow.exceptions.MlflowException, OSError) as error:
            if self.answers:
                logger.warning(
                    "%s: the MLflow store does not answer (%s); the training goes on, metrics.csv has every figure, "
                    "and what is missing is logged when it answers again",
                    self.uri,
                    _said(error),
                )
            self.answers = False
        else:
            if not self.answers:
                logger.warning("%s: the MLflow store answers again; what was missing is logged", self.uri)
            self.answers = True


def open_store(uri: str) -> MlflowClient:
    """Connect to a store; one process at a time makes the tables of a new SQLite file."""
    with _alone(uri):
        client = mlflow.MlflowClient(uri)
        client.search_experiments(max_results=1)
    return client


def experiment_id(client: MlflowClient, uri: str) -> str:
    """Find or create the experiment; artifacts of a SQLite store lie beside its file."""
    with _alone(uri):
        found = client.get_experiment_by_name(EXPERIMENT)
        if found is None and uri.startswith(SQLITE):
            artifacts = _database(uri).parent / "mlflow_artifacts"
            return client.create_experiment(EXPERIMENT, artifact_location=artifacts.as_uri())
        if found is None:
            try:
                return client.create_experiment(EXPERIMENT)
            except mlflow.exceptions.MlflowException:  # another process, somewhere, was faster
                found = client.get_experiment_by_name(EXPERIMENT)
                if found is None:
                    raise
    return str(found.experiment_id)


def log_row(client: MlflowClient, run_id: str, row: EpochRow) -> None:
    """Log an epoch's figures at once."""
    now = int(time.time() * 1000)
    step = int(row["epoch"])
    figures = [mlflow.entities.Metric(name, value, now, step) for name, value in row.items() if name != "epoch"]
    client.log_batch(run_id, metrics=figures)


def logged_epochs(client: MlflowClient, run_id: str) -> set[int]:
    """Epochs whose row a run has."""
    return {point.step for point in client.get_metric_history(run_id, "loss")}


def set_status(client: MlflowClient, run_id: str, status: int) -> None:
    """Set a run's status, and its end where it is one."""
    if status == mlflow.entities.RunStatus.RUNNING:
        client.update_run(run_id, status=mlflow.entities.RunStatus.to_string(status))
    else:
        client.set_terminated(run_id, mlflow.entities.RunStatus.to_string(status))


def close_killed(client: MlflowClient, runs_dir: Path) -> None:
    """Close the runs whose process ended without a word (kill -9, a power cut, an outage until its end).

    They are those of this folder that are RUNNING and that no process locks. Epochs that are missing are logged;
    a run that did all its epochs is FINISHED, another one KILLED. Resuming opens it again.

    Args:
        client: of the store.
        runs_dir: folder of all runs.
    """
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return
    folders = {path.read_text().strip(): path.parent for path in runs_dir.glob(f"*/{RUN_ID}")}
    for run in client.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'"):
        folder = folders.get(run.info.run_id)
        if folder is None or is_locked(folder):
            continue
        logged = logged_epochs(client, run.info.run_id)
        rows = read_metrics(folder / METRICS)
        for row in rows:
            if row["epoch"] not in logged:
                log_row(client, run.info.run_id, row)
        complete = bool(rows) and str(int(rows[-1]["epoch"])) == run.data.params.get("max_epochs")
        set_status(
            client,
            run.info.run_id,
            mlflow.entities.RunStatus.FINISHED if complete else mlflow.entities.RunStatus.KILLED,
        )


def log_file(record: RunRecord, uri: str | None, path: Path) -> None:
    """Add a file to the run's artifacts, where it is tracked and the store answers."""
    if uri and record.tracking_id:
        try:
            mlflow.MlflowClient(uri).log_artifact(record.tracking_id, str(path))
        except (mlflow.exceptions.MlflowException, OSError) as error:
            logger.warning("%s: the MLflow store does not take %s (%s)", uri, path.name, _said(error))


@contextlib.contextmanager
def _alone(uri: str) -> Iterator[None]:
    """Lock a SQLite store's file; other stores look after themselves."""
    lock = None
    if uri.startswith(SQLITE):
        database = _database(uri)
        database.parent.mkdir(parents=True, exist_ok=True)  # its caller says what else could track
        lock = lock_file(database.with_name(f"{database.name}.lock"))
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def _database(uri: str) -> Path:
    return Path(uri.removeprefix(SQLITE)).resolve()


def _key(name: str) -> str:
    """MLflow's parameters have no # in their names."""
    return name.replace("::", "#").replace("#", ".")


def _said(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
