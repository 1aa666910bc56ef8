"""The Checklist for Artificial Intelligence in Medical Imaging (CLAIM, 2024 update), filled in where the run tells.

Source: Tejani et al., Radiology: Artificial Intelligence 2024;6(4):e240300. The items are named in short words of our
own; the published checklist is what a journal asks for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from custom_networks.metrics.policies import METRICS
from custom_networks.report.collect import Run

SOURCE = "Tejani et al., Radiology: Artificial Intelligence 2024;6(4):e240300"
OPEN = "to be filled in"
ITEMS = {
    "Title and abstract": ("Named as a study of AI methods, with the kind of technology", "Structured summary"),
    "Introduction": ("Background, intended use and role of the AI", "Aims and hypotheses"),
    "Study design": ("Prospective or retrospective", "Goal of the study"),
    "Data": (
        "Data sources",
        "Inclusion and exclusion criteria",
        "Preprocessing",
        "Selection of subsets",
        "De-identification",
        "Missing data",
        "Image acquisition",
    ),
    "Reference standard": (
        "Definition of the reference standard",
        "Why it was chosen",
        "Who annotated, and their qualification",
        "Annotation of the test set",
        "Variability between and within readers",
    ),
    "Data partitions": ("How data were assigned to partitions", "Level at which partitions are disjoint"),
    "Testing data": ("Intended sample size",),
    "Model": ("Description of the model", "Software", "Initialisation of the parameters"),
    "Training": ("Training procedure", "How the final model was chosen", "Ensembles"),
    "Evaluation": (
        "Performance metrics",
        "Statistics of uncertainty and significance",
        "Robustness or sensitivity analysis",
        "Explainability",
        "Evaluation on internal data",
        "Testing on external data",
        "Registration of a clinical trial",
    ),
    "Results": (
        "Numbers of patients or examinations, with those excluded",
        "Demographic and clinical characteristics by partition",
        "Performance with its uncertainty",
        "Diagnostic performance and its precision",
        "Failure analysis",
    ),
    "Discussion": ("Limitations", "Implications for practice"),
    "Other information": ("Full protocol or technical details", "Availability of software, model and data", "Funding"),
}


@dataclass(frozen=True)
class ClaimItem:
    """An item of the checklist.

    Attributes:
        number: 1 to 44.
        part: of a paper.
        name: what is to be reported.
        answer: of this run; None where it does not tell.
    """

    number: int
    part: str
    name: str
    answer: str | None


def checklist(run: Run) -> list[ClaimItem]:
    """Fill in the checklist; what only the authors can know stays open."""
    named = [(part, name) for part, names in ITEMS.items() for name in names]
    return [
        ClaimItem(number, part, name, ANSWERS[number](run) if number in ANSWERS else None)
        for number, (part, name) in enumerate(named, start=1)
    ]


def _sources(run: Run) -> str | None:
    data = run.summary.data if run.summary else None
    found = [text for text in (data.name, data.description, data.reference, data.licence) if text] if data else []
    return "; ".join(found) or None


def _preprocessing(run: Run) -> str | None:
    settings = run.training.settings if run.training else {}
    size = settings.get("image_size")
    return (
        f"Resized to {size} x {size} pixels; normalised by a mean and a standard deviation a channel" if size else None
    )


def _assignment(run: Run) -> str | None:
    settings = run.training.settings if run.training else {}
    if "fold" not in settings:
        return None
    return f"Fold {settings['fold']} held out from training, seed {settings.get('seed', 'unknown')}"


def _disjoint(run: Run) -> str | None:
    if run.patients is not None:
        return "The list numbers patients; state that its partitions were dealt by them"
    return "The list has groups; state what a group is (patient, lesion, slide)" if run.groups is not None else None


def _software(run: Run) -> str | None:
    versions = run.summary.made.versions if run.summary else {}
    return ", ".join(f"{name} {version}" for name, version in versions.items()) or None


def _initialisation(run: Run) -> str | None:
    if run.training is None or "pretrained_encoder" not in run.training.settings:
        return None
    return "Encoder pretrained" if run.training.settings["pretrained_encoder"] else "Random"


def _procedure(run: Run) -> str | None:
    settings = run.training.settings if run.training else {}
    names = ("max_epochs", "batch_size", "learning_rate", "seed", "amp")
    return ", ".join(f"{name} {settings[name]}" for name in names if name in settings) or None


def _metrics(run: Run) -> str | None:
    found = run.summary.metrics if run.summary else {}
    return ", ".join(METRICS[name].label for name in found) or None


def _numbers(run: Run) -> str | None:
    if run.summary is None:
        return None
    counted = [f"{run.summary.images} images"]
    counted += [f"{run.patients} patients"] if run.patients is not None else []
    counted += [f"{run.groups} groups"] if run.groups is not None else []
    return f"{', '.join(counted)} evaluated; exclusions are {OPEN}"


def _of_evaluation(text: str) -> Callable[[Run], str | None]:
    return lambda run: text if run.summary else None


def _of_network(text: str) -> Callable[[Run], str | None]:
    """Say it of a network of this package; masks may come from any program or reader."""

    def answer(run: Run) -> str | None:
        weights = run.summary.checkpoint if run.summary else None
        return text if run.training or (weights and weights.sha256) else None

    return answer


def _of_training(text: str) -> Callable[[Run], str | None]:
    return lambda run: text if run.training else None


ANSWERS: dict[int, Callable[[Run], str | None]] = {
    1: _of_network("Deep learning: a convolutional network (SGD-Net) for segmentation"),
    7: _sources,
    9: _preprocessing,
    19: _assignment,
    20: _disjoint,
    22: _of_network("SGD-Net, arXiv 2602.23496; its arguments stand in the record of the weights (model.json)"),
    23: _software,
    24: _initialisation,
    25: _procedure,
    26: _of_training("The epoch with the highest mean Dice on the validation images"),
    27: _of_network("None: one network"),
    28: _metrics,
    29: _of_evaluation("Mean with a 95 % BCa bootstrap interval; whole groups are resampled where the list has groups"),
    30: lambda run: "Subgroups, see above" if run.summary and run.summary.subgroups else None,
    31: _of_network("Edge and guidance maps of the network, see Cases"),
    35: _numbers,
    37: _of_evaluation("See Summary"),
    39: _of_evaluation("See Failures and Cases"),
    41: lambda run: "Research only; not a medical device",
    42: lambda run: "The project's documentation and the merged configuration of the run",
}
