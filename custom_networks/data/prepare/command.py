"""Prepare a data set: find its cases, read each once, split them, and write the datalist and the data card."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from custom_networks.data.checking import check_items
from custom_networks.data.checking.examine import Labels
from custom_networks.data.datalist import PARTS, SPLITS, Datalist, ListedImage, Split
from custom_networks.data.depth import decided_depth
from custom_networks.data.prepare.cache import CaseJob, Facts, copies, needs_copy, read_all, stamps
from custom_networks.data.prepare.card import write_card
from custom_networks.data.prepare.cases import Case, DataSetKind
from custom_networks.data.prepare.folders import GROUP, check_columns, user_table
from custom_networks.data.prepare.journal import PreparationJournal
from custom_networks.data.prepare.lists import Method, external_test, make_lists, relative
from custom_networks.data.prepare.settings import Settings, kind_of
from custom_networks.data.prepare.splits import NONE, group_names
from custom_networks.errors import UserError
from custom_networks.files import printable

DATALIST, CARD = "datalist.json", "data_card.md"
SHOWN = 3
"""How many files an error names."""
IdPair = tuple[str, str]


def prepare_dataset(
    settings: Settings,
    output: str | Path,
    num_workers: int = 0,
    overwrite: bool = False,
    say: Callable[[str], None] = print,
    cluster: str = "",
) -> Path:
    """Write `datalist.json` and `data_card.md` of a data set, and copies of its pictures where they are needed.

    Pictures are copied as PNG when a size is wanted, and when no datalist could name them (archives, NumPy stacks,
    DICOM, NIfTI). Run again after an interruption it resumes; no file is read twice.

    Args:
        settings: what to prepare, and how.
        output: folder that gets the files.
        num_workers: processes; 0 takes one for each core.
        overwrite: replace what an earlier run with other settings wrote.
        say: called with each line that a user should read.
        cluster: address of a Dask scheduler whose workers read and copy, such as tcp://10.0.0.1:8786.

    Returns:
        Path of the datalist.

    Raises:
        UserError: for a data set in which something is wrong, or an output folder that holds other files of these names
            or the work of other settings.
    """
    if isinstance(num_workers, bool) or not isinstance(num_workers, int) or num_workers < 0:
        raise UserError(f"--num_workers {num_workers}: must be a whole number from 0 up")
    kind, output = kind_of(settings.kind), Path(os.path.expanduser(output))  # noqa: PTH111  ~nouser stays as it is
    cases = _find(kind, settings)
    jobs = [CaseJob(case, output, settings.label_kind, settings.image_size, settings.fit) for case in cases]
    target = Path(os.path.realpath(output))  # a symlink to itself is told where something is written
    inside = Path(settings.source).resolve() in (target, *target.parents)
    if inside and any(map(needs_copy, jobs)):
        raise UserError(f"{output}: lies in the data set, whose pictures are to be copied; give a folder outside")
    with closing(PreparationJournal(output, settings.as_dict(), overwrite)) as journal:
        datalist, notices = _prepare(kind, cases, jobs, settings, journal, num_workers, cluster)
    counts = [f"{len(datalist.listed(name))} {name}" for name in SPLITS if getattr(datalist, name) is not None]
    for line in (*notices, f"{datalist.source}: {', '.join(counts)}; {CARD} beside it"):
        say(line)
    return datalist.source


def _prepare(
    kind: DataSetKind,
    cases: Sequence[Case],
    jobs: Sequence[CaseJob],
    settings: Settings,
    journal: PreparationJournal,
    num_workers: int,
    cluster: str,
) -> tuple[Datalist, list[str]]:
    """Read and write everything, while no other process works in the folder; returns the datalist and notices."""
    output = journal.folder
    for name in (DATALIST, CARD):
        journal.refuse_foreign(name)
    facts = _read(jobs, journal, num_workers, cluster)
    duplicates = _near_duplicates(cases, facts, output, num_workers) if settings.near_duplicates else []
    datalist, notices = _split(cases, facts, duplicates, settings, output)
    lists: dict[str, list[dict[str, Any]]] = {
        name: _examined(datalist, name) for name in SPLITS if getattr(datalist, name) is not None
    }
    labels = Labels(datalist.label_kind, frozenset(datalist.class_names()) or None)
    notices += check_items(lists, labels, num_workers or None, False, datalist.bit_depth).notices
    card = write_card(kind, datalist, facts, settings.as_dict(), notices)
    content = datalist.model_dump(mode="json", exclude_none=True)
    for name, text in ((CARD, card), (DATALIST, json.dumps(content, indent=1, ensure_ascii=False) + "\n")):
        journal.write(name, text.encode(errors="backslashreplace"))
    return datalist, notices


def _find(kind: DataSetKind, settings: Settings) -> list[Case]:
    """List the cases, with the columns of a table, and check their ids."""
    cases = kind.find(Path(settings.source), settings.axis)
    if settings.label_kind == "mask":
        cases = [replace(case, types=None) for case in cases]
    seen: dict[str, Case] = {}
    for case in cases:
        if not case.id or any(sign in case.id for sign in "/\\\0"):
            raise UserError(f"{case.image.name}: its id {case.id!r} is no file name; give another")
        for picture in filter(None, (case.image, case.label, case.types)):
            if printable(picture.name) != picture.name:
                raise UserError(
                    f"{printable(picture.name)}: its name is not UTF-8, which a datalist cannot hold; rename it"
                )
        if case.id in seen:
            raise UserError(f"{case.image.name}: has the same id {case.id} as {seen[case.id].image.name}; rename one")
        seen[case.id] = case
    if settings.table:
        cases = _with_table(cases, settings)
    if not settings.group_by and kind.group_by and _grouping(settings, kind, cases) == kind.group_by:
        _need_groups(kind, cases)
    return cases


def _grouping(settings: Settings, kind: DataSetKind, cases: Sequence[Case]) -> str:
    """What names the groups: `--group_by`, else the column "group" of a user's table, else the kind's own."""
    return settings.group_by or (GROUP if any(GROUP in case.columns for case in cases) else kind.group_by)


def _need_groups(kind: DataSetKind, cases: Sequence[Case]) -> None:
    """Raise UserError where the kind's own grouping is not known of every case: it would tear groups apart."""
    bare = [case.image.name for case in cases if not case.columns.get(kind.group_by)]
    if bare:
        named = ", ".join(bare[:SHOWN]) + (", ..." if len(bare) > SHOWN else "")
        raise UserError(
            f"{named}: no {kind.group_by} is known of {len(bare)} of {len(cases)} images, so images of one "
            f"{kind.group_by} could land in different folds; add it ({kind.grouped_from}), give --group_by a column or "
            f"a pattern of the ids, or accept it by --group_by {NONE}"
        )


def _with_table(cases: Sequence[Case], settings: Settings) -> list[Case]:
    """Add the columns of a table."""
    rows = user_table(Path(settings.table))
    column = next(iter(rows[0])) if rows else "which is missing"
    facts = {row.pop(column).strip(): row for row in rows}
    check_columns(Path(settings.table), next(iter(facts.values()), {}))
    lacking = next((case.id for case in cases if case.id not in facts), None)
    if lacking is not None:
        raise UserError(f"{settings.table}: no row for {lacking} in its first column, {column}; add it")
    return [replace(case, columns={**case.columns, **facts[case.id]}) for case in cases]


def _read(jobs: Sequence[CaseJob], journal: PreparationJournal, num_workers: int, cluster: str) -> dict[str, Facts]:
    """Facts of every case by its id; those that an earlier run has read are not read again."""
    wanted = {job.case.id for job in jobs}
    journal.cases = {name: facts for name, facts in journal.cases.items() if name in wanted}
    to_do = [job for job in jobs if not _is_done(job, journal)]
    planned = [name for job in to_do if needs_copy(job) for name in copies(job).values()]
    for name in planned:
        journal.refuse_foreign(name)
    journal.start(planned)
    errors = []
    bar = tqdm(total=len(jobs), initial=len(jobs) - len(to_do), unit="image", disable=not sys.stderr.isatty())
    with bar, closing(read_all(to_do, num_workers, cluster)) as results:
        for result in results:
            if isinstance(result, UserError):
                errors.append(result)
            else:
                journal.add(result)
            bar.update()
    if errors:
        others = f" (and {len(errors) - 1} more with errors)" if len(errors) > 1 else ""
        raise UserError(f"{errors[0]}{others}")
    return journal.cases


def _is_done(job: CaseJob, journal: PreparationJournal) -> bool:
    facts = journal.cases.get(job.case.id)
    if facts is None or facts["stamps"] != stamps(job.case) or facts["copied"] != needs_copy(job):
        return False
    return all((journal.folder / name).is_file() for name in copies(job).values()) if facts["copied"] else True


def _near_duplicates(cases: Sequence[Case], facts: dict[str, Facts], output: Path, workers: int) -> list[IdPair]:
    """Pairs of ids whose images show the same."""
    from custom_networks.data.duplicates import find_near_duplicates

    paths = [os.path.join(output, facts[case.id]["image"]) for case in cases]  # noqa: PTH118
    return [(cases[one].id, cases[other].id) for one, other, _ in find_near_duplicates(paths, workers or None)]


def _split(
    cases: Sequence[Case], facts: dict[str, Facts], duplicates: Sequence[IdPair], settings: Settings, output: Path
) -> tuple[Datalist, list[str]]:
    """Make the datalist, and notices about it."""
    kind = kind_of(settings.kind)
    columns = [case.columns for case in cases]
    groups = group_names([case.id for case in cases], columns, _grouping(settings, kind, cases), duplicates)
    how = Method(settings.split, settings.folds, tuple(map(float, settings.fractions)), settings.seed)
    lists, notices = make_lists(cases, groups, [facts[case.id]["share"] for case in cases], how)
    by_id = {case.id: (case, group) for case, group in zip(cases, groups, strict=True)}
    content: dict[str, Any] = {"name": kind.name, "label_kind": settings.label_kind}
    about = {"description": kind.title, "licence": kind.licence, "reference": kind.reference}
    content |= {name: value for name, value in about.items() if value}
    if kind.classes and settings.label_kind != "mask":
        content["classes"] = dict(kind.classes)
    depths = (fact["bit_depth"] for case in cases if "bit_depth" in (fact := facts[case.id]))
    content["bit_depth"] = decided_depth(None, depths)
    for name, entries in lists.items():
        content[name] = [_listed(*by_id[case], facts[case], fold, kind.name, output) for case, fold in entries]
    if settings.test_datalist:
        content["test"] = external_test(Path(settings.test_datalist), output)
        notices.append(f"the test list is that of {settings.test_datalist}: {len(content['test'])} images")
    if settings.near_duplicates:
        notices.append(f"{len(duplicates)} pairs of near-duplicates{_examples(duplicates)}")
    return Datalist.of(content, output / DATALIST), notices


def _listed(case: Case, group: str, facts: Facts, fold: int | None, kind: str, output: Path) -> ListedImage:
    """One entry of the datalist."""
    content: dict[str, Any] = {
        name: value for name, value in case.columns.items() if name not in ListedImage.model_fields
    }
    content |= {"id": case.id, "fold": fold, "group": group, "source": kind}
    content |= {name: facts[name] for name in ("sha256", "spacing") if name in facts}
    content |= {
        part: facts[part] if facts["copied"] else relative(facts[part], output) for part in PARTS if part in facts
    }
    return ListedImage.model_validate(content)


def _examined(datalist: Datalist, split: Split) -> list[dict[str, Any]]:
    """Images of a list with the paths of their files, for the check."""
    pairs = zip(datalist.listed(split), datalist.located(split), strict=True)
    return [{"fold": image.fold, **files} for image, files in pairs]


def _examples(pairs: Sequence[IdPair]) -> str:
    shown = ", ".join(f"{one} and {other}" for one, other in pairs[:5])
    return f": {shown}{', ...' if len(pairs) > 5 else ''} (each kept in one fold)" if pairs else ""
