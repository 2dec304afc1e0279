import pytest
import torch

from striate.geometry import Window, windows


def test_one_number_is_for_every_axis() -> None:
    assert windows(3, 3, 2, 1, 2) == (Window(3, 2, 1, 2),) * 3


def test_one_number_an_axis() -> None:
    assert windows(2, (3, 5), [1, 2], (1, 2), (1, 3), True) == (
        Window(3, 1, 1, 1, True),
        Window(5, 2, 2, 3, True),
    )
    assert windows(2, torch.Size([3, 5])) == (Window(3), Window(5))


def test_no_stride_is_an_error() -> None:
    with pytest.raises(TypeError, match="stride must be an integer of at least 1, got None"):
        windows(2, (2, 3), None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("axes", "padding", "expected"),
    [
        (2, "same", ("same", "same")),
        (1, 2, (2,)),
        (1, ((1, 2),), ((1, 2),)),
        (1, ("full",), ("full",)),
        (2, (1, 2), (1, 2)),
        (2, ((0, 1), (2, 3)), ((0, 1), (2, 3))),
        (2, [[0, 1], [2, 3]], ((0, 1), (2, 3))),
        (3, ("causal", "same", (1, 2)), ("causal", "same", (1, 2))),
    ],
)
def test_every_form_of_padding(axes: int, padding: object, expected: tuple[object, ...]) -> None:
    assert tuple(window.padding for window in windows(axes, 3, padding=padding)) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("axes", "arguments", "error", "message"),
    [
        (0, {}, ValueError, "axes must be an integer of at least 1, got 0"),
        (
            2,
            {"kernel_size": (3,)},
            ValueError,
            r"kernel_size must be one number or one an axis \(2\), got \(3,\) with 1",
        ),
        (2, {"kernel_size": (3, 0)}, ValueError, "kernel_size must be an integer of at least 1, got 0"),
        (2, {"kernel_size": "33"}, TypeError, "kernel_size must be an integer of at least 1, got '3'"),
        (3, {"stride": (1, 2)}, ValueError, r"stride must be one number or one an axis \(3\), got \(1, 2\) with 2"),
        (1, {"stride": 0.5}, TypeError, "stride must be an integer of at least 1, got 0.5"),
        (1, {"dilation": [1, 1]}, ValueError, r"dilation must be one number .* \(1\), got \[1, 1\] with 2"),
        (1, {"padding": (1, 2)}, ValueError, r"got \(1, 2\) with 2; for pairs .* write \(\(1, 2\),\)$"),
        (2, {"padding": (1, 1, 2, 2)}, ValueError, r"for pairs \(low, high\) write \(\(1, 1\), \(2, 2\)\)$"),
        (2, {"padding": ("same",)}, ValueError, r"padding must have one entry an axis \(2\), got \('same',\) with 1$"),
        (2, {"padding": None}, TypeError, "padding must be a number, a word or a tuple .* got None"),
        (2, {"padding": (1, None)}, TypeError, "padding must be an integer, a pair .* or a word, got None"),
    ],
)
def test_wrong_arguments_are_refused(
    axes: int, arguments: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        windows(axes, **{"kernel_size": 3, **arguments})  # type: ignore[arg-type]
