"""The ways to compute unshared convolution, and the choice among them."""

from torch import Tensor

from striate.ops.dispatch import Route, with_kernels

_KERNELS = Route("kernels", "PyTorch has no unshared convolution, and unfolding copies every window")


def choose(input: Tensor) -> Route:
    """The kernels where there are any and PyTorch need not look inside."""
    return with_kernels(input, _KERNELS)
