import pytest
import torch
from torch import Tensor, nn

from ops.checks import assert_close
from ops.deformed import convolved
from striate.nn import DeformConv2d, from_mmcv

DRAWN = {"generator": torch.Generator().manual_seed(0), "dtype": torch.float64}


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, **DRAWN)


def pack(state: dict[str, Tensor], input: Tensor, padding: int) -> Tensor:
    """mmcv's `ModulatedDeformConv2dPack`, or its `DeformConv2dPack` where the predictor is narrower."""
    found = nn.functional.conv2d(input, state["conv_offset.weight"], state["conv_offset.bias"], padding=padding)
    offset, mask = found, None
    if found.shape[1] % 27 == 0:
        first, second, logits = torch.chunk(found, 3, dim=1)
        offset, mask = torch.cat((first, second), dim=1), torch.sigmoid(logits)
    one = [1, 1]
    return convolved(input, offset, mask, state["weight"], state.get("bias"), one, [padding] * 2, one)


def modulated(deform_groups: int = 1) -> dict[str, Tensor]:
    predictor = {"conv_offset.weight": 0.3 * draw(27 * deform_groups, 2, 3, 3), "conv_offset.bias": draw(27)}
    predictor["conv_offset.bias"] = predictor["conv_offset.bias"].repeat(deform_groups)
    return {"weight": draw(3, 2, 3, 3), "bias": draw(3), **predictor}


@pytest.mark.parametrize("deform_groups", [1, 2])
def test_modulated_pack_loads_and_gives_the_same(deform_groups: int):
    state, input = modulated(deform_groups), draw(1, 2, 4, 4)
    layer = DeformConv2d(2, 3, 3, padding=1, predict=True, offset_groups=deform_groups, dtype=torch.float64)
    layer.load_state_dict(state)
    assert_close(layer(input), pack(state, input, 1))
    assert layer.state_dict().keys() == state.keys()


@pytest.mark.parametrize("deform_groups", [1, 2])
def test_plain_pack_loads_and_gives_the_same(deform_groups: int):
    state = {
        "weight": draw(3, 2, 3, 3),
        "conv_offset.weight": 0.3 * draw(18 * deform_groups, 2, 3, 3),
        "conv_offset.bias": draw(18 * deform_groups),
    }
    input = draw(1, 2, 4, 4)
    layer = DeformConv2d(
        2, 3, 3, padding=1, bias=False, predict=True, mask=False, offset_groups=deform_groups, dtype=torch.float64
    )
    layer.load_state_dict(state)
    assert_close(layer(input), pack(state, input, 1))
    assert layer.state_dict().keys() == state.keys()


class Block(nn.Module):
    """A block as mmdet's, and a head with a sibling named `..._offset` that is no predictor."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Module())
        self.layer[0].conv2 = DeformConv2d(2, 3, 3, padding=1, predict=True, dtype=torch.float64)
        self.reg, self.reg_offset = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)


def test_old_names_are_found_below_their_layer():
    state = modulated()
    network = Block()
    old = {name: tensor for name, tensor in network.state_dict().items() if name.startswith("reg")}
    for name, tensor in state.items():
        old["layer.0.conv2." + name if name in ("weight", "bias") else "layer.0.conv2" + name[4:]] = tensor
    assert sorted(old)[:4] == [
        "layer.0.conv2.bias",
        "layer.0.conv2.weight",
        "layer.0.conv2_offset.bias",
        "layer.0.conv2_offset.weight",
    ]
    with pytest.raises(RuntimeError, match="conv2_offset"):
        network.load_state_dict(old)
    before = dict(old)
    network.load_state_dict(from_mmcv(old, network))
    assert old.keys() == before.keys()
    input = draw(1, 2, 4, 4)
    assert_close(network.layer[0].conv2(input), pack(state, input, 1))


def test_new_names_stay():
    network = Block()
    state = network.state_dict()
    assert from_mmcv(state, network).keys() == state.keys()
    name = "layer.0.conv2.conv_offset.weight"
    both = from_mmcv(state | {"layer.0.conv2_offset.weight": torch.ones(1)}, network)
    assert both[name] is state[name]
    layer = DeformConv2d(2, 3, 3, predict=True)
    assert from_mmcv(layer.state_dict(), layer).keys() == layer.state_dict().keys()


def test_refuses():
    network = Block()
    with pytest.raises(TypeError, match="state_dict must be a dict of names and tensors, got list"):
        from_mmcv([], network)
    with pytest.raises(TypeError, match="got a checkpoint with meta, state_dict: give its entry 'state_dict'"):
        from_mmcv({"meta": {}, "state_dict": network.state_dict()}, network)
    with pytest.raises(TypeError, match="module must be a torch.nn.Module, got NoneType"):
        from_mmcv({}, None)
    network.layer[0].conv2 = DeformConv2d(2, 3, 3, predict=True, mask_init=1.0)
    with pytest.raises(ValueError, match="layer.0.conv2 must have mask_init=0.5, as mmcv's has, got 1.0"):
        from_mmcv({}, network)
