from typing import Any

import pytest
import torch
from tests.models.layer_sizes import layer_sizes, parameters, stage_sizes

from striate.models import JarrettNet, jarrett


@pytest.fixture
def network() -> JarrettNet:
    torch.manual_seed(0)
    return jarrett(input_size=(83, 83), num_classes=3).eval()


def test_parameters():
    network = jarrett()
    assert [parameters(layer) for layer in (network.stage1.filters, network.stage1.tanh)] == [5_248, 64]
    assert [parameters(layer) for layer in (network.stage2.filters, network.stage2.tanh)] == [332_032, 256]
    assert parameters(network.classifier) == 417_894
    assert parameters(network) == 755_494


def test_sizes():
    network = jarrett().to("meta")
    assert stage_sizes(network) == {"stage1": (64, 26, 26), "stage2": (256, 4, 4)}
    inner = layer_sizes(network)
    assert (inner["stage1.filters"], inner["stage2.filters"]) == ((64, 135, 135), (256, 18, 18))


def test_each_map_reads_sixteen(network: JarrettNet):
    sources, maps = network.stage2.filters.table.T
    assert torch.equal(maps.bincount(), torch.full((256,), 16))
    assert torch.equal(sources.bincount(), torch.full((64,), 64))
    assert len(set(zip(sources.tolist(), maps.tolist(), strict=True))) == 4096


def test_the_table_is_the_same_in_every_network(network: JarrettNet):
    torch.manual_seed(3)
    other = jarrett(input_size=(83, 83), num_classes=3)
    assert not torch.equal(other.stage2.filters.weight, network.stage2.filters.weight)
    assert torch.equal(other.stage2.filters.table, network.stage2.filters.table)
    assert "stage2.filters.table" in network.state_dict()


def test_order_of_a_stage(network: JarrettNet):
    for stage in (network.stage1, network.stage2):
        assert [name for name, _ in stage.named_children()] == ["filters", "tanh", "rectify", "normalize", "pool"]


def test_parts_can_be_left_out():
    network = jarrett(input_size=(83, 83), num_classes=3, rectify=False, normalize=False, pooling="max", links=5)
    for stage in (network.stage1, network.stage2):
        assert [name for name, _ in stage.named_children()] == ["filters", "tanh", "pool"]
        assert type(stage.pool).__name__ == "MaxPool2d"
    assert len(network.stage2.filters.weight) == 5 * 256
    assert network(torch.zeros(1, 1, 83, 83)).shape == (1, 3)


def test_made_for_one_size(network: JarrettNet):
    with pytest.raises(ValueError, match="this jarrett is made for pictures of 83x83 pixels"):
        network(torch.zeros(1, 1, 143, 143))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_size": (82, 143)}, "jarrett needs pictures of at least 83x83 pixels, got a side of 82"),
        ({"links": 65}, "links must be at most the 64 maps of the first stage, got 65"),
        ({"links": 0}, "links must be at least 1, got 0"),
        ({"pooling": "mean"}, "pooling must be one of average, max, got 'mean'"),
        ({"num_classes": 0}, "num_classes must be at least 1, got 0"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        jarrett(**options)
