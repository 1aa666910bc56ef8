"""Where the bundle lies: in a checkout or an unpacked archive, or inside the installed package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

HERE = Path("bundle")
"""The bundle's folder of who installed the package: weights and runs go there, below the folder one stands in."""


def default_bundle() -> Path:
    """Folder of the bundle: beside the package in a checkout, the present folder where it is one, else `bundle/`."""
    candidates = [Path(__file__).resolve().parents[1] / "bundle", Path()]
    return next((path for path in candidates if (path / "configs" / "train.json").is_file()), HERE)


def bundle_source(root: str | Path) -> Path:
    """Folder whose configs/, docs/ and LICENSE are those of a bundle.

    Args:
        root: folder of the bundle, to which runs and weights are written.

    Returns:
        `root`; for `bundle/` of the present folder, where it has no configs/, those inside the package.
    """
    root = Path(root)
    if root != HERE or (root / "configs").exists():
        return root
    return Path(str(files("custom_networks"))) / "bundle"


def config_file(root: str | Path, name: str) -> Path:
    """Path of a configuration file of a bundle."""
    return bundle_source(root) / "configs" / name
