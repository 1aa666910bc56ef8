"""What `sgdnet` can do, a function for each verb.

`train` and `evaluate` run the bundle's JSON files, with their knobs as arguments. The others call the function that
does the work; an argument that is not given is left to it, so that each default stands in one place.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from custom_networks.bundle_run import default_bundle, run_config


def given(**arguments: Any) -> dict[str, Any]:
    """Leave out the arguments that a command line did not give, which are None."""
    return {name: value for name, value in arguments.items() if value is not None}


def phantoms(
    output_dir: str = "data/phantoms", count: int | None = None, size: int | None = None, seed: int | None = None
) -> None:
    """Draw dermoscopy phantoms: sample images with masks, the same bytes for the same seed.

    Args:
        output_dir: folder that gets images/ and masks/.
        count: how many pairs.
        size: side in pixels.
        seed: of everything drawn.
    """
    from custom_networks.data.phantoms import write_phantoms

    print(f"Phantoms in {write_phantoms(str(output_dir), **given(count=count, size=size, seed=seed))}")


def prepare(
    kind: str,
    source: str,
    *,
    output: str,
    image_size: int | None = None,
    fit: str | None = None,
    split: str | None = None,
    folds: int | None = None,
    fractions: str | None = None,
    seed: int | None = None,
    group_by: str | None = None,
    near_duplicates: bool | None = None,
    test_datalist: str | None = None,
    table: str | None = None,
    label_kind: str | None = None,
    axis: int | None = None,
    num_workers: int | None = None,
    cluster: str | None = None,
    overwrite: bool = False,
) -> None:
    """Make a datalist of a data set: isic2016, isic2018, ph2, conic, consep, folder, csv, nifti or dicom.

    Args:
        kind: of the data set, one of the above.
        source: its folder as downloaded, with folders or zip archives; a CSV file of the kind csv.
        output: folder that gets datalist.json, data_card.md and copies of pictures.
        image_size: side in pixels of resized copies; 0 leaves the size.
        fit: short (the short side gets that size, the aspect is kept) or exact (a square).
        split: official, kfold, fractions or test; the kind's own by default.
        folds: how many, of the training list.
        fractions: of training, validation and test, such as 7:1:2.
        seed: of the split.
        group_by: column, regular expression with one group on the id, or none; a group stays in one fold.
        near_duplicates: true keeps images that show the same in one fold.
        test_datalist: datalist of another prepared data set whose images become the test list.
        table: CSV with further columns; its first column holds the ids.
        label_kind: mask, instances or classes, of your own data.
        axis: 0, 1 or 2, along which the slices of NIfTI volumes are counted.
        num_workers: processes; 0 takes one for each core.
        cluster: address of a Dask scheduler, as tcp://10.0.0.1:8786, whose workers read and copy the pictures.
        overwrite: true replaces what was prepared there with other settings.
    """
    from custom_networks.data.prepare import Settings, prepare_dataset
    from custom_networks.flags import flag

    options = given(
        image_size=image_size,
        fit=fit,
        label_kind=label_kind,
        axis=axis,
        split=split,
        folds=folds,
        fractions=fractions,
        seed=seed,
        group_by=group_by,
        near_duplicates=flag(near_duplicates),
        table=table,
        test_datalist=test_datalist,
    )
    more = given(num_workers=num_workers, cluster=cluster)
    prepare_dataset(Settings(kind, source, **options), output, overwrite=flag(overwrite) is True, **more)


def check(
    *data: str,
    json: str | None = None,
    sheet: str | None = None,
    near_duplicates: bool = True,
    num_workers: int | None = None,
    dataset_dir: str | None = None,
    label_kind: str | None = None,
    cluster: str | None = None,
) -> None:
    """Check data sets: every file, every label, duplicates within and across them.

    Args:
        data: datalists or folders, as in `sgdnet check A.json B`; exit code 1 when one has errors.
        json: file that gets every finding.
        sheet: PNG that gets a contact sheet, suspicious pairs first.
        near_duplicates: false leaves out the search for pictures that are nearly the same.
        num_workers: threads; one for each core by default, 8 at most.
        dataset_dir: where a datalist's files lie that are not beside it.
        label_kind: mask, instances or classes, of the labels; what a datalist says by default, else mask.
        cluster: address of a Dask scheduler, as tcp://10.0.0.1:8786, whose workers read the files.
    """
    from custom_networks.data.checking.command import check_command
    from custom_networks.flags import flag

    near = flag(near_duplicates) is not False
    check_command(data, json, sheet, near, num_workers, dataset_dir, label_kind, cluster or "")


def train(tracking: bool = True, **knobs: Any) -> None:
    """Train SGD-Net on a folder of images and masks.

    Args:
        tracking: whether the run is kept in MLflow.
        knobs: see below.
    """
    from custom_networks.flags import flag

    if flag(tracking) is False:
        knobs["tracking_uri"] = ""
    run_config(("train.json",), "train", knobs)


def evaluate(**knobs: Any) -> None:
    """Measure trained weights on every image of a split, or any masks (--predictions), per image and in sum.

    Args:
        knobs: see below.
    """
    if "predictions" in knobs:
        _evaluate_masks(knobs)
        return
    interactive = ("evaluate_interactive.json",) if {"clicks", "scribbles"} & set(knobs) else ()
    run_config(("train.json", "evaluate.json", *interactive), "train", knobs)


MASK_KNOBS = {
    "predictions": "measures the masks of this folder, whoever made them; no weights are loaded",
    "labels": "with predictions: folder of the true masks, of the same names; without it the datalist's",
    "images": "with predictions: folder of the images, for thumbnails, contrast and skin tone",
}


def _evaluate_masks(knobs: dict[str, Any]) -> None:
    """Measure masks that are there; see `evaluation.masks`."""
    from custom_networks.errors import UserError, nearest
    from custom_networks.evaluation.masks import evaluate_masks
    from custom_networks.flags import flag

    known = [*MASK_KNOBS, "datalist", "dataset_dir", "split", "fold", "seed", "label_kind", "classes", "subgroups"]
    known += ["output_dir", "tolerance", "thumbnails", "detection_iou", "reader", "overwrite"]
    for name in knobs:
        if name not in known:
            raise UserError(f"--{name}: no such setting with --predictions{nearest(name, known)}")
    named = {"kind" if name == "label_kind" else name: flag(value) for name, value in knobs.items()}
    folders = ("predictions", "labels", "images", "datalist", "dataset_dir", "output_dir", "reader")
    named |= {name: str(named[name]) for name in folders if name in named}
    evaluate_masks(**named)


def predict(
    *inputs: str,
    output: str | None = None,
    checkpoint: str | None = None,
    outputs: str | None = None,
    mode: str | None = None,
    image_size: int | None = None,
    threshold: float | None = None,
    overlap: float | None = None,
    scale: float | None = None,
    tta: str | None = None,
    review_below: float | None = None,
    bit_depth: int | None = None,
    spacing: float | None = None,
    axis: int | None = None,
    batch_size: int | None = None,
    num_workers: int | None = None,
    device: str | None = None,
    amp: bool | None = None,
    cuda_graphs: bool | None = None,
    watershed: str | None = None,
    dry_run: bool | None = None,
    overwrite: bool | None = None,
    bundle_root: str | None = None,
    dataset_dir: str | None = None,
    output_dir: str | None = None,
) -> None:
    """Write a mask for every image: files, folders to the bottom, patterns; what is done already stays.

    Args:
        inputs: images, folders and patterns, such as `scans/**/*.png`; exit code 2 when some images fail.
        output: folder that gets the results; predictions/ of the bundle by default.
        checkpoint: weights, model.pt of a run; models/model.pt of the bundle by default.
        outputs: mask, probability, edge, uncertainty, instances, overlay, geojson, coco, measurements; all is all.
        mode: stretch (to the square, as in training), pad (the aspect is kept) or window (slides over the image).
        image_size: side in pixels of the square the network sees, a multiple of 64; the training's by default.
        threshold: probability from which a pixel is foreground; the bundle's by default.
        overlap: of neighbouring windows, as a share of their side.
        scale: factor by which images are resized before windows are cut.
        tta: none, flips (4 views) or all (8 views, turns too); their spread is the uncertainty.
        review_below: confidence, 0 to 1, below which an image is flagged for review.
        bit_depth: bits of grey images stored in 16, such as 12; the training's by default, else each image's own.
        spacing: millimetres a pixel, for files that do not say.
        axis: 0, 1 or 2, along which the slices of NIfTI volumes are counted.
        batch_size: images, or windows, a step.
        num_workers: threads that read, and as many that write; 0 takes one for each core, 4 at most.
        device: cuda, cuda:1, cpu, ...; the GPU where there is one.
        amp: true predicts in mixed precision (bfloat16), on a GPU and on a CPU.
        cuda_graphs: true replays the network on a GPU as one recorded graph; for small batches.
        watershed: watershed.json of `sgdnet evaluate --tune_watershed true`, for instances.
        dry_run: true says what would be done, and writes nothing.
        overwrite: true replaces results that are there.
        bundle_root: folder of the bundle, the one that holds configs/.
        dataset_dir: a folder to predict, its images/ where it has one.
        output_dir: the same as output.
    """
    import sys

    from custom_networks.flags import flag
    from custom_networks.prediction.command import Request, predict_images

    root = Path(bundle_root or default_bundle())
    options = given(
        mode=mode,
        threshold=threshold,
        overlap=overlap,
        scale=scale,
        tta=tta,
        review_below=review_below,
        bit_depth=bit_depth,
        amp=flag(amp),
    )
    more = given(
        dataset_dir=dataset_dir,
        checkpoint=checkpoint,
        outputs=outputs,
        image_size=image_size,
        spacing=spacing,
        axis=axis,
        batch_size=batch_size,
        num_workers=num_workers,
        device=device,
        cuda_graphs=flag(cuda_graphs),
        watershed=watershed,
        dry_run=flag(dry_run),
        overwrite=flag(overwrite),
    )
    folder = Path(output or output_dir or root / "predictions")
    request = Request(inputs=inputs, output=folder, bundle_root=root, options=options, **more)
    code = predict_images(request)
    if code:
        sys.exit(code)


def compare(
    *runs: str,
    output_dir: str = "comparison",
    metrics: str | None = None,
    margin: str | None = None,
    resamples: int | None = None,
    seed: int | None = None,
) -> None:
    """Compare evaluated runs on the same images: paired tests, effect sizes, ranks, a table and a picture.

    Args:
        runs: folders of two or more evaluations, which hold per_image.csv.
        output_dir: new folder for comparison.csv, comparison.json, comparison.png and, of more than two, ranking.csv.
        metrics: names separated by commas; all that the runs hold by default.
        margin: of non-inferiority, such as dice=0.02,hd95=1: how much worse a later run may be than an earlier one.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    from custom_networks.statistics.compare_runs import compare_runs

    print(compare_runs(runs, str(output_dir), **given(metrics=metrics, margin=margin, resamples=resamples, seed=seed)))


def folds(*runs: str, output_dir: str = "folds", seed: int | None = None) -> None:
    """Summarise the evaluations of a cross-validation: mean and standard deviation over the folds.

    Args:
        runs: folders of two or more evaluations: of the folds of one data set, or all on one test set.
        output_dir: new folder for folds.csv, folds.json and, of folds, per_image.csv with the images of all.
        seed: of the bootstrap.
    """
    from custom_networks.statistics.fold_runs import fold_runs

    print(fold_runs(runs, output_dir, **given(seed=seed)))


def report(
    run: str,
    output: str | None = None,
    anonymise: bool | None = None,
    mlflow: bool | None = None,
    bundle_root: str | None = None,
) -> None:
    """Make one HTML file of an evaluation or a training: figures, curves, cases, subgroups, model card.

    Args:
        run: folder of an evaluation (the --output_dir of `sgdnet evaluate`) or of a training.
        output: the file; report.html in that folder by default, report_anonymised.html with --anonymise.
        anonymise: true leaves paths, file names and names out.
        mlflow: true adds the page to its run in MLFLOW_TRACKING_URI, or in the runs/mlflow.db of the bundle.
        bundle_root: folder of the bundle, the one that holds configs/.
    """
    from custom_networks.flags import switch
    from custom_networks.report import write_report
    from custom_networks.run import tracking_store

    store = tracking_store(Path(bundle_root or default_bundle()) / "runs") if switch("mlflow", mlflow) else None
    print(write_report(str(run), output, switch("anonymise", anonymise), store))


def export(
    format: str | None = None,
    checkpoint: str | None = None,
    output: str | None = None,
    precision: str | None = None,
    calibration: str | None = None,
    image_size: int | None = None,
    overwrite: bool | None = None,
    bundle_root: str | None = None,
) -> None:
    """Write trained weights as TorchScript, ONNX, torch.export, OpenVINO or TensorRT, checked against PyTorch.

    Args:
        format: onnx (the default), torchscript, torch-export, openvino or tensorrt.
        checkpoint: weights, model.pt of a run; models/model.pt of the bundle by default.
        output: the file; in the bundle's models/ by default.
        precision: float32 (the default), float16, bfloat16 or int8.
        calibration: folder or datalist of some 32 images like yours, which int8 needs; three of them check the file.
        image_size: side in pixels of the square the network sees, a multiple of 64; the training's by default.
        overwrite: true replaces a file that is there.
        bundle_root: folder of the bundle, the one that holds configs/.
    """
    from custom_networks.export import export_model
    from custom_networks.flags import flag

    options = given(
        format=format,
        checkpoint=checkpoint,
        output=output,
        precision=precision,
        calibration=calibration,
        image_size=image_size,
        overwrite=flag(overwrite),
    )
    print(export_model(bundle_root or default_bundle(), **options))


def package(
    output: str | None = None,
    checkpoint: str | None = None,
    overwrite: bool | None = None,
    bundle_root: str | None = None,
) -> None:
    """Pack bundle, weights and code into one archive, which runs wherever it is unzipped.

    Args:
        output: the archive, sgdnet_2d_segmentation.zip by default.
        checkpoint: weights, model.pt of a run; models/model.pt of the bundle by default.
        overwrite: true replaces an archive that is there.
        bundle_root: folder of the bundle, the one that holds configs/.
    """
    from custom_networks.export import write_archive
    from custom_networks.flags import flag

    options = given(output=output, checkpoint=checkpoint, overwrite=flag(overwrite))
    print(write_archive(bundle_root or default_bundle(), **options))


def annotate(
    *,
    studies: str,
    checkpoint: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str = "",
    classes: str = "",
    device: str | None = None,
    image_size: int | None = None,
    max_upload_mb: int = 64,
    score: bool = True,
    bundle_root: str | None = None,
) -> None:
    """Annotate images in a browser, with proposals of the network that learns from the corrections.

    Args:
        studies: folder of the images, in it or in its images/; labels go to its annotations/.
        checkpoint: weights to start with, model.pt of a run; models/model.pt of the bundle by default.
        host: address to listen on; another than this machine's own needs a token.
        port: to listen on; 0 takes one that is free.
        token: secret of at least 16 characters that every request must bring.
        classes: names separated by commas; those of the weights by default.
        device: cuda, cuda:1, cpu, ...; the GPU where there is one.
        image_size: side in pixels of the square the network sees, a multiple of 64; the training's by default.
        max_upload_mb: largest image that can be uploaded, MiB.
        score: false switches off the scoring of images for active learning.
        bundle_root: folder of the bundle, the one that holds configs/.
    """
    from custom_networks.annotating import annotate_images
    from custom_networks.flags import flag

    annotate_images(
        {
            "studies": studies,
            "checkpoint": checkpoint,
            "host": host,
            "port": port,
            "token": token,
            "classes": classes,
            "device": device,
            "image_size": image_size,
            "max_upload_mb": max_upload_mb,
            "score": flag(score),
            "bundle_root": str(bundle_root or default_bundle()),
        }
    )


VERBS: dict[str, tuple[Callable[..., None], tuple[str, ...]]] = {
    "phantoms": (phantoms, ()),
    "prepare": (prepare, ()),
    "check": (check, ()),
    "train": (train, ("train.json",)),
    "evaluate": (evaluate, ("train.json", "evaluate.json")),
    "predict": (predict, ()),
    "compare": (compare, ()),
    "folds": (folds, ()),
    "report": (report, ()),
    "export": (export, ()),
    "package": (package, ()),
    "annotate": (annotate, ()),
}
