"""The ways to compute the deformable operators, and the choice among them."""

from torch import Tensor

from striate.ops.dispatch import Route, with_kernels

_KERNELS = Route("kernels", "PyTorch has no deformable operators, and the definition writes out all samples")


def choose(input: Tensor) -> Route:
    """The kernels where there are any and PyTorch need not look inside."""
    return with_kernels(input, _KERNELS)
