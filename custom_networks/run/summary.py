"""The end of a training: picture sheet of the best weights, and a summary of what lies where."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from monai.data.dataset import Dataset

from custom_networks.network.segmenter import Segmenter
from custom_networks.processes import rank
from custom_networks.run.record import METRICS, SHEET, RunRecord
from custom_networks.run.sheet import sheet_rows, write_sheet
from custom_networks.run.tracking import log_file
from custom_networks.weights.network import load_checkpoint
from custom_networks.weights.normalization import Normalization
from custom_networks.weights.record import BEST, LAST


def figures(metrics: Mapping[str, float]) -> str:
    """Say validation metrics in one line."""
    return (
        f"Dice {metrics['val_mean_dice']:.4f}   IoU {metrics['val_mean_iou']:.4f}   "
        f"HD95 {metrics['val_hd95']:.2f} px   missed lesions {int(metrics['val_misses'])}"
    )


def result_lines(record: RunRecord) -> list[str]:
    """Say in lines what the best and the last epoch measured: the best one was chosen on these very images."""
    last, epochs = record.last_validated, int(record.rows[-1]["epoch"])
    return [
        f"On the validation images, after {epochs} epoch{'s' * (epochs != 1)}:",
        f"  last epoch     {figures(last)}",
        f"  best epoch     {figures(record.best)}   (epoch {int(record.best['epoch'])}, chosen by this Dice)",
    ]


def places(folder: Path, model_path: str | Path, uri: str | None) -> list[str]:
    """Say in lines where a run's files lie and how to open MLflow."""
    lines = [
        f"  best weights   {model_path} (also {folder / BEST})",
        f"  metrics        {folder / METRICS}",
        f"  picture sheet  {folder / SHEET}",
    ]
    if uri:
        program = "mlflow" if shutil.which("mlflow") else f"{shlex.quote(sys.executable)} -m mlflow"
        lines.append(f'  MLflow         {program} ui --backend-store-uri "{uri}"   then open http://127.0.0.1:5000')
    return lines


def summarise_run(
    record: RunRecord, network: Segmenter, dataset: Dataset, normalization: Normalization, uri: str | None = None
) -> None:
    """Draw the sheet with the best weights, add it to the tracked run, print the summary.

    Args:
        record: of the run, which is over.
        network: takes the best weights.
        dataset: validation set.
        normalization: of its images.
        uri: MLflow store.
    """
    if rank() > 0:
        return
    if not record.best:
        print(f"\nNo epoch was measured on validation images; {record.folder / LAST} holds the weights", flush=True)
        return
    load_checkpoint(network, record.folder / BEST)
    mean, std = torch.tensor(normalization.mean), torch.tensor(normalization.std)
    sheet = record.folder / SHEET
    write_sheet(sheet, sheet_rows(network, dataset, mean, std))
    log_file(record, uri, sheet)
    print("\n".join(["", *result_lines(record), *places(record.folder, record.model_path, uri)]), flush=True)
