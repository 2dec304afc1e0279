import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from ops.checks import assert_close, check_compiles, check_gradients, check_onnx, gradients_of
from ops.deformed import convolved, outputs
from striate.nn import Conv1d, Conv2d, Conv3d, DeformConv1d, DeformConv2d, DeformConv3d
from striate.nn.deform_conv import DeformConvNd
from striate.ops.deform_conv import deform_conv2d

LAYERS = (DeformConv1d, DeformConv2d, DeformConv3d)
PLAIN = (Conv1d, Conv2d, Conv3d)
PADDINGS = [0, "same", "causal", "full", "half", "same_upper", "same_lower", ((1, 2), (0, 1)), ("causal", (1, 2))]


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def stirred(layer: DeformConvNd) -> DeformConvNd:
    """The layer with a predictor that moves the taps by about one place."""
    for parameter in layer.conv_offset.parameters():
        nn.init.normal_(parameter, std=0.3)
    return layer


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("masked", [False, True])
def test_is_torchvisions_layer(layer: type[DeformConvNd], masked: bool):
    axes = layer._axes
    one = layer(4, 2, 2, stride=2, padding=1, dilation=1, groups=2, dtype=torch.float64)
    sizes = [3, 4, 2][:axes]
    out = outputs(sizes, 2, 2, 1, 1)
    offset, mask = draw(1, 2 * 2**axes * axes, *out), draw(1, 2 * 2**axes, *out) if masked else None
    input = draw(1, 4, *sizes)
    expected = convolved(input, offset, mask, one.weight, one.bias, [2] * axes, [1] * axes, [1] * axes)
    assert_close(one(input, offset, mask), expected)


def test_is_drawn_and_shown_as_torchvisions_layer():
    torch.manual_seed(0)
    one, after = DeformConv2d(4, 6, 3, 1, 1, predict=True), torch.rand(1)
    torch.manual_seed(0)
    other = nn.Conv2d(4, 6, 3, 1, 1)
    assert torch.equal(one.weight, other.weight)
    assert torch.equal(one.bias, other.bias)
    assert torch.equal(after, torch.rand(1)), "the predictor must draw nothing"
    assert repr(DeformConv2d(4, 6, 3, 1, 1)) == "Deform" + repr(other)


def test_state_dict_of_torchvision_loads_both_ways():
    # torchvision's layer holds what PyTorch's convolution holds.
    theirs = nn.Conv2d(4, 6, 3)
    one = DeformConv2d(4, 6, 3)
    one.load_state_dict(theirs.state_dict())
    assert torch.equal(one.weight, theirs.weight)
    other = nn.Conv2d(4, 6, 3)
    other.load_state_dict(one.state_dict())
    assert torch.equal(other.bias, theirs.bias)


def test_a_trained_convolution_becomes_deformable():
    plain = nn.Conv2d(4, 6, 3, padding=1)
    layer = DeformConv2d(4, 6, 3, padding=1, predict=True, mask_init=1.0)
    missing = layer.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert missing == ["conv_offset.weight", "conv_offset.bias"]
    input = torch.randn(2, 4, 7, 7)
    assert_close(layer(input), plain(input))


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(
    ("settings", "strength"),
    [
        ({}, 0.5),
        ({"mask_init": 1.0, "offset_groups": 2}, 1.0),
        ({"mask": False, "groups": 2}, 1.0),
        ({"mask_init": 0.125, "bias": False}, 0.125),
    ],
    ids=str,
)
def test_begins_as_a_convolution_of_that_strength(axes: int, settings: dict[str, object], strength: float):
    shared = {"stride": 2, "padding": "same_upper", "dilation": 2, "dtype": torch.float64}
    layer = LAYERS[axes - 1](4, 6, 3, predict=True, **shared, **settings)
    plain = PLAIN[axes - 1](4, 6, 3, groups=layer.groups, bias=False, **shared)
    plain.load_state_dict({"weight": layer.weight})
    input = draw(2, 4, *[5] * axes)
    bias = 0 if layer.bias is None else layer.bias.view(-1, *[1] * axes)
    assert_close(layer(input), strength * plain(input) + bias)


@pytest.mark.parametrize("padding", PADDINGS, ids=str)
@pytest.mark.parametrize("stride", [1, (2, 1)])
def test_convolves_with_what_it_predicts_whatever_the_padding(padding: object, stride: object):
    layer = stirred(DeformConv2d(2, 3, (3, 2), stride, padding, predict=True, offset_groups=2, dtype=torch.float64))
    input = draw(2, 2, 6, 7)
    offset, mask = layer.offsets(input)
    low, high = zip(*(window.pads(n) for window, n in zip(layer.windows, (6, 7), strict=True)), strict=True)
    padded = nn.functional.pad(input, (low[1], high[1], low[0], high[0]))
    found = nn.functional.conv2d(padded, layer.conv_offset.weight, layer.conv_offset.bias, stride)
    assert_close(offset, found[:, : 2 * 6 * 2])
    assert_close(mask, found[:, 2 * 6 * 2 :].sigmoid())
    assert_close(layer(input), deform_conv2d(input, offset, layer.weight, layer.bias, stride, padding, 1, mask))


def test_masks_lie_between_zero_and_twice_their_beginning():
    layer = DeformConv1d(1, 1, 1, predict=True, mask_init=1.5)
    nn.init.constant_(layer.conv_offset.weight, 100.0)
    _, mask = layer.offsets(torch.tensor([[[-1.0, 0.0, 1.0]]]))
    assert mask.tolist() == [[[0.0, 1.5, 3.0]]]


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_unbatched_input(axes: int):
    layer = stirred(LAYERS[axes - 1](2, 3, 3, predict=True, dtype=torch.float64))
    input = draw(2, *[5] * axes)
    assert_close(layer(input), layer(input.unsqueeze(0))[0])
    assert_close(layer.offsets(input)[1], layer.offsets(input.unsqueeze(0))[1][0])


def test_gradients_reach_the_predictor():
    layer = DeformConv2d(2, 3, 3, padding=1, predict=True)
    layer(torch.randn(2, 2, 5, 5)).square().sum().backward()
    assert all(parameter.grad.abs().amax() > 0 for parameter in layer.parameters())
    offsets, masks = layer.conv_offset.bias.grad.split((18, 9))
    assert (offsets != 0).all()
    assert (masks != 0).all()


def test_gradients_are_those_of_finite_differences():
    layer = stirred(DeformConv1d(2, 2, 2, predict=True, dtype=torch.float64))

    def function(input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        predictor = {"conv_offset.weight": weight, "conv_offset.bias": bias}
        return torch.func.functional_call(layer, predictor, (input,))

    check_gradients(function, draw(1, 2, 4), *layer.conv_offset.parameters())


def test_learns_to_look_elsewhere():
    torch.manual_seed(0)
    input = torch.randn(4, 1, 8, 8)
    # Smooth enough that a slope leads to the place: a 3x3 mean three times over.
    for _ in range(3):
        input = nn.functional.avg_pool2d(input, 3, 1, 1)
    target = input.roll((1, -1), (2, 3))[:, :, 2:-2, 2:-2]
    layer = DeformConv2d(1, 1, 1, bias=False, predict=True, mask=False)
    nn.init.ones_(layer.weight)
    layer.weight.requires_grad_(False)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
    losses = []
    for _ in range(60):
        loss = (layer(input)[:, :, 2:-2, 2:-2] - target).square().mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.05 * losses[0]
    torch.testing.assert_close(layer.conv_offset.bias.detach(), torch.tensor([-1.0, 1.0]), atol=0.25, rtol=0)


@pytest.mark.parametrize("masked", [False, True])
def test_offsets_keep_their_precision_under_autocast(masked: bool):
    layer = stirred(DeformConv2d(2, 3, 3, padding=1, predict=True, mask=masked))
    # About 40 places away, where bfloat16 knows every fourth of a place only.
    nn.init.constant_(layer.conv_offset.bias, 40.0)
    input = torch.randn(1, 2, 9, 9)
    expected = layer.offsets(input)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer.offsets(input)
        narrow = layer.offsets(input.bfloat16())[0]
        output = layer(input)
    assert output.dtype == torch.bfloat16
    assert narrow.dtype == torch.float32
    assert torch.equal(found[0], expected[0])
    assert found[1] is None if not masked else torch.equal(found[1], expected[1])


def test_a_bfloat16_layer_computes_in_bfloat16():
    layer = stirred(DeformConv2d(2, 3, 3, padding=1, predict=True)).bfloat16()
    input = torch.randn(1, 2, 6, 6, dtype=torch.bfloat16)
    assert layer.offsets(input)[0].dtype == torch.bfloat16
    assert layer(input).dtype == torch.bfloat16


def test_float64_is_left_alone_under_autocast():
    layer, input = stirred(DeformConv2d(2, 3, 3, predict=True, dtype=torch.float64)), draw(1, 2, 5, 5)
    with torch.autocast("cpu", torch.bfloat16):
        assert_close(layer(input), layer(input).double())
        assert layer(input).dtype == torch.float64


@pytest.mark.parametrize("predict", [False, True])
def test_copies_and_pickles(predict: bool):
    layer = DeformConv2d(2, 3, 3, padding="causal", predict=predict)
    given = () if predict else (torch.randn(1, 18, 5, 5),)
    input = torch.randn(1, 2, 5, 5)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert other.weight is not layer.weight
        assert torch.equal(other(input, *given), layer(input, *given))


def test_made_without_memory_then_initialised():
    layer = DeformConv2d(2, 3, 3, predict=True, device="meta")
    assert all(parameter.is_meta for parameter in layer.parameters())
    layer.to_empty(device="cpu")
    torch.manual_seed(0)
    layer.reset_parameters()
    torch.manual_seed(0)
    assert torch.equal(layer.weight, nn.Conv2d(2, 3, 3).weight)
    assert not layer.conv_offset.weight.any()
    with torch.device("meta"):
        assert DeformConv2d(2, 3, 3, predict=True).conv_offset.weight.is_meta


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"stride": (2, 1), "padding": ((0, 1), "same"), "dilation": 2, "groups": 2, "bias": False},
        {"predict": True},
        {"predict": True, "offset_groups": 2, "mask_init": 1.0, "padding": "causal"},
        {"predict": True, "mask": False},
    ],
    ids=str,
)
def test_is_shown_with_its_settings(settings: dict[str, object]):
    layer = DeformConv2d(4, 6, 3, **settings)
    # A padding that is one word is shown without quotes, as PyTorch shows it.
    again = eval(f"DeformConv2d({layer.extra_repr()})", {"DeformConv2d": DeformConv2d, "causal": "causal"})
    assert repr(again) == repr(layer)
    same = ("padding", "predict", "offset_groups", "mask", "mask_init", "groups", "stride")
    assert all(getattr(again, name) == getattr(layer, name) for name in same)


def test_channels_last_stays():
    layer = stirred(DeformConv2d(2, 3, 3, padding=1, predict=True))
    input = torch.randn(2, 2, 5, 5)
    output = layer(input.contiguous(memory_format=torch.channels_last))
    assert output.is_contiguous(memory_format=torch.channels_last)
    assert_close(output, layer(input))


def test_compiles_for_two_sizes():
    torch.manual_seed(0)
    layer = stirred(DeformConv2d(2, 3, 3, stride=2, padding="same_upper", predict=True, dtype=torch.float64))
    check_compiles(layer, lambda size: (draw(1, 2, size, size + 1),), (8, 11))


def test_compiles_under_autocast():
    torch._dynamo.reset()
    layer = stirred(DeformConv2d(2, 3, 3, padding=1, predict=True))
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    input = torch.randn(1, 2, 6, 6)
    with torch.autocast("cpu", torch.bfloat16):
        assert_close(compiled(input), layer(input))


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_exports_to_onnx(axes: int, tmp_path):
    torch.manual_seed(0)
    layer = stirred(LAYERS[axes - 1](4, 6, 3, padding=1, predict=True, mask_init=1.0))
    nodes = check_onnx(layer, tmp_path, torch.randn(1, 4, *[5] * axes))
    assert ("GridSample" if axes == 3 else "DeformConv") in nodes


def test_input_gradients_pass_through_the_predictor():
    layer = stirred(DeformConv2d(1, 1, 3, padding=1, predict=True, dtype=torch.float64))
    input = draw(1, 1, 5, 5)
    offset, mask = (tensor.detach() for tensor in layer.offsets(input))
    (whole,) = gradients_of(layer, input)
    (direct,) = gradients_of(lambda x: deform_conv2d(x, offset, layer.weight, layer.bias, 1, 1, 1, mask), input)
    assert not torch.allclose(whole, direct)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"groups": 3}, ValueError, "in_channels must be a multiple of groups=3, got 4"),
        ({"padding": "smae"}, ValueError, "did you mean 'same'"),
        ({"stride": None}, TypeError, "stride must be an integer of at least 1, got None"),
        ({"bias": "abc"}, TypeError, "bias must be True or False, got 'abc'"),
        ({"predict": 1}, TypeError, "predict must be True or False, got 1"),
        ({"predict": True, "mask": None}, TypeError, "mask must be True or False, got None"),
        ({"offset_groups": 2}, ValueError, "go with predict=True, got predict=False with offset_groups=2"),
        ({"mask": False}, ValueError, "go with predict=True, got predict=False with .*mask=False"),
        ({"mask_init": 1.0}, ValueError, "go with predict=True, got predict=False with .*mask_init=1.0"),
        (
            {"predict": True, "offset_groups": 3},
            ValueError,
            "in_channels must be a multiple of offset_groups=3, got 4",
        ),
        ({"predict": True, "offset_groups": 0}, ValueError, "offset_groups must be an integer of at least 1, got 0"),
        ({"predict": True, "mask_init": 0}, ValueError, "mask_init must be a number above 0, got 0"),
        ({"predict": True, "mask_init": float("inf")}, ValueError, "mask_init must be a number above 0, got inf"),
        ({"predict": True, "mask_init": "full"}, TypeError, "mask_init must be a number above 0, got 'full'"),
        ({"predict": True, "mask": False, "mask_init": 1.0}, ValueError, "mask_init goes with mask=True"),
    ],
)
def test_refuses(settings: dict[str, object], error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        DeformConv2d(**{"in_channels": 4, "out_channels": 6, "kernel_size": 3, **settings})


def test_refuses_offsets_that_it_predicts_and_none_that_it_does_not():
    input, offset, mask = torch.zeros(1, 2, 3, 3), torch.zeros(1, 18, 1, 1), torch.zeros(1, 9, 1, 1)
    layer, predicting = DeformConv2d(2, 2, 3), DeformConv2d(2, 2, 3, predict=True)
    with pytest.raises(TypeError, match="offset must be a tensor, got None.*predict=True"):
        layer(input)
    with pytest.raises(TypeError, match="offset must be a tensor, got None"):
        layer(input, mask=mask)
    with pytest.raises(TypeError, match="deform_conv2d: offset must be a tensor, got list"):
        layer(input, [0.0])
    with pytest.raises(TypeError, match="deform_conv2d: mask must be a tensor, got float"):
        layer(input, offset, 1.0)
    with pytest.raises(TypeError, match="DeformConv2d: input must be a tensor, got NoneType"):
        predicting(None)
    with pytest.raises(ValueError, match="this layer predicts no offsets: build it with predict=True"):
        layer.offsets(input)
    for given, name in (((offset,), "offset"), ((None, mask), "mask"), ((offset, mask), "offset and mask")):
        with pytest.raises(ValueError, match=f"predicts offset and mask itself.*got {name}$"):
            predicting(input, *given)
    with pytest.raises(ValueError, match=r"offset must be \(1, 18 \* groups, 1, 1\)"):
        layer(input, offset[:, :17])
