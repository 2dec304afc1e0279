import pytest
import torch
from hypothesis import HealthCheck, given, settings
from tests.models.notation.texts import networks
from torch import nn

from striate import geometry, models
from striate import nn as layers
from striate.models.notation import Concat, NotationConfig, NotationError, Residual, Sum, Written


def built(text: str, **options) -> nn.Sequential:
    torch.manual_seed(0)
    return Written(NotationConfig(text=text, **options)).layers


@given(networks())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_valid_networks_run(text: str):
    network = models.create(text, num_classes=4).eval()
    scores = network(torch.randn(2, 3, 12, 12))
    assert scores.shape == (2, 4)
    assert scores.isfinite().all()
    maps = list(network.features(torch.randn(2, 3, 12, 12)).values())[-1]
    assert network.head(maps).shape == (2, 4)


SINGLE = {
    "conv 6 5x5": (nn.Conv2d(3, 6, 5), "conv 6 5"),
    "conv 6 5x3 /2x1 pad 2x1 dilation 1x2": (nn.Conv2d(3, 6, (5, 3), (2, 1), (2, 1), (1, 2)), None),
    "conv 6 3 same groups 3 nobias": (nn.Conv2d(3, 6, 3, padding=1, groups=3, bias=False), None),
    "conv 6 3 half reflect": (nn.Conv2d(3, 6, 3, padding=1, padding_mode="reflect"), None),
    "conv 6 4 same": (layers.Conv2d(3, 6, 4, padding="same"), None),
    "conv 6 3 same_upper /2": (layers.Conv2d(3, 6, 3, 2, padding="same_upper"), None),
    "conv 6 3 causal same": (layers.Conv2d(3, 6, 3, padding=("causal", "same")), None),
    "conv 6 3 pad 0:2": (layers.Conv2d(3, 6, 3, padding=((0, 2), (0, 2))), None),
    "conv 6 3 pad 1 learned": (layers.Conv2d(3, 6, 3, padding=1, padding_mode="learned"), None),
    "depthwise 3 same multiplier 2": (layers.DepthwiseConv2d(3, 3, padding="same", multiplier=2), None),
    "separable 8 3 pad 1 nobias": (layers.DepthwiseSeparableConv2d(3, 8, 3, padding=1, bias=False), None),
    "spatial 8 5x3 same": (layers.SpatiallySeparableConv2d(3, 8, (5, 3), padding="same"), None),
    "local 4 3 /2 sharedbias": (layers.LocalConv2d(3, 4, 3, (14, 15), 2, bias="shared"), None),
    "deform 4 3 pad 1 nomask": (layers.DeformConv2d(3, 4, 3, padding=1, predict=True, mask=False), None),
    "transposed 4 3 /2 outpad 1": (nn.ConvTranspose2d(3, 4, 3, 2, output_padding=1), None),
    "transposed 4 3 /2 same": (layers.ConvTranspose2d(3, 4, 3, 2, "same"), None),
    "maxpool 3 /2 pad 1 ceil": (nn.MaxPool2d(3, 2, 1, ceil_mode=True), None),
    "maxpool 3 /2 same_upper": (layers.MaxPool2d(3, 2, "same_upper"), None),
    "avgpool 2x3 nocount": (nn.AvgPool2d((2, 3), count_include_pad=False), None),
    "avgpool 3 dilation 2": (layers.AvgPool2d(3, dilation=2), None),
    "lppool 2 3": (layers.LPPool2d(2, 3), None),
    "gaussianpool 3 sigma 0.8": (layers.GaussianPool2d(3, sigma=0.8), None),
    "blurpool": (layers.BlurPool2d(), None),
    "adaptiveavg 4x3": (nn.AdaptiveAvgPool2d((4, 3)), None),
    "adaptivemax 4": (nn.AdaptiveMaxPool2d(4), None),
    "spp 4 2 1 average": (layers.SpatialPyramidPool2d((4, 2, 1), reduction="average"), None),
    "bn momentum 0.2 eps 0.001": (nn.BatchNorm2d(3, momentum=0.2, eps=1e-3), None),
    "gn 3": (nn.GroupNorm(3, 3), None),
    "ln": (nn.LayerNorm((3, 14, 15)), None),
    "in affine": (nn.InstanceNorm2d(3, affine=True), None),
    "lrn 5 alpha 0.001 plus 2 total": (layers.LocalResponseNorm(5, 1e-3, k=2, alpha_mode="sum"), None),
    "lcn 5 floor 0.1": (layers.LocalContrastNorm(5, floor=0.1), None),
    "subtractive 5 zeros": (layers.SubtractiveNorm(5, border="zeros"), None),
    "divisive 5 torch7": (layers.DivisiveNorm(5, mode="torch7"), None),
    "tanh gain 1.5": (layers.ScaledTanh(3, 1.5), None),
    "maxout 3": (layers.Maxout(3), None),
    "leaky 0.2": (nn.LeakyReLU(0.2), None),
    "elu 0.5": (nn.ELU(0.5), None),
    "prelu maps": (nn.PReLU(3), None),
    "softmax": (nn.Softmax(1), None),
    "dropout 0.3 maps": (nn.Dropout2d(0.3), None),
    "upsample 2x3 nearest": (nn.Upsample(scale_factor=(2, 3)), None),
    "upsample 2 bicubic": (nn.Upsample(scale_factor=2, mode="bicubic"), None),
    **{word: (layer, None) for word, layer in {
        "relu": nn.ReLU(), "relu6": nn.ReLU6(), "selu": nn.SELU(), "gelu": nn.GELU(), "silu": nn.SiLU(),
        "mish": nn.Mish(), "softplus": nn.Softplus(), "sigmoid": nn.Sigmoid(), "hardsigmoid": nn.Hardsigmoid(),
        "hardswish": nn.Hardswish(), "tanh": nn.Tanh(), "abs": layers.AbsRectify(), "logsoftmax": nn.LogSoftmax(1),
        "identity": nn.Identity(), "prelu": nn.PReLU(),
    }.items()},
}  # fmt: skip


@pytest.mark.parametrize("text", SINGLE)
def test_layer(text: str):
    (found,), expected = built(text, in_channels=3, input_size=(14, 15)), SINGLE[text][0]
    assert type(found) is type(expected)
    assert [value.shape for value in found.state_dict().values()] == [v.shape for v in expected.state_dict().values()]
    found.load_state_dict(expected.state_dict())
    input = torch.randn(2, 3, 14, 15)
    torch.testing.assert_close(found.eval()(input), expected.eval()(input), rtol=0, atol=0)


def test_axes_are_those_of_the_input():
    one, three = built("input 2x20, conv 4 3, maxpool 2, bn"), built("input 1x4x8x8, conv 4 3, avgpool 1x2x2, bn")
    assert [type(layer) for layer in one] == [nn.Conv1d, nn.MaxPool1d, nn.BatchNorm1d]
    assert [type(layer) for layer in three] == [nn.Conv3d, nn.AvgPool3d, nn.BatchNorm3d]


def test_tables():
    text = "conv 6 1, table 16 5x5 lenet5_c3, table 8 3 random links 3 seed 7, table 4 1 all, table 4 1 one_to_one"
    assert [len(layer.table) for layer in list(built(text))[1:]] == [60, 24, 32, 4]


def test_repeats_and_branches():
    network = built("2*(conv 4 3 same, relu), body: 2*(abs), residual(bn), concat(abs | identity), sum(abs | relu)")
    assert list(dict(network.named_children())) == ["0", "1", "2", "3", "body", "5", "6", "7"]
    assert [type(layer) for layer in list(network)[4:]] == [nn.Sequential, Residual, Concat, Sum]
    assert network[0].weight is not network[2].weight
    input = torch.randn(2, 4, 5, 5)
    torch.testing.assert_close(network[5].eval()(input), input + network[5].body(input))
    torch.testing.assert_close(network[6](input), torch.cat([input.abs(), input], 1))
    torch.testing.assert_close(network[7](input), input.abs() + input.relu())


@pytest.mark.parametrize(
    ("text", "fault", "under"),
    [
        ("conv 6 5x5 smae", "smae is no setting of conv, and no variable: did you mean same", "smae"),
        ("conv 6", "conv wants a number or a size as 3x3 for KERNEL: conv FILTERS KERNEL [/stride]", "conv"),
        ("conv 6 5 5", "conv takes no further number", "5"),
        ("conv 6 5 pad", "pad wants a number, a size as 1x2 or pads as 1:2 behind it", "pad"),
        ("conv 6 5 groups relu", "groups of conv is a whole number from 1, got relu", "relu"),
        ("conv 6 5 groups 2 groups 2", "conv has its groups already", "groups"),
        ("conv 6 5 same pad 2", "a padding word and pad cannot go together", "pad"),
        ("conv 6 5 same same same", "one padding word, or one for each of 2 axes, got 3", "conv"),
        ("conv 6 5x5x5", "conv reads 2 axes, got 3 sizes for kernel", "5x5x5"),
        ("conv 6 3 pad 0:1x0:1x0:1", "conv reads 2 axes, got 3 pairs of pads", "pad"),
        ("conv 6 3 reflect circular", "one of reflect, circular can lie outside the input", "conv"),
        ("conv 6 40", "conv cannot read 1x28x28: the window is larger than the padded input: kernel 40", "conv"),
        ("conv 6 3 groups 2", "conv cannot read 1x28x28: in_channels", "conv"),
        ("conv 1.5 3", "filters of conv is a whole number from 1, got 1.5", "1.5"),
        ("conv 0 3", "filters of conv is a whole number from 1, got 0", "0"),
        ("relu /2", "relu has no stride", "/2"),
        ("conv 3 5, linear 10", "linear reads numbers in a row, but maps come: write flatten", "linear"),
        ("flatten, conv 3 5", "conv reads maps, but 784 numbers in a row come: they are flat", "conv"),
        ("flatten, maxpool 2", "maxpool reads maps, but 784 numbers", "maxpool"),
        (
            "residual(conv 3 3)",
            "the branches of residual must give the same sizes, got 3x26x26 and 1x28x28",
            "residual",
        ),
        ("residual(abs | abs | abs)", "residual has a body and at most one shortcut, got 3 branches", "residual"),
        ("concat(abs | maxpool 2)", "the branches of concat must give the same sizes", "concat"),
        ("a: relu, a: relu", "there are two layers a", "relu"),
        ("2*(a: relu)", "there are two layers a: name the repeat", "relu"),
        ("forward: relu", "a layer cannot be named forward", "relu"),
        ("transposed 4 3 /2 outpad 2", "outpad must be less than the stride or the dilation", "outpad"),
        ("transposed 4 3 /2 outpad 1:1", "outpad of transposed is a number or a size as 1x2", "outpad"),
        ("relu, input 1x28x28", "input stands before all other layers", "input"),
        ("input 1x2x3x4x5, relu", "input is channels and up to three sizes", "input"),
        ("input, relu", "input is channels and up to three sizes", "input"),
        ("input 3.5, relu", "input is channels and up to three sizes", "input"),
        ("input 1x28x28 same, relu", "input is channels and up to three sizes", "input"),
        ("table 16 5 quux", "there is no table quux: expected lenet5_c3, all", "quux"),
        ("table 16 5 random", "a random table wants links N", "random"),
        ("spp", "spp wants the levels of the pyramid behind it, as spp 4 2 1", "spp"),
        ("tanh 2", "tanh takes no number: a learned gain for each map is tanh gain", "2"),
        ("input 2x20, upsample 2 bilinear", "along 1 axes upsample is nearest or linear, got bilinear", "upsample"),
        ("input 2x20, lcn 5", "lcn reads pictures, of 2 axes, got 1", "lcn"),
        ("input 2x20, spatial 5 3", "spatial reads pictures, of 2 axes, got 1", "spatial"),
        ("input 2x20, pixelshuffle 2", "pixelshuffle reads pictures, of 2 axes, got 1", "pixelshuffle"),
    ],
)
def test_fault(text: str, fault: str, under: str):
    with pytest.raises(NotationError) as caught:
        NotationConfig(text=text)
    assert fault in caught.value.fault
    begin, end = caught.value.place
    assert text[begin:end] == under


def test_sizes_are_the_geometry_s():
    network = Written(NotationConfig(text="conv 6 7 /3 pad 2 dilation 2, maxpool 3 /2 ceil", input_size=(61, 50)))
    windows = geometry.Window(7, 3, 2, 2), geometry.Window(3, 2, ceil_mode=True)
    sizes = tuple(windows[1].output_size(windows[0].output_size(size)) for size in (61, 50))
    assert network.config.plan.given == (6, *sizes)


def test_a_plan_made_on_meta_is_good_for_a_network():
    text = "conv 6 1, table 16 5x5 lenet5_c3, table 8 3 random links 3 seed 11"
    with torch.device("meta"):
        planned = built(text)
    made = built(text)
    assert all(buffer.is_meta for buffer in planned.buffers())
    assert [buffer[0].tolist() for buffer in made.buffers()][0] == [0, 0]
    assert not any(buffer.is_meta for buffer in made.buffers())
