"""The numbers that the lectures give, read from networks."""

import math

import pytest
import torch
from torch import nn

import striate
import striate.nn
from striate.inspection.inspection import Inspection
from striate.inspection.report import Layer

VALUES = 15_237_608


def read(*layers: nn.Module, size: tuple[int, ...]) -> Inspection:
    """A stack of layers, given one input."""
    return striate.inspect(nn.Sequential(*layers), (1, *size))


def weights(found: Inspection) -> int:
    """Parameters of the whole network."""
    value = found.totals.parameters.value
    assert value is not None
    return value


def macs(found: Inspection) -> int:
    """Multiply-accumulates of the whole network, all of them counted."""
    assert found.totals.macs.state == "complete" and found.totals.macs.value is not None
    assert found.totals.flops.value == 2 * found.totals.macs.value
    return found.totals.macs.value


def output(found: Inspection) -> tuple[int, ...]:
    """What the network gives for one input."""
    size = found.tree[0].output_size
    assert size is not None and size[0] == 1
    return size[1:]


def linear(inputs: int, outputs: int) -> nn.Linear:
    """A layer that may be too large to be held."""
    return nn.Linear(inputs, outputs, bias=False, device="meta")


def numbers(layer: Layer) -> int:
    """Of the layer's output."""
    assert layer.output_size is not None
    return math.prod(layer.output_size)


@pytest.fixture(scope="module")
def vgg16() -> Inspection:
    return striate.inspect("vgg16")


@pytest.mark.parametrize(("channels", "inputs"), [(1, 22_500), (3, 67_500)])
def test_a_picture_of_150x150(channels: int, inputs: int) -> None:
    found = read(nn.Flatten(), size=(channels, 150, 150))
    assert output(found) == (inputs,)
    assert weights(read(nn.Flatten(), linear(inputs, 1), size=(channels, 150, 150))) == inputs


def test_a_fully_connected_layer_of_40000_units_on_a_colour_picture() -> None:
    found = read(nn.Flatten(), linear(3 * 200 * 200, 40_000), size=(3, 200, 200))
    assert weights(found) == macs(found) == 4_800_000_000


@pytest.mark.parametrize(("padding", "side", "units"), [(4, 204, 832_320), (2, 200, 800_000)])
def test_twenty_maps_of_5x5(padding: int, side: int, units: int) -> None:
    found = read(nn.Conv2d(3, 20, 5, padding=padding, bias=False), size=(3, 200, 200))
    assert weights(found) == 1_500
    assert output(found) == (20, side, side)
    assert numbers(found.layers[0]) == units


def test_40000_units_fully_connected_local_or_shared() -> None:
    full = read(nn.Flatten(), linear(200 * 200, 40_000), size=(1, 200, 200))
    local = striate.nn.LocalConv2d(1, 1, 10, (200, 200), padding="same", bias=False, device="meta")
    separate = read(local, size=(1, 200, 200))
    shared = read(nn.Conv2d(1, 100, 10, bias=False), size=(1, 200, 200))
    assert weights(full) == 1_600_000_000
    assert output(separate) == (1, 200, 200)
    assert weights(separate) == 4_000_000
    assert weights(shared) == 10_000


def test_five_units_from_five_fully_connected_or_by_a_window_of_three() -> None:
    full = read(linear(5, 5), size=(1, 5))
    shared = read(nn.Conv1d(1, 1, 3, padding=1, bias=False), size=(1, 5))
    assert output(full) == output(shared) == (1, 5)
    assert (weights(full), weights(shared)) == (25, 3)


@pytest.mark.parametrize(("stride", "outputs"), [(1, 5), (2, 3)])
def test_five_inputs_a_window_of_three_and_padding_1(stride: int, outputs: int) -> None:
    found = read(nn.Conv1d(1, 1, 3, stride=stride, padding=1), size=(1, 5))
    assert output(found) == (1, outputs)
    assert found.layers[0].unread == ()


@pytest.mark.parametrize("filters", [1, 6])
def test_a_filter_of_5x5_on_four_channels_of_11x11(filters: int) -> None:
    found = read(nn.Conv2d(4, filters, 5, stride=2), size=(4, 11, 11))
    assert output(found) == (filters, 4, 4)
    assert weights(found) == filters * (100 + 1)


def test_the_first_layer_of_alexnet() -> None:
    layer = striate.inspect("alexnet_2012", (1, 3, 227, 227)).layer("conv1")
    assert layer.output_size == (1, 96, 55, 55)
    assert layer.window.startswith("11×11") and layer.unread == ()
    assert layer.jump == (4, 4)


@pytest.mark.parametrize("channels", [1, 16])
def test_one_7x7_against_three_3x3(channels: int) -> None:
    one = read(nn.Conv2d(channels, channels, 7, bias=False), size=(channels, 32, 32))
    layers = [nn.Conv2d(channels, channels, 3, bias=False) for _ in range(3)]
    three = read(*layers, size=(channels, 32, 32))
    assert (weights(one), weights(three)) == (49 * channels**2, 27 * channels**2)
    assert output(one) == output(three) == (channels, 26, 26)
    assert one.layers[-1].receptive_field == three.layers[-1].receptive_field == (7, 7)


def test_depthwise_separable_against_ordinary() -> None:
    separable = read(nn.Conv2d(3, 3, 3, groups=3, bias=False), nn.Conv2d(3, 128, 1, bias=False), size=(3, 7, 7))
    ordinary = read(nn.Conv2d(3, 128, 3, bias=False), size=(3, 7, 7))
    assert output(separable) == output(ordinary) == (128, 5, 5)
    assert [layer.parameters for layer in separable.layers] == [27, 384]
    assert (weights(separable), weights(ordinary)) == (411, 3_456)
    assert (macs(separable), macs(ordinary)) == (10_275, 86_400)


def test_a_deformable_convolution_has_a_branch_for_its_offsets() -> None:
    plain = read(nn.Conv2d(64, 64, 3, padding=1, bias=False), size=(64, 14, 14))
    layer = striate.nn.DeformConv2d(64, 64, 3, padding=1, bias=False, predict=True, mask=False)
    deformable = read(layer, size=(64, 14, 14))
    assert weights(plain) == 36_864
    assert weights(deformable) == 36_864 + 10_386
    assert round(100 * 10_386 / weights(plain)) == 28
    parts = {part.what: part.macs for layer in deformable.layers for part in layer.parts}
    assert parts["product"] == macs(plain)
    assert parts["offset branch"] == 14 * 14 * 18 * 64 * 9


def test_the_connection_table_of_lenet_5() -> None:
    layer = striate.inspect("lenet5").layer("c3")
    assert layer.parameters == 60 * 25 + 16 == 1_516
    assert layer.macs == 60 * 25 * 10 * 10


@pytest.mark.parametrize(
    ("network", "parameters"),
    [
        ("alexnet_2012", 60_965_224),
        (lambda: striate.models.alexnet_2012(groups=1), 62_378_344),
        ("alexnet", 61_100_840),
    ],
    ids=["two groups", "one branch", "torchvision's"],
)
def test_the_parameters_of_alexnet(network: object, parameters: int) -> None:
    with torch.device("meta"):
        model = network() if callable(network) else network
    assert weights(striate.inspect(model)) == parameters  # type: ignore[arg-type]


def test_the_parameters_of_vgg16(vgg16: Inspection) -> None:
    assert weights(vgg16) == 138_357_544
    fc6 = vgg16.layer("classifier.0").parameters
    full = sum(layer.parameters for layer in vgg16.layers if layer.operator == "Linear")
    assert fc6 == 102_764_544
    assert round(100 * fc6 / weights(vgg16), 1) == 74.3
    assert round(100 * full / weights(vgg16), 1) == 89.4


def test_the_receptive_field_of_vgg16(vgg16: Inspection) -> None:
    assert vgg16.layer("features.30").receptive_field == (212, 212)
    assert vgg16.layer("features.30").jump == (32, 32)


def test_the_memory_of_vgg16_with_relu_in_place_and_apart(vgg16: Inspection) -> None:
    made = [layer for layer in vgg16.layers if layer.operator in {"Conv2d", "MaxPool2d", "Linear"}]
    inputs = math.prod(vgg16.input_sizes[0])
    outputs = sum(map(numbers, made))
    assert inputs + outputs == VALUES
    assert round(4 * VALUES / 1e6, 2) == 60.95
    relus = sum(numbers(layer) for layer in vgg16.layers if layer.operator == "ReLU")
    assert round(4 * (VALUES + relus) / 1e6, 1) == 115.2
    assert round(100 * sum(map(numbers, made[:2])) / outputs, 1) == 42.6


def test_what_vgg16_keeps_for_the_backward_pass(vgg16: Inspection) -> None:
    convolutions, pools = (
        sum(numbers(layer) for layer in vgg16.layers if layer.operator == operator)
        for operator in ("Conv2d", "MaxPool2d")
    )
    saved = vgg16.totals.saved_for_backward_bytes
    assert saved.state == "complete" and not vgg16.trace.calls[0].module.training
    # Beside all maps and the int64 places of the maxima the input of the classifier, and its two hidden layers.
    assert saved.value == 4 * (convolutions + pools + 25_088 + 2 * 4_096) + 8 * pools
    assert saved.value == sum(layer.saved_bytes for layer in vgg16.layers)


def test_forward_and_backward_take_more_than_double_of_forward(vgg16: Inspection) -> None:
    inference, training = vgg16.usage.peak_forward_of_batch, vgg16.usage.training_of_batch
    gradients = vgg16.usage.gradients_bytes
    assert 2.7 < (training(1000) - gradients) / inference(1000) < 2.9
    # Against the outputs of all layers, were none let go, it is hardly more.
    assert 1.1 < (training(1000) - gradients) / (1000 * vgg16.usage.outputs_bytes) < 1.3


def test_pooling_by_two_discards_three_quarters() -> None:
    found = read(nn.MaxPool2d(2), size=(8, 4, 4))
    assert output(found) == (8, 2, 2)
    assert 1 - numbers(found.layers[0]) / (8 * 4 * 4) == 0.75
    assert found.layers[0].unread == ()


def test_dilations_2_4_8_read_15_of_29() -> None:
    found = read(*[nn.Conv2d(1, 1, 3, padding=d, dilation=d) for d in (2, 4, 8)], size=(1, 64, 64))
    assert found.layers[-1].receptive_field == (29, 29)
    gridding = [finding for finding in found.findings if finding.kind == "gridding"]
    assert gridding[-1].layer == "2"
    assert (gridding[-1].details["covered"], gridding[-1].details["hull"]) == (15, 29)
