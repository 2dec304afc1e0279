import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nn.published import published_v3, published_v4, stirred
from ops.checks import assert_close
from striate.nn import DCNv3, DCNv4


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


SHARED = [
    {},
    {"groups": 2, "offset_scale": 2.0},
    {"groups": 1, "dilation": 2, "padding": 2},
    {"groups": 2, "remove_center": True, "offset_scale": 0.5},
    {"groups": 2, "center_feature_scale": True},
    {"kernel_size": 5, "padding": 2, "groups": 1, "remove_center": True},
]


@pytest.mark.parametrize(
    "settings",
    [*SHARED, {"dw_kernel_size": 5}, {"norm": "batch", "activation": "silu"}, {"activation": "relu"}],
    ids=str,
)
def test_v3_is_the_published_formula(settings: dict[str, object]):
    layer = stirred(DCNv3(4, dtype=torch.float64, **settings)).eval()
    input = draw(2, 4, 4, 5)
    expected = published_v3(layer, input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    assert_close(layer(input), expected)


@pytest.mark.parametrize(
    "settings",
    [*SHARED, {"dw_kernel_size": 3}, {"without_pointwise": True}, {"output_bias": False, "groups": 1}],
    ids=str,
)
def test_v4_is_the_published_formula(settings: dict[str, object]):
    layer = stirred(DCNv4(4, dtype=torch.float64, **settings))
    input = draw(1, 4, 3, 4)
    expected = published_v4(layer, input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    assert_close(layer(input), expected)


LAYER_NORM = ["dw_conv.1.1.bias", "dw_conv.1.1.weight"]
BATCH_NORM = [
    f"dw_conv.1.0.{name}" for name in ("bias", "num_batches_tracked", "running_mean", "running_var", "weight")
]
CENTER = ["center_feature_scale_proj_bias", "center_feature_scale_proj_weight"]


@pytest.mark.parametrize(
    ("settings", "own"),
    [({}, LAYER_NORM), ({"norm": "batch"}, BATCH_NORM), ({"center_feature_scale": True}, LAYER_NORM + CENTER)],
    ids=str,
)
def test_v3_has_the_published_names(settings: dict[str, object], own: list[str]):
    state = DCNv3(32, **settings).state_dict()
    layers = ("dw_conv.0", "input_proj", "mask", "offset", "output_proj")
    assert sorted(state) == sorted([f"{layer}.{which}" for layer in layers for which in ("bias", "weight")] + own)
    assert state["dw_conv.0.weight"].shape == (32, 1, 3, 3)
    assert state["offset.weight"].shape == (72, 32)
    assert state["mask.weight"].shape == (36, 32)


@pytest.mark.parametrize(
    ("settings", "layers", "width"),
    [
        ({}, ["offset_mask", "output_proj", "value_proj"], 112),
        ({"remove_center": True}, ["offset_mask", "output_proj", "value_proj"], 96),
        ({"dw_kernel_size": 5, "groups": 1}, ["offset_mask", "offset_mask_dw", "output_proj", "value_proj"], 32),
        ({"without_pointwise": True, "groups": 2}, ["offset_mask"], 56),
    ],
    ids=str,
)
def test_v4_has_the_published_names(settings: dict[str, object], layers: list[str], width: int):
    state = DCNv4(32, **settings).state_dict()
    assert sorted(state) == [f"{layer}.{which}" for layer in layers for which in ("bias", "weight")]
    assert state["offset_mask.weight"].shape == (width, 32)
    assert "output_proj.bias" not in DCNv4(32, output_bias=False).state_dict()
    assert set(CENTER) < set(DCNv4(32, center_feature_scale=True).state_dict())


def test_unused_numbers_of_v4_are_unused():
    layer, input = stirred(DCNv4(4, dtype=torch.float64)), draw(1, 4, 3, 3)
    layer(input).sum().backward()
    assert layer.offset_mask.bias.grad.shape == (112,)
    assert layer.offset_mask.bias.grad[:108].all()
    assert not layer.offset_mask.bias.grad[108:].any()


def test_v3_begins_as_a_mean():
    layer, input = DCNv3(4, dtype=torch.float64), draw(1, 4, 5, 5)
    value = layer.input_proj(input.movedim(1, -1)).movedim(-1, 1)
    mean = functional.avg_pool2d(value, 3, 1, 1)
    assert_close(layer(input), layer.output_proj(mean.movedim(1, -1)).movedim(-1, 1))


def test_v4_begins_at_zero():
    input = torch.randn(1, 8, 5, 5)
    assert not DCNv4(8)(input).any()
    assert_close(DCNv4(8, without_pointwise=True, center_feature_scale=True)(input), input / 2)


@pytest.mark.parametrize(
    ("layer", "settings", "error", "message"),
    [
        (DCNv3, {"activation": "tanh"}, ValueError, "activation must be one of gelu, relu, silu, got 'tanh'"),
        (DCNv3, {"activation": ["gelu"]}, ValueError, r"activation must be one of gelu, relu, silu, got \['gelu'\]"),
        (DCNv3, {"norm": "LN"}, ValueError, "norm must be 'layer' or 'batch', got 'LN'"),
        (DCNv4, {"output_bias": None}, TypeError, "output_bias must be True or False, got None"),
        (DCNv4, {"without_pointwise": 1}, TypeError, "without_pointwise must be True or False, got 1"),
    ],
)
def test_refuses_of_its_own(layer: type[nn.Module], settings: dict[str, object], error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        layer(8, **settings)
