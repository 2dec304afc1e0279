"""The deformable operators on a GPU, on the cases that Triton's interpreter runs elsewhere, and where numbers end."""

import math
from collections.abc import Callable

import pytest
import torch

pytest.importorskip("triton", reason="Triton is not installed")

import striate
from gpu_interpreted.test_deformed import CASES, Call, aggregated, convolved
from ops import deformed, test_deform_extremes
from ops.checks import gradients_of
from ops.test_deform_extremes import SERIES, TAPS
from striate.ops.deform_conv import reference

from .operators import DTYPES, check_call, compare, on_device, take_tiling

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU for CUDA here")

# Channels and filters for every size of a block.
WIDE: dict[str, Callable[[], Call]] = {
    "136 channels": lambda: convolved((5, 6), (3, 3), 136, 136),
    "64 channels": lambda: convolved((5, 6), (3, 3), 64, 64, moving=2),
    "groups of 24": lambda: convolved((5, 6), (3, 3), 48, 24, groups=2, masked=False),
    "depthwise": lambda: convolved((5, 6), (3, 3), 136, 1, groups=136),
    "aggregate": lambda: aggregated((5, 6), 3, 128, 2),
    "volume": lambda: convolved((2, 3, 4), (3, 3, 3), 40, 40, batch=1),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_outputs_and_gradients(case: str, dtype: torch.dtype) -> None:
    call, definition, tensors = CASES[case]()
    check_call(call, definition, tensors, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("case", WIDE)
@pytest.mark.parametrize("number", range(4))
def test_every_tiling(number: int, case: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    take_tiling(number, monkeypatch)
    call, definition, tensors = WIDE[case]()
    check_call(call, definition, tensors, dtype)


@pytest.mark.parametrize("case", ["136 channels", "depthwise", "aggregate"])
def test_whole_numbers_add_up_to_the_same_gradients(case: str) -> None:
    call, definition, tensors = WIDE[case]()
    torch.use_deterministic_algorithms(True)
    try:
        check_call(call, definition, tensors, torch.float32)
    finally:
        torch.use_deterministic_algorithms(False)


def test_products_in_tf32_where_the_user_allows_them() -> None:
    call, definition, tensors = WIDE["136 channels"]()
    settings, own = torch.backends.cuda.matmul, on_device(tensors)
    before = settings.fp32_precision
    exact = call(*own)
    settings.fp32_precision = "tf32"
    try:
        rounded = call(*own)
    finally:
        settings.fp32_precision = before
    compare([exact], [definition(*tensors)])
    # Ten bits of a factor are as many as those of float16.
    compare([rounded], [definition(*tensors)], torch.float16)
    assert not torch.equal(rounded, exact)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_float32_offsets_and_masks_beside_lower_values(dtype: torch.dtype) -> None:
    call, definition, (input, offset, weight, bias, mask) = CASES["plain"]()
    own = [input.to(dtype), offset.float(), weight.to(dtype), bias.to(dtype), mask.float()]
    device = [tensor.cuda() for tensor in own]
    compare([call(*device)], [definition(*own)], dtype)
    found = gradients_of(call, *device)
    assert [tensor.dtype for tensor in found] == [tensor.dtype for tensor in own]
    compare(found, gradients_of(definition, *own), dtype)


@pytest.mark.parametrize("kind", ["depthwise", "dense", "aggregate"])
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", range(3))
def test_what_is_not_finite_shows_as_in_the_definition(kind: str, axes: int, value: float, where: int) -> None:
    extremes = test_deform_extremes
    call, definition = (
        extremes.aggregated(axes) if kind == "aggregate" else extremes.convolved(axes, 3 if kind == "dense" else 1)
    )
    generator, taps, sizes = torch.Generator().manual_seed(axes), 2**axes, [4, 3, 5][:axes]
    places = [n + 1 for n in sizes]
    own = [
        deformed.draw(generator, 2, 3, *sizes),
        deformed.draw_offsets(generator, 2, taps * axes, *places),
        deformed.draw(generator, 2, taps, *places),
    ]
    own[where].view(-1)[::15] = value
    device = [tensor.cuda() for tensor in own]
    pairs = [(call(*device), definition(*own))]
    pairs += zip(gradients_of(call, *device), gradients_of(definition, *own), strict=True)
    for found, expected in pairs:
        torch.testing.assert_close(found.cpu(), expected, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("far", [2**28, 2**29, 2**30, 2**31, 2**32, 2**40])
def test_places_beyond_32_bits(far: int, dtype: torch.dtype) -> None:
    series, taps = SERIES.to(dtype).cuda(), TAPS.to(dtype).cuda()
    offset = torch.zeros(1, 3, 8, dtype=dtype, device="cuda")
    assert torch.equal(striate.deform_conv1d(series, offset, taps, padding=far, dilation=far), 10 * series)
    offset[:, 0], offset[:, 2] = far, -far
    assert torch.equal(striate.deform_conv1d(series, offset, taps, padding=far, dilation=far), 111 * series)


def test_gradients_beyond_32_bits() -> None:
    far, generator = 2**32, torch.Generator().manual_seed(0)
    offset = deformed.draw_offsets(generator, 1, 3, 8)
    offset[:, 0, ::2] += far
    offset[:, 2, 1::2] -= far
    tensors = [deformed.draw(generator, 1, 1, 8), offset, deformed.draw(generator, 1, 1, 3)]
    check_call(
        lambda *own: striate.deform_conv1d(*own, padding=far, dilation=far),
        lambda *own: reference.deform_conv(*own, None, None, [1], [far], [far]),
        tensors,
        torch.float64,
    )
