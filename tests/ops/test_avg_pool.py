"""Averages of windows: values, what is counted, the definition, PyTorch's, gradients, every route."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ops import checks
from striate.ops import dispatch
from striate.ops._pooling.windows import places
from striate.ops.avg_pool import avg_pool1d, avg_pool2d, avg_pool3d, reference

FUNCTIONS = (avg_pool1d, avg_pool2d, avg_pool3d)
TORCH = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)
SIZES = (7, 5, 6)
LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}
SETTINGS: list[dict[str, Any]] = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False},
    {"kernel_size": 3, "stride": 1, "padding": 3, "dilation": 2},
    {"kernel_size": 2, "stride": 3, "padding": "full", "count_include_pad": False},
    {"kernel_size": 3, "stride": 2, "padding": "same_lower", "dilation": 2, "divisor_override": 5},
    {"kernel_size": 4, "stride": 1, "padding": "same"},
    {"kernel_size": 2, "stride": 1, "padding": "causal", "dilation": 3, "count_include_pad": False},
    {"kernel_size": 2, "stride": 2, "padding": 5, "count_include_pad": False},
    {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    {"kernel_size": 1, "stride": 2, "padding": "half", "ceil_mode": True},
]


def maps(axes: int, *, batch: int = 2, channels: int = 3, size: int = 0, last: bool = False) -> Tensor:
    generator = torch.Generator().manual_seed(axes)
    sizes = [size] * axes if size else list(SIZES[:axes])
    tensor = torch.randn(batch, channels, *sizes, generator=generator, dtype=torch.float64)
    return tensor.contiguous(memory_format=LAYOUTS[tensor.ndim]) if last else tensor


def pool(axes: int, **settings: Any) -> Callable[[Tensor], Tensor]:
    return lambda input: FUNCTIONS[axes - 1](input, **settings)


def defined(axes: int, **settings: Any) -> Callable[[Tensor], Tensor]:
    usual = {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False}
    rest = {**usual, "count_include_pad": True, "divisor_override": None, **settings}

    def call(input: Tensor) -> Tensor:
        ordered = [rest[name] for name in ("kernel_size", "stride", "padding", "dilation")]
        at = places("avg_pool", axes, *ordered, tuple(input.shape[2:]), rest["ceil_mode"])
        among = rest["count_include_pad"], rest["divisor_override"]
        return reference.avg_pool(input, at.kernel, at.stride, at.low, at.high, at.over, at.dilation, *among)

    return call


def test_averages_by_hand() -> None:
    series = torch.tensor([[1.0, 3.0, 2.0, 6.0, 4.0]])
    assert avg_pool1d(series, 2).tolist() == [[2, 4]]
    assert avg_pool1d(series, 2, ceil_mode=True).tolist() == [[2, 4, 4]]
    assert avg_pool1d(series, 2, padding=1).tolist() == [[0.5, 2.5, 5]]
    assert avg_pool1d(series, 2, padding=1, count_include_pad=False).tolist() == [[1, 2.5, 5]]
    assert avg_pool1d(series, 2, 1, divisor_override=-1).tolist() == [[-4, -5, -8, -10]]
    assert avg_pool1d(series, 2, 1, dilation=3).tolist() == [[3.5, 3.5]]


def test_a_window_in_the_padding_gives_nothing() -> None:
    for include in (False, True):
        found = avg_pool1d(torch.ones(1, 2), 2, padding=((3, 0),), count_include_pad=include)
        assert found.tolist() == [[0, 0.5 if include else 1]]


def test_a_constant_picture_stays_as_it_is() -> None:
    for padding in ("same", "full", 7):
        found = avg_pool2d(torch.ones(1, 1, 9, 8), 3, 1, padding, count_include_pad=False, dilation=2)
        assert set(found.unique().tolist()) <= {0.0, 1.0}
        assert found.sum() >= 72


def test_the_gradient_is_spread_evenly() -> None:
    (gradient,) = torch.autograd.grad(avg_pool2d(leaf := torch.ones(1, 1, 6, 6, requires_grad=True), 3).sum(), leaf)
    checks.assert_close(gradient, torch.full((1, 1, 6, 6), 1 / 9))


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize(("axes", "last"), [(1, False), (2, False), (3, False), (2, True), (3, True)])
def test_equals_its_definition(axes: int, last: bool, settings: dict[str, Any]) -> None:
    for input in (maps(axes, channels=18, last=last), maps(axes, last=last).float()):
        checks.check_same(pool(axes, **settings), defined(axes, **settings), input)


@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("divisor", [None, 3])
@pytest.mark.parametrize(("axes", "last"), [(1, False), (2, False), (3, False), (2, True), (3, True)])
def test_equals_pytorch(axes: int, last: bool, divisor: int | None, ceil_mode: bool, include: bool) -> None:
    for kernel, stride, padding in ((2, 2, 1), (3, 2, 1), (4, 3, 2), (2, 3, 0), (3, 1, 1)):
        positional = kernel, stride, padding, ceil_mode, include
        given = () if axes == 1 else (divisor,)
        input = maps(axes, last=last)
        checks.check_same(
            lambda x, p=positional, g=given: FUNCTIONS[axes - 1](x, *p, *g),
            lambda x, p=positional, g=given: TORCH[axes - 1](x, *p, *g),
            input,
        )


def test_not_numbers_stay_where_they_are() -> None:
    for last in (False, True):
        input = maps(2, size=9, last=last)
        input[:, :, 4, 4], input[:, :, 0, 0] = math.nan, math.inf
        for settings in (SETTINGS[0], SETTINGS[1], SETTINGS[5]):
            found, expected = pool(2, **settings)(input), defined(2, **settings)(input)
            assert torch.equal(found.isnan(), expected.isnan())
            checks.assert_close(found.nan_to_num(0, 0, 0), expected.nan_to_num(0, 0, 0))


@pytest.mark.parametrize("shape", [(1, 1, 100, 300), (2, 40, 33, 17), (1, 17, 40, 12, 33), (1, 1, 30000)])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_bands_and_slabs_meet(shape: tuple[int, ...], last: bool, stride: int) -> None:
    axes, input = len(shape) - 2, torch.randn(shape)
    if last and axes > 1:
        input = input.contiguous(memory_format=LAYOUTS[len(shape)])
    settings: dict[str, Any] = {"kernel_size": 3, "stride": stride, "padding": ((2, 1),) * axes}
    checks.check_same(pool(axes, **settings), defined(axes, **settings), input)


@pytest.mark.parametrize(("axes", "last"), [(1, False), (2, False), (3, False), (2, True), (3, True)])
def test_gradients(axes: int, last: bool) -> None:
    input = maps(axes, batch=1, channels=2, size=3 if axes < 3 else 2, last=last)
    settings: dict[str, Any] = {"stride": 1, "padding": ((1, 0),) * axes, "count_include_pad": False}
    checks.check_gradients(pool(axes, kernel_size=2, **settings), input)


def test_third_order() -> None:
    def third(function: Callable[[Tensor], Tensor]) -> Tensor:
        (input,) = checks.leaves(maps(2, batch=1))
        (first,) = torch.autograd.grad(function(input).pow(4).sum(), input, create_graph=True)
        (second,) = torch.autograd.grad(first.pow(3).sum(), input, create_graph=True)
        return torch.autograd.grad(second.square().sum(), input)[0]

    checks.assert_close(third(pool(2, **SETTINGS[1])), third(defined(2, **SETTINGS[1])))


@pytest.mark.parametrize("last", [False, True])
def test_the_operator_of_pytorch(last: bool) -> None:
    settings = [3, 2], [2, 1], [1, 0], [1, 1], [1, 0], [1, 2], True, 0, last
    input = maps(2, last=last).requires_grad_()
    torch.library.opcheck(torch.ops.striate.avg_pool.default, (input, *settings))
    grad = torch.ops.striate.avg_pool(input, *settings).detach().requires_grad_()
    torch.library.opcheck(torch.ops.striate.avg_pool_backward.default, (grad, [7, 5], *settings))


# By route: the settings and whether channels lie last.
ROUTES: dict[str, tuple[dict[str, Any], bool]] = {
    "kernels": ({"kernel_size": 3, "stride": 2, "padding": "same", "count_include_pad": False}, False),
    "kernels, channels-last": ({"kernel_size": 3, "stride": 2, "padding": ((2, 0), (1, 1))}, True),
    "torch": ({"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}, True),
}


@pytest.mark.parametrize("route", ROUTES)
class TestHabits:
    def test_is_taken(self, route: str) -> None:
        settings, last = ROUTES[route]
        with dispatch.routes_taken() as taken:
            pool(2, **settings)(maps(2, last=last))
        assert taken[0][1].name == route.partition(",")[0]

    def test_transforms(self, route: str) -> None:
        settings, last = ROUTES[route]
        checks.check_transforms(
            lambda x, w: pool(2, **settings)(x * w), maps(2, last=last), torch.tensor(1.5, dtype=torch.float64)
        )

    def test_compiles(self, route: str) -> None:
        settings, last = ROUTES[route]
        checks.check_compiles(pool(2, **settings), lambda size: (maps(2, size=size, last=last),), sizes=(6, 9))

    def test_autocast_leaves_it_alone(self, route: str) -> None:
        settings, last = ROUTES[route]
        for dtype in checks.TOLERANCE:
            with torch.autocast("cpu", torch.bfloat16):
                assert pool(2, **settings)(maps(2, last=last).to(dtype)).dtype == dtype

    def test_dtypes(self, route: str) -> None:
        settings, last = ROUTES[route]
        checks.check_dtypes(pool(2, **settings), maps(2, last=last))

    def test_formats(self, route: str) -> None:
        settings, last = ROUTES[route]
        checks.check_formats(pool(2, **settings), maps(2))
        (gradient,) = checks.gradients_of(pool(2, **settings), maps(2, last=last))
        assert gradient.is_contiguous(memory_format=LAYOUTS[4] if last else torch.contiguous_format)

    def test_batches(self, route: str) -> None:
        settings, last = ROUTES[route]
        checks.check_batches(pool(2, **settings), maps(2, last=last))

    def test_deterministic(self, route: str) -> None:
        settings, last = ROUTES[route]
        input = torch.randn(4, 20, 40, 40)
        input = input.contiguous(memory_format=LAYOUTS[4]) if last else input
        checks.check_deterministic(pool(2, **settings), input, threads=True)

    def test_whole(self, route: str) -> None:
        settings, last = ROUTES[route]
        checks.check_whole(pool(2, **settings), maps(2, channels=17, size=11, last=last))

    def test_concurrent(self, route: str) -> None:
        settings, last = ROUTES[route]
        checks.check_concurrent(pool(2, **settings), maps(2, channels=32, size=40, last=last))


def test_inductor() -> None:
    torch._dynamo.reset()
    function = pool(2, **ROUTES["kernels"][0])
    checks.check_same(torch.compile(function, fullgraph=True), function, maps(2))


@pytest.mark.parametrize(("axes", "number"), [(1, 3), (1, 8), (2, 1), (2, 4), (2, 7), (3, 0), (3, 6)])
def test_exports_to_onnx(axes: int, number: int, tmp_path: Path) -> None:
    nodes = checks.check_onnx(pool(axes, **SETTINGS[number]), tmp_path, maps(axes).float())
    # ONNX Runtime takes no padding as wide as the kernel.
    assert ("AveragePool" in nodes) == (number not in (6, 7))
    assert nodes <= {"AveragePool", "Mul"} or number in (6, 7)


def test_dispatch_is_explained() -> None:
    explained = dispatch.explain_dispatch("avg_pool2d", torch.zeros(1, 2, 8, 8), 2)
    assert explained.startswith("avg_pool2d: kernels: PyTorch's average is slow")
    explained = dispatch.explain_dispatch("avg_pool2d", torch.zeros(1, 2, 8, 8, device="meta"), 2)
    reason = "there are kernels for CPU and CUDA only, and the input is on meta"
    assert explained.startswith(f"avg_pool2d: reference: {reason}")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"input": torch.zeros(6, 9)}, ValueError, r"avg_pool2d: input must be \(N, C, H, W\) or \(C, H, W\), got"),
        ({"input": torch.zeros(1, 6, 9, 9).long()}, TypeError, "avg_pool2d: input must hold floating-point numbers"),
        ({"kernel_size": 10}, ValueError, "avg_pool2d: axis 0: the window is larger than the padded input: kernel 10"),
        ({"kernel_size": (2, 2, 2)}, ValueError, r"kernel_size must be one number or one an axis \(2\), got"),
        ({"kernel_size": 0}, ValueError, "kernel_size must be an integer of at least 1, got 0"),
        ({"stride": 0}, ValueError, "stride must be an integer of at least 1, got 0"),
        ({"dilation": (1, 0)}, ValueError, "dilation must be an integer of at least 1, got 0"),
        ({"padding": -1}, ValueError, "padding must be an integer of at least 0, got -1"),
        ({"padding": (1, 2, 3)}, ValueError, r"padding must have one entry an axis \(2\), got \(1, 2, 3\) with 3"),
        ({"padding": "sam"}, ValueError, "did you mean 'same'"),
        ({"ceil_mode": 1}, TypeError, "ceil_mode must be True or False, got 1"),
        ({"count_include_pad": 1}, TypeError, "avg_pool2d: count_include_pad must be True or False, got 1"),
        ({"divisor_override": 1.5}, TypeError, "divisor_override must be an integer other than 0, or None, got 1.5"),
        ({"divisor_override": 0}, ValueError, "divisor_override must be an integer other than 0, or None, got 0"),
    ],
)
def test_errors(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        avg_pool2d(**{"input": torch.zeros(1, 6, 9, 9), "kernel_size": 2} | change)
