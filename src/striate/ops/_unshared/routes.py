"""The ways to compute unshared convolution, and the choice among them."""

from torch import Tensor

from striate.ops._door import in_transform
from striate.ops.dispatch import Route


def choose(input: Tensor) -> Route:
    """The kernels where there are any and PyTorch need not look inside."""
    if in_transform():
        return Route("reference", "in a transform PyTorch differentiates the definition by itself")
    device = input.device.type
    if device == "cpu":
        return Route("kernels", "PyTorch has no unshared convolution, and unfolding copies every window")
    return Route("reference", f"there are kernels for the CPU only, and the input is on {device}")
