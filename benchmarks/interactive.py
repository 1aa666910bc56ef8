"""The click and scribble tables of docs/interactive.md: `python -m benchmarks.interactive METHOD ...`.

Methods: sgdnet (guidance enters late), early (at the input), unet (BasicUNet, at the input), random_walker.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.interactive_networks import RandomWalker, early_basic_unet, early_sgdnet
from custom_networks.data.splitting import load_datalist, load_test_list
from custom_networks.interactive import InteractivePredictor
from custom_networks.interactive.evaluation import LIMIT, InteractiveMethod, evaluate_interaction
from custom_networks.weights import load_checkpoint, trained_normalization

EARLY = {"early": early_sgdnet, "unet": early_basic_unet}
METHODS = ("sgdnet", *EARLY, "random_walker")


def segmenter(method: str, checkpoint: str | None, image_size: int) -> InteractiveMethod:
    """Make what is evaluated, on the CPU."""
    if method == "random_walker":
        return RandomWalker(image_size)
    if checkpoint is None:
        raise SystemExit(f"{method} needs --checkpoint")
    if method == "sgdnet":
        return InteractivePredictor(checkpoint, "cpu", image_size)
    network = EARLY[method]()
    load_checkpoint(network, checkpoint)
    return InteractivePredictor.of_network(network, trained_normalization(checkpoint), image_size, "cpu")


def main(arguments: list[str] | None = None) -> None:
    """Evaluate a method."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("--dataset_dir", required=True)
    parser.add_argument("--datalist", help="its test list is evaluated; without one, every pair of the folder")
    parser.add_argument("--checkpoint")
    parser.add_argument("--image_size", type=int, default=128)
    parser.add_argument("--clicks", type=int, default=LIMIT)
    parser.add_argument("--scribbles", type=int, default=0)
    parser.add_argument("--images", type=int, help="evaluate the first of them alone")
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    if chosen.datalist:
        items = load_test_list(chosen.dataset_dir, chosen.datalist)
    else:
        items = [item for part in load_datalist(chosen.dataset_dir) for item in part]
    items = [dict(item) for item in items][: chosen.images]
    about = {"method": chosen.method, "image_size": chosen.image_size, "threads": chosen.threads}
    method = segmenter(chosen.method, chosen.checkpoint, chosen.image_size)
    evaluate_interaction(method, items, chosen.output_dir, chosen.clicks, chosen.scribbles, about=about, overwrite=True)


if __name__ == "__main__":
    main()
