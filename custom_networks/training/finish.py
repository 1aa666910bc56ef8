"""The end of a training: picture sheet of the best weights, and a summary of what lies where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from monai.data.dataset import Dataset

from custom_networks.data.normalization import Normalization
from custom_networks.network.sgdnet import SGDNet
from custom_networks.network.weights import load_checkpoint
from custom_networks.training.checkpoints import BEST
from custom_networks.training.processes import rank
from custom_networks.training.record import RunRecord
from custom_networks.training.sheet import sheet_rows, write_sheet
from custom_networks.training.tracking import log_file

SHEET = "sheet.png"


def summary(record: RunRecord, uri: str | None, sheet: Path) -> str:
    """Say the best epoch's figures, where everything lies, and how to open MLflow."""
    best = record.best
    lines = [
        "",
        f"Best epoch {int(best['epoch'])} of {int(record.rows[-1]['epoch'])}, on the validation images:",
        f"  Dice {best['val_mean_dice']:.4f}   IoU {best['val_mean_iou']:.4f}   HD95 {best['val_hd95']:.2f} px   "
        f"missed lesions {int(best['val_misses'])}",
        f"  best weights   {record.model_path} (also {record.folder / BEST})",
        f"  metrics        {record.metrics_path}",
        f"  picture sheet  {sheet}",
    ]
    if uri:
        lines.append(f'  MLflow         mlflow ui --backend-store-uri "{uri}"   then open http://127.0.0.1:5000')
    return "\n".join(lines)


def finish_training(
    record: RunRecord, network: SGDNet, dataset: Dataset, normalization: Normalization, uri: str | None = None
) -> None:
    """Draw the sheet with the best weights, add it to the tracked run, print the summary.

    Args:
        record: of the run, which is over.
        network: takes the best weights.
        dataset: validation set.
        normalization: of its images.
        uri: MLflow store.
    """
    if rank() > 0 or not record.best:
        return
    load_checkpoint(network, record.folder / BEST)
    mean, std = torch.tensor(normalization.mean), torch.tensor(normalization.std)
    sheet = record.folder / SHEET
    write_sheet(sheet, sheet_rows(network, dataset, mean, std))
    log_file(record, uri, sheet)
    print(summary(record, uri, sheet), flush=True)


def print_metrics(metrics: dict[str, Any], folder: str | Path) -> None:
    """Print an evaluation's figures and where the tables lie."""
    if rank() == 0:
        print(
            f"Dice {metrics['val_mean_dice']:.4f}   IoU {metrics['val_mean_iou']:.4f}   "
            f"HD95 {metrics['val_hd95']:.2f} px   missed lesions {int(metrics['val_misses'])}\n"
            f"tables per image and in sum: {folder}",
            flush=True,
        )
