"""The picture sheet: image, truth, prediction and edge map of some images, side by side.

Symbols: H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from monai.data.dataset import Dataset
from monai.utils import convert_to_tensor
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from custom_networks.colours import PREDICTION_COLOUR, TRUTH_COLOUR
from custom_networks.files import write_atomically
from custom_networks.metrics.decision import class_probabilities, decide
from custom_networks.network.segmenter import Segmenter
from custom_networks.operators.boundary import morphological_gradient
from custom_networks.weights.record import THRESHOLD

COLUMNS = ("image", "truth", "prediction", "edge map")
MARGIN, HEADER, CAPTION, CELL = 8, 24, 18, 192


@dataclass
class SheetRow:
    """One row of the sheet.

    Attributes:
        name: file name.
        image: (H, W, 3) uint8.
        truth: (H, W) bool.
        prediction: (H, W) bool.
        edge: (H, W) float in 0..1.
    """

    name: str
    image: NDArray[np.uint8]
    truth: NDArray[np.bool_]
    prediction: NDArray[np.bool_]
    edge: NDArray[np.float32]

    @property
    def dice(self) -> float:
        """Dice of prediction and truth, 1 when both are empty."""
        total = int(self.truth.sum() + self.prediction.sum())
        return 2 * int((self.truth & self.prediction).sum()) / total if total else 1.0


def outlined(image: NDArray[np.uint8], mask: NDArray[np.bool_], colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Draw a mask's boundary, 3 pixels thick, on a copy of the image (H, W, 3)."""
    labels = torch.from_numpy(mask.astype(np.float32))[None, None]
    result = image.copy()
    result[morphological_gradient(labels)[0, 0].bool().numpy()] = colour
    return result


def draw_sheet(rows: Iterable[SheetRow]) -> Image.Image:
    """Draw the rows under each other: image, outline of the truth, outline of the prediction, edge map."""
    font = ImageFont.load_default(size=14)
    rows = list(rows)
    width = MARGIN + len(COLUMNS) * (CELL + MARGIN)
    sheet = Image.new("RGB", (width, HEADER + len(rows) * (CELL + CAPTION + MARGIN)), "white")
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(COLUMNS):
        draw.text((MARGIN + column * (CELL + MARGIN), 4), title, fill="black", font=font)
    for number, row in enumerate(rows):
        top = HEADER + number * (CELL + CAPTION + MARGIN)
        edge = np.repeat((255 - 255 * row.edge).astype(np.uint8)[..., None], 3, axis=2)
        truth = outlined(row.image, row.truth, TRUTH_COLOUR)
        prediction = outlined(row.image, row.prediction, PREDICTION_COLOUR)
        for column, picture in enumerate((row.image, truth, prediction, edge)):
            cell = Image.fromarray(picture).resize((CELL, CELL), Image.Resampling.BICUBIC)
            sheet.paste(cell, (MARGIN + column * (CELL + MARGIN), top))
        caption = f"{row.name}   Dice {row.dice:.3f}{'   missed' if not row.prediction.any() else ''}"
        draw.text((MARGIN, top + CELL), caption, fill="black", font=font)
    return sheet


def sheet_rows(network: Segmenter, dataset: Dataset, mean: Tensor, std: Tensor, count: int = 8) -> list[SheetRow]:
    """Predict some images of a validation set, evenly spread over it.

    Args:
        network: in any mode, left in `eval()`.
        dataset: items with `image` (3, W, H), normalised, and `label` (1, W, H), as PILReader lays them out.
        mean: (3,) that was subtracted.
        std: (3,) that was divided by.
        count: rows at most.

    Returns:
        The rows.
    """
    network.eval()
    device = next(network.parameters()).device
    chosen = np.unique(np.linspace(0, len(dataset) - 1, min(count, len(dataset))).round().astype(int))
    rows = []
    for index in chosen.tolist():
        item = dataset[index]
        shown = convert_to_tensor(item["image"], track_meta=False)
        with torch.no_grad():
            maps = network.maps(shown[None].to(device))
        probabilities = class_probabilities(maps.segmentation[0].cpu())
        prediction = decide(probabilities[0], THRESHOLD)[0] > 0
        edge = maps.edge[0, 0].float().cpu().sigmoid() if maps.edge.numel() else torch.zeros_like(probabilities[0, 0])
        image = shown.cpu() * std[:, None, None] + mean[:, None, None]
        rows.append(
            SheetRow(
                name=Path(str(item["image"].meta.get("filename_or_obj", index))).name,
                image=image.round().clamp(0, 255).byte().permute(2, 1, 0).numpy(),
                truth=(torch.as_tensor(item["label"])[0] > 0).T.cpu().numpy(),
                prediction=prediction.T.numpy(),
                edge=edge.T.numpy(),
            )
        )
    return rows


def write_sheet(path: Path, rows: Iterable[SheetRow]) -> None:
    """Draw the sheet and write it as PNG, atomically."""
    buffer = BytesIO()
    draw_sheet(rows).save(buffer, format="PNG", optimize=True)
    write_atomically(path, lambda file: file.write(buffer.getvalue()))
