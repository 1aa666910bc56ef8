"""`sgdnet experiment`: run what a plan lacks, here or on a cluster; a failure of one run does not stop the others."""

from __future__ import annotations

import contextlib
import functools
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from pathlib import Path
from typing import Any

from custom_networks.experiment.cell import Task, run_task
from custom_networks.experiment.folder import Experiment, default_folder
from custom_networks.experiment.plan import ABOUT, TRAINING, duration, read_plan, read_tests, seconds_of
from custom_networks.experiment.timing import estimated_seconds
from custom_networks.experiment.tracking import ParentRun
from custom_networks.files import lock_file, write_json
from custom_networks.messages import find_user_error
from custom_networks.typed_files import FileModel, JournalWriter, read_lines

JOURNAL = "experiment.jsonl"
BUSY = "another process runs this experiment; wait for its end, or choose another --output_dir"


class Attempt(FileModel):
    """A line of the journal, `experiment.jsonl`: one attempt to make a run.

    Attributes:
        run: name of the run.
        identity: of its configuration.
        whole: whether it began with nothing, so that its seconds say how long such a run takes.
        seconds: that it took.
        error: why it failed; None where it did not.
    """

    run: str
    identity: str
    whole: bool
    seconds: float
    error: str | None = None


def run_experiment(
    plan: str | Path,
    output_dir: str | Path | None,
    given: Mapping[str, Any],
    tests: str = "",
    dry_run: bool = False,
    budget: str = "",
    cluster: str = "",
    keep_checkpoints: bool = False,
    processes: int = 1,
) -> int:
    """Run a plan.

    Args:
        plan: its file.
        output_dir: folder of its runs and figures, see `default_folder`; what is there already is not made again.
        given: flags of `sgdnet train` for all rows.
        tests: further test sets, see `read_tests`.
        dry_run: only print what would be run, with its time.
        budget: time, such as 40m; runs start only while they are expected to end within it. Empty for no limit.
        cluster: address of a Dask scheduler whose workers run the plan; empty runs it here.
        keep_checkpoints: whether `last.pt` of a run that is done stays.
        processes: that train each run together, on the machine that runs it.

    Returns:
        How many runs failed.

    Raises:
        UserError: for a plan, an overlay or a budget that cannot be read, or a folder of another data set.
    """
    read = read_plan(plan)
    folder = (Path(output_dir) if output_dir else default_folder(plan)).resolve()
    limit = seconds_of(budget) if budget else None
    experiment = Experiment.begin(read, folder, given, read_tests(tests), processes)
    tasks = experiment.tasks(folder, keep_checkpoints)
    if dry_run:
        _print_plan(tasks, folder, limit)
        return 0
    lock = lock_file(folder / ".experiment.lock", BUSY, fix="choose another --output_dir")
    try:
        write_json(folder / ABOUT, experiment.as_dict())
        return _run(tasks, read.title, folder, limit, cluster, str(given.get("tracking_uri") or ""))
    finally:
        if lock is not None:
            lock.release()


def attempts(folder: Path) -> list[Attempt]:
    """What was tried in an experiment's folder, the first attempt first."""
    return read_lines(folder / JOURNAL, Attempt)


def _expected(task: Task, tried: Sequence[Attempt], measured: dict[str, float]) -> float:
    """Seconds that a run takes: what the same row took before, else from measured steps."""
    row = _row(task.cell.name)
    before = [each.seconds for each in tried if each.whole and each.error is None and _row(each.run) == row]
    if before:
        return before[-1]
    if row not in measured:
        measured[row] = estimated_seconds(task.cell)
    return measured[row]


def _row(run: str) -> str:
    return run.rsplit("_fold", 1)[0]


def _print_plan(tasks: Sequence[Task], folder: Path, limit: float | None) -> None:
    tried, measured = attempts(folder), dict[str, float]()
    total, fits = 0.0, 0
    for task in tasks:
        missing = task.missing()
        if not missing:
            print(f"{task.cell.name}: done")
            continue
        if TRAINING not in missing:
            print(f"{task.cell.name}: to evaluate on {', '.join(missing)}")
            continue
        try:
            seconds = _expected(task, tried, measured)
        except Exception as error:  # whatever keeps a row from running; it is told, and the others are planned
            print(f"{task.cell.name}: would fail, {find_user_error(error) or ' '.join(str(error).split())[:200]}")
            continue
        total += seconds
        within = limit is None or total <= limit
        fits += within
        print(f"{task.cell.name}: about {duration(seconds)}{'' if within else ', beyond the budget'}")
    print(f"In all about {duration(total)} on this machine, one run after the other.")
    if limit is not None:
        print(f"{fits} runs fit into {duration(limit)}.")


def _run(tasks: Sequence[Task], title: str, folder: Path, limit: float | None, cluster: str, tracking_uri: str) -> int:
    deadline = math.inf if limit is None else time.time() + limit
    tried, measured = attempts(folder), dict[str, float]()
    journal = JournalWriter(folder / JOURNAL, "make room, and run the command again")
    journal.start([each.as_dict() for each in tried])
    todo = [task for task in tasks if task.missing()]
    done, failed, left = len(tasks) - len(todo), 0, 0
    parent = ParentRun(title, folder, tracking_uri)
    print(f"{title}: {len(tasks)} runs, {done} done already", flush=True)
    try:
        with _executor(cluster) as start:
            for task, attempt in start(todo, lambda task: _latest_start(task, tried, measured, deadline)):
                if attempt is None:
                    left += 1
                    continue
                journal.add(attempt.as_dict())
                tried.append(attempt)
                parent.add(task.run_folder())
                if attempt.error:
                    failed += 1
                    print(f"{attempt.run}: failed, {attempt.error}", file=sys.stderr, flush=True)
                else:
                    done += 1
                    print(f"{attempt.run}: done in {duration(attempt.seconds)}", flush=True)
    finally:
        journal.close()
        parent.close(failed == 0)
    rest = [f"{count} {what}" for count, what in ((failed, "failed"), (left, "beyond the budget")) if count]
    print(", ".join([f"{done} of {len(tasks)} runs done", *rest]))
    return failed


def _latest_start(task: Task, tried: Sequence[Attempt], measured: dict[str, float], deadline: float) -> float:
    """Time until which a run may begin to end within the budget, as expected; an evaluation may until its end."""
    if math.isinf(deadline):
        return deadline
    try:
        return deadline - (_expected(task, tried, measured) if TRAINING in task.missing() else 0)
    except Exception:  # the run itself tells why it cannot start
        return deadline


Results = Iterator[tuple[Task, Attempt | None]]
Start = Callable[[Sequence[Task], Callable[[Task], float]], Results]


@contextlib.contextmanager
def _executor(cluster: str) -> Iterator[Start]:
    """Open what runs tasks: this process, one after the other, or the workers of a cluster, as many as there are."""
    if not cluster:
        yield _one_by_one
        return
    from custom_networks.data.cluster import cluster_pool

    with cluster_pool(cluster) as pool:
        yield functools.partial(_on_workers, pool)


def _one_by_one(tasks: Sequence[Task], latest: Callable[[Task], float]) -> Results:
    for task in tasks:
        yield task, attempt(task, latest(task))


def _on_workers(pool: Executor, tasks: Sequence[Task], latest: Callable[[Task], float]) -> Results:
    started = {pool.submit(attempt, task, latest(task)): task for task in tasks}
    for future in as_completed(started):
        task = started[future]
        try:
            yield task, future.result()
        except Exception as error:  # a worker may fail in any way; the other runs go on
            text = " ".join(str(error).split())[:200] or type(error).__name__
            yield task, Attempt(run=task.cell.name, identity=task.identity, whole=False, seconds=0.0, error=text)


def attempt(task: Task, latest: float) -> Attempt | None:
    """Make a run, and tell how long it took; None where it is too late to begin, as after a wait for a worker.

    Args:
        task: the run.
        latest: time until which it may begin, in seconds since 1970, which all machines of a cluster agree on.
    """
    if time.time() > latest:
        return None
    begin = time.monotonic()
    whole = task.run_folder() is None
    error = run_task(task)
    seconds = time.monotonic() - begin
    return Attempt(run=task.cell.name, identity=task.identity, whole=whole, seconds=seconds, error=error)
