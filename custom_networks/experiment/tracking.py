"""The MLflow run of a whole experiment, below which its runs stand."""

from __future__ import annotations

import logging
from pathlib import Path

from custom_networks.experiment.cell import RUNS

logger = logging.getLogger(__name__)

PARENT_ID = "mlflow_run_id.txt"
PARENT_TAG = "mlflow.parentRunId"


class ParentRun:
    """A parent run in the store that the runs of an experiment are tracked in.

    A store that does not answer costs the nesting alone: the runs themselves say what they could not log.

    Args:
        title: of the experiment.
        folder: of the experiment; it keeps the run's id, so that the next call continues that run.
        uri: store; empty for the one that `sgdnet train` takes by default.
    """

    def __init__(self, title: str, folder: Path, uri: str = "") -> None:
        self.folder = folder
        self.title = title
        self.uri = uri
        self.identity: str | None = None

    def add(self, run: Path | None) -> None:
        """Put a run below the parent, which is made with the first one."""
        from custom_networks.run.folder import RUN_ID

        if run is None or not (run / RUN_ID).is_file():  # not tracked, or failed before
            return
        child = (run / RUN_ID).read_text().strip()
        try:
            client = self._client()
            client.set_tag(child, PARENT_TAG, self._parent())
        except Exception as error:  # the store's own errors are of many kinds
            logger.warning("MLflow: %s does not stand below its experiment (%s)", run.name, error)

    def close(self, succeeded: bool) -> None:
        """End the parent run."""
        if self.identity is None:
            return
        try:
            self._client().set_terminated(self.identity, "FINISHED" if succeeded else "FAILED")
        except Exception as error:
            logger.warning("MLflow: the experiment's run stays open (%s)", error)

    def _client(self):  # type: ignore[no-untyped-def]
        from custom_networks.run.folder import tracking_store
        from custom_networks.run.tracking import open_store

        self.uri = self.uri or tracking_store(self.folder / RUNS)
        return open_store(self.uri)

    def _parent(self) -> str:
        from custom_networks.run.tracking import experiment_id

        if self.identity is None:
            path = self.folder / PARENT_ID
            client = self._client()
            if path.is_file():
                self.identity = path.read_text().strip()
                client.update_run(self.identity, status="RUNNING")
            else:
                run = client.create_run(experiment_id(client, self.uri), run_name=self.title)
                self.identity = str(run.info.run_id)
                path.write_text(self.identity + "\n")
        return self.identity
