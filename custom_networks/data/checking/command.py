"""The command `sgdnet check`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from custom_networks.data.checking.examine import Labels
from custom_networks.data.checking.read import read_data_set
from custom_networks.data.checking.report import as_json, as_table
from custom_networks.data.checking.run import run_check
from custom_networks.data.checking.sheet import write_contact_sheet
from custom_networks.data.labels import label_kind
from custom_networks.data.remote import is_remote
from custom_networks.errors import UserError
from custom_networks.files import write_atomically

PRINTED = "-"  # as the name of the JSON file


def check_command(
    data: tuple[Any, ...],
    json_file: Any,
    sheet: Any,
    near_duplicates: bool,
    num_workers: int | None,
    dataset_dir: Any,
    kind: Any = None,
    cluster: str = "",
) -> bool:
    """Check data sets, print the table, and write what was asked for.

    Args:
        data: datalists or folders.
        json_file: where the JSON goes, "-" to print it in place of the table, or None.
        sheet: where the contact sheet goes, or None.
        near_duplicates: whether to search for them.
        num_workers: threads, or None.
        dataset_dir: where a datalist's files lie that are not beside it, or None.
        kind: of the labels, or None for what each datalist says.
        cluster: address of a Dask scheduler, or empty.

    Returns:
        Whether there are no errors.

    Raises:
        UserError: without data, for data or a number that cannot be, or for a file that cannot be written.
    """
    if not data:
        raise UserError("sgdnet check needs a datalist or a folder, as in `sgdnet check my_folder`")
    if num_workers is not None and (
        isinstance(num_workers, bool) or not isinstance(num_workers, int) or num_workers < 1
    ):
        raise UserError(f"--num_workers {num_workers}: must be a whole number from 1 up")
    for name, value, ending in (("json", json_file, ".json"), ("sheet", sheet, ".png")):
        if value not in (None, PRINTED) and not str(value).lower().endswith(ending):
            raise UserError(f"--{name} {value}: give the name of a file that ends in {ending}")
    if dataset_dir is not None and not is_remote(dataset_dir) and not Path(dataset_dir).is_dir():
        raise UserError(f"--dataset_dir {dataset_dir}: no such folder; give the one where the datalist's files lie")
    data_sets = [read_data_set(str(source), dataset_dir) for source in data]
    if kind is not None:
        for each in data_sets:
            each.labels = Labels(label_kind(kind), each.labels.classes)
    bar = _bar if sys.stderr.isatty() else None
    report = run_check(data_sets, near_duplicates, num_workers, bar, cluster=cluster)
    text = json.dumps(as_json(report), indent=2, ensure_ascii=False) + "\n"
    print(text if json_file == PRINTED else as_table(report), end="" if json_file == PRINTED else "\n")
    if json_file not in (None, PRINTED):
        write_atomically(Path(str(json_file)), lambda file: file.write(text.encode(errors="backslashreplace")))
    if sheet is not None:
        write_contact_sheet(Path(str(sheet)), report)
    return not report.errors


def _bar(results: Iterable[Any], count: int) -> Iterable[Any]:
    return tqdm(results, total=count, unit="item", leave=False)
