"""Image kernels: their numbers, what they answer to, and laying them over pictures as SciPy does."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from ops import checks
from striate import filters
from striate.filters import pictures

KERNELS: dict[str, Callable[..., Tensor]] = {
    "sobel": filters.sobel,
    "prewitt": filters.prewitt,
    "laplacian": filters.laplacian,
    "lines": filters.lines,
    "sharpen": filters.sharpen,
    "blur": filters.blur,
    "gaussian": lambda **settings: filters.gaussian(9, 1.5, **settings),
    "gabor": lambda **settings: filters.gabor(9, 4.0, 0.3, **settings),
    "gabor_bank": lambda **settings: filters.gabor_bank(9, [4.0], 2, **settings),
}


def picture(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


def nearest(picture: Tensor, kernel: Tensor) -> Tensor:
    """SciPy's correlation of the last two axes, with the border going on outside."""
    planes = picture.double().flatten(0, -3) if picture.ndim > 2 else picture.double()[None]
    results = [ndimage.correlate(plane.numpy(), kernel.double().numpy(), mode="nearest") for plane in planes]
    return torch.from_numpy(np.stack(results)).view(picture.shape)


def test_kernels_of_the_lectures() -> None:
    assert filters.sobel().tolist() == [[1, 0, -1], [2, 0, -2], [1, 0, -1]]
    assert filters.sobel("horizontal").tolist() == [[1, 2, 1], [0, 0, 0], [-1, -2, -1]]
    checks.assert_close(filters.blur(), torch.full((3, 3), 1 / 9))
    assert filters.sharpen(as_in_lecture=True).tolist() == [[0, -1, 0], [-1, 3, -1], [0, -1, 0]]
    assert filters.lines("vertical", as_in_lecture=True).tolist() == [[-1, 0, 1]] * 3
    assert torch.equal(filters.lines("horizontal", as_in_lecture=True), filters.lines("vertical", as_in_lecture=True).T)
    assert torch.equal(filters.lines("vertical", as_in_lecture=True), -filters.prewitt())


def test_horizontal_is_vertical_turned() -> None:
    for kernel in (filters.sobel, filters.prewitt, filters.lines):
        assert torch.equal(kernel("horizontal"), kernel("vertical").T)
    assert torch.equal(filters.lines("rising"), filters.lines("falling").flip(0))


@pytest.mark.parametrize(
    ("kernel", "total"),
    [
        (filters.sobel(), 0),
        (filters.prewitt(), 0),
        (filters.laplacian(4), 0),
        (filters.laplacian(8), 0),
        *[(filters.lines(direction), 0) for direction in ("horizontal", "vertical", "rising", "falling")],
        (filters.sharpen(), 1),
        (filters.sharpen(as_in_lecture=True), -1),
        (filters.blur(5), 1),
        (filters.blur(4, axes=1), 1),
        (filters.gaussian(7, 1.0), 1),
        (filters.gaussian(4, 0.01), 1),
        (filters.gaussian(5, 100.0, axes=1), 1),
    ],
)
def test_even_ground_is_scaled_by_the_sum_of_the_taps(kernel: Tensor, total: int) -> None:
    assert kernel.double().sum().item() == pytest.approx(total, abs=1e-6)
    ground = torch.full((12,) * kernel.ndim, 0.5)
    found = filters.apply(ground, kernel, axes=kernel.ndim)
    assert torch.allclose(found, total * ground, atol=1e-6)


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_takes_a_dtype(name: str) -> None:
    assert KERNELS[name]().dtype == torch.float32
    assert KERNELS[name](dtype=torch.float64).dtype == torch.float64
    checks.assert_close(KERNELS[name](), KERNELS[name](dtype=torch.float64))


def test_gaussian_by_hand() -> None:
    edge = math.exp(-0.5)
    expected = torch.tensor([edge, 1, edge], dtype=torch.float64) / (1 + 2 * edge)
    checks.assert_close(filters.gaussian(3, 1.0, axes=1, dtype=torch.float64), expected)
    checks.assert_close(filters.gaussian(3, 1.0, dtype=torch.float64), torch.outer(expected, expected))
    assert filters.gaussian(1, 3.0).tolist() == [[1]]


def test_gabor_by_hand() -> None:
    kernel = filters.gabor(5, 4.0, 0.7, phase=0.2, sigma=1.5, aspect=0.8, dtype=torch.float64)
    for row in range(5):
        for column in range(5):
            x, y = column - 2, row - 2
            u, v = x * math.cos(0.7) + y * math.sin(0.7), y * math.cos(0.7) - x * math.sin(0.7)
            expected = math.exp(-(u**2 + 0.64 * v**2) / (2 * 2.25)) * math.cos(2 * math.pi * u / 4 + 0.2)
            assert kernel[row, column].item() == pytest.approx(expected, abs=1e-12)
    assert torch.equal(filters.gabor(5, 4.0), filters.gabor(5, 4.0, sigma=0.56 * 4.0))


def test_gabors_answer_to_their_own_orientation_and_wavelength() -> None:
    bank = filters.gabor_bank(25, [4.0, 8.0], 4, dtype=torch.float64)
    assert bank.shape == (16, 25, 25)
    assert torch.equal(bank[10], filters.gabor(25, 8.0, math.pi / 4, dtype=torch.float64))
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    waves = [
        torch.cos(2 * math.pi * (x * math.cos(angle) + y * math.sin(angle)) / wavelength).double()
        for wavelength in (4, 8)
        for angle in torch.arange(4) * math.pi / 4
    ]
    for place, wave in enumerate(waves):
        energy = filters.apply(wave, bank, padding="valid").square().mean((1, 2)).view(8, 2).sum(1)
        # A long filter answers to more pixels.
        assert (energy / bank.square().sum((1, 2)).view(8, 2).sum(1)).argmax() == place


def test_a_line_detector_answers_to_its_line_the_most() -> None:
    drawn = {name: torch.zeros(9, 9) for name in ("horizontal", "vertical", "rising", "falling")}
    drawn["horizontal"][4], drawn["vertical"][:, 4] = 1, 1
    drawn["falling"], drawn["rising"] = torch.eye(9), torch.eye(9).flip(0)
    for name, line in drawn.items():
        answers = {other: filters.apply(line, filters.lines(other))[4, 4].item() for other in drawn}
        assert answers.pop(name) == 6
        assert max(answers.values()) == 0
    assert filters.apply(drawn["vertical"], filters.lines("vertical", as_in_lecture=True))[4].tolist()[3:6] == [
        3,
        0,
        -3,
    ]


def test_a_larger_blur_blurs_more() -> None:
    noise = picture(40, 40)
    left = [filters.apply(noise, filters.blur(size)).var().item() for size in (1, 3, 5, 9)]
    assert left == sorted(left, reverse=True)


@pytest.mark.parametrize("shape", [(11, 13), (3, 11, 13), (2, 3, 11, 13)], ids=str)
@pytest.mark.parametrize("name", [name for name in KERNELS if name != "gabor_bank"])
def test_equals_scipy(name: str, shape: tuple[int, ...]) -> None:
    kernel = KERNELS[name](dtype=torch.float64)
    checks.assert_close(filters.apply(picture(*shape), kernel), nearest(picture(*shape), kernel))


@pytest.mark.parametrize("size", [7, 8, 21])
def test_two_passes_are_one(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = filters.gaussian(size, 2.0, dtype=torch.float64)
    settings: dict[str, Any] = {"padding": ("half", (2, 7)), "padding_mode": "reflect"}
    assert pictures._factors(kernel[None]) is not None
    found = filters.apply(picture(3, 30, 31), kernel, **settings)
    monkeypatch.setattr(pictures, "_factors", lambda kernels: None)
    checks.assert_close(found, filters.apply(picture(3, 30, 31), kernel, **settings))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_only_products_of_a_column_and_a_row_run_as_two_passes(dtype: torch.dtype) -> None:
    product = torch.outer(torch.arange(-4.0, 5), torch.arange(1.0, 10)).to(dtype)
    column, row = pictures._factors(product[None]) or pytest.fail("a product of integers has factors")
    assert (column.shape, row.shape) == ((1, 9, 1), (1, 1, 9))
    changed = product.clone()
    changed[2, 2] += 1
    for other in (changed, torch.zeros(9, 9, dtype=dtype), torch.full((9, 9), math.nan, dtype=dtype)):
        assert pictures._factors(other[None]) is None
    assert pictures._factors(product[None, :3]) is None, "a small kernel is faster at once"
    assert pictures._factors(product.expand(2, 9, 9)) is None
    assert pictures._factors(product.clone().requires_grad_()[None]) is None


def test_a_stack_is_each_kernel_by_itself() -> None:
    kernels = filters.gabor_bank(9, [4.0], 3)
    for shape in ((12, 10), (3, 12, 10), (2, 3, 12, 10)):
        input = picture(*shape, dtype=torch.float32)
        stack = filters.apply(input, kernels)
        assert stack.shape == (6, *shape)
        for kernel, found in zip(kernels, stack, strict=True):
            checks.assert_close(found, filters.apply(input, kernel))


def test_bytes_are_read_as_0_to_1() -> None:
    values = torch.randint(0, 256, (3, 9, 9), dtype=torch.uint8)
    blurred = filters.apply(values, filters.blur())
    assert blurred.dtype == torch.float32
    checks.assert_close(blurred, filters.apply(values.float() / 255, filters.blur()))
    assert filters.apply(values, filters.blur(dtype=torch.float64)).dtype == torch.float64
    white = torch.full((4, 4), 255, dtype=torch.uint8)
    assert filters.apply(white, filters.sharpen()).tolist() == torch.ones(4, 4).tolist()


def test_series() -> None:
    series = torch.tensor([0.0, 0, 3, 0, 0])
    assert filters.apply(series, torch.tensor([1.0, 0, -1]), axes=1).tolist() == [0, -3, 0, 3, 0]
    checks.assert_close(
        filters.apply(series.expand(2, 4, 5), filters.blur(axes=1), axes=1),
        torch.tensor([0.0, 1, 1, 1, 0]).expand(2, 4, 5),
    )
    stack = torch.stack([filters.blur(3, axes=1), filters.gaussian(3, 1.0, axes=1)])
    assert filters.apply(series, stack, axes=1).shape == (2, 5)


def test_padding() -> None:
    input = picture(6, 7)
    assert filters.apply(input, filters.sobel(), padding="valid").shape == (4, 5)
    assert filters.apply(input, filters.sobel(), padding=((0, 1), "full")).shape == (5, 9)
    edges = filters.apply(torch.ones(5, 5), filters.sobel(), padding_mode="zeros")
    assert edges[2].tolist() == [-4, 0, 0, 0, 4]
    assert not filters.apply(torch.ones(5, 5), filters.sobel()).any()
    around = filters.apply(torch.eye(4), torch.eye(3), padding_mode="circular")
    assert torch.equal(around, 3 * torch.eye(4))


@pytest.mark.parametrize("size", [3, 7])
class TestHabits:
    def test_gradients(self, size: int) -> None:
        kernel = filters.gaussian(size, 1.0, dtype=torch.float64)
        checks.check_gradients(lambda input: filters.apply(input, kernel), picture(1, 2, 4, 3))
        checks.check_gradients(lambda kernel: filters.apply(picture(2, 4, 3), kernel), kernel)

    def test_transforms(self, size: int) -> None:
        checks.check_transforms(filters.apply, picture(2, 2, 4, 3), filters.gaussian(size, 1.0, dtype=torch.float64))

    def test_compiles(self, size: int) -> None:
        kernel = filters.gaussian(size, 1.0)
        make = lambda size: (torch.randn(2, 3, size, size + 1),)  # noqa: E731
        checks.check_compiles(lambda input: filters.apply(input, kernel), make, sizes=(6, 9))

    def test_exports_to_onnx(self, size: int, tmp_path: Path) -> None:
        kernel = filters.gaussian(size, 1.0)
        call = lambda input: filters.apply(input, kernel)  # noqa: E731
        assert "Conv" in checks.check_onnx(call, tmp_path, picture(2, 3, 8, 7, dtype=torch.float32))

    def test_dtypes_and_batches(self, size: int) -> None:
        call = lambda input: filters.apply(input, filters.gaussian(size, 1.0, dtype=input.dtype))  # noqa: E731
        checks.check_dtypes(call, picture(2, 3, 8, 7))
        checks.check_batches(call, picture(2, 3, 8, 7))
        checks.check_deterministic(call, picture(2, 3, 8, 7), threads=False)
        checks.check_autocast(lambda input: filters.apply(input, filters.gaussian(size, 1.0)), picture(3, 8, 7))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: filters.sobel("diagonal"),
            ValueError,
            "direction must be one of vertical, horizontal, got 'diagonal'",
        ),
        (lambda: filters.prewitt("up"), ValueError, "direction must be one of vertical, horizontal, got 'up'"),
        (lambda: filters.laplacian(6), ValueError, "connectivity must be one of 4, 8, got 6"),
        (lambda: filters.lines("bent"), ValueError, "one of horizontal, vertical, rising, falling, got 'bent'"),
        (lambda: filters.lines("rising", as_in_lecture=True), ValueError, "one of horizontal, vertical, got 'rising'"),
        (lambda: filters.blur(0), ValueError, "size must be an integer of at least 1, got 0"),
        (lambda: filters.blur(2.5), TypeError, "size must be an integer of at least 1, got 2.5"),
        (lambda: filters.blur(axes=3), ValueError, "axes must be 1 or 2, got 3"),
        (lambda: filters.gaussian(3, 0.0), ValueError, "sigma must be above 0 and finite, got 0.0"),
        (lambda: filters.gaussian(3, math.nan), ValueError, "sigma must be above 0 and finite, got nan"),
        (lambda: filters.gaussian(3, 1.0, axes=0), ValueError, "axes must be 1 or 2, got 0"),
        (lambda: filters.gabor(3, -1.0), ValueError, "wavelength must be above 0 and finite, got -1.0"),
        (lambda: filters.gabor(3, 4.0, sigma=0.0), ValueError, "sigma must be above 0"),
        (lambda: filters.gabor(3, 4.0, aspect=0.0), ValueError, "aspect must be above 0"),
        (lambda: filters.gabor_bank(3, []), ValueError, r"wavelengths and phases must hold .* got \[\]"),
        (lambda: filters.gabor_bank(3, [4.0], 0), ValueError, "orientations must be an integer of at least 1"),
    ],
)
def test_errors_of_kernels(call: Callable[[], Tensor], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"picture": torch.zeros(9)},
            ValueError,
            r"picture must be \(H, W\), \(C, H, W\) or \(N, C, H, W\), got \(9,\)",
        ),
        ({"picture": torch.zeros(1, 1, 1, 9, 9)}, ValueError, r"picture must be \(H, W\)"),
        (
            {"picture": torch.zeros(9, 9, dtype=torch.int64)},
            TypeError,
            "floating-point numbers or uint8, got torch.int64",
        ),
        ({"kernel": torch.zeros(3, 3, dtype=torch.int64)}, TypeError, "kernel must hold floating-point numbers"),
        ({"kernel": torch.zeros(3)}, ValueError, r"kernel must be \(KH, KW\) or \(K, KH, KW\), none 0, got \(3,\)"),
        ({"kernel": torch.zeros(0, 3, 3)}, ValueError, r"none 0, got \(0, 3, 3\)"),
        ({"kernel": torch.zeros(3, 3, device="meta")}, ValueError, "kernel must be on the device of picture"),
        (
            {"kernel": torch.zeros(10, 3), "padding": 0},
            ValueError,
            "apply: axis 0: the window is larger than the padded",
        ),
        ({"padding": "sam"}, ValueError, "did you mean 'same'"),
        ({"padding_mode": "constant"}, ValueError, "border and padding_mode='constant' go together"),
        ({"padding_mode": "mirror"}, ValueError, "padding_mode must be one of zeros"),
        ({"axes": 3}, ValueError, "axes must be 1 or 2, got 3"),
        ({"axes": 1, "kernel": torch.zeros(1, 3, 3)}, ValueError, r"kernel must be \(KL\) or \(K, KL\), none 0"),
        (
            {"axes": 1, "picture": torch.zeros(1, 1, 1, 9)},
            ValueError,
            r"picture must be \(L\), \(C, L\) or \(N, C, L\)",
        ),
    ],
)
def test_errors_of_apply(change: dict[str, Any], error: type[Exception], message: str) -> None:
    right = {"picture": torch.zeros(9, 9), "kernel": torch.zeros(3, 3)}
    with pytest.raises(error, match=message):
        filters.apply(**{**right, **change})
