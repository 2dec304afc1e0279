import copy
import pickle
from typing import Any

import pytest
import torch
from torch import nn

from ops.checks import assert_close, check_compiles
from striate.geometry import Window
from striate.nn import AvgPool1d, AvgPool2d, AvgPool3d
from striate.nn.avg_pool import AvgPoolNd
from striate.ops.avg_pool import avg_pool1d, avg_pool2d, avg_pool3d

LAYERS = ((AvgPool1d, avg_pool1d), (AvgPool2d, avg_pool2d), (AvgPool3d, avg_pool3d))
TORCH = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)


@pytest.mark.parametrize(("layer", "function"), LAYERS)
@pytest.mark.parametrize(
    "settings",
    [{}, {"stride": 2, "padding": "same_lower", "dilation": 2}, {"padding": 4, "count_include_pad": False}],
    ids=str,
)
def test_is_the_function(layer: type[AvgPoolNd], function: Any, settings: dict[str, Any]) -> None:
    input = torch.randn(2, 3, *[7] * layer._axes)
    assert torch.equal(layer(3, **settings)(input), function(input, 3, **settings))


@pytest.mark.parametrize("arguments", [(2,), (3, 2, 1), (3, 2, 1, True, False), (2, None, 1, False, True, 3)], ids=str)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_has_the_arguments_of_pytorch(axes: int, arguments: tuple[Any, ...]) -> None:
    given = arguments[:5] if axes == 1 else arguments
    ours, theirs = LAYERS[axes - 1][0](*given), TORCH[axes - 1](*given)
    input = torch.randn(2, 3, *[9] * axes)
    assert repr(ours) == repr(theirs)
    assert_close(ours(input), theirs(input))
    assert ours.state_dict() == {}


def test_windows_are_those_of_the_layer() -> None:
    assert AvgPool2d((3, 2), padding=("same", 1), dilation=2).windows == (
        Window(3, 3, "same", 2),
        Window(2, 2, 1, 2),
    )
    assert AvgPool1d(3, padding=((1, 0),)).windows == (Window(3, 3, (1, 0)),)
    assert AvgPool1d(3, padding="same").windows == (Window(3, 3, "same"),)


def test_copies() -> None:
    layer, input = AvgPool2d(3, 2, "same", dilation=2), torch.randn(1, 2, 8, 8)
    assert repr(layer) == "AvgPool2d(kernel_size=3, stride=2, padding='same', dilation=2)"
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other(input), layer(input))


def test_compiles_in_a_network() -> None:
    network = nn.Sequential(nn.Conv2d(2, 4, 3), AvgPool2d(3, 2, 1), nn.Conv2d(4, 2, 1))
    check_compiles(network, lambda size: (torch.randn(1, 2, size, size),), sizes=(9, 14))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"kernel_size": 0}, ValueError, "kernel_size must be an integer of at least 1, got 0"),
        ({"kernel_size": (2, 2, 2)}, ValueError, r"kernel_size must be one number or one an axis \(2\)"),
        ({"kernel_size": 2, "dilation": 0}, ValueError, "dilation must be an integer of at least 1, got 0"),
        ({"kernel_size": 2, "padding": "sam"}, ValueError, "did you mean 'same'"),
        ({"kernel_size": 2, "count_include_pad": 1}, TypeError, "count_include_pad must be True or False, got 1"),
        ({"kernel_size": 2, "divisor_override": 0}, ValueError, "AvgPool2d: divisor_override must be an integer other"),
    ],
)
def test_errors(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        AvgPool2d(**arguments)
