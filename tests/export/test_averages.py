"""Adaptive averages for any size."""

import pytest
import torch
from torch import nn

from striate.export.averages import open_averages


@pytest.mark.parametrize(
    ("pooling", "sizes"),
    [
        (nn.AdaptiveAvgPool1d(5), [(3,), (5,), (13,)]),
        (nn.AdaptiveAvgPool2d(7), [(1, 1), (7, 7), (8, 14), (5, 17)]),
        (nn.AdaptiveAvgPool2d((6, None)), [(4, 9), (13, 2)]),
        (nn.AdaptiveAvgPool3d((2, 3, 1)), [(4, 5, 6)]),
    ],
    ids=["series", "pictures", "one axis", "volumes"],
)
def test_equal_to_the_layer(pooling: nn.Module, sizes: list[tuple[int, ...]]) -> None:
    network = nn.Sequential(pooling)
    open_averages(network)
    assert network[0] is not pooling
    for size in sizes:
        input = torch.randn(2, 3, *size, dtype=torch.float64)
        torch.testing.assert_close(network(input), pooling(input))


def test_the_mean_of_everything_stays() -> None:
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1))
    before = network[0]
    open_averages(network)
    assert network[0] is before
