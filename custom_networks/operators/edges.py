"""Edge modulation, eq. (1): amplify features where their gradient is large.

Source: section 3.2 and Table 6. In the authors' module every kernel of a dense C -> C convolution holds the same
Sobel kernel, so that each output channel is the response of the *sum* over channels. `reading="summed"` computes
just that, at 1/C of the cost; `reading="depthwise"` reads eq. (1) channel by channel. Sum, responses and magnitude are
in float32 also where the map is in bfloat16: a difference of rounded sums is mostly rounding.

Symbols: B batch, C channels, H height, W width, R responses (2 for a gradient, 1 for the Laplacian).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from custom_networks.errors import nearest
from custom_networks.operators.float32 import autocasting, widened

SOBEL = ((1.0, 0.0, -1.0), (2.0, 0.0, -2.0), (1.0, 0.0, -1.0))
SCHARR = ((3.0, 0.0, -3.0), (10.0, 0.0, -10.0), (3.0, 0.0, -3.0))
LAPLACIAN = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))
OPERATORS = ("sobel", "scharr", "laplacian", "learnable", "none")
READINGS = ("summed", "depthwise")


def edge_kernels(operator: str) -> Tensor:
    """Return the 3x3 kernels of a fixed operator, (R, 1, 3, 3): horizontal and vertical, or the one Laplacian."""
    if operator == "laplacian":
        return torch.tensor([LAPLACIAN]).unsqueeze(1)
    horizontal = torch.tensor(SCHARR if operator == "scharr" else SOBEL)
    return torch.stack([horizontal, horizontal.T]).unsqueeze(1)


def gradient_magnitude(responses: Tensor) -> Tensor:
    """Euclidean norm over dimension 2 of (B, C, R, H, W); its gradient is 0, not infinite, where the norm is 0."""
    return torch.linalg.vector_norm(responses, dim=2)


class EdgeModulation(nn.Module):
    """`x * sigmoid(|gradient of x|)`, eq. (1).

    Args:
        channels: C.
        operator: "sobel", "scharr", "laplacian", "learnable" (a depthwise pair that starts as Sobel) or "none"
            (the map passes unchanged).
        reading: "summed" or "depthwise", see the module's header; a learnable operator is always depthwise.

    Raises:
        ValueError: for an operator or a reading that does not exist.
    """

    def __init__(self, channels: int, operator: str = "sobel", reading: str = "summed") -> None:
        super().__init__()
        for what, got, known in (("edge operator", operator, OPERATORS), ("edge reading", reading, READINGS)):
            if got not in known:
                raise ValueError(f"{what} must be one of {', '.join(known)}, got {got!r}{nearest(str(got), known)}")
        self.operator = operator
        self.summed = reading == "summed" and operator != "learnable"
        kernels = edge_kernels(operator)
        if not self.summed:
            kernels = kernels.repeat(channels, 1, 1, 1)
        if operator == "learnable":
            self.kernels = nn.Parameter(kernels)
        else:
            self.register_buffer("kernels", kernels, persistent=False)

    def magnitude(self, x: Tensor) -> Tensor:
        """Gradient magnitude of (B, C, H, W), float32 or float64: (B, 1, H, W) when summed, else (B, C, H, W)."""
        if not torch.jit.is_scripting():  # noqa: SIM102 (TorchScript compiles what stands beside this condition)
            if autocasting(x):
                with torch.autocast(x.device.type, enabled=False):
                    return self.magnitude(x)
        source = widened(x)
        if self.summed:
            source = source.sum(dim=1, keepdim=True)
        channels = source.shape[1]
        responses = F.conv2d(source, self.kernels.to(source.dtype), padding=1, groups=channels)
        return gradient_magnitude(responses.unflatten(1, [channels, -1]))

    def forward(self, x: Tensor) -> Tensor:
        """Modulate (B, C, H, W)."""
        if self.operator == "none":
            return x
        return x * torch.sigmoid(self.magnitude(x)).to(x.dtype)

    def extra_repr(self) -> str:
        """Show the operator and how eq. (1) is read."""
        return f"operator={self.operator!r}, reading={'summed' if self.summed else 'depthwise'!r}"
