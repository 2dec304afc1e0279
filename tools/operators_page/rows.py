"""What the table of operators runs: each of them on tensors small enough for finite differences."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

import striate
from operators_page.peers import PEERS, Peer, unpooled

Function = Callable[..., Tensor]
Tensors = tuple[Tensor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Calls of one operator along some axes.

    Args:
        function: of the tensors.
        make: makes them, float64, from a batch and one size.
        small: the size for finite differences.
        two: sizes for compiled code.
        large: the size for bits, large enough that threads share the work.
    """

    function: Function
    make: Callable[[int, int], Tensors]
    small: int
    two: tuple[int, int]
    large: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One operator, under one name for each number of axes, or under one name for all of them.

    Args:
        name: with `{n}` for the number of axes.
        examples: by number of axes.
        peers: those who have it, too.
    """

    name: str
    examples: Mapping[int, Example]
    peers: tuple[Peer, ...]

    @property
    def operators(self) -> set[str]:
        """The public functions."""
        return {self.name.format(n=axes) for axes in self.examples}


_SMALL = {1: 5, 2: 3, 3: 2, 4: 1}
_TWO = {1: (5, 8), 2: (4, 6), 3: (3, 4), 4: (2, 3)}
_LARGE = {1: 1024, 2: 32, 3: 10, 4: 5}
_STRIDED = {"stride": 2, "padding": 1}
_TABLE = torch.tensor([[0, 0], [2, 0], [1, 1], [0, 2], [2, 2], [2, 2]])


def _row(
    name: str,
    make: Callable[[int, int, int], Tensors],
    call: Callable[[Callable[..., Any], int], Function],
    axes: tuple[int, ...] = (1, 2, 3),
    sizes: tuple[int, tuple[int, int], int] | None = None,
) -> Row:
    """A row whose calls are `call(function, axes)` of `make(batch, axes, size)`."""
    found = {}
    for n in axes:
        small, two, large = sizes or (_SMALL[n], _TWO[n], _LARGE[n])
        function = call(getattr(striate, name.format(n=n)), n)
        found[n] = Example(function=function, make=partial(_made, make, n), small=small, two=two, large=large)
    return Row(name=name, examples=found, peers=PEERS.get(name, ()))


def _made(make: Callable[[int, int, int], Tensors], axes: int, batch: int, size: int) -> Tensors:
    return make(batch, axes, size)


def _with(**settings: Any) -> Callable[[Callable[..., Any], int], Function]:
    return lambda function, axes: lambda *tensors: function(*tensors, **settings)


def _drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _offsets(*shape: int) -> Tensor:
    """What bfloat16 can tell, far from the places where derivatives jump."""
    return 0.375 + 0.125 * torch.randint(3, shape, generator=torch.Generator().manual_seed(0)).double()


def _placed(size: int) -> int:
    """Placements of a window of 2 with stride 2 and padding 1."""
    return size // 2 + 1


def _deformed(batch: int, axes: int, size: int) -> Tensors:
    taps, outputs = 2**axes, [_placed(size)] * axes
    offset, mask = _offsets(batch, taps * axes, *outputs), _drawn(batch, taps, *outputs)
    return _drawn(batch, 2, *[size] * axes), offset, _drawn(2, 2, *[2] * axes), _drawn(2), mask


def _deform_conv(function: Callable[..., Any], axes: int) -> Function:
    def call(input: Tensor, offset: Tensor, weight: Tensor, bias: Tensor, mask: Tensor) -> Tensor:
        result: Tensor = function(input, offset, weight, bias, mask=mask, **_STRIDED)
        return result

    return call


def _aggregated(batch: int, axes: int, size: int) -> Tensors:
    input, offset, _, _, mask = _deformed(batch, axes, size)
    return input, offset, mask


def _points(function: Callable[..., Any], axes: int) -> Function:
    def call(offset: Tensor) -> Tensor:
        points = function(offset, 2, **_STRIDED)
        return torch.cat([points.coordinates.flatten(), points.weights.flatten()])

    return call


def _table_conv(function: Callable[..., Any], axes: int) -> Function:
    def call(input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        result: Tensor = function(input, weight, _TABLE, 3, bias, **_STRIDED)
        return result

    return call


def _fold(function: Callable[..., Any], axes: int) -> Function:
    """To a picture that has one window along each axis but the last."""

    def call(columns: Tensor) -> Tensor:
        result: Tensor = function(columns, (*[2] * (axes - 1), columns.shape[-1] + 1), 2)
        return result

    return call


def _matrix(function: Callable[..., Any], axes: int) -> Function:
    return lambda kernel: function(kernel, (6,) * axes, **_STRIDED)


def _layer(batch: int, axes: int, size: int) -> Tensors:
    return _drawn(batch, 4, *[size] * axes), _drawn(6, 4, *[2] * axes), _drawn(6)


def _transposed(batch: int, axes: int, size: int) -> Tensors:
    return _drawn(batch, 4, *[size] * axes), _drawn(4, 6, *[2] * axes), _drawn(6)


def _unshared(batch: int, axes: int, size: int) -> Tensors:
    return _drawn(batch, 2, *[size] * axes), _drawn(*[_placed(size)] * axes, 3, 2, *[2] * axes), _drawn(3)


def _unshared_transposed(batch: int, axes: int, size: int) -> Tensors:
    return _drawn(batch, 2, *[size] * axes), _drawn(*[size] * axes, 2, 3, *[2] * axes), _drawn(3)


def _linked(batch: int, axes: int, size: int) -> Tensors:
    return _drawn(batch, 3, *[size] * axes), _drawn(len(_TABLE), *[2] * axes), _drawn(3)


def _planes(batch: int, axes: int, size: int) -> Tensors:
    return _drawn(batch, *[size + 1] * axes), _drawn(*[2] * axes)


def _widened(batch: int, axes: int, size: int) -> Tensors:
    """An input, and the spread of the weights of its channels."""
    return _drawn(batch, 4, *[size] * axes), 1 + _drawn(4, axes).square()


def _gaussian_pool(function: Callable[..., Any], axes: int) -> Function:
    def call(input: Tensor, sigma: Tensor) -> Tensor:
        result: Tensor = function(input, 3, **_STRIDED, sigma=sigma)
        return result

    return call


def rows() -> list[Row]:
    """All operators, in the order of the page."""
    return [
        _row("conv{n}d", _layer, _with(**_STRIDED)),
        _row("conv4d", _layer, _with(**_STRIDED), axes=(4,)),
        _row("conv_transpose{n}d", _transposed, _with(**_STRIDED)),
        _row("local_conv{n}d", _unshared, _with(**_STRIDED)),
        _row("local_conv_transpose{n}d", _unshared_transposed, _with(**_STRIDED)),
        _row("table_conv{n}d", _linked, _table_conv),
        _row("deform_conv{n}d", _deformed, _deform_conv),
        _row("deform_aggregate{n}d", _aggregated, lambda function, _: _with(kernel_size=2, **_STRIDED)(function, 0)),
        _row("deform_sampling_points", lambda *sizes: _deformed(*sizes)[1:2], _points),
        _row("local_response_norm", lambda *sizes: _layer(*sizes)[:1], _with(size=3, alpha=0.5)),
        _row("local_contrast_norm", lambda *sizes: _layer(*sizes)[:1], _with(kernel_size=3)),
        _row("subtractive_norm", lambda *sizes: _layer(*sizes)[:1], _with(kernel_size=3)),
        _row("divisive_norm", lambda *sizes: _layer(*sizes)[:1], _with(kernel_size=3)),
        _row("im2col{n}d", lambda *sizes: _layer(*sizes)[:1], _with(kernel_size=2)),
        _row("col2im{n}d", lambda batch, n, size: (_drawn(batch, 2 * 2**n, size),), _fold),
        _row("abs_rectify", lambda *sizes: _layer(*sizes)[:1], _with()),
        _row("maxout", lambda *sizes: _layer(*sizes)[:1], _with(pieces=2)),
        _row("scaled_tanh", lambda batch, n, size: (_drawn(batch, 4, *[size] * n), _drawn(4)), _with()),
        _row("max_pool{n}d", lambda *sizes: _layer(*sizes)[:1], _with(kernel_size=2, **_STRIDED)),
        _row("max_unpool{n}d", lambda *sizes: _layer(*sizes)[:1], lambda function, _: unpooled(function)),
        _row("avg_pool{n}d", lambda *sizes: _layer(*sizes)[:1], _with(kernel_size=2, **_STRIDED)),
        _row("adaptive_max_pool{n}d", lambda *sizes: _layer(*sizes)[:1], _with(output_size=2)),
        _row("adaptive_avg_pool{n}d", lambda *sizes: _layer(*sizes)[:1], _with(output_size=2)),
        _row("lp_pool{n}d", lambda *sizes: _layer(*sizes)[:1], _with(norm_type=2, kernel_size=2, **_STRIDED)),
        _row("gaussian_pool{n}d", _widened, _gaussian_pool),
        _row("blur_pool{n}d", lambda *sizes: _layer(*sizes)[:1], _with(kernel_size=2)),
        _row("spatial_pyramid_pool{n}d", lambda *sizes: _layer(*sizes)[:1], _with(levels=(2, 1))),
        _row("correlate", _planes, _with()),
        _row("convolve", _planes, _with()),
        _row("toeplitz", lambda batch, n, size: (_drawn(*[size] * n),), _matrix, sizes=(2, (2, 3), 3)),
    ]
