"""Table of exported files: `python -m benchmarks.export --checkpoint model.pt --images FOLDER`.

Writes export.json and export.md: of each format and precision its size, the time of an image and Dice to float32.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.__main__ import OUTPUT, settings_of
from benchmarks.rooms import failed, run_rooms
from custom_networks.export import FORMATS


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.export", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--checkpoint", required=True, help="weights, model.pt of a run")
    parser.add_argument("--images", required=True, help="folder of images to compare on")
    parser.add_argument("--masks", help="folder of their masks, for Dice to the truth")
    parser.add_argument("--calibration", help="folder or datalist for int8 [--images]")
    parser.add_argument("--image_size", type=int, help="side in pixels [the training's]")
    parser.add_argument("--timed_size", type=int, help="side of the image that is timed [image_size]")
    parser.add_argument("--count", type=int, default=50, help="images to compare on [50]")
    parser.add_argument("--formats", nargs="+", choices=[*FORMATS], help="formats to export [all but tensorrt]")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"folder of export.json and export.md [{OUTPUT}]")
    parser.add_argument("--threads", type=int, help="threads on a CPU [as many as torch takes]")
    parser.add_argument("--rounds", type=int, help="samples of each case [7; 2 with --quick]")
    parser.add_argument("--quick", action="store_true", help="two formats, three images: checks the benchmark")
    parser.set_defaults(device="cpu", sweep=False, compile=False, no_memory=True, keep_memory=False)
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Run; 1 where the room failed."""
    arguments = parse(words)
    names = ("checkpoint", "images", "masks", "calibration", "image_size", "count", "formats", "timed_size")
    keywords = {name: getattr(arguments, name) for name in names}
    results = run_rooms({"export": keywords}, settings_of(arguments), arguments.output, "export")
    return int(failed(results))


if __name__ == "__main__":
    sys.exit(main())
