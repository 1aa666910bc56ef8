"""Rebuild the network that weights were trained with, and load them into no other."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from custom_networks.errors import UserError, nearest
from custom_networks.network.interactive import InteractiveSGDNet, with_fusion
from custom_networks.network.segmenter import Segmenter
from custom_networks.network.sgdnet import TRAINING_ARGUMENTS, SGDNet, has_edge
from custom_networks.network.weights import load_strictly, read_state_dict
from custom_networks.weights.reading import check_content, record_of, takes_clicks, trained_outputs
from custom_networks.weights.record import WeightsRecord, kept_by_json

logger = logging.getLogger(__name__)

FREE = (*TRAINING_ARGUMENTS, "dropout")
"""Arguments that may differ from the training's: they change neither the weights nor what `eval()` computes."""
BASELINE = "architecture"
"""The argument that a `Baseline` has, and `SGDNet` does not."""
DEFAULTS = "defaults are assumed; add them there where it was built with others"


def trained_network(checkpoint: str | Path, **arguments: Any) -> Segmenter:
    """Build the network that weights were trained with; its own are random until `load_checkpoint` loads them.

    It is an `InteractiveSGDNet`, which segments automatically too, where the weights take clicks, and a `Baseline`
    where the record names its architecture.

    Args:
        checkpoint: the weights; where there are none the network has its default arguments, so that a bundle can be
            looked at before it has been trained.
        arguments: of `SGDNet`, for those that the record does not have, or `FREE` ones; of `Baseline` for one.

    Returns:
        The network.

    Raises:
        UserError: naming an argument that is given otherwise than the weights have it, that does not exist, or that
            cannot be.
    """
    path = Path(checkpoint)
    record = record_of(path)
    recorded = dict(record.network or {})
    if BASELINE in recorded:
        return _baseline(path, recorded, arguments)
    if path.is_file():
        recorded.setdefault("out_channels", trained_outputs(path))
        if record.network is None:
            _tell_unknown(path)
    _refuse_unknown(arguments, "--network_def#", "correct its name")
    _refuse_unknown(recorded, f"{path}: network.", "a newer sgdnet trained it, so update the package")
    _refuse_conflict(path, recorded, arguments)
    try:
        architecture = InteractiveSGDNet if takes_clicks(path) else SGDNet
        return architecture(**{**recorded, **arguments})
    except (TypeError, ValueError, RuntimeError) as error:  # the last of more memory than there is
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: no network can be built of its record and what was given: {reason}") from None


def trained_edge(checkpoint: str | Path) -> bool:
    """Tell whether the network of weights gives an edge map, by their record alone; raises UserError as that does."""
    recorded = record_of(checkpoint).network or {}
    if BASELINE in recorded:
        from custom_networks.baselines.architectures import find_architecture

        return bool(getattr(find_architecture(recorded[BASELINE]), "has_edge", False))
    return has_edge(**{name: value for name, value in recorded.items() if name == "refinement"})


def _baseline(path: Path, recorded: Mapping[str, Any], arguments: Mapping[str, Any]) -> Segmenter:
    """Build the `Baseline` of a record, which is data: it may neither name a file nor fetch one."""
    from custom_networks.baselines.architectures import check_recorded
    from custom_networks.baselines.baseline import Baseline

    arguments = {name: value for name, value in arguments.items() if name not in FREE}
    _refuse_unknown(arguments, "--network_def#", "correct its name", Baseline)
    _refuse_unknown(recorded, f"{path}: network.", "a newer sgdnet trained it, so update the package", Baseline)
    _refuse_conflict(path, recorded, arguments)
    try:
        check_recorded(recorded)
        return Baseline(**{**recorded, **arguments})
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: no network can be built of its record and what was given: {error}") from None


def interactive_network(
    automatic: str | Path | None = None, train_embedding: bool = False, **arguments: Any
) -> InteractiveSGDNet:
    """Build an interactive network to train.

    Args:
        automatic: weights to start from, of an automatic or an interactive network, whose arguments it takes over;
            None or "" starts from random numbers.
        train_embedding: see `InteractiveSGDNet`.
        arguments: of `SGDNet`.

    Returns:
        The network; with automatic weights its first output is theirs exactly.

    Raises:
        UserError: for weights that are missing or do not fit, or an argument that is given otherwise than they have it.
    """
    _refuse_unknown(arguments, "--network_def#", "correct its name")
    if not automatic:
        return InteractiveSGDNet(train_embedding, **arguments)
    check_content(automatic)
    state = read_state_dict(automatic)
    recorded = record_of(automatic).network or {}
    _refuse_conflict(automatic, recorded, arguments)
    network = InteractiveSGDNet(train_embedding, **{**recorded, **arguments})
    load_strictly(network, with_fusion(network, state), automatic, type(network).__name__)
    return network


def _signature(*own: str) -> inspect.Signature:
    """Some arguments, then those of `SGDNet`: configurations are checked by it, so that each can be overridden."""
    names = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in own]
    of_network = inspect.signature(SGDNet).parameters.values()
    return inspect.Signature([*names, *(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in of_network)])


trained_network.__signature__ = _signature("checkpoint")  # type: ignore[attr-defined]
interactive_network.__signature__ = _signature("automatic", "train_embedding")  # type: ignore[attr-defined]


def check_network(network: nn.Module, record: WeightsRecord, source: str | Path) -> None:
    """Refuse a network that was built otherwise than the one of a record; some such load without a missing key.

    Args:
        network: that takes the weights; any that has no `arguments` passes.
        record: of the weights.
        source: their file, for the message.

    Raises:
        UserError: naming the argument and both values.
    """
    _refuse_conflict(source, record.network or {}, network_arguments(network) or {})


def network_arguments(network: nn.Module) -> dict[str, Any] | None:
    """Return the arguments a network was built with, as JSON knows them; None where it does not tell them."""
    arguments = getattr(network, "arguments", None)
    return kept_by_json(arguments) if isinstance(arguments, Mapping) else None


def load_checkpoint(network: nn.Module, path: str | Path) -> None:
    """Load trained weights into the network that they were trained with.

    Args:
        network: as `trained_network` builds it.
        path: `model.pt` or `last.pt` of a run.

    Raises:
        UserError: a missing or damaged file, or weights of another architecture.
    """
    check_content(path)
    state = read_state_dict(path)
    record = record_of(path)
    check_network(network, record, path)
    try:
        load_strictly(network, state, path, type(network).__name__)
    except UserError as error:
        if record.network is None:
            raise UserError(f'{error}; {Path(path).with_suffix(".json")} has no "network" with its arguments') from None
        raise


def _refuse_conflict(source: str | Path, recorded: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    for name, value in kept_by_json(dict(given)).items():
        if name in recorded and name not in FREE and recorded[name] != value:
            raise UserError(
                f"{source}: trained with {name} {recorded[name]!r}, and the network is to have {name} {value!r}; leave "
                f"--network_def#{name} out, or give weights that were trained so"
            )


def _refuse_unknown(arguments: Mapping[str, Any], where: str, fix: str, network: type[Segmenter] = SGDNet) -> None:
    known = inspect.signature(network).parameters
    unknown = next((name for name in arguments if name not in known), None)
    if unknown is not None:
        raise UserError(f"{where}{unknown}: {network.__name__} has no such argument; {fix}{nearest(unknown, known)}")


@functools.lru_cache(maxsize=32)
def _tell_unknown(path: Path) -> None:
    logger.warning('%s: no "network" in %s tells its arguments; %s', path, path.with_suffix(".json").name, DEFAULTS)
