"""Transposed unshared layers: the function, the weight of their adjoint, lazy sizes, errors."""

import copy
import math
from typing import Any

import pytest
import torch
from torch.nn.parameter import is_lazy

from ops.checks import assert_close, check_compiles, check_onnx
from striate.nn import LocalConv2d, LocalConvTranspose1d, LocalConvTranspose2d, LocalConvTranspose3d
from striate.nn.local_conv_transpose import LocalConvTransposeNd
from striate.ops.local_conv_transpose import local_conv_transpose1d, local_conv_transpose2d, local_conv_transpose3d

LAYERS = [
    (LocalConvTranspose1d, local_conv_transpose1d),
    (LocalConvTranspose2d, local_conv_transpose2d),
    (LocalConvTranspose3d, local_conv_transpose3d),
]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2},
        {"stride": 3, "padding": "same", "bias": "shared"},
        {"padding": "causal", "dilation": 2, "bias": False},
    ],
    ids=str,
)
@pytest.mark.parametrize(("layer_of", "function"), LAYERS)
def test_is_the_function_with_parameters(
    layer_of: type[LocalConvTransposeNd], function: Any, settings: dict[str, Any]
) -> None:
    sizes = (3, 4, 2)[: layer_of._axes]
    torch.manual_seed(0)
    known = layer_of(4, 6, 3, input_size=sizes, **settings)
    lazy = layer_of(4, 6, 3, **settings)
    assert is_lazy(lazy.weight)
    input = torch.randn(2, 4, *sizes)
    torch.manual_seed(0)
    assert torch.equal(lazy(input), known(input)), "the same seed draws the same weights"
    given = {name: value for name, value in settings.items() if name != "bias"}
    expected = function(input, known.weight, known.bias, **given)
    assert torch.equal(known(input), expected)
    assert torch.equal(known(input[0]), expected[0])
    assert repr(known) == repr(lazy)
    assert known.weight.shape == (*sizes, 4, 6 // known.groups, *[3] * len(sizes))
    if settings.get("bias", "unshared") == "unshared":
        assert known.bias.shape == (*expected.shape[2:], 6)


def test_takes_the_weight_of_the_layer_whose_transpose_it_is() -> None:
    forth = LocalConv2d(4, 6, 3, input_size=7, stride=2, padding=1, groups=2, bias=False, dtype=torch.float64)
    back = LocalConvTranspose2d(6, 4, 3, input_size=4, stride=2, padding=1, groups=2, bias=False, dtype=torch.float64)
    back.load_state_dict(forth.state_dict())
    x, y = torch.randn(2, 4, 7, 7).double(), torch.randn(2, 6, 4, 4).double()
    assert_close((forth(x) * y).sum(), (x * back(y)).sum(), terms=(forth(x) * y).abs().sum())


def test_what_it_prints() -> None:
    layer = LocalConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, bias=False)
    assert repr(layer) == (
        "LocalConvTranspose2d(4, 6, kernel_size=(3, 3), input_size=None, stride=(2, 2), padding=(1, 1), "
        "output_padding=(1, 1), bias=False)"
    )


def test_the_weights_begin_by_the_true_fan_in() -> None:
    layer = LocalConvTranspose2d(8, 2, 5, input_size=12, groups=2)
    bound = 1 / math.sqrt(4 * 25)
    assert_close(layer.weight.std(), torch.tensor(bound / math.sqrt(3)), torch.float16)
    assert layer.weight.abs().max() <= bound


def test_copies_compiles_and_exports(tmp_path: Any) -> None:
    layer = LocalConvTranspose2d(2, 3, 4, input_size=4, stride=2, padding="same")
    input = torch.randn(1, 2, 4, 4)
    assert torch.equal(copy.deepcopy(layer)(input), layer(input))
    check_compiles(layer, lambda batch: (torch.randn(batch, 2, 4, 4),), (2, 5))
    assert "MatMul" in check_onnx(layer, tmp_path, input)


def test_another_size_is_refused() -> None:
    layer = LocalConvTranspose1d(2, 3, 3, input_size=6)
    with pytest.raises(
        ValueError, match=r"LocalConvTranspose1d: the weights are made for an input of \(6,\), got \(7,\)"
    ):
        layer(torch.zeros(1, 2, 7))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"groups": 3}, "in_channels must be a multiple of groups=3, got 4"),
        ({"padding": "full"}, "padding of a transposed layer must be numbers, 'valid', 'same' or 'causal', got 'full'"),
        ({"output_padding": -1}, "LocalConvTranspose2d: output_padding must be an integer of at least 0, got -1"),
        ({"output_padding": (1, 1, 1)}, r"output_padding must be one number or one an axis \(2\), got \(1, 1, 1\)"),
        ({"output_padding": 1}, "output_padding must be at least 0 and below the larger of stride 1 and dilation 1"),
        ({"padding": 4}, "the transposed output is empty"),
        ({"bias": True}, "bias must be 'unshared', 'shared' or False, got True"),
    ],
)
def test_refuses(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LocalConvTranspose2d(4, 6, 3, **{"input_size": 5, **settings})
