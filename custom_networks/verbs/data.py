"""Verbs that make, prepare and check data sets."""

from __future__ import annotations

from typing import Annotated

from custom_networks.arguments import FILES, Help
from custom_networks.verbs.result import DONE, WRONG_INPUT, Result

SPLIT, COPIES = "Split", "Pictures"
LABEL_KIND = "what the labels are: mask, instances or classes"
AXIS = "0, 1 or 2, along which the slices of NIfTI volumes are counted"


def phantoms(
    *,
    output_dir: Annotated[str, Help("folder that gets images/ and masks/", FILES)] = "data/phantoms",
    count: Annotated[int, Help("how many pairs")] = 64,
    size: Annotated[int, Help("side in pixels")] = 256,
    seed: Annotated[int, Help("of everything drawn")] = 0,
) -> None:
    """Draw dermoscopy phantoms: sample images with masks, the same bytes for the same seed."""
    from custom_networks.data.phantoms import write_phantoms

    print(f"Phantoms in {write_phantoms(output_dir, count, size, seed)}")


def prepare(
    kind: Annotated[str, Help("isic2016, isic2018, ph2, conic, consep, folder, csv, nifti or dicom", FILES)],
    source: Annotated[
        str,
        Help(
            "the data set as downloaded, with folders or zip archives; a CSV file of the kind csv",
            FILES,
            names=("--dataset_dir",),
        ),
    ],
    *,
    output: Annotated[str, Help("folder that gets datalist.json, data_card.md and copies of pictures", FILES)],
    overwrite: Annotated[bool, Help("true replaces what was prepared there with other settings", FILES)] = False,
    table: Annotated[str, Help("CSV with further columns; its first column holds the ids", FILES, "none")] = "",
    test_datalist: Annotated[
        str, Help("datalist of another prepared data set whose images become the test list", FILES, "none")
    ] = "",
    image_size: Annotated[int, Help("side in pixels of resized copies; 0 leaves the size", COPIES)] = 0,
    fit: Annotated[
        str, Help("short (the short side gets that size, the aspect is kept) or exact (a square)", COPIES)
    ] = "short",
    label_kind: Annotated[str, Help(f"{LABEL_KIND}, of your own data", COPIES, "mask")] = "",
    axis: Annotated[int, Help(AXIS, COPIES)] = 2,
    split: Annotated[str, Help("official, kfold, fractions or test", SPLIT, "the kind's own")] = "",
    folds: Annotated[int, Help("how many, of the training list", SPLIT)] = 5,
    fractions: Annotated[str, Help("of training, validation and test, such as 7:1:2", SPLIT, "the kind's own")] = "",
    seed: Annotated[int, Help("of the split", SPLIT)] = 0,
    group_by: Annotated[
        str,
        Help(
            "column, regular expression with one group on the id, or none; a group stays in one fold",
            SPLIT,
            "the kind's own",
        ),
    ] = "",
    near_duplicates: Annotated[bool, Help("true keeps images that show the same in one fold", SPLIT)] = True,
    num_workers: Annotated[int, Help("processes; 0 takes one for each core", "Speed")] = 0,
    cluster: Annotated[
        str,
        Help(
            "address of a Dask scheduler, as tcp://10.0.0.1:8786, whose workers read and copy the pictures",
            "Speed",
            "none",
        ),
    ] = "",
) -> None:
    """Make a datalist of a data set: isic2016, isic2018, ph2, conic, consep, folder, csv, nifti or dicom."""
    from custom_networks.data.prepare import Settings, prepare_dataset

    settings = Settings(
        kind,
        source,
        image_size=image_size,
        fit=fit,
        label_kind=label_kind,
        axis=axis,
        split=split,
        folds=folds,
        fractions=fractions,
        seed=seed,
        group_by=group_by,
        near_duplicates=near_duplicates,
        table=table,
        test_datalist=test_datalist,
    )
    prepare_dataset(settings, output, overwrite=overwrite, num_workers=num_workers, cluster=cluster)


def check(
    *data: Annotated[str, Help("datalists or folders; exit code 1 when one has errors", FILES)],
    json: Annotated[
        str | None, Help("file that gets every finding; - prints them in place of the table", FILES, "none")
    ] = None,
    sheet: Annotated[
        str | None,
        Help("PNG that gets a contact sheet, suspicious pairs first", FILES, "none"),
    ] = None,
    dataset_dir: Annotated[
        str | None, Help("where a datalist's files lie that are not beside it", FILES, "the datalist's folder")
    ] = None,
    label_kind: Annotated[str | None, Help(LABEL_KIND, "Checks", "what a datalist says, else mask")] = None,
    near_duplicates: Annotated[
        bool, Help("false leaves out the search for pictures that are nearly the same", "Checks")
    ] = True,
    num_workers: Annotated[int | None, Help("threads", "Speed", "one for each core, 8 at most")] = None,
    cluster: Annotated[
        str, Help("address of a Dask scheduler, as tcp://10.0.0.1:8786, whose workers read the files", "Speed", "none")
    ] = "",
) -> Result:
    """Check data sets: every file, every label, duplicates within and across them."""
    from custom_networks.data.checking.command import check_command

    passed = check_command(data, json, sheet, near_duplicates, num_workers, dataset_dir, label_kind, cluster)
    return Result(DONE if passed else WRONG_INPUT)
