"""Layers whose input takes several ways."""

import torch
from torch import Tensor, nn
from typing_extensions import override


class Residual(nn.Sequential):
    """`body(x) + x`, or `body(x) + shortcut(x)`.

    Args:
        args: the children `body` and, if there is one, `shortcut`, in an `OrderedDict`; or one after another.

    Source:
        He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016.

    Example:
        >>> Residual(nn.Identity())(torch.ones(1))
        tensor([2.])
    """

    @override
    def forward(self, input: Tensor) -> Tensor:
        body, *shortcut = self
        output: Tensor = body(input)
        return output + (shortcut[0](input) if shortcut else input)


class Concat(nn.Sequential):
    """The channels of all branches, one after another.

    Args:
        args: the branches, in an `OrderedDict` or one after another.

    Example:
        >>> Concat(nn.Identity(), nn.Identity())(torch.zeros(1, 3, 8, 8)).shape
        torch.Size([1, 6, 8, 8])
    """

    @override
    def forward(self, input: Tensor) -> Tensor:
        return torch.cat([branch(input) for branch in self], 1)


class Sum(nn.Sequential):
    """The sum of all branches.

    Args:
        args: the branches, in an `OrderedDict` or one after another.

    Example:
        >>> Sum(nn.Identity(), nn.Identity())(torch.ones(1))
        tensor([2.])
    """

    @override
    def forward(self, input: Tensor) -> Tensor:
        first, *others = self
        output: Tensor = first(input)
        for branch in others:
            output = output + branch(input)
        return output
