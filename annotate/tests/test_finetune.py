"""Fine-tuning goes on with the very network of the weights, whatever arguments it was trained with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from networks import TOY
from PIL import Image
from support import BUNDLE, png
from toy_weights import write_record

from annotate.finetune import RESULT, SPEC, WEIGHTS, finetune
from custom_networks import SGDNet
from custom_networks.network.interactive import InteractiveSGDNet
from custom_networks.network.weights import read_state_dict
from custom_networks.weights import record_of

EPOCHS, RATE = 2, 1e-5


def spec_of(phantoms: Path, weights: Path, interactive: bool) -> dict[str, Any]:
    """What the server tells a fine-tuning: three labels, one image held out."""
    items = []
    for image in sorted((phantoms / "images").iterdir())[:4]:
        label = weights.with_name(image.name)
        label.write_bytes(png(np.asarray(Image.open(phantoms / "masks" / image.name)) // 255))
        items.append({"image": str(image), "label": str(label)})
    return {
        "bundle_root": str(BUNDLE),
        "checkpoint": str(weights),
        "interactive": interactive,
        "training": items[:3],
        "heldout": items[3:],
        "classes": 1,
        "epochs": EPOCHS,
        "image_size": 64,
        "batch_size": 3,
        "learning_rate": RATE,
        "device": "cpu",
    }


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [
        (SGDNet, {"edge_operator": "laplacian", "dropout": 0.0, "layer_scale_init": None}),
        (SGDNet, {"edge_operator": "scharr", "out_channels": 2}),
        (InteractiveSGDNet, {"edge_operator": "laplacian", "dropout": 0.0}),
    ],
    ids=["automatic", "background-and-lesion", "interactive"],
)
def test_the_network_of_the_weights_is_rebuilt(
    phantoms: Path, tmp_path: Path, architecture: type[SGDNet], arguments: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    network = architecture(**{**TOY, **arguments})
    weights = tmp_path / "given" / "model.pt"
    weights.parent.mkdir()
    torch.save(network.state_dict(), weights)
    write_record(weights, network, image_size=64, classes={"1": "lesion"} if "out_channels" in arguments else {})
    run = tmp_path / "run"
    run.mkdir()
    spec = spec_of(phantoms, weights, architecture is InteractiveSGDNet)
    (run / SPEC).write_text(json.dumps(spec))
    datalist = {"training": spec["training"], "validation": spec["heldout"], "classes": {"1": "lesion"}}
    (run / "datalist.json").write_text(json.dumps(datalist))
    finetune(run)
    told = json.loads((run / RESULT).read_text())
    assert {"before", "after"} <= set(told)
    made, given = record_of(run / WEIGHTS), record_of(weights)
    assert made.network == given.network
    assert made.classes == given.classes
    old, new = read_state_dict(weights), read_state_dict(run / WEIGHTS)
    moved = [(new[name] - old[name]).abs().max().item() for name, _ in network.named_parameters()]
    assert 0 < max(moved) < 1.1 * EPOCHS * RATE  # Adam's step is at most the rate
