import pytest

from striate.models.input_size import check_input_size


def test_sizes_that_will_do():
    check_input_size((1,), 1)
    check_input_size((75, 80), 2, least=75)
    check_input_size((16, 112, 112), 3)


@pytest.mark.parametrize(
    ("size", "axes", "least", "message"),
    [
        ((0,), 1, 1, r"input_size must be \(L,\), each at least 1, got \(0,\)"),
        ((32,), 2, 1, r"input_size must be \(H, W\), each at least 1, got \(32,\)"),
        ((80, 74), 2, 75, r"input_size must be \(H, W\), each at least 75, got \(80, 74\)"),
        ((32, 32), 3, 1, r"input_size must be \(T, H, W\), each at least 1, got \(32, 32\)"),
    ],
)
def test_sizes_that_will_not(size: tuple[int, ...], axes: int, least: int, message: str):
    with pytest.raises(ValueError, match=message):
        check_input_size(size, axes, least)
