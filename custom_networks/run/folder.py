"""The folder of a run: a new one, or the one to resume."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from custom_networks.errors import UserError
from custom_networks.flags import flag
from custom_networks.weights.record import LAST


def run_folder(runs_dir: str | Path, resume: bool | str | Path = False) -> str:
    """Choose the folder of a run, without making it.

    Args:
        runs_dir: folder of all runs.
        resume: False for a new run, named by the time; True for the newest run there is; or the path of a
            `last.pt` or of the folder that holds it.

    Returns:
        The folder's path.

    Raises:
        UserError: where there is nothing to resume.
    """
    resume = flag(resume)
    if resume is True:
        found = sorted(Path(runs_dir).glob(f"*/{LAST}"), key=lambda path: path.stat().st_mtime)
        if not found:
            raise UserError(f"{runs_dir}: no run to resume, no {LAST} in its folders; start one without --resume")
        return str(found[-1].parent)
    if resume:
        path = Path(resume)
        folder = path.parent if path.suffix == ".pt" else path
        if not (folder / LAST).is_file():
            raise UserError(f"{resume}: no {LAST} to resume from; give the folder of a run")
        return str(folder)
    return str(Path(runs_dir) / datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))
