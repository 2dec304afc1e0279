"""Random legal configurations along connection tables, against sums of PyTorch's convolutions of one map."""

import random
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

import striate
from ops.checks import assert_close, gradients_of
from ops.draws import draw_layer, draw_tensor

FUNCTIONS = (striate.table_conv1d, striate.table_conv2d, striate.table_conv3d)
CONVOLUTIONS = (F.conv1d, F.conv2d, F.conv3d)


def check_table(dice: random.Random) -> None:
    layer = draw_layer(dice)
    settings = {name: value for name, value in layer.settings.items() if name != "groups"}
    (low, high), (stride, dilation) = layer.pads(), layer.by_axis
    table, inputs, outputs = draw_table(dice)
    dtype, sizes = layer.input.dtype, [layer.input.shape[0], inputs, *layer.sizes]
    input, bias = draw_tensor(dice, sizes, dtype), draw_tensor(dice, [outputs], dtype)
    weight = draw_tensor(dice, [len(table), *layer.weight.shape[2:]], dtype)

    def ours(input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return FUNCTIONS[layer.axes - 1](input, weight, table, outputs, bias, **settings)

    def by_torch(input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        sides = [side for pair in zip(reversed(low), reversed(high), strict=True) for side in pair]
        padded = F.pad(input, sides)
        maps = [0 * CONVOLUTIONS[layer.axes - 1](padded[:, :1], weight[:1].unsqueeze(1), None, stride, 0, dilation)]
        maps *= outputs
        for filter, (source, to) in zip(weight, table.tolist(), strict=True):
            read = padded[:, source : source + 1]
            maps[to] = maps[to] + CONVOLUTIONS[layer.axes - 1](read, filter[None, None], None, stride, 0, dilation)
        return torch.cat(maps, 1) + bias.view(-1, *[1] * layer.axes)

    compare(ours, by_torch, input, weight, bias)


def draw_table(dice: random.Random) -> tuple[Tensor, int, int]:
    """A table, maps below and maps of the layer; one of the tables that have names, or any, with repeated links."""
    kind = dice.randrange(5)
    if kind == 4:
        # Few links from many maps: parts that are convolutions by themselves.
        parts = [
            striate.tables.full(dice.randint(1, 2), maps) + torch.tensor([dice.randrange(126), 0]) for maps in (16, 4)
        ]
        return torch.cat([parts[0], parts[1] + torch.tensor([0, 16])]), 128, 20 + dice.randrange(2)
    if kind == 0:
        maps = dice.choice([1, 2, 9, 12])
        return striate.tables.one_to_one(maps)[torch.tensor(dice.sample(range(maps), maps))], maps, maps
    if kind == 1:
        inputs, outputs = dice.choice([2, 4, 8]), dice.choice([8, 16])
        both = [striate.tables.full(inputs, outputs) + torch.tensor([inputs * i, outputs * i]) for i in range(2)]
        return torch.cat(both), 2 * inputs, 2 * outputs
    inputs, outputs = dice.randint(1, 6), dice.randint(1, 6)
    if kind == 2:
        generator = torch.Generator().manual_seed(dice.randrange(2**31))
        return striate.tables.random(inputs, outputs, dice.randint(1, inputs), generator=generator), inputs, outputs
    links = [(dice.randrange(inputs), dice.randrange(outputs)) for _ in range(dice.randint(1, 12))]
    return torch.tensor(links), inputs, outputs


def compare(ours: Callable[..., Tensor], definition: Callable[..., Tensor], *tensors: Tensor) -> None:
    """Outputs and gradients, relative to the sums of what is added up."""
    wide = tuple(tensor.double() for tensor in tensors)
    sizes = tuple(tensor.abs() for tensor in wide)
    assert_close(ours(*tensors), definition(*wide), terms=definition(*sizes))
    expected = zip(gradients_of(definition, *wide), gradients_of(definition, *sizes), strict=True)
    for found, (wished, terms) in zip(gradients_of(ours, *tensors), expected, strict=True):
        assert_close(found, wished, terms=terms)
