import dataclasses
import json
import pickle
import time

import pytest
import torch

from striate import models
from striate.models.notation import NotationConfig, Written, is_text, notation

TEXT = "conv 6 5x5 same, tanh, avgpool 2, flatten, linear 20, tanh, linear classes"


def test_wherever_a_model_is_named():
    network = models.create(TEXT, in_channels=3, num_classes=4, input_size=(12, 10))
    assert network(torch.zeros(2, 3, 12, 10)).shape == (2, 4)
    assert models.name_of(network) == "notation"
    options = json.loads(json.dumps(dataclasses.asdict(network.config)))
    again = models.rebuild("notation", options)
    assert again.config == network.config
    again.load_state_dict(network.state_dict())
    assert models.config_of(TEXT) == NotationConfig(text=TEXT)
    assert models.config_of(TEXT).input_size == (28, 28)
    kind = models.builder_of(TEXT).network
    assert (kind.TAKES, kind.GIVES) == ("pictures", "classes")
    assert pickle.loads(pickle.dumps(network)).config == network.config


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lenet5", False), ("LeNet-5", False), ("ResNet 18", False), ("", False), ("package.module:factory", False),
        ("model.onnx", False), (TEXT, True), ("linear 10", True), ("flatten", True), ("stem: convv 3", True),
        ("covn 6 5x5", True), ("residual(relu)", True), ("w=3; quux", True), ("runs/digits", False),
    ],
)  # fmt: skip
def test_is_text(name: str, expected: bool):
    assert is_text(name) is expected


def test_sizes_and_classes_of_the_text():
    config = NotationConfig(text="input 3x16x20, conv 8 3, globalavg, linear 5")
    assert (config.in_channels, config.input_size, config.num_classes) == (3, (16, 20), 5)
    config = NotationConfig(text="input 3x16x20, conv 8 3, globalavg, linear classes", in_channels=1, input_size=(8, 8))
    assert (config.in_channels, config.input_size, config.num_classes) == (1, (8, 8), 10)
    assert NotationConfig(text="conv 8 3").num_classes == 8


@pytest.mark.parametrize(
    ("text", "takes", "gives"),
    [
        ("input 2x30, conv 4 3, globalavg, linear 2", "series", "classes"),
        ("conv 4 3", "pictures", "maps"),
        ("input 1x4x8x8, conv 4 3, flatten", "clips", "classes"),
        ("input 30, linear 4", "numbers", "classes"),
    ],
)
def test_what_it_takes_and_gives(text: str, takes: str, gives: str):
    network = models.create(text)
    assert (network.TAKES, network.GIVES) == (takes, gives)
    assert network(torch.zeros(2, network.config.in_channels, *network.config.input_size)).shape[0] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 3, "text": "flatten, linear 10"}, "gives 10 scores, but num_classes is 3: write classes"),
        ({"num_classes": -1, "text": "relu"}, "num_classes must be at least 0, got -1"),
        ({"input_size": (0, 3), "text": "relu"}, r"must be up to three sizes, each at least 1, got \(0, 3\)"),
        ({"input_size": (4, 5), "text": "input 1x8, relu"}, "input has 1 axes here, but 1x4x5 comes"),
    ],
)  # fmt: skip
def test_options_out_of_range(options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        notation(**options)


def test_a_text_need_not_fit_what_it_would_have_without_options():
    text = "conv 6 3x3 groups 3, conv 4 40x40, globalavg, linear classes"
    assert models.create(text, in_channels=3, input_size=(50, 50)).config.num_classes == 10


def test_unknown_option():
    with pytest.raises(TypeError, match="has no option 'classes': expected some of text, in_channels"):
        models.create(TEXT, classes=3)


def test_stages_and_head():
    network = models.create("stem: conv 4 3, relu, conv 5 3, 2*(relu), flatten, linear 6, relu, linear classes").eval()
    input = torch.randn(2, 1, 28, 28)
    found = network.features(input)
    assert list(found) == ["stem", "relu1", "conv1", "relu2", "relu3"]
    torch.testing.assert_close(network.head(found["relu3"]), network(input))
    assert (network.FIRST, network.LAST) == ("layers.stem", ("layers.8",))
    row = models.create("flatten, linear 6, relu, linear classes")
    assert list(row.features(input)) == ["flatten1", "linear1", "relu1"]
    assert row.head(row.features(input)["relu1"]).shape == (2, 10)


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        "flatten, linear 10",
        "conv 8 3, relu, conv 10 1x1, globalavg",
        "conv 4 3, conv classes 1",
        "flatten, linear nobias 10",
        "relu, conv /2 groups 1 10 3x3, globalavg",
    ],
)
def test_reset_classifier(text: str):
    network = models.create(text)
    first = network.layers[0]
    network.reset_classifier(3)
    assert network.layers[0] is first
    assert network(torch.zeros(2, 1, 28, 28)).shape[1] == 3
    assert network.config.num_classes == 3
    again = models.rebuild("notation", dataclasses.asdict(network.config))
    again.load_state_dict(network.state_dict())


def test_reset_classifier_refused():
    for text in ("conv 4 3, globalavg", "2*(flatten, linear 10)", "flatten, linear 10, relu"):
        network = models.create(text)
        if network.LAST:
            network.reset_classifier(3)
            continue
        with pytest.raises(ValueError, match="no last linear layer or convolution that stands alone"):
            network.reset_classifier(3)
    network = models.create(TEXT)
    with pytest.raises(ValueError, match="num_classes must be at least 1, got 0"):
        network.reset_classifier(0)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("flatten, linear classes, relu, linear 10", "flatten, linear 10, relu, linear classes"),
        (
            "conv classes 3, 2*(residual(conv classes 1)), globalavg, linear classes",
            "conv 10 3, 2*(residual(conv 10 1)), globalavg, linear classes",
        ),
    ],
)
def test_only_the_last_of_several_layers_of_classes_is_reset(text: str, after: str):
    network = models.create(text)
    network.reset_classifier(3)
    assert (network.config.text, network.config.num_classes) == (after, 3)
    models.rebuild("notation", dataclasses.asdict(network.config)).load_state_dict(network.state_dict())


def test_first_weights_are_those_of_the_seed():
    def numbers() -> torch.Tensor:
        torch.manual_seed(3)
        return torch.cat([parameter.flatten() for parameter in Written(NotationConfig(text=TEXT)).parameters()])

    assert torch.equal(numbers(), numbers())


def test_nothing_is_allocated_on_meta():
    with torch.device("meta"):
        network = models.create("input 3x224x224, conv 64 3 same, flatten, linear 100, linear classes")
    assert all(parameter.is_meta for parameter in network.parameters())


def test_compiles_as_one_graph():
    network = models.create("conv 4 3 same, 2*(residual(conv 4 3 same, relu)), globalavg, linear classes").eval()
    torch._dynamo.reset()
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    input = torch.randn(2, 1, 28, 28)
    torch.testing.assert_close(compiled(input), network(input))


def test_a_long_name_is_told_from_a_text_soon():
    begin = time.process_time()
    assert not is_text("9" * 10**6)
    assert time.process_time() - begin < 1
