import copy
import pickle
from typing import Any

import pytest
import torch
from torch import nn

from ops.checks import check_compiles
from striate.geometry import Window
from striate.nn import MaxPool1d, MaxPool2d, MaxPool3d
from striate.nn.max_pool import MaxPoolNd
from striate.ops.max_pool import max_pool1d, max_pool2d, max_pool3d

LAYERS = ((MaxPool1d, max_pool1d), (MaxPool2d, max_pool2d), (MaxPool3d, max_pool3d))
TORCH = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)


@pytest.mark.parametrize(("layer", "function"), LAYERS)
@pytest.mark.parametrize("settings", [{}, {"stride": 2, "padding": "same_lower", "dilation": 2}, {"ceil_mode": True}])
def test_is_the_function(layer: type[MaxPoolNd], function: Any, settings: dict[str, Any]) -> None:
    input = torch.randn(2, 3, *[7] * layer._axes)
    assert torch.equal(layer(3, **settings)(input), function(input, 3, **settings))
    found = layer(3, return_indices=True, **settings)(input)
    assert all(map(torch.equal, found, function(input, 3, **settings, return_indices=True)))


@pytest.mark.parametrize("arguments", [(2,), (3, 2, 1), (3, 2, 1, 1, True, True), (3, None, 1, 2)], ids=str)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_has_the_arguments_of_pytorch(axes: int, arguments: tuple[Any, ...]) -> None:
    ours, theirs = LAYERS[axes - 1][0](*arguments), TORCH[axes - 1](*arguments)
    input = torch.randn(2, 3, *[9] * axes)
    assert repr(ours) == repr(theirs)
    found, expected = ours(input), theirs(input)
    assert all(map(torch.equal, found, expected)) if ours.return_indices else torch.equal(found, expected)
    assert ours.state_dict() == {}


def test_windows_are_those_of_the_layer() -> None:
    assert MaxPool2d((3, 2), padding=("same", 1), ceil_mode=True).windows == (
        Window(3, 3, "same", 1, True),
        Window(2, 2, 1, 1, True),
    )


def test_copies() -> None:
    layer, input = MaxPool2d(3, 2, "same"), torch.randn(1, 2, 8, 8)
    assert repr(layer) == "MaxPool2d(kernel_size=3, stride=2, padding='same', dilation=1, ceil_mode=False)"
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other(input), layer(input))


def test_compiles_in_a_network() -> None:
    network = nn.Sequential(nn.Conv2d(2, 4, 3), MaxPool2d(3, 2, 1), nn.Conv2d(4, 2, 1))
    check_compiles(network, lambda size: (torch.randn(1, 2, size, size),), sizes=(9, 14))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"kernel_size": 0}, ValueError, "kernel_size must be an integer of at least 1, got 0"),
        ({"kernel_size": (2, 2, 2)}, ValueError, r"kernel_size must be one number or one an axis \(2\)"),
        ({"kernel_size": 2, "stride": 0}, ValueError, "stride must be an integer of at least 1, got 0"),
        ({"kernel_size": 2, "padding": "sam"}, ValueError, "did you mean 'same'"),
        ({"kernel_size": 2, "return_indices": 1}, TypeError, "return_indices must be True or False, got 1"),
        ({"kernel_size": 2, "ceil_mode": 1}, TypeError, "ceil_mode must be True or False, got 1"),
    ],
)
def test_errors(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        MaxPool2d(**arguments)
