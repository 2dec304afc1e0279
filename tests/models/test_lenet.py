import dataclasses
import inspect
import io

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.models import LeNet5, LeNet5Config, lenet5

# Table I of the paper: a row for each map of the second stage, a column for each of the third layer.
TABLE = """
X...XXX..XXXX.XX
XX...XXX..XXXX.X
XXX...XXX..X.XXX
.XXX..XXXX..X.XX
..XXX..XXXX.XX.X
...XXX..XXXX.XXX
"""


@pytest.fixture
def table() -> Tensor:
    """The connection table `(maps of the third layer, maps below)`."""
    return torch.tensor([[sign == "X" for sign in row] for row in TABLE.split()]).T


@pytest.fixture
def network() -> LeNet5:
    torch.manual_seed(0)
    return lenet5()


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def dense_weight(layer: nn.Module) -> Tensor:
    """The weight of the third layer with zeros where there is no link."""
    weight = torch.zeros(16, 6, 5, 5, dtype=layer.weight.dtype)
    sources, maps = layer.table.T
    weight[maps, sources] = layer.weight.detach()
    return weight


def test_parameters_are_those_of_the_paper(network: LeNet5, table: Tensor):
    assert table.sum() == 60
    assert parameters(network.c3) == 1516
    assert [parameters(layer) for layer in (network.c1, network.c5, network.f6, network.output)] == [
        156, 48120, 10164, 850,
    ]  # fmt: skip
    assert parameters(network) == 60806


def test_third_layer_reads_the_maps_of_the_table(network: LeNet5, table: Tensor):
    maps = torch.randn(1, 6, 5, 5, requires_grad=True)
    answers = network.c3(maps).flatten()
    read = [torch.autograd.grad(answer, maps, retain_graph=True)[0].abs().amax((0, 2, 3)) > 0 for answer in answers]
    assert torch.equal(torch.stack(read), table)


def test_third_layer_is_a_convolution_with_a_masked_weight(network: LeNet5, table: Tensor):
    network.double()
    weight = dense_weight(network.c3)
    assert torch.equal(weight.abs().amax((2, 3)) > 0, table)
    weight.requires_grad_()
    bias = network.c3.bias.detach().clone().requires_grad_()
    maps = torch.randn(2, 6, 9, 7, dtype=torch.float64)
    ours, theirs = maps.clone().requires_grad_(), maps.clone().requires_grad_()
    expected = F.conv2d(theirs, weight, bias)
    found = network.c3(ours)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    signal = torch.randn_like(expected)
    expected.backward(signal)
    found.backward(signal)
    sources, maps = network.c3.table.T
    torch.testing.assert_close(network.c3.weight.grad, weight.grad[maps, sources], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(network.c3.bias.grad, bias.grad, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-12, atol=1e-12)


def test_gradients_of_the_third_layer(network: LeNet5):
    layer = network.c3.double()
    maps = torch.randn(1, 6, 5, 5, dtype=torch.float64, requires_grad=True)

    def answers(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (maps,))

    assert torch.autograd.gradcheck(answers, (maps, layer.weight, layer.bias), fast_mode=True)


def test_first_weights_of_the_third_layer_follow_the_links(network: LeNet5, table: Tensor):
    weight = dense_weight(network.c3)
    for to, links in enumerate(table.sum(1).tolist()):
        bound = 1 / (25 * links) ** 0.5
        largest = weight[to].abs().max()
        assert 0.9 * bound < largest <= bound
        assert network.c3.bias[to].abs() <= bound


@pytest.mark.parametrize(
    ("config", "pictures"),
    [
        (LeNet5Config(), (2, 1, 28, 28)),
        (LeNet5Config(in_channels=3, num_classes=5, dropout=0.5), (1, 3, 28, 28)),
        (LeNet5Config(input_size=(12, 12), activation="relu"), (3, 1, 12, 12)),
        (LeNet5Config(input_size=(40, 21), pooling="max"), (2, 1, 40, 21)),
        (LeNet5Config(in_channels=4, num_classes=1, input_size=(13, 96)), (1, 4, 13, 96)),
    ],
)
def test_every_parameter_learns(config: LeNet5Config, pictures: tuple[int, ...]):
    network = LeNet5(config)
    scores = network(torch.randn(pictures))
    assert scores.shape == (pictures[0], config.num_classes)
    assert scores.isfinite().all()
    scores.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_saved_and_loaded(network: LeNet5):
    pictures = torch.randn(3, 1, 28, 28)
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    file.seek(0)
    other = lenet5()
    assert not torch.equal(other(pictures), network(pictures))
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(pictures), network(pictures))


def test_loads_what_was_saved_without_a_table(network: LeNet5):
    stored = {name: value for name, value in network.state_dict().items() if name != "c3.table"}
    other = lenet5()
    other.load_state_dict(stored)
    assert "c3.table" not in stored
    pictures = torch.randn(3, 1, 28, 28)
    assert torch.equal(other(pictures), network(pictures))
    # The order of the links is that of every version: the maps of the layer, then their sources.
    assert network.c3.table[12:24].tolist() == [
        [4, 4], [5, 4], [0, 4], [5, 5], [0, 5], [1, 5], [0, 6], [1, 6], [2, 6], [3, 6], [1, 7], [2, 7],
    ]  # fmt: skip
    inside = nn.Sequential(other)
    inside.load_state_dict({f"0.{name}": value for name, value in stored.items()})
    with pytest.raises(RuntimeError, match="Missing key.*c3.weight.*c3.table"):
        other.load_state_dict({name: value for name, value in stored.items() if name != "c3.weight"})


def test_compiles_as_one_graph(network: LeNet5):
    pictures = torch.randn(2, 1, 28, 28)
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(pictures), network(pictures))


def test_channels_last(network: LeNet5):
    pictures = torch.randn(2, 1, 28, 28)
    expected = network(pictures)
    found = network.to(memory_format=torch.channels_last)(pictures.to(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected)


def test_bfloat16(network: LeNet5):
    pictures = torch.randn(4, 1, 28, 28)
    expected = network(pictures)
    with torch.autocast("cpu", torch.bfloat16):
        scores = network(pictures)
    assert scores.dtype == torch.bfloat16
    torch.testing.assert_close(scores.float(), expected, rtol=0.05, atol=0.02)
    scores.float().sum().backward()
    assert network.c3.weight.grad.dtype == torch.float32
    torch.testing.assert_close(network.bfloat16()(pictures.bfloat16()).float(), expected, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("size", [(11, 28), (28, 11), (0, 28)])
def test_too_small_a_picture(size: tuple[int, int]):
    with pytest.raises(ValueError, match=rf"at least 12x12 pixels, got a side of {min(size)}"):
        lenet5(input_size=size)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_channels": 0}, "in_channels must be at least 1, got 0"),
        ({"num_classes": -1}, "num_classes must be at least 1, got -1"),
        ({"activation": "sigmoid"}, "activation must be one of tanh, relu, got 'sigmoid'"),
        ({"pooling": "mean"}, "pooling must be one of average, max, got 'mean'"),
        ({"dropout": 1.5}, "dropout probability"),
    ],
)
def test_options_out_of_range(options: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        lenet5(**options)


def test_dropout_only_in_training():
    torch.manual_seed(0)
    network = lenet5(dropout=0.5)
    pictures = torch.randn(2, 1, 28, 28)
    assert not torch.equal(network(pictures), network(pictures))
    network.eval()
    assert torch.equal(network(pictures), network(pictures))


def test_signature_lists_the_options():
    shown = inspect.signature(lenet5)
    assert list(shown.parameters) == [field.name for field in dataclasses.fields(LeNet5Config)]
    assert {name: option.default for name, option in shown.parameters.items()} == dataclasses.asdict(LeNet5Config())
    assert all(option.kind is inspect.Parameter.KEYWORD_ONLY for option in shown.parameters.values())
    assert lenet5.__name__ == "lenet5"
    for name in shown.parameters:
        assert f"{name}:" in inspect.getdoc(lenet5)
