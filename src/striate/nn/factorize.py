"""A trained convolution as two cheaper ones, by singular values."""

from collections import OrderedDict
from dataclasses import dataclass
from math import prod
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from striate.geometry import Window
from striate.geometry.checks import check_integer
from striate.nn.conv import ConvNd, conv_from
from striate.nn.from_torch import as_conv
from striate.ops.conv.op import conv2d

Method: TypeAlias = Literal["spatial", "depthwise"]

_NAMES = {"spatial": ("column", "row"), "depthwise": ("depthwise", "pointwise")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Factorized:
    """What `factorize` made of a convolution, what it costs and how far off it is.

    Args:
        module: the two layers: "column" and "row", or "depthwise" and "pointwise".
        method: "spatial" or "depthwise".
        rank: the rank that was taken.
        errors: the relative error on the weights at every rank, 1 first; the last is 0.
        output_error: the relative error on the outputs for the given inputs, or None without them.
        parameters: numbers to learn, biases included.
        parameters_before: those of the convolution.
        macs: multiply-accumulates for one place of the output, all channels, away from the borders.
        macs_before: those of the convolution.

    Example:
        >>> blur = nn.Conv2d(16, 32, 3, bias=False)
        >>> _ = nn.init.ones_(blur.weight)
        >>> print(factorize(blur, method="depthwise"))
        depthwise, rank 1: error on the weights 0.0 %; parameters 4608 -> 656; MACs for a place 4608 -> 656
    """

    module: nn.Sequential
    method: Method
    rank: int
    errors: tuple[float, ...]
    output_error: float | None
    parameters: int
    parameters_before: int
    macs: int
    macs_before: int

    @property
    def weight_error(self) -> float:
        """The Frobenius norm of the difference of the weights, relative to that of the weights.

        Returns:
            A number from 0 to 1.
        """
        return self.errors[self.rank - 1]

    def __str__(self) -> str:
        outputs = "" if self.output_error is None else f", on the outputs {100 * self.output_error:.1f} %"
        return (
            f"{self.method}, rank {self.rank}: error on the weights {100 * self.weight_error:.1f} %{outputs}; "
            f"parameters {self.parameters_before} -> {self.parameters}; "
            f"MACs for a place {self.macs_before} -> {self.macs}"
        )


def factorize(
    module: nn.Module,
    *,
    method: Method = "spatial",
    rank: int | None = None,
    tolerance: float | None = None,
    inputs: Tensor | None = None,
) -> Factorized:
    """Replace a trained convolution by two cheaper ones whose product is nearest to it.

    "spatial" (two axes): `rank` maps by column kernels, then the filters by row kernels on these maps; the weight as a
    matrix of (in, KH) by (out, KW) is cut after `rank` singular values. One map suffices for a kernel of rank 1, such
    as Sobel's, but most filters are not: the errors at all ranks come along.

    "depthwise" (any axes): `rank` depthwise filters for each channel, then a 1x1 convolution; the weight of each
    channel as a matrix of out by taps is cut. Rank 1 is a depthwise separable convolution: the state dict loads into
    `DepthwiseSeparableConv2d`.

    No other two layers of this form and rank have weights nearer to the convolution's (Eckart and Young). Each group is
    factorized on its own, all to the same rank. Stride, padding, dilation and bias are kept, so that at full rank the
    outputs are the convolution's, borders included.

    Args:
        module: a convolution of `striate.nn` (`Conv1d`, `Conv2d`, `Conv3d`, or depthwise) or of `torch.nn` (`Conv1d`,
            `Conv2d`, `Conv3d`). It is not changed.
        method: how the convolution is cut in two.
        rank: singular values kept; 1 if there is no tolerance either.
        tolerance: take the smallest rank whose relative error on the weights is at most this, from 0 to 1; it stands
            instead of a rank.
        inputs: inputs of the convolution, to measure the error on its outputs.

    Returns:
        The new layers with their errors and costs.

    Raises:
        TypeError: if the module is no convolution, or the rank is no integer.
        ValueError: if rank and tolerance are both given or out of range, the method is unknown or not for these axes,
            or a weight is not finite.

    Source:
        Jaderberg, Vedaldi and Zisserman, "Speeding up convolutional neural networks with low rank expansions", BMVC
        2014, scheme 2, https://arxiv.org/abs/1405.3866; Guo, Li, Lin, Xie and Wang, "Network decoupling", 2018,
        https://arxiv.org/abs/1808.05517, for "depthwise".

    Example:
        >>> sobel = nn.Conv2d(1, 1, 3, bias=False)
        >>> _ = sobel.weight.data.copy_(torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]]))
        >>> print(factorize(sobel))
        spatial, rank 1: error on the weights 0.0 %; parameters 9 -> 6; MACs for a place 9 -> 6
    """
    layer = as_conv(module)
    if layer is None:
        raise TypeError(
            f"factorize: module must be a Conv1d, Conv2d or Conv3d of striate.nn or torch.nn, "
            f"got {type(module).__qualname__}"
        )
    if method not in get_args(Method):
        raise ValueError(f"factorize: method must be one of {', '.join(get_args(Method))}, got {method!r}")
    if method == "spatial" and len(layer.kernel_size) != 2:
        raise ValueError(f"factorize: method 'spatial' is for two axes, got kernel_size={layer.kernel_size}")
    if not layer.weight.isfinite().all():
        raise ValueError("factorize: every weight must be finite, got NaN or infinity")
    left, values, right = torch.linalg.svd(_matrices(layer, method), full_matrices=False)
    errors = _errors(values)
    rank = _chosen_rank(errors, rank, tolerance)
    scale = values[:, :rank].sqrt()
    first, second = (_spatial if method == "spatial" else _depthwise)(
        layer, left[..., :rank] * scale.unsqueeze(1), scale.unsqueeze(2) * right[:, :rank]
    )
    named: OrderedDict[str, nn.Module] = OrderedDict(zip(_NAMES[method], (first, second), strict=True))
    factorized = nn.Sequential(named).train(module.training)
    return Factorized(
        module=factorized,
        method=method,
        rank=rank,
        errors=errors,
        output_error=None if inputs is None else _output_error(layer, factorized, inputs),
        parameters=sum(parameter.numel() for parameter in factorized.parameters()),
        parameters_before=sum(parameter.numel() for parameter in layer.parameters()),
        macs=first.weight.numel() * prod(second.stride) + second.weight.numel(),
        macs_before=layer.weight.numel(),
    )


def _matrices(layer: ConvNd, method: Method) -> Tensor:
    """The weight as one matrix a group of (in, KH) by (out, KW), or one a channel of out by taps."""
    weight = torch.unflatten(layer.weight.detach().to("cpu", torch.float64), 0, (layer.groups, -1))
    if method == "spatial":
        return weight.permute(0, 2, 3, 1, 4).flatten(3).flatten(1, 2)
    return weight.flatten(3).transpose(1, 2).flatten(0, 1)


def _errors(values: Tensor) -> tuple[float, ...]:
    """The relative error at every rank, from the singular values of all matrices."""
    energy = values.square().sum(0)
    lost = energy.flip(0).cumsum(0).flip(0)
    if lost[0] == 0:
        return (0.0,) * len(energy)
    return (*(lost[1:] / lost[0]).sqrt().tolist(), 0.0)


def _chosen_rank(errors: tuple[float, ...], rank: int | None, tolerance: float | None) -> int:
    """The rank that was asked for, or the smallest within the tolerance.

    Raises:
        ValueError: if both are given or one is out of range.
    """
    if tolerance is not None:
        if rank is not None:
            raise ValueError(f"factorize: give rank or tolerance, not both, got rank={rank} and tolerance={tolerance}")
        if not 0 <= tolerance <= 1:
            raise ValueError(f"factorize: tolerance must be from 0 to 1, got {tolerance}")
        return next(number for number, error in enumerate(errors, 1) if error <= tolerance)
    rank = 1 if rank is None else rank
    check_integer("rank", rank, 1)
    if rank > len(errors):
        raise ValueError(f"factorize: rank must be at most {len(errors)} for this convolution, got {rank}")
    return rank


def _spatial(layer: ConvNd, left: Tensor, right: Tensor) -> tuple[ConvNd, ConvNd]:
    """Columns from (groups, in * KH, rank), rows from (groups, rank, out * KW)."""
    y, x = layer.windows
    groups, rank = layer.groups, right.shape[1]
    columns = left.mT.reshape(groups * rank, -1, y.kernel, 1)
    rows = torch.unflatten(right, 2, (-1, x.kernel)).transpose(1, 2).reshape(layer.out_channels, rank, 1, x.kernel)
    border = None
    if layer.border is not None:
        # Far outside the columns read nothing but the border: what they make of it is the border of their maps.
        outside = layer.border.detach().to(columns).view(-1, 1, 1).expand(-1, y.kernel, 1)
        border = conv2d(outside, columns, groups=groups).flatten()
    return (
        _part(layer, columns, None, (y, Window(1)), groups, layer.border),
        _part(layer, rows, layer.bias, (Window(1), x), groups, border),
    )


def _depthwise(layer: ConvNd, left: Tensor, right: Tensor) -> tuple[ConvNd, ConvNd]:
    """Depthwise filters from (in, rank, taps), the mixture from (in, out / groups, rank)."""
    ones = (1,) * len(layer.kernel_size)
    depthwise = right.reshape(-1, 1, *layer.kernel_size)
    mixture = torch.unflatten(left, 0, (layer.groups, -1)).transpose(1, 2).reshape(layer.out_channels, -1, *ones)
    places = (Window(1),) * len(ones)
    return (
        _part(layer, depthwise, None, layer.windows, layer.in_channels, layer.border),
        conv_from(
            mixture, layer.bias, places, groups=layer.groups, padding_mode="zeros", border=None, like=layer.weight
        ),
    )


def _part(
    layer: ConvNd,
    weight: Tensor,
    bias: Tensor | None,
    windows: tuple[Window, ...],
    groups: int,
    border: Tensor | None,
) -> ConvNd:
    """A layer that sees outside what the whole sees there."""
    return conv_from(
        weight, bias, windows, groups=groups, padding_mode=layer.padding_mode, border=border, like=layer.weight
    )


def _output_error(layer: ConvNd, factorized: nn.Module, inputs: Tensor) -> float:
    """The norm of the difference of the outputs, relative to that of the outputs."""
    with torch.no_grad():
        expected = layer(inputs).double()
        norm = expected.norm()
        return float((factorized(inputs).double() - expected).norm() / torch.where(norm > 0, norm, 1))
