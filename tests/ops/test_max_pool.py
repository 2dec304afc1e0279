"""Maxima of windows: values, ties and NaN, the definition, PyTorch's, gradients, every route."""

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
from striate.ops.max_pool import max_pool1d, max_pool2d, max_pool3d, reference
from striate.ops.max_pool.registered import max_pool as by_kernels

FUNCTIONS = (max_pool1d, max_pool2d, max_pool3d)
TORCH = (F.max_pool1d, F.max_pool2d, F.max_pool3d)
SIZES = (7, 5, 4)
LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}
SETTINGS: list[dict[str, Any]] = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3, "stride": 1, "padding": 3, "dilation": 2},
    {"kernel_size": 2, "stride": 3, "padding": "full"},
    {"kernel_size": 3, "stride": 2, "padding": "same_lower", "dilation": 2},
    {"kernel_size": 4, "stride": 1, "padding": "same"},
    {"kernel_size": 2, "stride": 1, "padding": "causal", "dilation": 3},
    {"kernel_size": 2, "stride": 2, "padding": 5},
    {"kernel_size": 3, "stride": 2, "ceil_mode": True},
    {"kernel_size": 1, "stride": 2, "padding": "half"},
]


def maps(axes: int, *, batch: int = 2, channels: int = 3, size: int = 0, last: bool = False) -> Tensor:
    """Numbers that all differ, so that a small step changes no winner; every third is repeated by `ties`."""
    generator = torch.Generator().manual_seed(axes)
    sizes = [size] * axes if size else list(SIZES[:axes])
    shape = (batch, channels, *sizes)
    tensor = torch.randperm(math.prod(shape), generator=generator).double().view(shape) / 10 - 2
    return tensor.contiguous(memory_format=LAYOUTS[tensor.ndim]) if last else tensor


def pool(axes: int, **settings: Any) -> Callable[..., Any]:
    return lambda input: FUNCTIONS[axes - 1](input, **settings)


def defined(axes: int, **settings: Any) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    def call(input: Tensor) -> tuple[Tensor, Tensor]:
        rest = {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False, **settings}
        ordered = [rest[name] for name in ("kernel_size", "stride", "padding", "dilation")]
        at = places("max_pool", axes, *ordered, tuple(input.shape[2:]), rest["ceil_mode"])
        return reference.max_pool(input, at.kernel, at.stride, at.low, at.high, at.dilation)

    return call


def same(found: Tensor, expected: Tensor) -> bool:
    """The same numbers, NaN among them."""
    return torch.equal(found.isnan(), expected.isnan()) and torch.equal(found.nan_to_num(), expected.nan_to_num())


def test_maxima_by_hand() -> None:
    series = torch.tensor([[1.0, 3.0, 2.0, 5.0, 4.0]])
    assert max_pool1d(series, 2).tolist() == [[3, 5]]
    assert max_pool1d(series, 2, ceil_mode=True).tolist() == [[3, 5, 4]]
    assert max_pool1d(series, 3, stride=1, padding="causal").tolist() == [[1, 3, 3, 5, 5]]
    found, indices = max_pool2d(torch.arange(9.0).view(1, 3, 3), 2, stride=1, return_indices=True)
    assert found.tolist() == [[[4, 5], [7, 8]]]
    assert torch.equal(indices, found.long())


def test_a_window_in_the_padding_sees_nothing() -> None:
    found, indices = max_pool1d(-torch.ones(1, 2), 2, padding=((3, 0),), return_indices=True)
    assert found.tolist() == [[-math.inf, -1]]
    assert indices.tolist() == [[-1, 0]]
    (gradient,) = checks.gradients_of(lambda x: max_pool2d(x, 2, 1, padding=4).nan_to_num(0, 0, 0), torch.ones(1, 2, 2))
    assert gradient.isfinite().all()


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_the_first_of_equal_numbers_gets_the_gradient_and_windows_add(kernel: int, last: bool) -> None:
    input = torch.ones(1, 20, 6, 6)
    input = input.contiguous(memory_format=torch.channels_last) if last else input
    (gradient,) = checks.gradients_of(lambda x: max_pool2d(x, kernel, 1, padding=((1, 2), (2, 1))), input)
    (expected,) = checks.gradients_of(
        lambda x: defined(2, kernel_size=kernel, stride=1, padding=((1, 2), (2, 1)))(x)[0], input
    )
    checks.assert_close(gradient, expected)
    assert gradient[0, 0, 0, 0] > gradient[0, 0, 5, 5]
    if kernel == 2:
        (plain,) = checks.gradients_of(lambda x: max_pool2d(x, 2, 1), input)
        assert torch.equal(plain[0, 0, 5], torch.zeros(6))


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_equals_its_definition(axes: int, last: bool, settings: dict[str, Any]) -> None:
    if last and axes == 1:
        with pytest.raises(KeyError):
            maps(1, last=True)
        return
    definition = defined(axes, **settings)
    input = maps(axes, channels=18, last=last)
    # Ties, infinities and NaN at the same places for both.
    wild = input.fmod(3).round()
    wild[wild == 2], wild[wild == 1] = -math.inf, math.nan
    for tensor in (input, input.float(), input.fmod(2).round(), wild, torch.full_like(input, -math.inf)):
        found, indices = pool(axes, **settings, return_indices=True)(tensor)
        expected, wished = definition(tensor)
        assert same(found, expected)
        assert torch.equal(indices, wished)
        assert same(pool(axes, **settings)(tensor), expected)
    finite = [
        checks.gradients_of(lambda x, f=f: f(x).clamp_min(-1e6), input.round())
        for f in (pool(axes, **settings), lambda x: definition(x)[0])
    ]
    checks.assert_close(finite[0][0], finite[1][0])


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(
    "settings", SETTINGS[:2] + SETTINGS[8:9] + [{"kernel_size": 3, "padding": 1, "stride": 1}], ids=str
)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_equals_pytorch(axes: int, settings: dict[str, Any], last: bool) -> None:
    input = maps(axes, last=last and axes > 1)
    for tensor in (input, input.fmod(3).round(), torch.where(input > 1, math.nan, input)):
        found, indices = pool(axes, **settings, return_indices=True)(tensor)
        expected, wished = TORCH[axes - 1](tensor, **settings, return_indices=True)
        assert same(found, expected)
        assert torch.equal(indices, wished)
    ties = input.fmod(3).round()
    found = checks.gradients_of(pool(axes, **settings), ties)
    checks.assert_close(found[0], checks.gradients_of(lambda x: TORCH[axes - 1](x, **settings), ties)[0])


def test_windows_of_many_taps_keep_their_winners() -> None:
    input = torch.randn(2, 3, 40, 40)
    for kernel in ((15, 16), (15, 17), (16, 16)):
        checks.check_same(lambda x, k=kernel: max_pool2d(x, k, 1), lambda x, k=kernel: F.max_pool2d(x, k, 1), input)


@pytest.mark.parametrize("shape", [(1, 1, 100, 300), (2, 40, 33, 17), (1, 3, 40, 12, 33), (1, 1, 30000)])
@pytest.mark.parametrize("last", [False, True])
def test_bands_and_slabs_meet(shape: tuple[int, ...], last: bool) -> None:
    axes = len(shape) - 2
    input = torch.randn(shape)
    if last and axes > 1:
        input = torch.randn(shape[0], 17, *shape[2:]).contiguous(memory_format=LAYOUTS[len(shape)])
    settings: dict[str, Any] = {"kernel_size": 3, "stride": 2, "padding": ((2, 1),) * axes}
    checks.check_same(pool(axes, **settings), lambda x: defined(axes, **settings)(x)[0], input)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_gradients(axes: int, last: bool) -> None:
    input = maps(axes, batch=1, channels=2, size=3 if axes < 3 else 2, last=last and axes > 1)
    checks.check_gradients(pool(axes, kernel_size=2, stride=1, padding=((1, 0),) * axes), input)
    checks.check_gradients(pool(axes, kernel_size=2, stride=1), input)


def test_third_order() -> None:
    def third(function: Callable[[Tensor], Tensor]) -> Tensor:
        (input,) = checks.leaves(maps(2, batch=1))
        (first,) = torch.autograd.grad(function(input).pow(4).sum(), input, create_graph=True)
        (second,) = torch.autograd.grad(first.pow(3).sum(), input, create_graph=True)
        return torch.autograd.grad(second.square().sum(), input)[0]

    settings: dict[str, Any] = {"kernel_size": 3, "stride": 2, "padding": 1}
    checks.assert_close(third(pool(2, **settings)), third(lambda x: defined(2, **settings)(x)[0]))


@pytest.mark.parametrize("winners", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_the_operator_of_pytorch(winners: bool, last: bool) -> None:
    operator = torch.ops.striate.max_pool.default
    input = maps(2, last=last).requires_grad_(winners)
    torch.library.opcheck(operator, (input, [3, 2], [2, 1], [1, 0], [0, 1], [1, 2], winners))
    found, taps = by_kernels(input.detach(), [3, 2], [2, 1], [1, 0], [0, 1], [1, 2], True)
    back = found.clone().requires_grad_(), taps, [7, 5], [3, 2], [2, 1], [1, 0], [1, 2], last
    torch.library.opcheck(torch.ops.striate.max_pool_backward.default, back)


# By route: the settings and whether channels lie last.
ROUTES: dict[str, tuple[dict[str, Any], bool]] = {
    "kernels": ({"kernel_size": 3, "stride": 2, "padding": "same"}, False),
    "kernels, channels-last": ({"kernel_size": 3, "stride": 2, "padding": ((2, 0), (1, 1))}, True),
    "torch": ({"kernel_size": 2, "stride": 1, "padding": 1}, True),
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
            lambda x, w: pool(2, **settings)(x * w).clamp_min(-1e3), maps(2, last=last), torch.tensor(1.5).double()
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
        # Numbers that bfloat16 tells apart.
        input = torch.randperm(70).double().view(1, 2, 7, 5)
        checks.check_dtypes(pool(2, **settings), input.contiguous(memory_format=LAYOUTS[4]) if last else input)

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


@pytest.mark.parametrize(
    ("axes", "number", "nodes"),
    [
        (1, 2, {"Pad", "MaxPool"}),
        (1, 8, {"MaxPool"}),
        (2, 1, {"MaxPool"}),
        (2, 4, {"MaxPool"}),
        (3, 0, {"MaxPool"}),
        (2, 7, {"GatherElements"}),
    ],
)
def test_exports_to_onnx(axes: int, number: int, nodes: set[str], tmp_path: Path) -> None:
    function = pool(axes, **SETTINGS[number])
    found = checks.check_onnx(lambda x: function(x).clamp_min(-1e6), tmp_path, maps(axes).float())
    assert nodes <= found
    assert "MaxPool" not in found - nodes


def test_exports_indices_to_onnx(tmp_path: Path) -> None:
    function = pool(2, **ROUTES["kernels"][0], return_indices=True)
    checks.check_onnx(lambda x: function(x)[1].float(), tmp_path, maps(2).float())


def test_dispatch_is_explained() -> None:
    explained = dispatch.explain_dispatch("max_pool2d", torch.zeros(1, 2, 8, 8), 2)
    assert explained.startswith("max_pool2d: kernels: PyTorch's maximum is slow")
    explained = dispatch.explain_dispatch("max_pool2d", torch.zeros(1, 2, 8, 8, device="meta"), 2)
    reason = "there are kernels for CPU and CUDA only, and the input is on meta"
    assert explained.startswith(f"max_pool2d: reference: {reason}")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"input": torch.zeros(6, 9)},
            ValueError,
            r"max_pool2d: input must be \(N, C, H, W\) or \(C, H, W\), got \(6, 9\)",
        ),
        ({"input": torch.zeros(1, 6, 9, 9).long()}, TypeError, "max_pool2d: input must hold floating-point numbers"),
        ({"kernel_size": 10}, ValueError, "max_pool2d: axis 0: the window is larger than the padded input: kernel 10"),
        (
            {"kernel_size": (2, 2, 2)},
            ValueError,
            r"kernel_size must be one number or one an axis \(2\), got \(2, 2, 2\)",
        ),
        ({"kernel_size": 0}, ValueError, "kernel_size must be an integer of at least 1, got 0"),
        ({"kernel_size": 2.0}, TypeError, "kernel_size must be an integer of at least 1, got 2.0"),
        ({"stride": 0}, ValueError, "stride must be an integer of at least 1, got 0"),
        ({"dilation": (1, 0)}, ValueError, "dilation must be an integer of at least 1, got 0"),
        ({"padding": -1}, ValueError, "padding must be an integer of at least 0, got -1"),
        ({"padding": (1, 2, 3)}, ValueError, r"padding must have one entry an axis \(2\), got \(1, 2, 3\) with 3"),
        ({"padding": "sam"}, ValueError, "did you mean 'same'"),
        ({"ceil_mode": 1}, TypeError, "ceil_mode must be True or False, got 1"),
        ({"return_indices": 1}, TypeError, "max_pool2d: return_indices must be True or False, got 1"),
    ],
)
def test_errors(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        max_pool2d(**{"input": torch.zeros(1, 6, 9, 9), "kernel_size": 2} | change)
