"""Norms of windows: PyTorch's norm of columns, PyTorch's pooling where it agrees, the ends of the numbers' range."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from ops import checks
from striate import geometry
from striate.ops import dispatch
from striate.ops.lp_pool import cpu, lp_pool1d, lp_pool2d, lp_pool3d, reference
from striate.ops.lp_pool.registered import lp_pool

FUNCTIONS = (lp_pool1d, lp_pool2d, lp_pool3d)
TORCH = (F.lp_pool1d, F.lp_pool2d, F.lp_pool3d)
SIZES = (7, 6, 5)
SETTINGS: list[dict[str, Any]] = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3, "stride": 1, "padding": "same", "dilation": 2},
    {"kernel_size": 2, "stride": 3, "padding": 4},
    {"kernel_size": 3, "stride": 2, "ceil_mode": True},
    {"kernel_size": 2, "stride": 2, "padding": "causal"},
    {"kernel_size": 4, "stride": 1, "padding": "full"},
    {"kernel_size": 3, "stride": 3, "padding": "same_upper"},
]
POWERS = [1, 2, 3.0, 0.5, 2.5, 30]


def maps(axes: int, *, batch: int = 2, channels: int = 3) -> Tensor:
    """With zeros among the numbers, and with windows of zeros only."""
    generator = torch.Generator().manual_seed(axes)
    input = torch.randn(batch, channels, *SIZES[:axes], generator=generator, dtype=torch.float64)
    input[input.abs() < 0.3] = 0
    input[0, 0] = 0
    return input


def pool(axes: int, power: float, **settings: Any) -> Callable[[Tensor], Tensor]:
    return lambda input: FUNCTIONS[axes - 1](input, power, **settings)


def by_columns(axes: int, power: float, **settings: Any) -> Callable[[Tensor], Tensor]:
    """PyTorch's norm of what each window reads; the windows are looked up one by one."""
    own = {"stride": settings["kernel_size"], "padding": 0, "dilation": 1, "ceil_mode": False, **settings}
    along = geometry.windows(axes, own["kernel_size"], own["stride"], own["padding"], own["dilation"], own["ceil_mode"])

    def function(input: Tensor) -> Tensor:
        read = input
        for axis, window in enumerate(along, start=2):
            n = input.shape[axis]
            padded = torch.cat([read, torch.zeros_like(read.narrow(axis, 0, 1))], axis)
            places = torch.tensor([[i if 0 <= i < n else n for i in taps] for taps in window.placements(n)])
            read = (
                padded.index_select(axis, places.flatten()).unflatten(axis, tuple(places.shape)).movedim(axis + 1, -1)
            )
        return torch.linalg.vector_norm(read.flatten(2 + axes), power, dim=-1)

    return function


def test_norms_by_hand() -> None:
    series = torch.tensor([[3.0, -4.0, 0.0, 0.0, -7.0]])
    assert lp_pool1d(series, 2, 2).tolist() == [[5, 0]]
    assert lp_pool1d(series, 1, 2, 1).tolist() == [[7, 4, 0, 7]]
    assert lp_pool1d(series, 2, 2, ceil_mode=True).tolist() == [[5, 0, 7]]
    assert lp_pool1d(series, math.inf, 2, padding=((1, 0),)).tolist() == [[3, 4, 7]]
    assert lp_pool1d(series, 2, 2, dilation=4).item() == pytest.approx(58**0.5)


@pytest.mark.parametrize("power", [*POWERS, math.inf])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_equals_the_norm_of_columns(axes: int, settings: dict[str, Any], power: float) -> None:
    input = maps(axes).where(maps(axes) != 0, 0.01 * torch.arange(1, maps(axes).numel() + 1).view_as(maps(axes)))
    checks.check_same(pool(axes, power, **settings), by_columns(axes, power, **settings), input)


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_equals_its_definition_with_zeros_among_the_numbers(axes: int, settings: dict[str, Any], power: float) -> None:
    call = pool(axes, power, **settings)
    with dispatch.routes_taken() as taken:
        found = [call(maps(axes)), *checks.gradients_of(call, maps(axes))]
    assert {route.name for _, route in taken} == {"kernels"}
    # In a transform the door calls the definition.
    expected, back = torch.func.vjp(call, maps(axes))
    weights = torch.linspace(0.5, 1.5, expected.numel(), dtype=torch.float64).view(expected.shape)
    for one, other in zip(found, [expected, *back(weights)], strict=True):
        checks.assert_close(one, other)


@pytest.mark.parametrize("power", [1, 2, 3.0])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_equals_pytorch_where_nothing_is_negative(axes: int, power: float) -> None:
    input = maps(axes).abs() + 0.1
    checks.check_same(pool(axes, power, kernel_size=2), lambda i: TORCH[axes - 1](i, float(power), 2), input)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_to_infinity_it_is_the_largest(axes: int, settings: dict[str, Any]) -> None:
    call, input = pool(axes, math.inf, **settings), maps(axes)
    checks.assert_close(call(input), by_columns(axes, math.inf, **settings)(input))
    (gradient,) = checks.gradients_of(call, input)
    assert gradient.isfinite().all()
    assert not gradient[input == 0].any()


def test_to_infinity_the_gradient_goes_to_the_first_of_the_largest() -> None:
    (input,) = checks.leaves(torch.tensor([[1.0, -2.0, 2.0]]))
    assert torch.autograd.grad(lp_pool1d(input, math.inf, 3).sum(), input)[0].tolist() == [[0, -1, 0]]


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e160, 1e300])
@pytest.mark.parametrize("power", [1, 2, 3.5, 0.5, 200])
def test_nothing_leaves_the_range_of_the_numbers(power: float, size: float) -> None:
    input, settings = maps(2, batch=1), {"kernel_size": 3, "stride": 2, "padding": 1}
    expected = lp_pool2d(input, power, **settings)
    checks.assert_close(lp_pool2d(input * size, power, **settings) / size, expected)
    # The norm is homogeneous: its gradient does not change with the size.
    wished = checks.gradients_of(pool(2, power, **settings), input)
    checks.assert_close(*checks.gradients_of(pool(2, power, **settings), input * size), *wished)


def test_a_small_window_beside_a_large_one() -> None:
    series = torch.tensor([[[3e30, 4e30, 3e-30, 4e-30, 0.0, 0.0, 3.0, 4.0]]])
    (input,) = checks.leaves(series)
    norms = lp_pool1d(input, 2, 2)
    torch.testing.assert_close(norms, torch.tensor([[[5e30, 5e-30, 0, 5]]]))
    (gradient,) = torch.autograd.grad(norms.sum(), input)
    torch.testing.assert_close(gradient, torch.tensor([[[0.6, 0.8, 0.6, 0.8, 0, 0, 0.6, 0.8]]]))


@pytest.mark.parametrize("power", [1, 2, 1.5, 0.5, 3])
def test_derivatives_at_zero_are_zero(power: float) -> None:
    (input,) = checks.leaves(torch.tensor([[[0.0, 0.0, 0.0, 2.0]]], dtype=torch.float64))
    norms = lp_pool1d(input, power, 2)
    (gradient,) = torch.autograd.grad(norms.sum(), input, create_graph=True)
    assert gradient.tolist() == [[[0, 0, 0, 1]]]
    (second,) = torch.autograd.grad(gradient.square().sum(), input)
    assert second.tolist() == [[[0, 0, 0, 0]]]


@pytest.mark.parametrize("power", [1, 2, 3, math.inf])
def test_nan_and_infinity_are_seen(power: float) -> None:
    norms = lp_pool1d(torch.tensor([[1.0, math.nan, 2.0, -math.inf, 3.0, 4.0]]), power, 2)[0]
    assert norms[0].isnan()
    assert norms[1] == math.inf
    assert norms[2].isfinite()


@pytest.mark.parametrize("power", [1, 2, 3, 4.5])
@pytest.mark.parametrize("unread", [1e25, math.inf, math.nan])
def test_a_number_that_no_window_reads_has_no_gradient(power: float, unread: float) -> None:
    series = torch.tensor([[3.0, unread, -4.0]], requires_grad=True)
    lp_pool1d(series, power, 1, stride=2).sum().backward()
    assert series.grad.tolist() == [[1, 0, -1]]


def test_windows_in_the_padding_are_zero() -> None:
    for power in (2, 3, math.inf):
        norms = lp_pool2d(torch.full((1, 1, 2, 2), -1.0), power, 2, padding=3)
        assert norms.count_nonzero() == 4
        assert norms.min() == 0


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("channels", [1, 3, 17])
def test_memory_formats(axes: int, channels: int) -> None:
    for settings in SETTINGS[:3]:
        checks.check_formats(pool(axes, 2, **settings), maps(axes, channels=channels))


OWN: dict[str, Any] = {"kernel_size": 2, "stride": 2, "padding": 1}


class TestHabits:
    @pytest.mark.parametrize("power", [1.5, 2, 3])
    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_gradients(self, axes: int, power: float) -> None:
        input = torch.randn(1, 1, *(4, 3, 2)[:axes], dtype=torch.float64)
        input += 0.2 * input.sign()
        checks.check_gradients(pool(axes, power, **OWN), input)

    @pytest.mark.parametrize(("axes", "power"), [(1, 2), (2, 3), (3, 2), (2, math.inf)])
    def test_what_pytorch_asks_of_an_operator(self, axes: int, power: float, tmp_path: Path) -> None:
        call, input = pool(axes, power, **OWN), torch.randn(2, 3, *SIZES[:axes], dtype=torch.float64)
        checks.check_batches(call, input)
        checks.check_onnx(call, tmp_path, input.float())
        factor = torch.randn(call(input[:, :, :4]).shape[1:], dtype=torch.float64)
        checks.check_transforms(lambda tensor, factor: call(tensor) * factor, input[:, :, :4], factor)

    @pytest.mark.parametrize("power", [1, 2, 3.5])
    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_dtypes(self, axes: int, power: float) -> None:
        checks.check_dtypes(pool(axes, power, **OWN), torch.randn(2, 3, *SIZES[:axes], dtype=torch.float64))

    @pytest.mark.parametrize("power", [2, math.inf])
    def test_compiles(self, power: float) -> None:
        call = pool(2, power, kernel_size=3, stride=2, padding="same_upper")
        checks.check_compiles(call, lambda size: (torch.randn(2, 3, size, size + 1),), sizes=(5, 8))

    def test_inductor_keeps_the_kernels(self) -> None:
        torch._dynamo.reset()
        call = pool(2, 2, kernel_size=3, ceil_mode=True)
        checks.check_same(torch.compile(call, fullgraph=True), call, maps(2).float())

    @pytest.mark.parametrize("shape", [(2, 3, 65, 64), (1, 40, 90, 70)])
    @pytest.mark.parametrize("power", [2, 3])
    def test_the_same_bits_whatever_the_threads(self, shape: tuple[int, ...], power: float) -> None:
        input = torch.randn(*shape)
        for maps in (input, input.contiguous(memory_format=torch.channels_last)):
            checks.check_deterministic(pool(2, power, kernel_size=3, stride=2), maps, threads=True)

    def test_whole_and_concurrent(self) -> None:
        checks.check_whole(pool(2, 3, **OWN), maps(2))
        checks.check_concurrent(pool(2, 3, **OWN), torch.randn(4, 16, 64, 64))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_autocast_leaves_norms_alone(self, dtype: torch.dtype) -> None:
        with torch.autocast("cpu", torch.bfloat16):
            for power in (2, math.inf):
                assert torch.equal(lp_pool2d(maps(2).to(dtype), power, 2), lp_pool2d(maps(2).to(dtype), power, 2))
                assert lp_pool2d(maps(2).to(dtype), power, 2).dtype == dtype

    def test_opcheck(self) -> None:
        (input,), power = checks.leaves(maps(2)), 2.5
        settings = [2, 2], [2, 2], [1, 1], [1, 1]
        torch.library.opcheck(torch.ops.striate.lp_pool.default, (input, power, *settings, [4, 4]))
        norms = lp_pool(input, power, *settings, [4, 4]).detach().requires_grad_()
        backward = torch.ops.striate.lp_pool_backward.default
        utilities = ("test_schema", "test_faketensor", "test_aot_dispatch_dynamic")
        torch.library.opcheck(backward, (torch.ones_like(norms), input, norms, power, *settings), test_utils=utilities)


def test_the_gradient_far_out_of_range_is_that_in_range() -> None:
    """Both ways to the gradient, of numbers that both can take."""
    input, grad = maps(2), torch.randn(2, 3, 4, 4, dtype=torch.float64)
    settings = [2, 2], [2, 2], [1, 1], [1, 1]
    norms = cpu.forward(input, 3.0, *settings, [4, 4])
    expected = cpu.backward(grad, input, norms, 3.0, *settings)
    found = cpu.backward(grad, input * 1e-120, norms * 1e-120, 3.0, *settings)
    checks.assert_close(found, expected)


def test_off_the_cpu_it_is_the_definition() -> None:
    with dispatch.routes_taken() as taken:
        assert lp_pool2d(torch.zeros(1, 2, 4, 4, device="meta"), 2, 2).shape == (1, 2, 2, 2)
    assert taken[0][1].name == "reference"
    assert "on meta" in taken[0][1].reason
    assert "max_pool" in dispatch.explain_dispatch("lp_pool2d", torch.zeros(1, 2, 4, 4), math.inf, 2)


class Norms(Dataset[Tensor]):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Tensor:
        return lp_pool2d(maps(2) + index, 2, 2)


def test_a_worker_of_a_loader_can_call_it() -> None:
    for index, found in enumerate(DataLoader(Norms(), batch_size=None, num_workers=1, timeout=60)):
        assert torch.equal(found, lp_pool2d(maps(2) + index, 2, 2))


def test_the_definition_takes_any_number_of_axes() -> None:
    input = torch.tensor([[[[[3.0, 4.0]]]]])
    ones = [1, 1, 1]
    assert reference.lp_pool(input, 2, [1, 1, 2], ones, [0, 0, 0], ones, ones).item() == pytest.approx(5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"input": torch.zeros(9, 9)}, ValueError, r"lp_pool2d: input must be \(N, C, H, W\) or \(C, H, W\)"),
        ({"input": torch.zeros(1, 9, 9, dtype=torch.int64)}, TypeError, "floating-point numbers, got torch.int64"),
        ({"norm_type": 0}, ValueError, "lp_pool2d: norm_type must be above 0, got 0"),
        ({"norm_type": math.nan}, ValueError, "norm_type must be above 0, got nan"),
        ({"norm_type": "2"}, TypeError, "norm_type must be a number above 0, got '2'"),
        ({"kernel_size": 10}, ValueError, "lp_pool2d: axis 0: the window is larger than the padded input"),
        ({"kernel_size": (3, 3, 3)}, ValueError, "kernel_size must be one number or one an axis"),
        ({"stride": 0}, ValueError, "stride must be an integer of at least 1"),
        ({"dilation": 0}, ValueError, "dilation must be an integer of at least 1"),
        ({"padding": -1}, ValueError, "padding must be an integer of at least 0"),
        ({"padding": "reflect"}, ValueError, "padding must be .* one of valid, same"),
        ({"ceil_mode": 1}, TypeError, "ceil_mode must be True or False, got 1"),
    ],
)
def test_errors(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        lp_pool2d(**{"input": torch.zeros(1, 9, 9), "norm_type": 2, "kernel_size": 3, **change})
