"""Operators with kernels for GPUs: calls, their definitions and what they read."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="Triton is not installed")

from benchmarks.gpu.tilings import kernels

import striate
from gpu_interpreted import (
    test_conv,
    test_deformed,
    test_local_contrast_norm,
    test_local_conv,
    test_local_response_norm,
    test_pooling,
)
from ops.checks import TOLERANCE, assert_close, gradients_of
from striate.ops._pooling.taps import outputs_of
from striate.ops.avg_pool import reference as averages
from striate.ops.avg_pool.registered import avg_pool
from striate.ops.conv import reference as correlation
from striate.ops.conv.depthwise import depthwise_conv
from striate.ops.local_contrast_norm import reference as contrast
from striate.ops.local_contrast_norm.registered import normalize as normalize_contrast
from striate.ops.local_conv import reference as unshared
from striate.ops.local_conv.registered import local_conv
from striate.ops.local_conv_transpose import reference as spread
from striate.ops.local_conv_transpose.registered import local_conv_transpose
from striate.ops.local_response_norm import reference as response
from striate.ops.local_response_norm.registered import normalize as normalize_response
from striate.ops.lp_pool import reference as norms
from striate.ops.lp_pool.registered import lp_pool
from striate.ops.max_pool import reference as maxima
from striate.ops.max_pool.registered import max_pool
from striate.ops.max_unpool import reference as putting
from striate.ops.max_unpool.registered import max_unpool

Function = Callable[..., Tensor]
Call = tuple[Function, Function, list[Tensor]]
OPERATORS = (
    "avg_pool",
    "conv",
    "deform_aggregate",
    "deform_conv",
    "local_contrast_norm",
    "local_conv",
    "local_conv_transpose",
    "local_response_norm",
    "lp_pool",
    "max_pool",
    "max_unpool",
)
DTYPES = tuple(TOLERANCE)


def drawn(*shapes: tuple[int, ...]) -> list[Tensor]:
    """Random numbers, the same for the same shapes."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def quarters(shape: tuple[int, ...]) -> list[Tensor]:
    """Numbers that every dtype holds; some are equal, and some 0."""
    return [(3 * tensor).round() / 4 for tensor in drawn(shape)]


def depthwise(case: str) -> Call:
    shape, filters, kernel, *settings = test_conv.CASES[case]

    def call(input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return depthwise_conv(input, weight, bias, *settings)

    def definition(input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return correlation.conv(input, weight, bias, *settings, groups=shape[1])

    return call, definition, drawn(shape, (filters, 1, *kernel), (filters,))


def local(case: str) -> Call:
    images, groups, into, out, spots, plane, kernel, *settings = test_local_conv.CASES[case]

    def call(*tensors: Tensor) -> Tensor:
        return local_conv(*tensors, *settings)

    def definition(*tensors: Tensor) -> Tensor:
        return unshared.local_conv(*tensors, *settings)

    shapes = (images, into * groups, *plane), (*spots, out * groups, into, *kernel), (*spots, out * groups)
    return call, definition, drawn(*shapes)


def local_transposed(case: str) -> Call:
    images, groups, into, out, spots, plane, kernel, *settings = test_local_conv.CASES[case]

    def call(*tensors: Tensor) -> Tensor:
        return local_conv_transpose(*tensors, plane, groups, *settings)

    def definition(*tensors: Tensor) -> Tensor:
        return spread.local_conv_transpose(*tensors, plane, groups, *settings)

    shapes = (images, out * groups, *spots), (*spots, out * groups, into, *kernel), (into * groups,)
    return call, definition, drawn(*shapes)


def response_norm(case: str) -> Call:
    shape, *settings = test_local_response_norm.CASES[case]
    return (
        lambda input: normalize_response(input, *settings),
        lambda input: response.local_response_norm(input, *settings),
        drawn(shape),
    )


def contrast_norm(rule: str) -> Call:
    given = test_local_contrast_norm.RULES[rule]
    return (
        lambda input: normalize_contrast(input, given),
        lambda input: contrast.local_contrast_norm(input, given),
        drawn((2, 3, 6, 7)),
    )


def average(case: str, include_pad: bool = True, divisor: int | None = None) -> Call:
    shape, kernel, stride, low, high, dilation = test_pooling.CASES[case]
    settings: Any = kernel, stride, low, high, [0] * len(kernel), dilation, include_pad, divisor
    return (
        lambda input: avg_pool(input, *settings),
        lambda input: averages.avg_pool(input, *settings),
        quarters(shape),
    )


def maximum(case: str) -> Call:
    shape, *at = test_pooling.CASES[case]
    # A window that sees nothing gives -infinity, of which no difference can be taken.
    return (
        lambda input: max_pool(input, *at, True)[0].clamp_min(-99),
        lambda input: maxima.max_pool(input, *at)[0].clamp_min(-99),
        quarters(shape),
    )


def norm(case: str, power: float = 3.0) -> Call:
    shape, kernel, stride, low, high, dilation = test_pooling.CASES[case]
    outputs = outputs_of(shape[2:], kernel, stride, low, high, dilation)
    settings: Any = power, kernel, stride, low, dilation, outputs

    def call(input: Tensor) -> Tensor:
        return lp_pool(input if input.element_size() > 2 else input.float(), *settings).to(input.dtype)

    return call, lambda input: norms.lp_pool(input, *settings), quarters(shape)


def put_back(outputs: tuple[int, ...], sizes: list[int]) -> Call:
    places = torch.Size(sizes).numel()
    # Many name the same place, some none.
    generator = torch.Generator().manual_seed(0)
    indices = torch.randint(-1, places, (2, 3, *outputs), generator=generator)
    return (
        lambda input: max_unpool(input, indices.to(input.device), sizes),
        lambda input: putting.max_unpool(input, indices, sizes),
        drawn((2, 3, *outputs)),
    )


def _cases(make: Callable[[str], Call], names: Sequence[str], kind: str) -> dict[str, Callable[[], Call]]:
    def bound(name: str) -> Callable[[], Call]:
        return lambda: make(name)

    return {f"{kind}: {name}": bound(name) for name in names}


CASES: dict[str, Callable[[], Call]] = {
    **_cases(depthwise, [*test_conv.CASES], "depthwise"),
    **_cases(local, [*test_local_conv.CASES], "unshared"),
    **_cases(local_transposed, [*test_local_conv.CASES], "unshared, transposed"),
    **_cases(response_norm, [*test_local_response_norm.CASES], "response"),
    **_cases(contrast_norm, [*test_local_contrast_norm.RULES], "contrast"),
    **_cases(average, [*test_pooling.CASES], "average"),
    "average: inside": lambda: average("picture", include_pad=False),
    "average: divisor": lambda: average("volume", divisor=5),
    **_cases(maximum, [*test_pooling.CASES], "maximum"),
    **_cases(norm, [*test_pooling.CASES], "norm"),
    "norm: root": lambda: norm("series", 0.7),
    "norm: sum": lambda: norm("picture", 1.0),
    "norm: squares": lambda: norm("picture", 2.0),
    "put back: picture": lambda: put_back((3, 4), [5, 3]),
    "put back: series": lambda: put_back((9,), [7]),
}


def _public(function: Function, *shapes: tuple[int, ...]) -> Callable[[], Call]:
    return lambda: (function, function, drawn(*shapes))


def _put_back_twice(input: Tensor) -> Tensor:
    pooled, indices = striate.max_pool2d(input, 2, return_indices=True)
    return striate.max_unpool2d(pooled, indices, 2)


# The functions that users call, in settings for which GPUs have our kernels; on the CPU they are the definition.
PUBLIC: dict[str, Callable[[], Call]] = {
    "deform_conv2d": test_deformed.CASES["offset groups"],
    "deform_conv2d, depthwise": test_deformed.CASES["depthwise"],
    "deform_conv3d": test_deformed.CASES["volume"],
    "deform_aggregate2d": test_deformed.CASES["aggregate"],
    "conv2d": _public(
        lambda x, w, b: striate.conv2d(x, w, b, padding="same", groups=3), (2, 3, 9, 12), (3, 1, 9, 9), (3,)
    ),
    "conv3d": _public(
        lambda x, w, b: striate.conv3d(x, w, b, padding=1, groups=2), (2, 2, 3, 4, 5), (4, 1, 3, 3, 3), (4,)
    ),
    "local_conv2d": _public(
        lambda x, w, b: striate.local_conv2d(x, w, b, padding="same"), (3, 4, 3, 5), (3, 5, 6, 4, 3, 3), (6,)
    ),
    "local_conv_transpose2d": _public(
        lambda x, w, b: striate.local_conv_transpose2d(x, w, b, stride=2), (3, 4, 2, 3), (2, 3, 4, 5, 3, 3), (5, 7, 5)
    ),
    "local_response_norm": _public(lambda x: striate.local_response_norm(x, 3, alpha=0.5), (2, 5, 3, 4)),
    "local_contrast_norm": _public(lambda x: striate.local_contrast_norm(x, 3), (2, 3, 6, 7)),
    "avg_pool2d": _public(lambda x: striate.avg_pool2d(x, 2, 1, "same", dilation=2), (2, 3, 6, 7)),
    "max_pool2d": _public(lambda x: striate.max_pool2d(x, 3, 2, ((1, 0), (0, 1))), (2, 3, 6, 8)),
    "max_unpool2d": _public(_put_back_twice, (2, 3, 6, 8)),
    "lp_pool2d": _public(lambda x: striate.lp_pool2d(x, 3, 2, padding="same"), (2, 3, 6, 7)),
}


def on_device(tensors: Sequence[Tensor], dtype: torch.dtype = torch.float32) -> list[Tensor]:
    return [tensor.to(dtype).cuda() for tensor in tensors]


def compare(found: Sequence[Tensor], expected: Sequence[Tensor], dtype: torch.dtype = torch.float32) -> None:
    """What a device has found equals what the CPU expects, at the tolerance of a dtype."""
    for own, wished in zip(found, expected, strict=True):
        assert_close(own.cpu(), wished, dtype)


def check_call(call: Function, definition: Function, tensors: Sequence[Tensor], dtype: torch.dtype) -> None:
    """Outputs and gradients on the device equal those of the definition in float64 on the CPU."""
    own = [tensor.to(dtype) for tensor in tensors]
    wide = [tensor.double() for tensor in own]
    device = [tensor.cuda() for tensor in own]
    output = call(*device)
    assert output.is_cuda and output.dtype == dtype
    compare([output], [definition(*wide)], dtype)
    compare(gradients_of(call, *device), gradients_of(definition, *wide), dtype)


def tuned_kernels() -> list[Any]:
    """The kernels of all operators that have tilings to choose from."""
    for operator in OPERATORS:
        importlib.import_module(f"striate.ops.{operator}.gpu")
    return list(kernels().values())


def take_tiling(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every kernel be launched with one of the tilings that suit it, counted round and round."""

    def one(suited: Callable[[dict[str, Any]], list[Any]]) -> Callable[[dict[str, Any]], list[Any]]:
        return lambda arguments: [(found := suited(arguments))[number % len(found)]]

    for kernel in tuned_kernels():
        monkeypatch.setattr(kernel, "_suited", one(kernel._suited))
