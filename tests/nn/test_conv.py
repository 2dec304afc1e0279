import copy
import io
import pickle

import pytest
import torch
from torch import Tensor, nn

from ops.checks import check_compiles, check_gradients, check_onnx
from striate.nn import Conv1d, Conv2d, Conv3d, DepthwiseConv1d, DepthwiseConv2d, DepthwiseConv3d
from striate.nn.conv import ConvNd
from striate.ops.conv import conv2d

PAIRS = [(Conv1d, nn.Conv1d), (Conv2d, nn.Conv2d), (Conv3d, nn.Conv3d)]
DEPTHWISE = (DepthwiseConv1d, DepthwiseConv2d, DepthwiseConv3d)


def picture(channels: int, axes: int, size: int = 7) -> Tensor:
    return torch.randn(2, channels, *[size] * axes, dtype=torch.float64)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"stride": 2, "padding": 1, "dilation": 2, "groups": 2},
        {"padding": "same", "bias": False},
        {"padding": "valid"},
        {"padding": 2, "padding_mode": "reflect"},
        {"padding": 1, "padding_mode": "replicate"},
        {"padding": "same", "padding_mode": "circular"},
    ],
    ids=str,
)
def test_is_pytorchs_layer(ours: type[ConvNd], theirs: type[nn.Module], settings: dict[str, object]):
    torch.manual_seed(0)
    one = ours(4, 6, 3, dtype=torch.float64, **settings)
    torch.manual_seed(0)
    other = theirs(4, 6, 3, dtype=torch.float64, **settings)
    assert repr(one) == repr(other)
    assert one.state_dict().keys() == other.state_dict().keys()
    assert all(map(torch.equal, one.parameters(), other.parameters()))
    input = picture(4, one._axes)
    torch.testing.assert_close(one(input), other(input))


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_state_dict_loads_both_ways(ours: type[ConvNd], theirs: type[nn.Module]):
    one, other = ours(4, 6, 3, dtype=torch.float64), theirs(4, 6, 3, dtype=torch.float64)
    input = picture(4, one._axes)
    expected = other(input)
    assert not torch.allclose(one(input), expected)
    one.load_state_dict(other.state_dict())
    torch.testing.assert_close(one(input), expected)
    third = theirs(4, 6, 3, dtype=torch.float64)
    third.load_state_dict(one.state_dict())
    assert torch.equal(third(input), expected)


@pytest.mark.parametrize(
    "padding", ["causal", "full", "half", "same_lower", ((1, 2), (0, 1)), ("causal", (1, 2)), (1, 0)]
)
def test_paddings_are_those_of_the_function(padding: object):
    layer = Conv2d(2, 3, (3, 2), stride=(2, 1), padding=padding)
    input = torch.randn(1, 2, 6, 7)
    assert torch.equal(layer(input), conv2d(input, layer.weight, layer.bias, (2, 1), padding))


def test_unbatched_input():
    layer = Conv1d(2, 3, 3)
    input = torch.randn(2, 8)
    torch.testing.assert_close(layer(input), layer(input.unsqueeze(0))[0])


def test_learned_border_begins_as_zero_padding():
    layer = Conv2d(2, 3, 3, padding="same", padding_mode="learned", dtype=torch.float64)
    plain = Conv2d(2, 3, 3, padding="same", dtype=torch.float64)
    assert layer.load_state_dict(plain.state_dict(), strict=False).missing_keys == ["border"]
    input = picture(2, 2)
    torch.testing.assert_close(layer(input), plain(input))


def test_learned_border_is_trained_to_what_lies_outside():
    torch.manual_seed(0)
    layer = Conv2d(2, 2, 3, padding=1, padding_mode="learned", bias=False)
    truth = copy.deepcopy(layer)
    with torch.no_grad():
        truth.border.copy_(torch.tensor([0.5, -2.0]))
    layer.weight.requires_grad_(False)
    optimizer = torch.optim.LBFGS(layer.parameters(), line_search_fn="strong_wolfe")
    input = torch.randn(4, 2, 5, 5)

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = (layer(input) - truth(input)).square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    torch.testing.assert_close(layer.border, truth.border, atol=1e-3, rtol=0)


def test_constant_border_by_hand():
    layer = Conv1d(2, 1, 3, padding=((1, 0),), padding_mode="constant", border=(3.0, 5.0), bias=False)
    nn.init.ones_(layer.weight)
    assert layer(torch.ones(1, 2, 3)).tolist() == [[[3 + 5 + 4, 6]]]
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    assert layer.state_dict()["border"].tolist() == [3, 5]
    assert Conv1d(2, 1, 3, padding_mode="learned", border=7.0).border.tolist() == [7, 7]


def test_gradients_reach_the_border():
    layer = Conv2d(2, 2, 2, padding=1, padding_mode="learned", dtype=torch.float64)

    def function(input: Tensor, border: Tensor) -> Tensor:
        return torch.func.functional_call(layer, {"border": border}, (input,))

    check_gradients(function, torch.randn(1, 2, 2, 2, dtype=torch.float64), torch.randn(2, dtype=torch.float64))


@pytest.mark.parametrize("mode", ["zeros", "constant", "learned"])
def test_copies_and_pickles(mode: str):
    layer = Conv2d(2, 3, 3, padding="causal", padding_mode=mode, border=0.0 if mode == "zeros" else 1.5)
    input = torch.randn(1, 2, 5, 5)
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), torch.load(file, weights_only=False)):
        assert other.weight is not layer.weight
        assert torch.equal(other(input), layer(input))


def test_made_without_memory_then_initialised():
    layer = Conv2d(2, 3, 3, padding=1, padding_mode="constant", border=2.0, device="meta")
    layer.to_empty(device="cpu")
    torch.manual_seed(0)
    layer.reset_parameters()
    assert layer.border.tolist() == [2, 2]
    torch.manual_seed(0)
    assert torch.equal(layer.weight, nn.Conv2d(2, 3, 3).weight)
    assert nn.utils.skip_init(Conv2d, 2, 3, 3).weight.device.type == "cpu"


def test_initialisation_does_not_depend_on_the_memory_format():
    layer, other = (make(2, 3, 3).to(memory_format=torch.channels_last) for make in (Conv2d, nn.Conv2d))
    for one in (layer, other):
        torch.manual_seed(0)
        one.reset_parameters()
    assert torch.equal(layer.weight, other.weight)
    assert layer.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("mode", ["learned", "reflect"])
def test_compiles_for_two_sizes(mode: str):
    layer = Conv2d(2, 3, 3, stride=2, padding="same_upper", padding_mode=mode)
    check_compiles(layer, lambda size: (torch.randn(1, 2, size, size + 1),), (8, 11))


def test_exports_to_onnx(tmp_path):
    layer = Conv2d(2, 3, 3, padding=((1, 2), (0, 1)), padding_mode="learned", border=0.5)
    assert "Conv" in check_onnx(layer, tmp_path, torch.randn(1, 2, 6, 6))


@pytest.mark.parametrize("layer", DEPTHWISE)
def test_depthwise_is_pytorchs_with_groups(layer: type[ConvNd]):
    axes = layer._axes
    torch.manual_seed(0)
    one = layer(3, 3, stride=2, padding=1, multiplier=2, dtype=torch.float64)
    torch.manual_seed(0)
    other = PAIRS[axes - 1][1](3, 6, 3, stride=2, padding=1, groups=3, dtype=torch.float64)
    assert all(map(torch.equal, one.parameters(), other.parameters()))
    input = picture(3, axes)
    torch.testing.assert_close(one(input), other(input))
    assert isinstance(one, PAIRS[axes - 1][0])


def test_depthwise_reads_one_channel_only():
    layer = DepthwiseConv2d(3, 3, multiplier=2, bias=False)
    input = torch.zeros(1, 3, 3, 3)
    input[0, 1] = 1
    output = layer(input).flatten()
    assert output.nonzero().flatten().tolist() == [2, 3]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"in_channels": 0}, ValueError, "in_channels must be an integer of at least 1, got 0"),
        ({"out_channels": 2.0}, TypeError, "out_channels must be an integer of at least 1, got 2.0"),
        ({"groups": 0}, ValueError, "groups must be an integer of at least 1, got 0"),
        ({"groups": 3}, ValueError, "in_channels must be a multiple of groups=3, got 4"),
        ({"groups": 4}, ValueError, "out_channels must be a multiple of groups=4, got 6"),
        ({"kernel_size": (3, 3, 3)}, ValueError, "kernel_size must be one number or one an axis"),
        ({"stride": 0}, ValueError, "stride must be an integer of at least 1, got 0"),
        ({"padding": "smae"}, ValueError, "did you mean 'same'"),
        ({"padding": -1}, ValueError, "padding must be an integer of at least 0"),
        ({"padding_mode": "mirror"}, ValueError, "padding_mode must be one of zeros, reflect.*learned, got 'mirror'"),
        ({"border": 1.0}, ValueError, "border goes with padding_mode 'constant' or 'learned', got 'zeros'"),
        (
            {"padding_mode": "learned", "border": (1.0, 2.0)},
            ValueError,
            r"border must be a number or one a channel \(4\), got \(1.0, 2.0\)",
        ),
    ],
)
def test_refuses(settings: dict[str, object], error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        Conv2d(**{"in_channels": 4, "out_channels": 6, "kernel_size": 3, **settings})


@pytest.mark.parametrize("name", ["channels", "multiplier"])
def test_depthwise_refuses(name: str):
    with pytest.raises(ValueError, match=f"{name} must be an integer of at least 1, got 0"):
        DepthwiseConv2d(**{"channels": 2, "kernel_size": 3, "multiplier": 1, name: 0})
