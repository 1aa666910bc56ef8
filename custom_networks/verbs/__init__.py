"""What `sgdnet` can do: a function for each verb, whose annotations are its flags.

A verb imports what it needs when it runs, so that its help is there at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from custom_networks.arguments import Argument, arguments_of
from custom_networks.verbs.annotating import annotate
from custom_networks.verbs.comparing import compare, folds, report
from custom_networks.verbs.data import check, phantoms, prepare
from custom_networks.verbs.delivery import export, package
from custom_networks.verbs.experiment import experiment, table
from custom_networks.verbs.result import Result
from custom_networks.verbs.running import evaluate, predict, train
from custom_networks.verbs.weights import weights


@dataclass(frozen=True)
class Verb:
    """A verb of the command.

    Args:
        run: does it.
        takes: what declares its arguments, where that is more than `run` itself.
        files: configuration files whose knobs it takes too, overlays after what they overlay.
        json: whether `--json` prints its results.
        remote: arguments that may lie in a store, as s3://bucket/folder.
    """

    run: Callable[..., Result | None]
    takes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    json: bool = False
    remote: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """What it does, in a line."""
        return (self.run.__doc__ or "").splitlines()[0]

    @cached_property
    def arguments(self) -> list[Argument]:
        """What it can be told, knobs aside."""
        if not self.takes:
            return arguments_of(self.run)
        import pydoc

        declared: list[Any] = [pydoc.locate(name) for name in self.takes]
        return [each for takes in declared for each in arguments_of(takes)]


VERBS: Mapping[str, Verb] = {
    "phantoms": Verb(phantoms),
    "prepare": Verb(prepare, remote=("source",)),
    "check": Verb(check, remote=("data", "dataset_dir")),
    "train": Verb(train, files=("train.json",), remote=("dataset_dir", "datalist")),
    "evaluate": Verb(evaluate, files=("train.json", "evaluate.json"), json=True, remote=("dataset_dir", "datalist")),
    "predict": Verb(
        predict,
        ("custom_networks.prediction.options.Request", "custom_networks.prediction.options.Options"),
        json=True,
    ),
    "compare": Verb(compare, json=True),
    "folds": Verb(folds, json=True),
    "report": Verb(report),
    "experiment": Verb(experiment, files=("train.json",)),
    "table": Verb(table, json=True),
    "export": Verb(export),
    "package": Verb(package),
    "weights": Verb(weights, json=True, remote=("what", "source")),
    "annotate": Verb(annotate),
}
