"""Transposed convolution as the adjoint of convolution, on lines and on rings."""

from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from ops import checks
from ops.transposed import GROUPS, KINDS, TRANSPOSED, defined, tensors, transposed
from striate.geometry import windows
from striate.ops.conv import conv1d, conv2d, conv3d
from striate.ops.conv_transpose import conv_transpose1d

CONVOLUTIONS = (conv1d, conv2d, conv3d)


def assert_adjoint(axes: int, kind: str, n: int, forth: dict[str, Any], back: dict[str, Any]) -> None:
    """<conv(x), y> == <x, conv_transpose(y)> with one weight."""
    generator = torch.Generator().manual_seed(n)
    _, weight, _ = tensors(axes, kind, kernel=forth.pop("kernel", 3))
    groups = GROUPS[kind]
    sizes = [n + axis * forth.get("stride", 1) for axis in range(axes)]
    x = torch.randn(2, weight.shape[1] * groups, *sizes, generator=generator, dtype=torch.float64)
    there = CONVOLUTIONS[axes - 1](x, weight, groups=groups, **forth)
    y = torch.randn(there.shape, generator=generator, dtype=torch.float64)
    home = TRANSPOSED[axes - 1](y, weight, groups=groups, **back)
    assert home.shape == x.shape
    torch.testing.assert_close((there * y).sum(), (x * home).sum(), rtol=1e-12, atol=1e-10)


WORDS = ["valid", "same", "same_upper", "same_lower", "half", "full", "causal"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("padding", [*WORDS, 1, (2, 0), (0, 3)], ids=str)
def test_adjoint_to_convolution(axes: int, kind: str, padding: Any) -> None:
    for stride, dilation, n in ((1, 1, 5), (2, 1, 7), (3, 2, 6)):
        sizes = [n + axis * stride for axis in range(axes)]
        forth: dict[str, Any] = {"stride": stride, "dilation": dilation}
        forth["padding"] = (padding,) * axes
        along = windows(axes, 3, **forth)
        crops = tuple(window.pads(size) for window, size in zip(along, sizes, strict=True))
        assert_adjoint(axes, kind, n, forth, {**forth, "padding": crops, "output_size": sizes})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (4, 2), (3, 2), (2, 3)])
def test_words_are_adjoint_to_words(axes: int, kind: str, kernel: int, stride: int) -> None:
    after = ((0, max(kernel - stride, 0)),) * axes
    for back, forth in (("same", "same_upper"), ("causal", after)):
        settings: dict[str, Any] = {"stride": stride}
        assert_adjoint(
            axes,
            kind,
            4 * stride,
            {"kernel": kernel, "padding": forth, **settings},
            {"padding": back, **settings},
        )


RINGS = [
    (3, 1, 1, (1, 1)),
    (3, 1, 1, (2, 0)),
    (3, 1, 1, (0, 2)),
    (4, 2, 1, (1, 1)),
    (4, 2, 1, (3, 0)),
    (3, 2, 2, (1, 2)),
    (3, 2, 1, (1, 1)),
    (2, 2, 1, (0, 0)),
    (2, 3, 1, (1, 0)),
    (5, 3, 2, (8, 0)),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(("kernel", "stride", "dilation", "pair"), RINGS)
def test_rings_are_adjoint_to_circular_padding(
    axes: int, kind: str, kernel: int, stride: int, dilation: int, pair: tuple[int, int]
) -> None:
    settings: dict[str, Any] = {"stride": stride, "dilation": dilation, "padding": (pair,) * axes}
    settings["padding_mode"] = "circular"
    assert_adjoint(axes, kind, 4 * stride, {"kernel": kernel, **settings}, settings)
    inputs = tensors(axes, kind, kernel=kernel)
    checks.check_same(transposed(axes, kind, **settings), defined(axes, kind, **settings), *inputs)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("padding", ["same", "causal"])
@pytest.mark.parametrize("stride", [1, 2, 5])
def test_rings_by_word(axes: int, padding: str, stride: int) -> None:
    settings: dict[str, Any] = {"stride": stride, "padding": padding, "padding_mode": "circular"}
    inputs = tensors(axes, "standard", size=3)
    checks.check_same(transposed(axes, **settings), defined(axes, **settings), *inputs)


def test_rings_by_hand() -> None:
    series, filters = torch.tensor([[1.0, 2.0]]), torch.tensor([[[1.0, 10.0, 100.0]]])
    ring: dict[str, Any] = {"stride": 2, "padding_mode": "circular"}
    assert conv_transpose1d(series, filters, padding=((0, 1),), **ring).tolist() == [[201, 10, 102, 20]]
    assert conv_transpose1d(series, filters, padding=1, **ring).tolist() == [[10, 102, 20, 201]]
    assert conv_transpose1d(series, filters, padding="same", **ring).tolist() == [[201, 10, 102, 20]]


@pytest.mark.parametrize("axes", [2, 3])
def test_rings_keep_the_format(axes: int) -> None:
    settings: dict[str, Any] = {"stride": 2, "padding": 1, "padding_mode": "circular"}
    checks.check_formats(transposed(axes, **settings), *tensors(axes, "standard"))


def test_compiled_rings_serve_every_size() -> None:
    torch._dynamo.reset()
    function = transposed(1, stride=2, padding=((1, 2),), padding_mode="circular")
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(function, fullgraph=True, dynamic=True, backend=counter)
    for size in (5, 9, 12):
        inputs = tensors(1, "standard", size=size, kernel=4)
        checks.assert_close(compiled(*inputs), function(*inputs))
    assert counter.frame_count == 1
