import copy
import pickle

import pytest
import torch
from torch import nn

from ops.checks import check_compiles, check_onnx
from striate.nn import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from striate.nn.conv_transpose import ConvTransposeNd
from striate.ops.conv_transpose import conv_transpose2d

PAIRS = [
    (ConvTranspose1d, nn.ConvTranspose1d),
    (ConvTranspose2d, nn.ConvTranspose2d),
    (ConvTranspose3d, nn.ConvTranspose3d),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2},
        {"stride": 2, "dilation": 2, "bias": False},
    ],
    ids=str,
)
def test_is_pytorchs_layer(ours: type[ConvTransposeNd], theirs: type[nn.Module], settings: dict[str, object]):
    torch.manual_seed(0)
    one = ours(4, 6, 3, dtype=torch.float64, **settings)
    torch.manual_seed(0)
    other = theirs(4, 6, 3, dtype=torch.float64, **settings)
    assert repr(one) == repr(other)
    assert all(map(torch.equal, one.parameters(), other.parameters()))
    input = torch.randn(2, 4, *[5] * one._axes, dtype=torch.float64)
    torch.testing.assert_close(one(input), other(input))
    third = theirs(4, 6, 3, dtype=torch.float64, **settings)
    third.load_state_dict(one.state_dict())
    one.load_state_dict(third.state_dict())
    torch.testing.assert_close(one(input), third(input))


def test_output_size_stands_instead_of_output_padding():
    ours = ConvTranspose2d(2, 3, 3, stride=2, padding=1, output_padding=1)
    theirs = nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1, output_padding=1)
    theirs.load_state_dict(ours.state_dict())
    input = torch.randn(1, 2, 5, 5)
    assert ours(input).shape[2:] == (10, 10)
    for size in ([9, 10], [1, 3, 9, 9]):
        torch.testing.assert_close(ours(input, output_size=size), theirs(input, output_size=size))


@pytest.mark.parametrize(
    "settings", [{"padding": "same"}, {"padding": "causal"}, {"padding": "same", "padding_mode": "circular"}]
)
def test_words_and_modes_are_those_of_the_function(settings: dict[str, str]):
    layer = ConvTranspose2d(2, 3, 4, stride=2, **settings)
    input = torch.randn(1, 2, 5, 6)
    expected = conv_transpose2d(input, layer.weight, layer.bias, 2, **settings)
    assert torch.equal(layer(input), expected)
    assert expected.shape == (1, 3, 10, 12)


def test_copies_and_pickles():
    layer = ConvTranspose2d(2, 3, 4, stride=2, padding="same")
    input = torch.randn(1, 2, 5, 5)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other(input), layer(input))
    assert ConvTranspose2d(2, 3, 4, device="meta").weight.is_meta


def test_compiles_for_two_sizes():
    layer = ConvTranspose2d(2, 3, 4, stride=2, padding="same")
    check_compiles(layer, lambda size: (torch.randn(1, 2, size, size + 1),), (5, 8))


def test_exports_to_onnx(tmp_path):
    layer = ConvTranspose2d(2, 3, 3, stride=2, padding=1, output_padding=1)
    assert check_onnx(layer, tmp_path, torch.randn(1, 2, 5, 5))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"groups": 3}, "in_channels must be a multiple of groups=3, got 4"),
        ({"padding": "full"}, "padding of a transposed layer must be numbers, 'valid', 'same' or 'causal', got 'full'"),
        ({"padding_mode": "reflect"}, "padding_mode must be 'zeros' or 'circular', got 'reflect'"),
        ({"output_padding": -1}, "output_padding must be an integer of at least 0, got -1"),
        ({"output_padding": (1, 1, 1)}, r"output_padding must be one number or one an axis \(2\), got \(1, 1, 1\)"),
    ],
)
def test_refuses(settings: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        ConvTranspose2d(4, 6, 3, **settings)
