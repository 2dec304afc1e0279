"""Averages with Gaussian weights: the definition, SciPy's Gaussian, the average that a wide one is."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import scipy.ndimage
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from ops import checks
from striate.geometry import windows
from striate.ops import dispatch
from striate.ops.gaussian_pool import gaussian_pool1d, gaussian_pool2d, gaussian_pool3d, reference

FUNCTIONS = (gaussian_pool1d, gaussian_pool2d, gaussian_pool3d)
SIZES = (7, 6, 5)
SETTINGS: list[dict[str, Any]] = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 4, "stride": 1, "padding": "same"},
    {"kernel_size": 2, "stride": 3, "padding": 4},
    {"kernel_size": 3, "stride": 2, "padding": "causal"},
    {"kernel_size": 5, "stride": 2, "padding": "same_upper"},
]


def maps(axes: int, *, batch: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(axes)
    return torch.randn(batch, 3, *SIZES[:axes], generator=generator, dtype=torch.float64)


def spreads(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(len(shape))
    return 0.5 + torch.rand(shape, generator=generator, dtype=torch.float64)


def pool(axes: int, **settings: Any) -> Callable[..., Tensor]:
    return lambda input, sigma=None: FUNCTIONS[axes - 1](input, sigma=sigma, **settings)


def defined(axes: int, **settings: Any) -> Callable[..., Tensor]:
    kernel = settings["kernel_size"]
    along = windows(axes, kernel, settings.get("stride", kernel), settings.get("padding", 0))

    def function(input: Tensor, sigma: Tensor | None = None) -> Tensor:
        low, high = zip(*(w.pads(n) for w, n in zip(along, input.shape[2:], strict=True)), strict=True)
        if sigma is None:
            sigma = torch.tensor([w.kernel / 4 for w in along]).to(input)
        own = sigma.expand(input.shape[1], axes)
        return reference.gaussian_pool(input, own, [w.kernel for w in along], [w.stride for w in along], low, high)

    return function


def test_weights_by_hand() -> None:
    spot = torch.tensor([[0.0, 0.0, 1.0, 0.0, 0.0]], dtype=torch.float64)
    edge = math.exp(-0.5)
    wished = torch.tensor([[edge, 1.0, edge]], dtype=torch.float64) / (1 + 2 * edge)
    checks.assert_close(gaussian_pool1d(spot, 3, 1, sigma=1), wished)
    # Between the middle taps of an even window.
    far = math.exp(-(1.5**2 - 0.5**2) / 2)
    wished = torch.tensor([[1.0, 1.0]], dtype=torch.float64) / (2 + 2 * far)
    checks.assert_close(gaussian_pool1d(spot, 4, 1, sigma=1.0), wished)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_equals_its_definition(axes: int, settings: dict[str, Any]) -> None:
    call, definition = pool(axes, **settings), defined(axes, **settings)
    checks.check_same(call, definition, maps(axes))
    found = FUNCTIONS[axes - 1](maps(axes), sigma=tuple(spreads(axes).tolist()), **settings)
    checks.assert_close(found, definition(maps(axes), spreads(axes)))
    # The weights of two taps are equal whatever sigma is.
    wider = {**settings, "kernel_size": settings["kernel_size"] + 1}
    checks.check_same(pool(axes, **wider), defined(axes, **wider), maps(axes), spreads(axes))


@pytest.mark.parametrize("shape", [(), (1,), (2,), (1, 1), (1, 2), (3, 1), (3, 2)])
def test_sigma_of_any_shape(shape: Sequence[int]) -> None:
    settings: dict[str, Any] = {"kernel_size": (3, 4), "stride": 2, "padding": 1}
    checks.check_same(pool(2, **settings), defined(2, **settings), maps(2), spreads(*shape))


@pytest.mark.parametrize(("axes", "route"), [(1, "whole"), (2, "apart"), (3, "apart")])
def test_a_large_window_goes_along_one_axis_after_another(axes: int, route: str) -> None:
    settings: dict[str, Any] = {"kernel_size": (11, 10, 3)[:axes], "stride": (2, 1, 2)[:axes], "padding": "same_lower"}
    with dispatch.routes_taken() as taken:
        checks.check_same(pool(axes, **settings), defined(axes, **settings), maps(axes), spreads(3, axes))
    assert taken[0][1].name == route


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_equals_scipy(axes: int) -> None:
    plane = maps(axes)[0, 0]
    found = FUNCTIONS[axes - 1](plane[None], 7, 1, "same", sigma=0.8)[0]
    expected = scipy.ndimage.gaussian_filter(plane.numpy(), 0.8, mode="constant", radius=3)
    checks.assert_close(found, torch.from_numpy(expected))


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_wide_gaussian_is_the_average_and_a_narrow_one_the_centre(axes: int) -> None:
    average = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[axes - 1](maps(axes), 3, 2, 1)
    found = FUNCTIONS[axes - 1](maps(axes), 3, 2, 1, sigma=1e8)
    checks.assert_close(found, average)
    centres = maps(axes)[(..., *(slice(None, None, 2),) * axes)]
    for sigma in (1e-3, 1e-200, torch.tensor(1e-3), torch.tensor(1e-200, dtype=torch.float64)):
        checks.assert_close(FUNCTIONS[axes - 1](maps(axes), 3, 2, 1, sigma=sigma), centres)


@pytest.mark.parametrize("dtype", checks.TOLERANCE)
@pytest.mark.parametrize("kernel", [3, 4, 9])
def test_a_constant_picture_stays_as_it_is(kernel: int, dtype: torch.dtype) -> None:
    picture = torch.full((1, 2, 12, 12), 3.0, dtype=dtype)
    found = gaussian_pool2d(picture, kernel, 1, sigma=1.1)
    assert (found - 3).abs().max() <= (0 if dtype in (torch.bfloat16, torch.float16) else 2e-6)


def test_a_learned_sigma_finds_the_one_that_was_used() -> None:
    wished = gaussian_pool2d(maps(2), 5, 1, sigma=0.8)
    (sigma,) = checks.leaves(torch.tensor(1.5, dtype=torch.float64))
    optimizer = torch.optim.Adam([sigma], lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        (gaussian_pool2d(maps(2), 5, 1, sigma=sigma) - wished).square().sum().backward()
        optimizer.step()
    assert sigma.item() == pytest.approx(0.8, abs=1e-3)


OWN: dict[str, Any] = {"kernel_size": 3, "stride": 2, "padding": 1}


class TestHabits:
    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_gradients(self, axes: int) -> None:
        input = torch.randn(1, 2, *(3, 3, 2)[:axes], dtype=torch.float64)
        checks.check_gradients(pool(axes, **OWN), input, spreads(2, axes))

    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_what_pytorch_asks_of_an_operator(self, axes: int, tmp_path: Path) -> None:
        call = pool(axes, **OWN)
        checks.check_dtypes(call, maps(axes))
        checks.check_formats(call, maps(axes), spreads(3, axes))
        checks.check_batches(call, maps(axes), spreads(3, axes))
        checks.check_transforms(call, maps(axes)[:, :, :4], spreads(3, axes))
        checks.check_onnx(call, tmp_path, maps(axes).float(), spreads(axes).float())

    def test_compiles(self) -> None:
        call = pool(2, kernel_size=3, stride=2, padding=1)
        checks.check_compiles(call, lambda size: (torch.randn(2, 3, size, size + 1), spreads(2).float()), sizes=(5, 8))
        checks.check_compiles(call, lambda size: (torch.randn(2, 3, size, size + 1),), sizes=(5, 8))

    def test_the_same_bits_whatever_the_threads(self) -> None:
        picture, sigma = torch.randn(2, 16, 40, 40), spreads(16, 2).float()
        checks.check_deterministic(pool(2, **OWN), picture, sigma, threads=True)

    def test_whole_and_concurrent(self) -> None:
        checks.check_whole(pool(2, **OWN), maps(2), spreads(2))
        checks.check_concurrent(pool(2, **OWN), torch.randn(4, 16, 32, 32), spreads(2).float())

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
    def test_autocast_leaves_averages_alone(self, dtype: torch.dtype) -> None:
        expected = gaussian_pool2d(maps(2).to(dtype), 3)
        with torch.autocast("cpu", torch.bfloat16):
            found = gaussian_pool2d(maps(2).to(dtype), 3)
        assert found.dtype == dtype == F.avg_pool2d(maps(2).to(dtype), 3).dtype
        assert torch.equal(found, expected)


def test_off_the_cpu_it_is_pytorch() -> None:
    with dispatch.routes_taken() as taken:
        assert gaussian_pool2d(torch.zeros(1, 2, 4, 4, device="meta"), 2).shape == (1, 2, 2, 2)
    assert [(name, route.name) for name, route in taken] == [("gaussian_pool2d", "whole"), ("conv2d", "torch")]


class Averages(Dataset[Tensor]):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Tensor:
        return gaussian_pool2d(maps(2) + index, 2)


def test_a_worker_of_a_loader_can_call_it() -> None:
    for index, found in enumerate(DataLoader(Averages(), batch_size=None, num_workers=1, timeout=60)):
        assert torch.equal(found, gaussian_pool2d(maps(2) + index, 2))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"input": torch.zeros(9, 9)}, ValueError, r"gaussian_pool2d: input must be \(N, C, H, W\) or \(C, H, W\)"),
        ({"input": torch.zeros(1, 9, 9, dtype=torch.int64)}, TypeError, "floating-point numbers, got torch.int64"),
        ({"kernel_size": 10}, ValueError, "gaussian_pool2d: axis 0: the window is larger than the padded input"),
        ({"kernel_size": (3, 3, 3)}, ValueError, "kernel_size must be one number or one an axis"),
        ({"stride": 0}, ValueError, "stride must be an integer of at least 1"),
        ({"padding": -1}, ValueError, "padding must be an integer of at least 0"),
        ({"padding": "reflect"}, ValueError, "padding must be .* one of valid, same"),
        ({"sigma": 0.0}, ValueError, "gaussian_pool2d: sigma must be above 0 and finite, got 0.0"),
        ({"sigma": (1.0, -1.0)}, ValueError, "sigma must be above 0 and finite, got -1.0"),
        ({"sigma": math.inf}, ValueError, "sigma must be above 0 and finite, got inf"),
        (
            {"sigma": (1.0, 1.0, 1.0)},
            ValueError,
            r"sigma must be one number or one an axis \(2\), got \(1.0, 1.0, 1.0\)",
        ),
        ({"sigma": "wide"}, ValueError, "sigma must be one number or one an axis"),
        ({"sigma": 1j}, TypeError, "sigma must be a number above 0 or a tensor, got 1j"),
        ({"sigma": torch.ones(3)}, ValueError, r"sigma must broadcast to \(1, 2\), got \(3,\)"),
        ({"sigma": torch.ones(1, 1, 2)}, ValueError, r"sigma must broadcast to \(1, 2\), got \(1, 1, 2\)"),
        ({"sigma": torch.tensor(1)}, TypeError, "sigma must hold floating-point numbers, got torch.int64"),
        ({"sigma": torch.ones((), device="meta")}, ValueError, "sigma must be on the device of input, cpu, got meta"),
    ],
)
def test_errors(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        gaussian_pool2d(**{"input": torch.zeros(1, 9, 9), "kernel_size": 3, **change})
