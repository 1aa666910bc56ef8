"""The model card: intended use, training data, and what is known to fail, in sentences made from the figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from custom_networks.data.folder import read_datalist
from custom_networks.errors import UserError
from custom_networks.report.collect import Run, Training
from custom_networks.statistics.subgroups import weakness_sentences

POOR_DICE = 0.5
FACTS = {"name": "Data set", "description": "Description", "licence": "Licence", "reference": "Cite"}
INTENDED = (
    "Research on the segmentation of lesions or nuclei in 2D colour images like those it was trained on. "
    "Not a medical device: not for diagnosis, treatment or any decision about a patient. Quality on other devices, "
    "clinics, stains or skin tones is not known until it is measured there."
)


def training_data(training: Training | None) -> list[str]:
    """Say what the weights were trained on."""
    if training is None:
        return ["Not known: no .json beside the weights tells how they were trained."]
    settings = training.settings
    lines = []
    datalist = settings.get("datalist")
    try:
        content: dict[str, Any] = read_datalist(datalist) if datalist else {}
    except UserError:
        content = {}
    for name, what in FACTS.items():
        if content.get(name):
            lines.append(f"{what}: {content[name]}")
    where = datalist or settings.get("dataset_dir")
    if where:
        lines.append(
            f"Files: {where}, fold {settings.get('fold', 'unknown')} held out, seed {settings.get('seed', 'unknown')}"
        )
    encoder = settings.get("pretrained_encoder")
    lines.append(f"Encoder weights before training: {Path(encoder).name if encoder else 'random numbers'}")
    size = settings.get("image_size")
    if size:
        lines.append(f"Images resized to {size} x {size} pixels")
    return lines


def known_failures(run: Run) -> list[str]:
    """Say what went wrong in the evaluation; of a training alone, what its validation counted."""
    if run.frame is None:
        best = run.training.best if run.training else {}
        if "val_misses" not in best:
            return ["Not measured yet: evaluate the weights on a test set, then make the report of that."]
        return [
            f"On the validation images of the best epoch {int(best['val_misses'])} lesions were missed altogether.",
            "Nothing else is known: evaluate the weights on a test set, then make the report of that.",
        ]
    frame, counts = run.frame, run.about["counts"]
    lines = [
        f"{counts['missed']} of {len(frame)} images: the object was missed altogether.",
        f"{counts['false_alarm']} of {len(frame)} images: something was found where there is nothing.",
    ]
    poor = frame[frame["dice"] < POOR_DICE].sort_values("dice")
    if len(poor):
        names = ", ".join(f"{name} ({dice:.2f})" for name, dice in poor["dice"].head(5).items())
        lines.append(
            f"{len(poor)} of {len(frame)} images have a Dice below {POOR_DICE:g}: {names}{' ...' * (len(poor) > 5)}"
        )
    lines += tendency(frame)
    lines += weakness_sentences(run.about.get("subgroup_differences", []))
    return lines


def tendency(frame: pd.DataFrame) -> list[str]:
    """Say whether predictions are rather too large or too small: precision against sensitivity."""
    known = frame[["sensitivity", "precision"]].dropna()
    if known.empty:
        return []
    larger = int((known["sensitivity"] > known["precision"]).sum())
    smaller = int((known["sensitivity"] < known["precision"]).sum())
    means = f"mean sensitivity {known['sensitivity'].mean():.2f}, mean precision {known['precision'].mean():.2f}"
    return [
        f"Predictions are larger than the truth in {larger} and smaller in {smaller} of {len(known)} images ({means})."
    ]
