"""The verb that lists, fetches and packs published weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from custom_networks.arguments import FILES, Help
from custom_networks.bundle_files import default_bundle
from custom_networks.verbs.delivery import BUNDLE_ROOT
from custom_networks.verbs.result import Result

FETCH, PACK = "fetch", "pack"
ACTIONS = ("list", FETCH, PACK)


def weights(
    action: Annotated[str, Help("list, fetch or pack")],
    what: Annotated[
        str,
        Help(
            "list: folder or address that publishes weights; fetch: name of the weights; pack: model.pt of a run", FILES
        ),
    ],
    *,
    source: Annotated[
        str, Help("folder, https:// or s3:// that publishes them, or its weights.json", FETCH, "none")
    ] = "",
    model_path: Annotated[
        str | None, Help("file that the weights become, model.json beside it", FETCH, "models/model.pt of the bundle")
    ] = None,
    sha256: Annotated[
        str, Help("that the weights must have, from a place you trust", FETCH, "what the source's index says")
    ] = "",
    output: Annotated[str, Help("folder of the release", PACK, "none")] = "",
    name: Annotated[str, Help("by which the weights will be fetched", PACK, "none")] = "",
    license: Annotated[str, Help("of the weights, such as CC-BY-NC-4.0", PACK, "none")] = "",
    data: Annotated[str, Help("what they were trained on, in words", PACK, "none")] = "",
    data_license: Annotated[str, Help("of that data", PACK, "none")] = "",
    description: Annotated[str, Help("anything else, in a sentence", PACK, "none")] = "",
    precision: Annotated[str, Help("float16, bfloat16 or float32 of matrices and convolutions", PACK)] = "float16",
    overwrite: Annotated[bool, Help("true replaces weights of that name in the release", PACK)] = False,
    bundle_root: Annotated[str | None, BUNDLE_ROOT] = None,
) -> Result:
    """List, fetch and install published weights, or pack a run's weights to be published."""
    from custom_networks.errors import UserError, nearest

    release = {"output": output, "name": name, "license": license, "data": data, "data_license": data_license}
    own: dict[str, dict[str, str | None]] = {
        FETCH: {"source": source, "model_path": model_path, "sha256": sha256},
        PACK: {**release},
    }
    if action not in ACTIONS:
        raise UserError(f"weights {action}: must be one of {', '.join(ACTIONS)}{nearest(action, ACTIONS)}")
    foreign = [(flag, verb) for verb, flags in own.items() if verb != action for flag, given in flags.items() if given]
    if foreign:
        raise UserError(
            f"--{foreign[0][0]}: goes with `sgdnet weights {foreign[0][1]}`, not with {action}; leave it out"
        )
    if action == PACK:
        return _pack(what, {**release, "description": description}, precision, overwrite)
    if action == FETCH:
        from custom_networks.releases.fetching import fetch_weights

        root = Path(bundle_root or default_bundle())
        print(fetch_weights(what, source, Path(model_path or root / "models" / "model.pt"), sha256))
        return Result()
    from custom_networks.releases.fetching import read_index

    _, index = read_index(what)
    print("\n".join(line for each in index.weights for line in each.lines()) or f"{what}: publishes no weights")
    return Result(found=index.as_dict())


def _pack(model: str, about: dict[str, str], precision: str, overwrite: bool) -> Result:
    from custom_networks.errors import UserError
    from custom_networks.releases.packing import pack_weights

    output = about.pop("output")
    missing = next(
        (flag for flag, given in {"output": output, **about}.items() if not (given or flag == "description")), None
    )
    if missing:
        raise UserError(f"--{missing} is missing; `sgdnet weights --help` tells what a release says of itself")
    entry = pack_weights(Path(model), Path(output), about, precision, overwrite)
    print(f"{Path(output) / entry.weights.file} ({entry.weights.size / 1e6:,.0f} MB)")
    return Result(found=entry.as_dict())
