"""Beyond 2^31 elements: views of memory that is reserved and never touched, but for the few places that are read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import striate
from ops import checks
from striate.ops.dispatch import explain_dispatch

FAR = 2**31


@pytest.fixture(scope="module")
def reserved() -> Tensor:
    """Eight gibibytes of addresses, no memory behind them."""
    try:
        return torch.empty(FAR + 2**22)
    except RuntimeError as error:
        pytest.skip(f"no 8 GiB of addresses to be had: {error}")


@contextmanager
def little_memory() -> Iterator[None]:
    """What runs inside keeps less than 512 MiB: a copy would take 8 GiB, compiling a kernel up to 250 MiB."""

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    before = resident()
    yield
    assert resident() - before < 2**29


def conv(name: str, **settings: Any) -> Callable[..., Tensor]:
    return lambda input, weight: getattr(striate, name)(input, weight, **settings)


# What is called, the sizes and strides of its input, the shapes of the other tensors.
CASES: dict[str, tuple[Callable[..., Tensor], tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = {
    "torch, images apart": (conv("conv2d", padding="same"), (2, 3, 9, 8), (FAR, 72, 8, 1), (4, 3, 3, 3)),
    "torch, channels apart": (conv("conv2d", padding="half"), (2, 3, 9, 8), (216, FAR // 2, 8, 1), (4, 3, 3, 3)),
    "torch, rows apart": (conv("conv2d", stride=2), (2, 3, 3, 8), (216, 72, FAR // 2, 1), (4, 3, 3, 3)),
    "torch, places apart": (conv("conv1d", padding=1), (2, 3, 3), (9, 3, FAR // 2), (4, 3, 3)),
    "kernels, images apart": (conv("conv2d", groups=3), (2, 3, 9, 8), (FAR, 72, 8, 1), (3, 1, 3, 3)),
    "kernels, channels apart": (conv("conv2d", groups=3), (2, 3, 9, 8), (216, FAR // 2, 8, 1), (3, 1, 3, 3)),
    "kernels, rows apart": (conv("conv2d", groups=3, padding=1), (2, 3, 3, 8), (216, 72, FAR // 2, 1), (3, 1, 3, 3)),
    "kernels, places apart": (conv("conv1d", groups=3, padding="causal"), (2, 3, 3), (9, 3, FAR // 2), (3, 1, 3)),
    "kernels, channels last": (conv("conv2d", groups=4), (2, 4, 9, 8), (FAR, 1, 32, 4), (4, 1, 5, 5)),
    "spectra, images apart": (conv("conv1d", padding="same"), (2, 2, 99), (FAR, 99, 1), (3, 2, 70)),
    "four axes, images apart": (conv("conv4d"), (2, 2, 3, 3, 3, 3), (FAR, 81, 27, 9, 3, 1), (2, 2, 2, 2, 2, 2)),
    "transposed, images apart": (conv("conv_transpose2d", stride=3), (2, 3, 9, 8), (FAR, 72, 8, 1), (3, 2, 2, 2)),
    "sub-pixel, rows apart": (conv("conv_transpose2d", stride=2), (2, 3, 3, 8), (216, 72, FAR // 2, 1), (3, 2, 2, 2)),
    "correlate, planes apart": (striate.correlate, (2, 9, 8), (FAR, 8, 1), (3, 3)),
}


@pytest.mark.parametrize("case", CASES)
def test_numbers_that_lie_far_apart(case: str, reserved: Tensor) -> None:
    call, sizes, strides, shape = CASES[case]
    far = reserved.as_strided(sizes, strides)
    assert sum((n - 1) * step for n, step in zip(sizes, strides, strict=True)) >= FAR
    input, other = torch.randn(sizes), torch.randn(shape)
    layout = torch.channels_last if case.endswith("last") else torch.contiguous_format
    near = input.contiguous(memory_format=layout)
    expected, wished = call(near, other), checks.gradients_of(call, near, other)
    with little_memory():
        far.copy_(input)
        found = torch.autograd.grad(*weighted(call, far, other))
        checks.assert_close(call(far, other), expected)
    for own, gradient in zip(found, wished, strict=True):
        checks.assert_close(own, gradient)


def weighted(call: Callable[..., Tensor], *tensors: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The sum that `checks.gradients_of` differentiates, of these very tensors, which it would copy."""
    own = tuple(tensor.detach().requires_grad_() for tensor in tensors)
    output = call(*own)
    weights = torch.linspace(0.5, 1.5, output.numel(), dtype=torch.float64).to(output).view(output.shape)
    return (output * weights).sum(), own


@pytest.mark.parametrize(
    ("sizes", "strides"),
    [((2, 3, 5, 4), (FAR, 20, 4, 1)), ((1, 3, 3, 4), (0, 12, FAR // 2, 1))],
    ids=["images", "rows"],
)
def test_columns(sizes: tuple[int, ...], strides: tuple[int, ...], reserved: Tensor) -> None:
    input = torch.randn(sizes)
    with little_memory():
        far = reserved.as_strided(sizes, strides).copy_(input)
        assert torch.equal(striate.im2col2d(far, 3, padding=1), striate.im2col2d(input, 3, padding=1))


def test_columns_that_lie_far_apart(reserved: Tensor) -> None:
    columns = torch.randn(2, 24, 10)
    with little_memory():
        far = reserved.as_strided((2, 24, 10), (FAR, 10, 1)).copy_(columns)
        assert torch.equal(striate.col2im2d(far, (3, 6), 2), striate.col2im2d(columns, (3, 6), 2))


class TestOneLongAxis:
    """A contiguous input of more than 2^31 places, of which a stride leaves out almost all."""

    STRIDE = 2**30 - 1

    @pytest.fixture
    def series(self, reserved: Tensor) -> Tensor:
        series = reserved[: FAR + 1000].view(1, 1, -1)
        for window in range(3):
            series[..., window * self.STRIDE :][..., :4] = torch.tensor([1.0, 10, 100, 0]) + window
        return series

    def test_columns(self, series: Tensor) -> None:
        with little_memory():
            columns = striate.im2col1d(series, 3, stride=self.STRIDE)
        assert columns.tolist() == [[[1, 2, 3], [10, 11, 12], [100, 101, 102]]]

    def test_convolution(self, series: Tensor) -> None:
        weight = torch.arange(24.0).view(8, 1, 3)
        assert ": torch: " in explain_dispatch("conv1d", series[..., :9], weight)
        with little_memory():
            output = striate.conv1d(series, weight, stride=self.STRIDE)
        checks.assert_close(output[0], weight[:, 0] @ striate.im2col1d(series, 3, stride=self.STRIDE)[0])


def test_many_planes_under_the_kernels(reserved: Tensor) -> None:
    """Depthwise over 2,052 planes of a mebipixel each: the last lie beyond 2^31."""
    planes = 2052
    picture = reserved[: planes * 2**20].view(1, planes, 1024, 1024)
    weight = torch.ones(planes, 1, 13, 13)
    assert ": kernels: " in explain_dispatch("conv2d", picture[..., :20, :20], weight, groups=planes)
    picture[0, -1, -13:, -13:] = torch.arange(169.0).view(13, 13)
    with little_memory():
        output = striate.conv2d(picture, weight, stride=(1011, 1011), groups=planes)
    assert output.shape == (1, planes, 2, 2)
    assert output[0, -1, -1, -1] == 168 * 169 / 2
