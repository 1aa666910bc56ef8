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
from custom_networks.network.sgdnet import TRAINING_ARGUMENTS, SGDNet
from custom_networks.network.weights import load_strictly, read_state_dict
from custom_networks.weights.reading import record_of, trained_outputs
from custom_networks.weights.record import WeightsRecord, plain

logger = logging.getLogger(__name__)

FREE = (*TRAINING_ARGUMENTS, "dropout")
"""Arguments that may differ from the training's: they change neither the weights nor what `eval()` computes."""
DEFAULTS = "defaults are assumed; add them there where it was built with others"


def trained_network(checkpoint: str | Path, **arguments: Any) -> SGDNet:
    """Build the network that weights were trained with; its own are random until `load_checkpoint` loads them.

    Args:
        checkpoint: the weights; where there are none the network has its default arguments, so that a bundle can be
            looked at before it has been trained.
        arguments: of `SGDNet`, for those that the record does not have, or `FREE` ones.

    Returns:
        The network.

    Raises:
        UserError: naming an argument that is given otherwise than the weights have it, that does not exist, or that
            cannot be.
    """
    path = Path(checkpoint)
    record = record_of(path)
    recorded = dict(record.network or {})
    if path.is_file():
        recorded.setdefault("out_channels", trained_outputs(path))
        if record.network is None:
            _tell_unknown(path)
    _refuse_unknown(arguments, "--network_def#", "correct its name")
    _refuse_unknown(recorded, f"{path}: network.", "a newer sgdnet trained it, so update the package")
    _refuse_conflict(path, recorded, arguments)
    try:
        return SGDNet(**{**recorded, **arguments})
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: no network can be built of its record and what was given: {error}") from None


# configurations are checked by the signature: every argument of the network can be overridden by its name
trained_network.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [
        inspect.Parameter("checkpoint", inspect.Parameter.POSITIONAL_OR_KEYWORD),
        *(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in inspect.signature(SGDNet).parameters.values()),
    ]
)


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
    return plain(arguments) if isinstance(arguments, Mapping) else None


def load_checkpoint(network: nn.Module, path: str | Path) -> None:
    """Load trained weights into the network that they were trained with.

    Args:
        network: as `trained_network` builds it.
        path: `model.pt` or `last.pt` of a run.

    Raises:
        UserError: a missing file, or weights of another architecture.
    """
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
    for name, value in plain(dict(given)).items():
        if name in recorded and name not in FREE and recorded[name] != value:
            raise UserError(
                f"{source}: trained with {name} {recorded[name]!r}, and the network is to have {name} {value!r}; leave "
                f"--network_def#{name} out, or give weights that were trained so"
            )


def _refuse_unknown(arguments: Mapping[str, Any], where: str, fix: str) -> None:
    known = inspect.signature(SGDNet).parameters
    unknown = next((name for name in arguments if name not in known), None)
    if unknown is not None:
        raise UserError(f"{where}{unknown}: SGDNet has no such argument; {fix}{nearest(unknown, known)}")


@functools.lru_cache(maxsize=32)
def _tell_unknown(path: Path) -> None:
    logger.warning('%s: no "network" in %s tells its arguments; %s', path, path.with_suffix(".json").name, DEFAULTS)
