"""What the deformable operators refuse, and how they say so."""

import math
from typing import Any

import pytest
import torch

from striate.ops.deform_aggregate import deform_aggregate2d
from striate.ops.deform_conv import deform_conv1d, deform_conv2d

OFFSET = r"deform_conv2d: offset must be \(8, 18 \* groups, 7, 7\), 2 for each of 9 taps, got "
CHANNELS = r"deform_conv2d: input has 4 channels, weight \(., ., 3, 3\) takes "


def zeros(*sizes: int, dtype: torch.dtype = torch.float32, device: str = "cpu") -> torch.Tensor:
    return torch.zeros(sizes, dtype=dtype, device=device)


BOTH: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"input": zeros(4, 9)}, ValueError, r"input must be \(N, C, H, W\) or \(C, H, W\), got \(4, 9\)"),
    ({"input": zeros(8, 4, 9, 9, dtype=torch.int64)}, TypeError, "input must hold floating-point numbers"),
    ({"input": zeros(8, 4, 0, 9)}, ValueError, "axis 0: the input size must be at least 1"),
    ({"offset": zeros(8, 18, 7, 7, dtype=torch.float64)}, TypeError, "offset must have the dtype .* got torch.float64"),
    ({"offset": zeros(8, 18, 7, 7, device="meta")}, ValueError, "offset must be on the device of input, cpu, got meta"),
    ({"offset": None}, TypeError, "deform_.*2d: offset must be a tensor, got NoneType"),
    ({"mask": [1.0]}, TypeError, "deform_.*2d: mask must be a tensor, got list"),
    ({"mask": zeros(8, 18, 7, 7)}, ValueError, r"mask must be \(8, 9, 7, 7\), .* 9 taps in 1 .* got \(8, 18, 7, 7\)"),
    ({"mask": zeros(9, 7, 7)}, ValueError, r"mask must be \(8, 9, 7, 7\)"),
    ({"mask": zeros(8, 9, 7, 7, dtype=torch.bfloat16)}, TypeError, "mask must have the dtype .* got torch.bfloat16"),
    ({"mask": zeros(8, 9, 7, 7, device="meta")}, ValueError, "mask must be on the device of input, cpu, got meta"),
    ({"stride": 0}, ValueError, "stride must be an integer of at least 1"),
    ({"stride": None}, TypeError, "stride must be an integer of at least 1, got None"),
    ({"dilation": (1, 0)}, ValueError, "dilation must be an integer of at least 1"),
    ({"padding": -1}, ValueError, "padding must be an integer of at least 0"),
    ({"padding": "sam"}, ValueError, "did you mean 'same'"),
    ({"padding": (1, 2, 3, 4)}, ValueError, r"for pairs \(low, high\) write \(\(1, 2\), \(3, 4\)\)"),
]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        *BOTH,
        ({"weight": zeros(6, 2, 3, 3, dtype=torch.float64)}, TypeError, "weight must have the dtype of input"),
        ({"weight": zeros(6, 2, 3, 3, device="meta")}, ValueError, "weight must be on the device of input"),
        ({"weight": zeros(6, 2, 3)}, ValueError, r"weight must be \(out, in / groups, k1, k2\)"),
        ({"weight": zeros(6, 2, 0, 3)}, ValueError, "weight must be .* none 0"),
        ({"weight": zeros(6, 3, 3, 3)}, ValueError, CHANNELS + "3 a group"),
        ({"weight": zeros(6, 8, 3, 3)}, ValueError, CHANNELS + "8 a group and gives 6: there must be a whole number"),
        ({"weight": zeros(5, 2, 3, 3)}, ValueError, CHANNELS + "2 a group and gives 5: .* it must divide 5"),
        ({"weight": zeros(6, 2, 3, 12)}, ValueError, "axis 1: the window is larger than the padded input"),
        ({"bias": zeros(5)}, ValueError, r"bias must be \(6,\), one number a filter, got \(5,\)"),
        ({"bias": zeros(6, dtype=torch.float64)}, TypeError, "bias must have the dtype of input"),
        ({"offset": zeros(8, 17, 7, 7)}, ValueError, OFFSET + r"\(8, 17, 7, 7\)"),
        ({"offset": zeros(8, 0, 7, 7)}, ValueError, OFFSET + r"\(8, 0, 7, 7\)"),
        ({"offset": zeros(8, 18, 9, 9)}, ValueError, OFFSET + r"\(8, 18, 9, 9\)"),
        ({"offset": zeros(1, 18, 7, 7)}, ValueError, OFFSET + r"\(1, 18, 7, 7\)"),
        ({"offset": zeros(18, 7, 7)}, ValueError, OFFSET + r"\(18, 7, 7\)"),
        ({"input": zeros(4, 9, 9)}, ValueError, r"offset must be \(18 \* groups, 7, 7\)"),
        ({"offset": zeros(8, 54, 7, 7)}, ValueError, "groups of offset must divide the 4 channels .* got 3 groups"),
    ],
)
def test_errors_of_convolution(change: dict[str, Any], error: type[Exception], message: str) -> None:
    right = {"input": zeros(8, 4, 9, 9), "offset": zeros(8, 18, 7, 7), "weight": zeros(6, 2, 3, 3)}
    with pytest.raises(error, match=message):
        deform_conv2d(**{**right, **change})


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        *BOTH,
        ({"input": zeros(8, 0, 9, 9)}, ValueError, r"input must have at least one channel, got \(8, 0, 9, 9\)"),
        ({"mask": None}, TypeError, "mask must be a tensor, got NoneType"),
        ({"kernel_size": 0}, ValueError, "kernel_size must be an integer of at least 1"),
        ({"kernel_size": (3, 3, 3)}, ValueError, r"kernel_size must be one number or one an axis \(2\)"),
        ({"kernel_size": 10}, ValueError, "axis 0: the window is larger than the padded input"),
        ({"kernel_size": 2}, ValueError, r"offset must be \(8, 8, 8, 8\), 2 for each of 4 taps"),
        ({"offset": zeros(8, 36, 7, 7)}, ValueError, r"offset must be \(8, 18, 7, 7\), .* got \(8, 36, 7, 7\)"),
        ({"groups": 2}, ValueError, r"offset must be \(8, 36, 7, 7\), 2 for each of 9 taps"),
        ({"groups": 0}, ValueError, "deform_aggregate2d: groups must be an integer of at least 1, got 0"),
        ({"groups": 1.0}, TypeError, "groups must be an integer of at least 1, got 1.0"),
        ({"groups": 3, "offset": zeros(8, 54, 7, 7)}, ValueError, "must divide the 4 channels .* got 3 groups"),
        ({"offset_scale": math.inf}, ValueError, "offset_scale must be a finite number, got inf"),
        ({"offset_scale": 1e39}, ValueError, r"must be a finite number, got 1e\+39, which is none in float32"),
        ({"offset_scale": "2"}, TypeError, "offset_scale must be a finite number, got '2'"),
        ({"remove_center": 1}, TypeError, "remove_center must be True or False, got 1"),
        ({"remove_center": True}, ValueError, r"offset must be \(8, 16, 7, 7\), 2 for each of 8 taps"),
        ({"remove_center": True, "kernel_size": (3, 2)}, ValueError, r"wants odd kernel sizes .* got .* \(3, 2\)"),
        ({"remove_center": True, "kernel_size": 1}, ValueError, "more than one tap, got kernel_size"),
    ],
)
def test_errors_of_aggregation(change: dict[str, Any], error: type[Exception], message: str) -> None:
    tensors = {"input": zeros(8, 4, 9, 9), "offset": zeros(8, 18, 7, 7), "mask": zeros(8, 9, 7, 7)}
    with pytest.raises(error, match=message):
        deform_aggregate2d(**{**tensors, "kernel_size": 3, **change})


def test_float32_offsets_go_with_lower_values_only() -> None:
    offset = zeros(1, 18, 7, 7, dtype=torch.float16)
    with pytest.raises(TypeError, match="dtype of input, torch.bfloat16 or torch.float32, got torch.float16"):
        deform_conv2d(zeros(1, 1, 9, 9).bfloat16(), offset, zeros(1, 1, 3, 3).bfloat16())


def test_one_axis_wants_a_pair_of_pairs() -> None:
    with pytest.raises(ValueError, match=r"\(\(1, 2\),\)"):
        deform_conv1d(zeros(1, 2, 9), zeros(1, 3, 9), zeros(1, 2, 3), padding=(1, 2))
