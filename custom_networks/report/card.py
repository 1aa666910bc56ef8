"""The model card: intended use, training data, and what is known to fail, in sentences made from the figures."""

from __future__ import annotations

from pathlib import PurePath

import pandas as pd

from custom_networks.report.collect import Run, number
from custom_networks.statistics.subgroups import weakness_sentences

POOR_DICE = 0.5
INTENDED = (
    "Research on the segmentation of lesions or nuclei in 2D colour images like those it was trained on. "
    "Not a medical device: not for diagnosis, treatment or any decision about a patient. Quality on other devices, "
    "clinics, stains or skin tones is not known until it is measured there."
)


def training_data(run: Run) -> list[str]:
    """Say what the weights were trained on, as their record has it."""
    training = run.training
    if training is None:
        return ["Not known: no .json beside the weights tells how they were trained."]
    settings, lines = training.settings, []
    where = settings.get("datalist") or settings.get("dataset_dir")
    if where:
        lines.append(f"Images: {where}")
    if run.summary and run.summary.data.name and where and where == run.summary.data.datalist:
        lines.append(f"The same data set as the images of this report: {run.summary.data.name}")
    if training.images is not None:
        lines.append(f"Training images: {training.images}")
    if "fold" in settings:
        lines.append(f"Fold {settings['fold']} was held out for validation, seed {settings.get('seed', 'unknown')}")
    if "pretrained_encoder" in settings:
        encoder = settings["pretrained_encoder"]
        lines.append(f"Encoder weights before training: {PurePath(str(encoder)).name if encoder else 'random numbers'}")
    size = settings.get("image_size")
    if size:
        lines.append(f"Images were resized to {size} x {size} pixels")
    return lines or ["Not known: the record of the weights does not tell."]


def known_failures(run: Run) -> list[str]:
    """Say what went wrong in the evaluation; of a training alone, what its validation counted."""
    if run.summary is None:
        best = run.training.best if run.training else {}
        if "val_misses" not in best:
            return ["Not measured yet: evaluate the weights on a test set, then make the report of that."]
        return [
            f"On the validation images of the best epoch {number(best['val_misses'], 6)} lesions were missed.",
            "Nothing else is known: evaluate the weights on a test set, then make the report of that.",
        ]
    frame, counts = run.frame, run.summary.counts
    lines = [
        f"{counts.missed} of {len(frame)} images: the object was missed altogether.",
        f"{counts.false_alarm} of {len(frame)} images: something was found where there is nothing.",
    ]
    poor = frame[frame["dice"] < POOR_DICE].sort_values("dice")
    if len(poor):
        names = ", ".join(f"{name} ({dice:.2f})" for name, dice in poor["dice"].head(5).items())
        lines.append(
            f"{len(poor)} of {len(frame)} images have a Dice below {POOR_DICE:g}: {names}{' ...' * (len(poor) > 5)}"
        )
    return [
        *lines,
        *tendency(frame),
        *weakness_sentences([row.model_dump() for row in run.summary.subgroup_differences]),
    ]


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
