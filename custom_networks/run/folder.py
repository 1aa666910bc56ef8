"""The folder of a run: a new one that is claimed, or the one to resume; the lock of the process that works in it.

`mkdir` decides between processes that start in the same second, and a file lock, which the operating system releases
however a process ends, tells whether somebody still works in a folder. Where runs are tracked is decided here too,
so that code which needs the address alone does not import MLflow, which takes seconds.
"""

from __future__ import annotations

import atexit
import importlib.util
import itertools
import logging
import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from custom_networks.errors import UserError
from custom_networks.files import lock_file
from custom_networks.flags import flag
from custom_networks.weights.record import LAST

logger = logging.getLogger(__name__)

RUN_ID = "mlflow_run_id.txt"
"""File in a run's folder with its id in the store."""
SQLITE = "sqlite:///"
SETTINGS, LOCK = "settings.json", "run.lock"
PATIENCE = 10.0
"""Seconds to wait for a lock: the loading processes of a killed training hold it until they notice, 5 s later."""


def claim_folder(parent: str | Path) -> Path:
    """Make a new folder, named by the time; a number is appended where another process was faster.

    It is removed at the end of the process if nothing was written into it, as where the weights cannot be read, and so
    is a parent that was made for it.

    Args:
        parent: folder that gets it.

    Returns:
        The folder, which is empty and nobody else's.

    Raises:
        UserError: where it cannot be made.
    """
    new = [] if Path(parent).exists() else [Path(parent)]
    name = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    for number in itertools.count(1):
        folder = Path(parent) / (name if number == 1 else f"{name}_{number}")
        try:
            folder.mkdir(parents=True, exist_ok=False)
        except FileExistsError:
            continue
        except OSError as error:
            raise UserError(f"{folder}: cannot be made ({error.strerror}); choose another --output_dir") from error
        atexit.register(_remove_if_empty, [folder, *new], os.getpid())
        return folder
    raise AssertionError("unreachable")


def _remove_if_empty(folders: list[Path], process: int) -> None:
    if os.getpid() == process:  # not at the end of a fork
        with suppress(OSError):
            for folder in folders:
                folder.rmdir()


def folder_to_resume(runs_dir: str | Path, resume: bool | str | Path, output_dir: str | Path | None = None) -> Path:
    """Find the folder of the run that `--resume` means.

    Args:
        runs_dir: folder of all runs.
        resume: True for the newest run, or the path of a `last.pt` or of the folder that holds it.
        output_dir: folder of the run, where that was given.

    Returns:
        A folder that holds `last.pt`.

    Raises:
        UserError: where there is nothing to resume, or two folders are meant.
    """
    resume = flag(resume)
    if resume is not True:
        path = Path(str(resume))
        folder = path.parent if path.suffix == ".pt" else path
        if output_dir is not None and Path(output_dir).resolve() != folder.resolve():
            raise UserError(f"--resume {resume} continues in its own folder; leave out --output_dir {output_dir}")
    elif output_dir is not None:
        folder = Path(output_dir)
    else:
        folder = _newest(Path(runs_dir))
    if not (folder / LAST).is_file():
        raise UserError(
            f"{folder}: no {LAST} to resume from, because no epoch of it is complete; start it anew without --resume, "
            "or give the folder of another run"
        )
    return folder


def _newest(runs_dir: Path) -> Path:
    """Return the run that was started or saved last, whether or not it can be resumed."""
    files = [*runs_dir.glob(f"*/{LAST}"), *runs_dir.glob(f"*/{SETTINGS}")]
    if not files:
        raise UserError(f"{runs_dir}: no run to resume in its folders; start one without --resume")
    return max(files, key=lambda path: path.stat().st_mtime).parent


def lock_folder(folder: Path) -> FileLock | None:
    """Lock a run's folder for this process, until it ends.

    Args:
        folder: of the run; it is made where it is missing.

    Returns:
        The lock, which must be kept; None on a file system without locks.

    Raises:
        UserError: while another process works there, or where the folder cannot be written.
    """
    busy = "another process trains in this folder; wait for its end, or choose another --output_dir"
    return lock_file(folder / LOCK, busy, PATIENCE, fix="choose another --output_dir")


def is_locked(folder: Path, name: str = LOCK) -> bool:
    """Tell whether a process works in a folder; False where that cannot be known.

    Args:
        folder: of a run, or of something else with a lock.
        name: of its lock.
    """
    lock = FileLock(folder / name)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except (NotImplementedError, OSError):
        return False
    lock.release()
    return False


def tracking_store(runs_dir: str | Path) -> str:
    """Where runs are tracked: `MLFLOW_TRACKING_URI` where it is set, else a SQLite file beside the runs.

    Empty, with a warning, where the installed MLflow has no SQLite store (mlflow-skinny).
    """
    given = os.environ.get("MLFLOW_TRACKING_URI")
    if given:
        return given
    if not all(importlib.util.find_spec(name) for name in ("sqlalchemy", "alembic")):
        logger.warning("the run is not tracked: mlflow-skinny has no SQLite store; install mlflow")
        return ""
    return f"{SQLITE}{Path(runs_dir).resolve() / 'mlflow.db'}"
