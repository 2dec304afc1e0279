import pytest
import torch

from striate.geometry import Window
from striate.models.picture_size import check_size, last_sizes

WINDOWS = (Window(5, 2), Window(3, 2, ceil_mode=True))


def test_last_sizes():
    assert last_sizes("net", (17, 32), WINDOWS) == (3, 7)
    assert last_sizes("net", (4, 9), ()) == (4, 9)


@pytest.mark.parametrize("sizes", [(6, 20), (20, 6), (1, 1)])
def test_the_error_names_the_smallest_picture(sizes: tuple[int, int]):
    with pytest.raises(ValueError, match=f"net needs pictures of at least 7x7 pixels, got a side of {min(sizes)}"):
        last_sizes("net", sizes, WINDOWS)
    assert last_sizes("net", (7, 7), WINDOWS) == (1, 1)


@pytest.mark.parametrize("sizes", [(20,), (20, 20, 20), (0, 20)])
def test_a_picture_has_a_height_and_a_width(sizes: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"input_size must be \(H, W\), each at least 1, got"):
        last_sizes("net", sizes, WINDOWS)


def test_check_size():
    picture = torch.zeros(1, 3, 7, 9)
    assert check_size("net", picture, (7, 9)) is picture
    with pytest.raises(
        ValueError, match=r"this net is made for pictures of 9x7 pixels \(input_size\), got \(1, 3, 7, 9\)"
    ):
        check_size("net", picture, (9, 7))
