"""Table of the engines of `sgdnet predict`: `python -m benchmarks.engine --checkpoint model.pt --images FOLDER`.

Writes engine.json and engine.md: of each engine images a second, and Dice of its masks to those of PyTorch in float32.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.__main__ import OUTPUT, settings_of
from benchmarks.rooms import failed, run_rooms


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--checkpoint", required=True, help="weights, model.pt of a run")
    parser.add_argument("--images", required=True, help="folder of images to compare on")
    parser.add_argument("--image_size", type=int, help="side in pixels [the training's]")
    parser.add_argument("--count", type=int, default=50, help="images to compare on [50]")
    parser.add_argument("--batch_size", type=int, default=1, help="images a call [1]")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"folder of engine.json and engine.md [{OUTPUT}]")
    parser.add_argument("--threads", type=int, help="threads on a CPU [as many as torch takes]")
    parser.add_argument("--rounds", type=int, help="samples of each case [7; 2 with --quick]")
    parser.add_argument("--quick", action="store_true", help="three images: checks the benchmark")
    parser.set_defaults(device="cpu", sweep=False, compile=False, no_memory=True, keep_memory=True)
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Run; 1 where the room failed."""
    arguments = parse(words)
    keywords = {
        name: getattr(arguments, name) for name in ("checkpoint", "images", "image_size", "count", "batch_size")
    }
    results = run_rooms({"engine": keywords}, settings_of(arguments), arguments.output, "engine")
    return int(failed(results))


if __name__ == "__main__":
    sys.exit(main())
