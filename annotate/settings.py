"""What the server is told at its start."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

from custom_networks.errors import UserError

MIB = 2**20
SHIPPED = ("model_interactive.pt", "model.pt")
# of classes; the first ones far from the colours of skin and blood
PALETTE = ("#19b5fe", "#b6f000", "#ff4fd8", "#ffe14d", "#2ee6a6", "#b58cff", "#ff8c1a", "#7df9ff", "#f26d6d", "#c9d1d9")


@dataclass(frozen=True)
class Settings:
    """Settings of a server.

    Args:
        studies: folder of the images, in it or in its `images/`; results go to its `annotations/`.
        bundle_root: folder of the bundle.
        checkpoint: weights to start with; None takes the bundle's `models/model_interactive.pt`, or `model.pt`.
        host: address to listen on.
        port: to listen on.
        token: secret that every request must bring; required unless the host is this machine alone.
        classes: names of the classes from 1; empty takes those of the weights.
        max_upload_bytes: of an image or a label.
        max_pixels: of an image.
        device: of inference and fine-tuning; None takes the GPU where there is one.
        image_size: side in pixels of the square that the network sees; None takes the training's.
        score: whether images are scored for active learning while nothing else is to be done.

    Raises:
        UserError: for a folder that does not exist, an open address without a token, or a token that an address cannot
            hold as it is.
    """

    studies: Path
    bundle_root: Path
    checkpoint: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    token: str = ""
    classes: tuple[str, ...] = ()
    max_upload_bytes: int = 64 * MIB
    max_pixels: int = 64_000_000
    device: str | None = None
    image_size: int | None = None
    score: bool = True

    def __post_init__(self) -> None:
        if not self.studies.is_dir():
            raise UserError(f"{self.studies}: no such folder; make it and put images there")
        if not is_loopback(self.host) and not self.token:
            raise UserError(
                f"--host {self.host}: others can reach this address; set --token to a secret of at least 16 characters"
            )
        if self.token and len(self.token) < 16:
            raise UserError("--token: too short; take at least 16 characters")
        if re.fullmatch("[A-Za-z0-9._~-]*", self.token) is None:  # what stands in an address as it is
            raise UserError("--token: take letters, digits and . _ ~ - alone, for it stands in addresses")
        if len(self.classes) > 65535:
            raise UserError(f"--classes: {len(self.classes)} names, more than the 65535 that a 16-bit PNG can hold")

    def address(self, port: int) -> str:
        """Address of the page at a port, with the token."""
        host = self.host.strip("[]")
        token = f"?token={self.token}" if self.token else ""
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/ui/{token}"

    @property
    def weights(self) -> Path:
        """File of the weights that the server starts with; it may not exist."""
        if self.checkpoint is not None:
            return self.checkpoint
        interactive, automatic = (self.bundle_root / "models" / name for name in SHIPPED)
        return interactive if interactive.is_file() else automatic

    @property
    def annotations(self) -> Path:
        """Folder of everything that the server writes."""
        return self.studies / "annotations"


def is_loopback(host: str) -> bool:
    """Tell whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
