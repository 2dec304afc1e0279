import copy
import pickle

import pytest
import torch
from torch import nn

from ops.checks import assert_close, check_compiles, check_onnx
from striate import tables
from striate.nn import Conv1d, Conv2d, Conv3d, TableConv1d, TableConv2d, TableConv3d
from striate.nn.table_conv import TableConvNd
from striate.ops.table_conv import table_conv1d, table_conv2d, table_conv3d

LAYERS = ((TableConv1d, table_conv1d), (TableConv2d, table_conv2d), (TableConv3d, table_conv3d))
PLAIN = (Conv1d, Conv2d, Conv3d)
C3 = tables.lenet5_c3()


@pytest.mark.parametrize(("layer", "function"), LAYERS)
@pytest.mark.parametrize("settings", [{}, {"stride": 2, "padding": "same_lower", "dilation": 2}, {"bias": False}])
def test_is_the_function_with_parameters(layer: type[TableConvNd], function, settings: dict[str, object]):
    one = layer(C3, 16, 3, **settings)
    input = torch.randn(2, 6, *[7] * one._axes)
    shared = {name: value for name, value in settings.items() if name != "bias"}
    assert torch.equal(one(input), function(input, one.weight, C3, 16, one.bias, **shared))
    assert_close(one(input[0]), one(input)[0])


def test_parameters_of_the_lecture():
    layer = TableConv2d(C3, 16, 5)
    assert sum(parameter.numel() for parameter in layer.parameters()) == 1516
    assert sum(parameter.numel() for parameter in nn.Conv2d(6, 16, 5).parameters()) == 2416


@pytest.mark.parametrize("layer", [TableConv1d, TableConv2d, TableConv3d])
def test_each_map_begins_as_a_layer_with_as_many_inputs(layer: type[TableConvNd]):
    torch.manual_seed(0)
    table = torch.cat([tables.full(20, 2), torch.tensor([[0, 3], [0, 3]] * 5)])
    one = layer(table, 5, 4, dtype=torch.float64)
    taps = 4**one._axes
    for to, sources in enumerate([20, 20, 0, 10, 0]):
        if sources == 0:
            assert one.bias[to] == 0
            continue
        bound = (sources * taps) ** -0.5
        largest = one.weight[table[:, 1] == to].abs().max()
        assert 0.9 * bound < largest <= bound
        assert 0 < one.bias[to].abs() <= bound


def test_the_same_seed_gives_the_same_numbers_in_every_format():
    torch.manual_seed(0)
    first = TableConv3d(C3, 16, 3)
    other = TableConv3d(C3, 16, 3).to(memory_format=torch.channels_last)
    torch.manual_seed(0)
    other.reset_parameters()
    assert torch.equal(first.weight, other.weight)
    assert torch.equal(first.bias, other.bias)


def test_weights_without_a_link_do_not_exist_and_training_makes_none():
    torch.manual_seed(0)
    layer = TableConv2d(C3, 16, 5)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        layer(torch.randn(2, 6, 9, 9)).square().mean().backward()
        optimizer.step()
    linked = torch.zeros(16, 6, dtype=torch.bool)
    linked[C3[:, 1], C3[:, 0]] = True
    assert torch.equal(layer.to_conv().weight.abs().amax((2, 3)) > 0, linked)


def test_reads_maps_that_the_table_does_not_name():
    layer = TableConv1d(torch.tensor([[1, 0]]), 1, 1, in_channels=4, bias=False)
    nn.init.ones_(layer.weight)
    assert layer(torch.arange(4.0).view(4, 1)).item() == 1
    assert TableConv1d(torch.tensor([[1, 0]]), 1, 1).in_channels == 2
    with pytest.raises(ValueError, match=r"input must have 4 channels, got \(2, 5\)"):
        layer(torch.zeros(2, 5))


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2])
def test_an_ordinary_convolution_and_back(axes: int, groups: int):
    plain = PLAIN[axes - 1](4, 6, 3, stride=2, padding=((1, 2),) * axes, groups=groups, dtype=torch.float64).eval()
    layer = LAYERS[axes - 1][0].from_conv(plain)
    assert len(layer.table) == 24 // groups
    assert not layer.training
    input = torch.randn(2, 4, *[6] * axes, dtype=torch.float64)
    assert_close(layer(input), plain(input))
    again = layer.to_conv()
    assert type(again) is PLAIN[axes - 1]
    assert_close(again(input), plain(input))
    assert again.weight.data_ptr() != plain.weight.data_ptr()


def test_a_table_keeps_some_filters_of_pytorchs_layer():
    theirs = nn.Conv2d(6, 16, 5, padding="same", bias=False)
    layer = TableConv2d.from_conv(theirs, C3)
    assert torch.equal(layer.weight, theirs.weight[C3[:, 1], C3[:, 0]])
    assert (layer.padding, layer.bias) == ("same", None)
    beside = TableConv2d.from_conv(nn.Conv2d(2, 2, 1, groups=2), torch.tensor([[1, 0], [1, 1]]))
    assert beside.weight[0].item() == 0


def test_repeated_links_are_one_filter_of_the_ordinary_convolution():
    layer = TableConv1d(torch.tensor([[0, 0], [0, 0], [1, 0]]), 1, 3)
    input = torch.randn(2, 2, 8)
    assert_close(layer.to_conv()(input), layer(input))
    assert len(TableConv1d.from_conv(layer.to_conv()).table) == 2


def test_the_table_is_part_of_the_state():
    layer = TableConv2d(tables.random(6, 8, 2), 8, 3)
    other = TableConv2d(tables.random(6, 8, 2), 8, 3)
    assert set(layer.state_dict()) == {"weight", "bias", "table"}
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other.table, layer.table)
    input = torch.randn(1, 6, 5, 5)
    assert torch.equal(other(input), layer(input))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (torch.full((16, 2), 6), r"inner.table: table must link the 6 maps below .* got \(6, 6\) as link 0"),
        (torch.zeros(16, 2), "inner.table: table must be int64, got torch.float32"),
        (torch.zeros(16, 3, dtype=torch.int64), r"inner.table: table must be \(links, 2\), .* got \(16, 3\)"),
        (tables.random(6, 8, 3), "size mismatch for inner.table"),
    ],
)
def test_a_table_is_checked_when_it_is_loaded(table: torch.Tensor, message: str):
    layer = nn.Sequential()
    layer.add_module("inner", TableConv2d(tables.random(6, 8, 2), 8, 3))
    before = copy.deepcopy(layer.state_dict())
    with pytest.raises(RuntimeError, match=message):
        layer.load_state_dict({**layer.state_dict(), "inner.table": table})
    assert torch.equal(layer.state_dict()["inner.table"], before["inner.table"])
    with pytest.raises(RuntimeError, match="Missing key.*inner.table"):
        layer.load_state_dict({name: value for name, value in before.items() if name != "inner.table"})


def test_the_table_is_no_number_to_be_rounded():
    layer = TableConv2d(C3, 16, 3).bfloat16()
    assert layer.table.dtype == torch.int64
    assert layer(torch.randn(1, 6, 4, 4).bfloat16()).dtype == torch.bfloat16


def test_copies_and_pickles():
    layer = TableConv2d(C3, 16, 3, padding="causal")
    input = torch.randn(1, 6, 5, 5)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert other.weight is not layer.weight
        assert torch.equal(other(input), layer(input))


def test_made_without_memory_then_initialised():
    layer = TableConv2d(C3, 16, 3, device="meta")
    assert layer.weight.is_meta and layer.table.is_meta
    layer.to_empty(device="cpu")
    layer.reset_parameters()
    assert torch.equal(layer.table, C3)
    with torch.device("meta"):
        assert TableConv2d(C3, 16, 3).table.is_meta


@pytest.mark.parametrize("table", [C3, tables.one_to_one(12)], ids=["dense", "groups"])
def test_compiles_for_two_sizes(table: torch.Tensor):
    layer = TableConv2d(table, 16, 3, padding="same", dtype=torch.float64)
    channels = layer.in_channels
    check_compiles(layer, lambda size: (torch.randn(1, channels, size, size + 1, dtype=torch.float64),), (5, 8))


def test_exports_to_onnx(tmp_path):
    assert "Conv" in check_onnx(TableConv2d(C3, 16, 5, stride=2), tmp_path, torch.randn(1, 6, 9, 9))


def test_is_shown_with_its_settings():
    layer = TableConv2d(C3, 16, 5, 2, "same", bias=False)
    assert layer.extra_repr() == "6, 16, kernel_size=(5, 5), stride=(2, 2), padding=same, bias=False, links=60"
    assert repr(TableConv1d(C3, 16, 5)) == "TableConv1d(6, 16, kernel_size=(5,), stride=(1,), links=60)"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"table": C3.float()}, TypeError, "table layer: table must be int64, got torch.float32"),
        ({"table": [[0, 0]]}, TypeError, "table layer: table must be a tensor, got list"),
        ({"bias": "abc"}, TypeError, "bias must be True or False, got 'abc'"),
        ({"table": C3.T}, ValueError, r"table layer: table must be \(links, 2\), .* got \(2, 60\)"),
        ({"table": C3 - 1}, ValueError, r"table layer: .* the 5 maps below .* got \(-1, -1\) as link 0"),
        ({"out_channels": 15}, ValueError, r"the 15 of the layer, .* got \(0, 15\) as link 54"),
        ({"in_channels": 5}, ValueError, r"the 5 maps below .* got \(5, 3\) as link 11"),
        ({"out_channels": 0}, ValueError, "out_channels must be an integer of at least 1, got 0"),
        ({"table": C3[:0]}, ValueError, "in_channels must be an integer of at least 1, got 0"),
        ({"kernel_size": 0}, ValueError, "kernel"),
        ({"padding": "smae"}, ValueError, "did you mean 'same'"),
    ],
)
def test_refuses(change: dict[str, object], error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        TableConv2d(**{"table": C3, "out_channels": 16, "kernel_size": 3, **change})


def test_refuses_what_is_no_plain_convolution():
    with pytest.raises(TypeError, match="conv must be a convolution along 2 axes, got Linear"):
        TableConv2d.from_conv(nn.Linear(2, 2))
    with pytest.raises(TypeError, match="conv must be a convolution along 2 axes, got Conv1d"):
        TableConv2d.from_conv(nn.Conv1d(2, 2, 3))
    with pytest.raises(ValueError, match="conv must be padded with zeros, got padding_mode='reflect'"):
        TableConv2d.from_conv(nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"))
    with pytest.raises(ValueError, match="table must not repeat a link"):
        TableConv2d.from_conv(nn.Conv2d(2, 2, 3), torch.tensor([[0, 0], [0, 0]]))
