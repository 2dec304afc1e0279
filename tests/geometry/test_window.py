"""The window against what torch returns, on every legal configuration of a small grid."""

from collections.abc import Callable
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from striate.geometry import Window

SIZES = range(1, 13)
GRID = [
    Window(kernel, stride, padding, dilation)
    for kernel, stride, padding, dilation in product(range(1, 6), range(1, 4), range(4), range(1, 4))
]
POOLING_GRID = [window for window in GRID if 2 * window.padding <= window.kernel]


def size_or_none(call: Callable[..., int | Tensor], *arguments: object) -> int | None:
    """The size that comes back, None where the call refuses."""
    try:
        result = call(*arguments)
    except (ValueError, RuntimeError):
        return None
    return result.shape[-1] if isinstance(result, Tensor) else result


def ones(size: int) -> Tensor:
    return torch.ones(1, 1, size, dtype=torch.float64)


def read_by(function: Callable[..., Tensor], n: int, *arguments: object) -> set[int]:
    """The inputs that get a gradient."""
    x = ones(n).requires_grad_()
    (gradient,) = torch.autograd.grad(function(x, *arguments).sum(), x)
    return set(gradient.flatten().nonzero().flatten().tolist())


@pytest.mark.parametrize("kernel", range(1, 6))
def test_output_size_is_that_of_conv1d(kernel: int) -> None:
    weight = torch.empty(1, 1, kernel, device="meta")
    for window, n in product((window for window in GRID if window.kernel == kernel), SIZES):
        x = torch.empty(1, 1, n, device="meta")
        theirs = size_or_none(F.conv1d, x, weight, None, window.stride, window.padding, window.dilation)
        assert size_or_none(window.output_size, n) == theirs, (window, n)
        assert window.fits(n) == (theirs is not None), (window, n)


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_output_size_is_that_of_max_pool1d(ceil_mode: bool) -> None:
    for grid_window, n in product(POOLING_GRID, SIZES):
        setting = (grid_window.kernel, grid_window.stride, grid_window.padding, grid_window.dilation, ceil_mode)
        x = torch.empty(1, 1, n, device="meta")
        theirs = size_or_none(F.max_pool1d, x, *setting)
        assert size_or_none(Window(*setting).output_size, n) == theirs, (setting, n)


def test_an_empty_input_is_refused_as_torch_refuses_it() -> None:
    empty = torch.empty(1, 1, 0)
    with pytest.raises(RuntimeError):
        F.conv1d(empty, torch.empty(1, 1, 3), padding=2)
    with pytest.raises(RuntimeError):
        F.max_pool1d(empty, 3, padding=1)
    for call in (Window(3, padding=2).output_size, Window(3, padding="same").output_size, Window(3).fits):
        with pytest.raises(ValueError, match="input size must be at least 1, got 0"):
            call(0)


@pytest.mark.parametrize("kernel", range(1, 6))
def test_transposed_output_size_is_that_of_conv_transpose1d(kernel: int) -> None:
    weight = torch.empty(1, 1, kernel)
    for window, n in product((window for window in GRID if window.kernel == kernel), (1, 2, 5)):
        for extra in range(max(window.stride, window.dilation) + 1):
            arguments = (torch.empty(1, 1, n), weight, None, window.stride, window.padding, extra, 1, window.dilation)
            theirs = size_or_none(F.conv_transpose1d, *arguments)
            assert size_or_none(window.transposed_output_size, n, extra) == theirs, (window, n, extra)


@settings(deadline=None)
@given(
    st.builds(
        Window,
        st.integers(1, 9),
        st.integers(1, 9),
        st.tuples(st.integers(0, 9), st.integers(0, 9)),
        st.integers(1, 4),
    ),
    st.integers(1, 200),
)
def test_some_output_padding_undoes_the_size_of_a_convolution(window: Window, n: int) -> None:
    if window.fits(n):
        assert window.transposed_output_size(window.output_size(n), window.remainder(n)) == n


@pytest.mark.parametrize("kernel", range(1, 6))
def test_placements_are_the_columns_of_unfold(kernel: int) -> None:
    for window, n in product((window for window in GRID if window.kernel == kernel), SIZES):
        if not window.fits(n):
            continue
        padded = F.pad(torch.arange(1, n + 1), (window.padding, window.padding))
        columns = padded.unfold(0, window.extent, window.stride)[:, :: window.dilation].tolist()
        placements = window.placements(n)
        taken = [[i + 1 if 0 <= i < n else 0 for i in placement] for placement in placements]
        assert taken == columns, (window, n)
        assert all(len(placement) == kernel for placement in placements)


@pytest.mark.parametrize("kernel", range(1, 6))
def test_unread_inputs_get_no_gradient_and_stand_under_no_tap(kernel: int) -> None:
    weight = ones(kernel)
    for window, n in product((window for window in GRID if window.kernel == kernel), SIZES):
        if not window.fits(n):
            continue
        unread = window.unread(n)
        read = read_by(F.conv1d, n, weight, None, window.stride, window.padding, window.dilation)
        assert unread == tuple(i for i in range(n) if i not in read), (window, n)
        starts = range(-window.padding, n + window.padding - window.extent + 1, window.stride)
        under_a_tap = {start + tap * window.dilation for start in starts for tap in range(kernel)}
        assert unread == tuple(i for i in range(n) if i not in under_a_tap), (window, n)


def test_unread_with_a_last_window_that_hangs_over() -> None:
    for grid_window, n in product(POOLING_GRID, SIZES):
        kernel, stride, padding = grid_window.kernel, grid_window.stride, grid_window.padding
        window = Window(kernel, stride, padding, ceil_mode=True)
        if window.fits(n):
            read = read_by(F.avg_pool1d, n, kernel, stride, padding, True)
            assert window.unread(n) == tuple(i for i in range(n) if i not in read), (window, n)


def test_remainder_is_what_the_padded_grid_has_beyond_the_last_placement() -> None:
    for window, n in product(GRID, SIZES):
        if window.fits(n):
            end = window.placements(n)[-1].stop
            assert window.remainder(n) == n + window.padding - end
            assert 0 <= window.remainder(n) < window.stride


def test_remainder_is_0_where_the_last_window_hangs_over() -> None:
    assert Window(2, stride=2).remainder(5) == 1
    assert Window(2, stride=2, ceil_mode=True).remainder(5) == 0
    assert Window(1, stride=3, padding=(0, 2), ceil_mode=True).remainder(4) == 2


def test_the_first_layer_of_resnet_has_a_remainder_and_reads_everything() -> None:
    window = Window(7, stride=2, padding=3)
    assert (window.output_size(224), window.remainder(224), window.unread(224)) == (112, 1, ())


def test_known_layers_that_lose_inputs() -> None:
    assert Window(11, stride=4).unread(224) == (223,)
    assert Window(1, stride=2).unread(56) == tuple(range(1, 56, 2))
    assert Window(2, stride=3).unread(100_000) == (*range(2, 100_000, 3), 99_999)


def test_extent_is_the_effective_kernel() -> None:
    assert [Window(3, dilation=dilation).extent for dilation in (1, 2, 3)] == [3, 5, 7]
    assert Window(1, dilation=9).extent == 1


def test_windows_are_values() -> None:
    assert Window(3, 2, 1) == Window(3, stride=2, padding=1)
    assert len({Window(3), Window(3), Window(3, padding="same")}) == 2
    with pytest.raises(AttributeError):
        Window(3).kernel = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"kernel": 0}, ValueError, "kernel must be an integer of at least 1, got 0"),
        ({"kernel": 3.0}, TypeError, "kernel must be an integer of at least 1, got 3.0"),
        ({"kernel": True}, TypeError, "kernel must be an integer of at least 1, got True"),
        ({"kernel": 3, "stride": 0}, ValueError, "stride must be an integer of at least 1, got 0"),
        ({"kernel": 3, "stride": None}, TypeError, "stride must be an integer of at least 1, got None"),
        ({"kernel": 3, "dilation": -1}, ValueError, "dilation must be an integer of at least 1, got -1"),
        ({"kernel": 3, "ceil_mode": 1}, TypeError, "ceil_mode must be True or False, got 1"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Window(**wrong)  # type: ignore[arg-type]


def test_a_window_larger_than_the_padded_input_is_refused() -> None:
    window = Window(3, dilation=4, padding=(1, 2))
    message = r"kernel 3 with dilation 4 covers 9 places, input 5 with padding \(1, 2\) has 8"
    for call in (window.output_size, window.remainder, window.unread, window.placements, window.fixes):
        with pytest.raises(ValueError, match=message):
            call(5)


def test_wrong_transposed_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="below the larger of stride 2 and dilation 1, got 2"):
        Window(3, stride=2).transposed_output_size(4, output_padding=2)
    with pytest.raises(ValueError, match="at least 0 .* got -1"):
        Window(3, stride=2).transposed_output_size(4, output_padding=-1)
    with pytest.raises(ValueError, match="input size must be at least 1, got 0"):
        Window(3).transposed_output_size(0)
    with pytest.raises(
        ValueError, match="the transposed output is empty: input 1 .* covers 3 places, .* 2 low and 2 h"
    ):
        Window(3, padding=2).transposed_output_size(1)
