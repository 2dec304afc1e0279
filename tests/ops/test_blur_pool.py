"""Anti-aliased strides: Pascal's triangle, Zhang's layer, what becomes of shifts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from ops import checks
from striate.geometry import windows
from striate.ops import dispatch
from striate.ops.blur_pool import blur_pool1d, blur_pool2d, blur_pool3d, reference

FUNCTIONS = (blur_pool1d, blur_pool2d, blur_pool3d)
SIZES = (7, 6, 5)
SETTINGS: list[dict[str, Any]] = [
    {},
    {"kernel_size": 4},
    {"kernel_size": 5, "stride": 1},
    {"kernel_size": 2, "stride": 3, "padding": 1},
    {"kernel_size": 3, "padding": "same_lower"},
    {"kernel_size": 1},
    {"kernel_size": 3, "padding": "valid"},
]


def maps(axes: int, *, batch: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(axes)
    return torch.randn(batch, 3, *SIZES[:axes], generator=generator, dtype=torch.float64)


def pool(axes: int, **settings: Any) -> Callable[[Tensor], Tensor]:
    return lambda input: FUNCTIONS[axes - 1](input, **settings)


def defined(axes: int, mode: str, settings: dict[str, Any]) -> Callable[[Tensor], Tensor]:
    own = {"kernel_size": 3, "stride": 2, "padding": "same", **settings}
    along = windows(axes, own["kernel_size"], own["stride"], own["padding"])

    def function(input: Tensor) -> Tensor:
        pads = [w.pads(n) for w, n in zip(along, input.shape[2:], strict=True)]
        padded = F.pad(input, [side for pair in reversed(pads) for side in pair], mode)
        return reference.blur_pool(padded, [w.kernel for w in along], [w.stride for w in along])

    return function


def test_weights_are_rows_of_pascals_triangle() -> None:
    for kernel, row in ((1, [1]), (2, [1, 1]), (3, [1, 2, 1]), (4, [1, 3, 3, 1]), (7, [1, 6, 15, 20, 15, 6, 1])):
        spot = torch.zeros(1, 2 * kernel - 1)
        spot[0, kernel - 1] = sum(row)
        assert blur_pool1d(spot, kernel, 1, padding="valid").tolist() == [row]


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_equals_its_definition(axes: int, settings: dict[str, Any], mode: Any) -> None:
    definition = defined(axes, "constant" if mode == "zeros" else mode, settings)
    checks.check_same(pool(axes, padding_mode=mode, **settings), definition, maps(axes))


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5, 6, 7])
def test_equals_zhangs_layer(kernel: int) -> None:
    """`antialiased_cnns.BlurPool`: reflection, the odd place high, and a depthwise convolution."""
    input = torch.randn(2, 3, 9, 12, dtype=torch.float64)
    row = torch.tensor([1.0], dtype=torch.float64)
    for _ in range(kernel - 1):
        row = F.pad(row, [0, 1]) + F.pad(row, [1, 0])
    filters = torch.outer(row, row) / row.sum() ** 2
    low, high = (kernel - 1) // 2, -(-(kernel - 1) // 2)
    padded = F.pad(input, [low, high, low, high], "reflect")
    expected = F.conv2d(padded, filters.expand(3, 1, -1, -1), stride=2, groups=3)
    checks.assert_close(blur_pool2d(input, kernel), expected)
    assert expected.shape == (2, 3, 5, 6)


@pytest.mark.parametrize("dtype", checks.TOLERANCE)
def test_a_constant_picture_stays_as_it_is(dtype: torch.dtype) -> None:
    for kernel in range(1, 8):
        found = blur_pool2d(torch.full((1, 2, 9, 9), 3.0, dtype=dtype), kernel)
        assert torch.equal(found, torch.full((1, 2, 5, 5), 3.0, dtype=dtype))


def test_a_stride_of_one_place_less_or_more_changes_little() -> None:
    """Stripes that a plain stride sees or misses altogether."""
    stripes = (torch.arange(16) % 2).double().expand(1, 16)
    plain = (stripes[:, ::2] - stripes[:, 1::2]).abs().max()
    blurred = (blur_pool1d(stripes, padding_mode="circular") - blur_pool1d(1 - stripes, padding_mode="circular")).abs()
    assert plain == 1
    assert blurred.max() == 0


OWN: dict[str, Any] = {"kernel_size": 3, "stride": 2, "padding": 1}


class TestHabits:
    @pytest.mark.parametrize("mode", ["zeros", "reflect"])
    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_gradients(self, axes: int, mode: str) -> None:
        input = torch.randn(1, 2, *(4, 3, 2)[:axes], dtype=torch.float64)
        checks.check_gradients(pool(axes, padding_mode=mode, **OWN), input)

    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_what_pytorch_asks_of_an_operator(self, axes: int, tmp_path: Path) -> None:
        call, input = pool(axes, **OWN), maps(axes)
        checks.check_dtypes(call, input)
        checks.check_formats(call, input)
        checks.check_batches(call, input)
        checks.check_onnx(call, tmp_path, input.float())
        factor = torch.randn(call(input[:, :, :4]).shape[1:], dtype=torch.float64)
        checks.check_transforms(lambda tensor, factor: call(tensor) * factor, input[:, :, :4], factor)

    @pytest.mark.parametrize("mode", ["zeros", "reflect"])
    def test_compiles(self, mode: str) -> None:
        call = pool(2, kernel_size=3, padding_mode=mode)
        checks.check_compiles(call, lambda size: (torch.randn(2, 3, size, size + 1),), sizes=(5, 8))

    def test_the_same_bits_whatever_the_threads(self) -> None:
        checks.check_deterministic(pool(2, **OWN), torch.randn(2, 16, 40, 40), threads=True)

    def test_whole_and_concurrent(self) -> None:
        checks.check_whole(pool(2, **OWN), maps(2))
        checks.check_concurrent(pool(2, **OWN), torch.randn(4, 16, 32, 32))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
    def test_autocast_leaves_averages_alone(self, dtype: torch.dtype) -> None:
        expected = blur_pool2d(maps(2).to(dtype))
        with torch.autocast("cpu", torch.bfloat16):
            found = blur_pool2d(maps(2).to(dtype))
        assert found.dtype == dtype
        assert torch.equal(found, expected)


def test_off_the_cpu_it_is_pytorch() -> None:
    with dispatch.routes_taken() as taken:
        assert blur_pool2d(torch.zeros(1, 2, 4, 4, device="meta")).shape == (1, 2, 2, 2)
    assert [(name, route.name) for name, route in taken] == [("blur_pool2d", "whole"), ("conv2d", "torch")]


class Blurred(Dataset[Tensor]):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Tensor:
        return blur_pool2d(maps(2) + index)


def test_a_worker_of_a_loader_can_call_it() -> None:
    for index, found in enumerate(DataLoader(Blurred(), batch_size=None, num_workers=1, timeout=60)):
        assert torch.equal(found, blur_pool2d(maps(2) + index))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"input": torch.zeros(9, 9)}, ValueError, r"blur_pool2d: input must be \(N, C, H, W\) or \(C, H, W\)"),
        ({"input": torch.zeros(1, 9, 9, dtype=torch.int64)}, TypeError, "floating-point numbers, got torch.int64"),
        (
            {"kernel_size": 10, "padding": 0},
            ValueError,
            "blur_pool2d: axis 0: the window is larger than the padded input",
        ),
        ({"kernel_size": (3, 3, 3)}, ValueError, "kernel_size must be one number or one an axis"),
        ({"kernel_size": 0}, ValueError, "kernel_size must be an integer of at least 1"),
        ({"stride": 0}, ValueError, "stride must be an integer of at least 1"),
        ({"padding": -1}, ValueError, "padding must be an integer of at least 0"),
        ({"padding": "reflect"}, ValueError, "padding must be .* one of valid, same"),
        (
            {"padding_mode": "constant"},
            ValueError,
            "must be one of zeros, reflect, replicate, circular, got 'constant'",
        ),
        (
            {"padding": 9},
            ValueError,
            "blur_pool2d: padding_mode='reflect' can pad at most 8 places on axis 0 of size 9",
        ),
    ],
)
def test_errors(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        blur_pool2d(**{"input": torch.zeros(1, 9, 9), **change})
