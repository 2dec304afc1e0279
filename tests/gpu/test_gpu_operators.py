"""Every other operator with kernels on a GPU: numbers and gradients in every dtype, memory formats, and extremes."""

import math

import pytest
import torch

pytest.importorskip("triton", reason="Triton is not installed")

import striate
from ops.checks import gradients_of
from striate.ops.local_response_norm import reference as response
from striate.ops.local_response_norm.registered import normalize

from .operators import CASES, DTYPES, Function, check_call, compare, drawn, quarters, take_tiling

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU for CUDA here")
LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
# One channel lies first and last.
SHAPES = {case: make()[2][0].shape for case, make in CASES.items()}
MAPS = [case for case, shape in SHAPES.items() if len(shape) in LAST and shape[1] > 1]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_outputs_and_gradients(case: str, dtype: torch.dtype) -> None:
    call, definition, tensors = CASES[case]()
    check_call(call, definition, tensors, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("case", MAPS)
def test_channels_last(case: str, dtype: torch.dtype) -> None:
    call, definition, tensors = CASES[case]()
    layout = LAST[tensors[0].ndim]
    own = [tensor.to(dtype) for tensor in tensors]
    own[0] = own[0].contiguous(memory_format=layout)
    device, wide = [tensor.cuda() for tensor in own], [tensor.double() for tensor in own]
    output = call(*device)
    assert output.is_contiguous(memory_format=layout)
    compare([output], [definition(*wide)], dtype)
    compare(gradients_of(call, *device), gradients_of(definition, *wide), dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("case", ["depthwise: picture", "depthwise: large", "unshared: picture", "norm: volume"])
@pytest.mark.parametrize("number", range(1, 4))
def test_every_tiling(number: int, case: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    take_tiling(number, monkeypatch)
    call, definition, tensors = CASES[case]()
    check_call(call, definition, tensors, dtype)


# A plane above a block, channels above a tile, windows above the ones that are unrolled.
WIDE: dict[str, tuple[Function, tuple[tuple[int, ...], ...]]] = {
    "conv2d": (lambda x, w: striate.conv2d(x, w, padding=15, groups=70), ((2, 70, 45, 50), (70, 1, 31, 31))),
    "conv3d": (lambda x, w: striate.conv3d(x, w, padding=1, groups=70), ((2, 70, 5, 20, 21), (70, 1, 3, 3, 3))),
    "local_conv2d": (lambda x, w: striate.local_conv2d(x, w), ((70, 66, 5, 6), (3, 4, 68, 66, 3, 3))),
    "local_conv_transpose2d": (
        lambda x, w: striate.local_conv_transpose2d(x, w, stride=2),
        ((70, 68, 3, 4), (3, 4, 68, 66, 3, 3)),
    ),
    "local_response_norm": (lambda x: striate.local_response_norm(x, 5), ((2, 70, 30, 31),)),
    "local_contrast_norm": (lambda x: striate.local_contrast_norm(x, 9), ((2, 70, 30, 31),)),
    "avg_pool3d": (lambda x: striate.avg_pool3d(x, 3, 2, 1), ((2, 70, 9, 30, 31),)),
    "max_pool3d": (lambda x: striate.max_pool3d(x, 3, 2, 1), ((2, 70, 9, 30, 31),)),
    "lp_pool2d": (lambda x: striate.lp_pool2d(x, 2.5, 3, 2), ((2, 70, 30, 31),)),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("name", WIDE)
def test_more_than_one_tile(name: str, last: bool, dtype: torch.dtype) -> None:
    function, shapes = WIDE[name]
    tensors = drawn(*shapes)
    if last:
        tensors[0] = tensors[0].contiguous(memory_format=LAST[tensors[0].ndim])
    # On the CPU, the operator's other room is the definition.
    check_call(function, function, tensors, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_no_number_in_windows(dtype: torch.dtype) -> None:
    line = torch.tensor([[[math.nan, 1.0, -math.inf, -math.inf, math.inf, math.nan, 0.5]]], dtype=dtype)
    maxima, places = striate.max_pool1d(line.cuda(), 2, 1, ((1, 2),), return_indices=True)
    expected, named = striate.max_pool1d(line, 2, 1, ((1, 2),), return_indices=True)
    assert torch.equal(places.cpu(), named)
    torch.testing.assert_close(maxima.cpu(), expected, equal_nan=True)
    for power in (0.7, 1, 2, 3.3):
        found = striate.lp_pool1d(line.cuda(), power, 2, 1, padding=1)
        torch.testing.assert_close(found.cpu(), striate.lp_pool1d(line, power, 2, 1, padding=1), equal_nan=True)


@pytest.mark.parametrize("scale", [1e-40, 1e-30, 1e30])
def test_norms_of_numbers_whose_powers_leave_the_range(scale: float) -> None:
    tensor = scale * torch.tensor([[[1.0, 2.0, -3.0, 0.0]]]).double()
    check_call(
        lambda input: striate.lp_pool1d(input, 3, 2, 1),
        lambda input: striate.lp_pool1d(input, 3, 2, 1),
        [tensor.float().double()],
        torch.float32,
    )


@pytest.mark.parametrize("beta", [0.5, 0.75, 1.0, 1.3])
def test_infinity_and_nan_in_response_norm(beta: float) -> None:
    line, settings = torch.tensor([[1.0, math.inf, 2.0, 3.0, math.nan, 1.0]]), (1, 1, 0.1, beta, 1.0, False)
    expected = response.local_response_norm(line, *settings)
    torch.testing.assert_close(normalize(line.cuda(), *settings).cpu(), expected, equal_nan=True)
    assert normalize(torch.zeros(1, 3, device="cuda"), 1, 1, 0.1, beta, 0.0, False).isnan().all()


@pytest.mark.parametrize("scale", [1e-6, 1e4])
def test_response_norm_of_very_large_and_very_small_numbers(scale: float) -> None:
    tensors = [scale * tensor for tensor in drawn((2, 6, 3, 4))]
    check_call(
        lambda input: striate.local_response_norm(input, 3),
        lambda input: striate.local_response_norm(input, 3),
        tensors,
        torch.float32,
    )


def test_equal_numbers_become_exactly_nothing() -> None:
    flat = torch.full((1, 3, 9, 8), 0.1, device="cuda")
    assert not striate.local_contrast_norm(flat, 5).any()
    assert not striate.subtractive_norm(flat, 5).any()


def test_a_place_that_is_none() -> None:
    for wrong in (-2, 15):
        indices = torch.tensor([[[0, wrong]]], device="cuda")
        with pytest.raises(ValueError, match=rf"indices must be from 0 to 14, .* or -1, got {wrong}"):
            striate.max_unpool1d(torch.ones(1, 1, 2, device="cuda"), indices, 2, output_size=(15,))


def test_winners_are_those_of_the_cpu() -> None:
    (volumes,) = quarters((2, 3, 5, 6, 7))
    found = striate.max_pool3d(volumes.float().cuda(), 3, 2, 1, return_indices=True)
    expected = striate.max_pool3d(volumes.float(), 3, 2, 1, return_indices=True)
    assert torch.equal(found[0].cpu(), expected[0])
    assert torch.equal(found[1].cpu(), expected[1])
