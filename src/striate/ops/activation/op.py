"""Activations: the door. There are no kernels: PyTorch's elementwise operators are as fast as memory."""

import functools

import torch
from torch import Tensor

from striate.geometry.checks import check_integer
from striate.ops._door import announced, check_alike, in_transform, memory_format, under_autocast
from striate.ops.dispatch import Route, take

_ABSOLUTE = Route("torch", "PyTorch's absolute value is at the limit")
_WINNERS = Route("torch", "PyTorch's maximum along an axis knows the winner, to whom the gradient goes")
_MAXIMA = Route("torch", "without a gradient PyTorch's maxima of pairs of maps are at the limit")
_TANGENT = Route("torch", "PyTorch's tangent and product are at the limit")


@announced
def abs_rectify(input: Tensor) -> Tensor:
    """Rectify: the absolute value, so that an edge counts the same from dark to bright and from bright to dark.

    `output = |input|`; the gradient is the sign, 0 at 0.

    Args:
        input: of any shape, floating-point.

    Returns:
        The input's shape, dtype and memory format, numbers of at least 0. Autocast leaves the dtype as it is.

    Raises:
        TypeError: if the input does not hold floating-point numbers.

    Source:
        Jarrett, Kavukcuoglu, Ranzato and LeCun, "What is the best multi-stage architecture for object recognition?",
        ICCV 2009, section 2.1, the layer R_abs.

    Example:
        >>> abs_rectify(torch.tensor([-2.0, 0.0, 3.0]))
        tensor([2., 0., 3.])
    """
    _check_floating("abs_rectify", input)
    take("abs_rectify", _ABSOLUTE)
    return torch.abs(input)


@announced
def maxout(input: Tensor, pieces: int, dim: int = 1) -> Tensor:
    """The largest of each group of consecutive channels, a convex function that is learned piece by piece.

    `output[:, o] = max over j < pieces of input[:, o * pieces + j]`. The gradient goes to the winner; of equal ones, to
    the first. NaN wins.

    Args:
        input: of any shape, floating-point, with a multiple of `pieces` channels.
        pieces: channels in a group, at least 1.
        dim: the axis of the channels, counted from the end where it is negative: 1 in a batch, 0 in a single picture.

    Returns:
        The input's shape but for the channels, of which there are 1 / `pieces`, in its dtype and memory format.
        Autocast leaves the dtype as it is.

    Raises:
        TypeError: if the input does not hold floating-point numbers, or `pieces` or `dim` is not an integer.
        ValueError: if the channels are no multiple of `pieces`, that is below 1, or there is no such axis.

    Source:
        Goodfellow, Warde-Farley, Mirza, Courville and Bengio, "Maxout networks", ICML 2013,
        https://arxiv.org/abs/1302.4389, section 3.

    Example:
        >>> maxout(torch.tensor([[1.0, 5.0, -3.0, -4.0]]), pieces=2)
        tensor([[ 5., -3.]])
    """
    _check_floating("maxout", input)
    check_integer("pieces", pieces, 1)
    axis = _axis("maxout", input, dim)
    if input.shape[axis] % pieces:
        raise ValueError(
            f"maxout: input must have a multiple of pieces={pieces} channels along axis {axis}, got "
            f"{tuple(input.shape)}"
        )
    # Channels-last maps as they lie, so that neither the result nor the gradient is laid out anew.
    last = memory_format(input) != torch.contiguous_format
    maps = input.movedim(1, -1) if last else input
    if last:
        axis = input.ndim - 1 if axis == 1 else axis - (axis > 1)
    groups = maps.view(*maps.shape[:axis], maps.shape[axis] // pieces, pieces, *maps.shape[axis + 1 :])
    if in_transform() or (torch.is_grad_enabled() and input.requires_grad):
        take("maxout", _WINNERS)
        largest = groups.max(axis + 1).values
    else:
        take("maxout", _MAXIMA)
        first, *others = groups.unbind(axis + 1)
        largest = functools.reduce(torch.maximum, others, first) if others else first.clone()
    largest = largest.contiguous()
    return largest.movedim(-1, 1) if last else largest


@announced
def scaled_tanh(input: Tensor, gain: Tensor | float, *, dim: int = 1) -> Tensor:
    """The hyperbolic tangent times a gain, which may be learned.

    `output[:, c] = gain[c] * tanh(input[:, c])`.

    Args:
        input: of any shape, floating-point.
        gain: one for all, as a number or a tensor `()`; or `(C,)`, one a channel. A tensor has the input's dtype and
            device; under autocast it is brought to the input's dtype.
        dim: the axis of the channels, counted from the end where it is negative: 1 in a batch, 0 in a single picture.

    Returns:
        The input's shape, dtype and memory format, numbers from `-gain` to `gain`. Autocast leaves the dtype as it is.

    Raises:
        TypeError: if the input does not hold floating-point numbers, the gain is neither a number nor a tensor, dtypes
            differ, or `dim` is not an integer.
        ValueError: if the gain is neither `()` nor `(C,)`, devices differ, or there is no such axis.

    Source:
        Jarrett, Kavukcuoglu, Ranzato and LeCun, "What is the best multi-stage architecture for object recognition?",
        ICCV 2009, section 2.1, the layer F_CSG; with one gain of 1.7159 LeCun, Bottou, Orr and Müller, "Efficient
        BackProp", 1998, section 4.4.

    Example:
        >>> scaled_tanh(torch.tensor([[-100.0, 0.0, 100.0]]), torch.tensor([1.0, 2.0, 3.0]))
        tensor([[-1., 0., 3.]])
    """
    _check_floating("scaled_tanh", input)
    if isinstance(gain, Tensor):
        if under_autocast(input):
            gain = gain.to(input.dtype)
        check_alike("scaled_tanh", input=input, gain=gain)
        if gain.ndim:
            axis = _axis("scaled_tanh", input, dim)
            if gain.shape != (input.shape[axis],):
                raise ValueError(
                    f"scaled_tanh: gain must be () or ({input.shape[axis]},), one number a channel along axis {axis} "
                    f"of {tuple(input.shape)}, got {tuple(gain.shape)}"
                )
            gain = gain.view(-1, *[1] * (input.ndim - 1 - axis))
    elif isinstance(gain, bool) or not isinstance(gain, (int, float)):
        raise TypeError(f"scaled_tanh: gain must be a number or a tensor, got {gain!r}")
    take("scaled_tanh", _TANGENT)
    return torch.tanh(input) * gain


def _check_floating(operator: str, input: Tensor) -> None:
    """Refuse integers and complex numbers.

    Raises:
        TypeError: if the input holds such.
    """
    if not input.is_floating_point():
        raise TypeError(f"{operator}: input must hold floating-point numbers, got {input.dtype}")


def _axis(operator: str, input: Tensor, dim: int) -> int:
    """The axis counted from the start.

    Raises:
        TypeError: if it is not an integer.
        ValueError: if there is no such axis.
    """
    if isinstance(dim, bool) or not isinstance(dim, int):
        raise TypeError(f"{operator}: dim must be an integer, got {dim!r}")
    if not -input.ndim <= dim < input.ndim:
        raise ValueError(f"{operator}: dim must be an axis of the input, {tuple(input.shape)}, got {dim}")
    return dim % input.ndim
