"""The shapes that every backend of the dynamic convolution takes."""

from __future__ import annotations

from torch import Tensor


def check_shapes(x: Tensor, logits: Tensor, heads: int, kernel_size: int) -> None:
    """Check map and logits before a kernel reads beyond them; TorchScript compiles this too.

    Args:
        x: must be (B, C, H, W), C a multiple of `heads`.
        logits: must be (B, heads * kernel_size**2, H, W).
        heads: G.
        kernel_size: k, must be odd.

    Raises:
        ValueError: with what is expected and what is given.
    """
    if kernel_size % 2 == 0 or x.shape[1] % heads != 0:
        raise ValueError(
            f"kernel_size must be odd and the channels a multiple of heads; "
            f"got kernel_size {kernel_size}, {x.shape[1]} channels, {heads} heads"
        )
    expected = [x.shape[0], heads * kernel_size * kernel_size, x.shape[2], x.shape[3]]
    if list(logits.shape) != expected:
        raise ValueError(
            f"logits must be (batch, heads * kernel_size**2, height, width) = {expected} for x of {list(x.shape)}; "
            f"got {list(logits.shape)}"
        )
