"""The sizes that the lectures give."""

import pytest
import torch
import torch.nn.functional as F

from striate.geometry import Window, receptive_field


@pytest.mark.parametrize(
    ("window", "n", "outputs"),
    [
        (Window(3, stride=1, padding=1), 5, 5),
        (Window(3, stride=2, padding=1), 5, 3),
        (Window(5, stride=2), 11, 4),
        (Window(11, stride=4), 227, 55),
        (Window(5, padding=4), 200, 204),
        (Window(5, padding=2), 200, 200),
        (Window(3), 7, 5),
        (Window(2, stride=2), 4, 2),
    ],
    ids=str,
)
def test_sizes(window: Window, n: int, outputs: int) -> None:
    assert window.output_size(n) == outputs
    assert (n - window.kernel + 2 * window.pads()[0]) // window.stride + 1 == outputs


def test_maps_of_5x5_with_padding_4_have_832320_units_and_with_padding_2_800000() -> None:
    assert 20 * Window(5, padding=4).output_size(200) ** 2 == 832_320
    assert 20 * Window(5, padding=2).output_size(200) ** 2 == 800_000


def test_full_padding_of_the_5x5_kernel_is_the_padding_4() -> None:
    assert Window(5, padding="full").pads() == (4, 4)
    assert Window(5, padding="half").pads() == (2, 2)


@pytest.mark.parametrize(("stride", "expected"), [(1, [-2, 2, 1, 2, 1]), (2, [-2, 1, 1])])
def test_the_example_in_one_dimension_reads_its_placements(stride: int, expected: list[int]) -> None:
    x, taps = [1, 2, -1, 1, -3], [1, 0, -1]
    placements = Window(3, stride=stride, padding=1).placements(5)
    by_placement = [
        sum(tap * x[i] for tap, i in zip(taps, placement, strict=True) if 0 <= i < 5) for placement in placements
    ]
    by_torch = F.conv1d(torch.tensor([[x]]), torch.tensor([[taps]]), stride=stride, padding=1)
    assert by_placement == by_torch.flatten().tolist() == expected


def test_a_quotient_that_is_no_integer_leaves_inputs_unread_and_fixes_are_suggested() -> None:
    window = Window(3, stride=2)
    assert (6 - 3) % 2 != 0
    assert window.remainder(6) == 1 and window.unread(6) == (5,)
    settings = {setting for fix in window.fixes(6) for setting in fix.settings}
    assert settings == {"padding", "size", "stride", "kernel"}


def test_a_stride_larger_than_the_kernel_skips_inputs() -> None:
    assert Window(2, stride=3).unread(8) == (2, 5)


def test_a_3x3_kernel_with_dilation_2_covers_5x5() -> None:
    window = Window(3, dilation=2)
    assert window.extent == 5
    assert [list(placement) for placement in window.placements(5)] == [[0, 2, 4]]


def test_dilation_without_an_undilated_layer_leaves_gaps() -> None:
    assert Window(3, dilation=2).unread(5) == (1, 3)


@pytest.mark.parametrize(("n", "stride", "kernel", "padding"), [(4, 2, 3, 1), (5, 1, 3, 0), (7, 4, 4, 0), (3, 3, 5, 2)])
def test_transposed_size(n: int, stride: int, kernel: int, padding: int) -> None:
    window = Window(kernel, stride, padding)
    assert window.transposed_output_size(n) == (n - 1) * stride + kernel - 2 * padding


def test_three_3x3_layers_see_what_one_7x7_sees() -> None:
    assert receptive_field([Window(3, padding=1)] * 3) == receptive_field([Window(7, padding=3)])
    assert receptive_field([Window(3)] * 3).size == 7
