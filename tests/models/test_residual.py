from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from striate.models.residual import BasicBlock, Bottleneck, residual_stage

KINDS = (BasicBlock, Bottleneck)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("block", KINDS)
def test_a_block_of_zeros_is_its_rectified_shortcut(block: type[BasicBlock] | type[Bottleneck], axes: int):
    channels = 4 * block.EXPANSION
    network = block(channels, 4, axes=axes)
    last = network.bn3 if isinstance(network, Bottleneck) else network.bn2
    nn.init.zeros_(last.weight)
    input = torch.randn(2, channels, *(5, 6, 7)[:axes])
    assert torch.equal(network(input), F.relu(input))


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("block", KINDS)
def test_a_stage(block: type[BasicBlock] | type[Bottleneck], axes: int):
    stage = residual_stage(block, 3, 4, 2, stride=2, axes=axes, kernel_size=5)
    found = stage(torch.randn(2, 3, *(9, 10, 11)[:axes]))
    assert found.shape == (2, 4 * block.EXPANSION, *(5, 5, 6)[:axes])
    assert stage[0].conv2.kernel_size == (5,) * axes
    assert stage[0].downsample is not None and stage[1].downsample is None


def test_no_shortcut_where_the_input_fits():
    assert residual_stage(BasicBlock, 4, 4, 1)[0].downsample is None
    assert residual_stage(Bottleneck, 4, 4, 1)[0].downsample is not None


def test_dilations_keep_the_size():
    stage = residual_stage(Bottleneck, 8, 2, 3, dilations=(2, 4))
    assert [block.conv2.dilation for block in stage] == [(2, 2), (4, 4), (4, 4)]
    assert stage(torch.randn(1, 8, 5, 6)).shape == (1, 8, 5, 6)
    basic = residual_stage(BasicBlock, 8, 8, 1, dilations=(3, 3))
    assert basic(torch.randn(2, 8, 5, 6)).shape == (2, 8, 5, 6)


@pytest.mark.parametrize("block", KINDS)
def test_another_convolution(block: type[BasicBlock] | type[Bottleneck]):
    circular = partial(nn.Conv2d, padding_mode="circular")
    stage = residual_stage(block, 4, 4, 2, spatial=circular)
    modes = [(name, layer.padding_mode) for name, layer in stage[1].named_children() if isinstance(layer, nn.Conv2d)]
    assert [name for name, mode in modes if mode == "circular"] == ["conv2"]
