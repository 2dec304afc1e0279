"""Unshared layers: known and lazy sizes, the beginning of the weights, state dicts, errors."""

import copy
import math
import pickle
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from ops.checks import assert_close, check_compiles, check_onnx
from striate.nn import LocalConv1d, LocalConv2d, LocalConv3d
from striate.nn.local_conv import LocalConvNd
from striate.ops.local_conv import local_conv1d, local_conv2d, local_conv3d

LAYERS = [(LocalConv1d, local_conv1d), (LocalConv2d, local_conv2d), (LocalConv3d, local_conv3d)]
SETTINGS: list[dict[str, Any]] = [
    {},
    {"stride": 2, "padding": 1, "groups": 2},
    {"padding": "same", "dilation": 2, "bias": "shared"},
    {"padding": "causal", "bias": False, "padding_mode": "replicate"},
    {"padding": 1, "padding_mode": "constant", "border": 2.5},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize(("layer_of", "function"), LAYERS)
def test_is_the_function_with_parameters(layer_of: type[LocalConvNd], function: Any, settings: dict[str, Any]) -> None:
    sizes = (6, 7, 5)[: layer_of._axes]
    torch.manual_seed(0)
    known = layer_of(4, 6, 3, input_size=sizes, **settings)
    lazy = layer_of(4, 6, 3, **settings)
    input = torch.randn(2, 4, *sizes)
    torch.manual_seed(0)
    assert torch.equal(lazy(input), known(input)), "the same seed draws the same weights"
    given = {name: value for name, value in settings.items() if name not in ("bias", "border")}
    expected = function(input, known.weight, known.bias, border=known.border, **given)
    assert torch.equal(known(input), expected)
    assert torch.equal(known(input[0]), expected[0])
    assert repr(known) == repr(lazy)
    outputs = expected.shape[2:]
    assert known.weight.shape == (*outputs, 6, 4 // known.groups, *[3] * len(sizes))
    bias = settings.get("bias", "unshared")
    assert known.bias is None if not bias else known.bias.shape == ((6,) if bias == "shared" else (*outputs, 6))


def test_what_it_prints() -> None:
    layer = LocalConv2d(4, 6, 3, padding=1, dilation=2, groups=2, bias="shared", padding_mode="circular")
    assert repr(layer) == (
        "LocalConv2d(4, 6, kernel_size=(3, 3), input_size=None, stride=(1, 1), padding=(1, 1), dilation=(2, 2), "
        "groups=2, bias=shared, padding_mode=circular)"
    )
    assert repr(LocalConv1d(1, 2, 3, 9)) == "LocalConv1d(1, 2, kernel_size=(3,), input_size=(9,), stride=(1,))"


@pytest.mark.parametrize("groups", [1, 4])
def test_the_weights_begin_by_the_true_fan_in(groups: int) -> None:
    """Torch's rule would count the places of the output as channels, and make the weights too small."""
    layer = LocalConv2d(8, 8, 5, input_size=12, groups=groups)
    bound = 1 / math.sqrt(8 / groups * 25)
    assert layer.weight.abs().max() <= bound
    assert_close(layer.weight.std(), torch.tensor(bound / math.sqrt(3)), torch.float16)
    assert 0.8 * bound < layer.bias.abs().max() <= bound
    same = nn.Conv2d(8, 8, 5, groups=groups)
    assert abs(layer.weight.std() / same.weight.std() - 1) < 0.05


class TestLazySize:
    def test_the_first_input_says_it(self) -> None:
        layer = LocalConv2d(3, 4, 3, padding=1, device="cpu", dtype=torch.float64)
        assert is_lazy(layer.weight) and is_lazy(layer.bias)
        assert layer.input_size is None
        assert layer(torch.zeros(3, 5, 6).double()).shape == (4, 5, 6)
        assert layer.input_size == (5, 6)
        assert layer.weight.dtype == torch.float64
        assert isinstance(layer.weight, nn.Parameter) and not is_lazy(layer.weight)
        assert sum(parameter.numel() for parameter in layer.parameters()) == 30 * 4 * (27 + 1)

    def test_the_first_input_may_be_refused(self) -> None:
        layer = LocalConv2d(3, 4, 3)
        with pytest.raises(ValueError, match=r"LocalConv2d: input must be \(N, C, H, W\) or \(C, H, W\), got \(3, 4\)"):
            layer(torch.zeros(3, 4))
        with pytest.raises(ValueError, match="the window is larger than the padded input"):
            layer(torch.zeros(3, 2, 4))
        with pytest.raises(ValueError, match=r"LocalConv2d: input must have 3 channels, got \(2, 4, 5, 5\)"):
            layer(torch.zeros(2, 4, 5, 5))
        assert layer.input_size is None
        assert layer(torch.zeros(3, 3, 4)).shape == (4, 1, 2)

    def test_a_state_dict_may_say_it(self) -> None:
        known, lazy = LocalConv2d(3, 4, 3, input_size=(5, 6)), LocalConv2d(3, 4, 3)
        lazy.load_state_dict(known.state_dict())
        input = torch.randn(2, 3, 5, 6)
        assert torch.equal(lazy(input), known(input))
        assert lazy.input_size == (5, 6)

    def test_a_state_dict_for_another_size(self) -> None:
        lazy = LocalConv2d(3, 4, 3)
        lazy.load_state_dict(LocalConv2d(3, 4, 3, input_size=(5, 6)).state_dict())
        with pytest.raises(ValueError, match=r"weight must be \(5, 4, 4, 3, 3, 3\) for an input of \(7, 6\), but"):
            lazy(torch.zeros(3, 7, 6))

    @pytest.mark.parametrize("name", ["weight", "bias"])
    @pytest.mark.parametrize("bias", ["unshared", "shared"])
    def test_half_a_state_dict_leaves_the_other_half_to_be_drawn(self, name: str, bias: Any) -> None:
        known, lazy = LocalConv2d(3, 40, 3, (5, 6), bias=bias), LocalConv2d(3, 40, 3, bias=bias)
        lazy.load_state_dict({name: known.state_dict()[name]}, strict=False)
        lazy(torch.zeros(3, 5, 6))
        bound = 27**-0.5
        for own, parameter in lazy.named_parameters():
            assert torch.equal(parameter, known.get_parameter(own)) == (own == name)
            assert 0.5 * bound < parameter.abs().max() <= bound

    def test_half_a_state_dict_for_another_size(self) -> None:
        lazy = LocalConv2d(3, 4, 3)
        lazy.load_state_dict({"bias": torch.ones(3, 4, 4)}, strict=False)
        with pytest.raises(ValueError, match=r"bias must be \(5, 4, 4\) for an input of \(7, 6\), but"):
            lazy(torch.zeros(3, 7, 6))
        assert is_lazy(lazy.weight)
        assert lazy(torch.zeros(3, 5, 6)).shape == (4, 3, 4)
        assert lazy.bias.eq(1).all()

    def test_an_empty_state_dict_leaves_it_open(self) -> None:
        lazy, other = LocalConv1d(3, 4, 3), LocalConv1d(3, 4, 3)
        other.load_state_dict(lazy.state_dict())
        assert other(torch.zeros(3, 9)).shape == (4, 7)

    def test_copies_before_and_after(self) -> None:
        layer = LocalConv1d(3, 4, 3)
        other = copy.deepcopy(layer)
        assert other(torch.zeros(3, 9)).shape == (4, 7)
        assert layer(torch.zeros(3, 8)).shape == (4, 6)
        input = torch.randn(2, 3, 8)
        assert torch.equal(copy.deepcopy(layer)(input), layer(input))

    def test_nothing_to_draw_yet(self) -> None:
        layer = LocalConv1d(3, 4, 3)
        layer.reset_parameters()
        assert is_lazy(layer.weight)
        layer.load_state_dict({"weight": torch.full((7, 4, 3, 3), 5.0)}, strict=False)
        layer.reset_parameters()
        assert layer.weight.abs().max() < 1
        assert is_lazy(layer.bias)


def test_copies_and_pickles() -> None:
    layer = LocalConv2d(2, 3, 3, input_size=6, padding="same", padding_mode="constant", border=[1.0, 2.0])
    input = torch.randn(1, 2, 6, 6)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other(input), layer(input))
    assert sorted(layer.state_dict()) == ["bias", "border", "weight"]
    assert LocalConv2d(2, 3, 3, input_size=6, device="meta").weight.is_meta


def test_learns() -> None:
    """Numbers that no shared filter gives: each place of the output is another place of the input."""
    torch.manual_seed(0)
    layer = LocalConv1d(1, 1, 3, input_size=8, padding=1)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
    order = torch.tensor([0, 2, 1, 3, 4, 6, 5, 7])
    for _ in range(200):
        input = torch.randn(16, 1, 8)
        loss = (layer(input) - input[..., order]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 1e-3


def test_compiles() -> None:
    layer = LocalConv2d(2, 3, 3, input_size=6, padding="same")
    check_compiles(layer, lambda batch: (torch.randn(batch, 2, 6, 6),), (2, 5))


def test_exports_to_onnx(tmp_path: Any) -> None:
    layer = LocalConv2d(2, 3, 3, input_size=6, stride=2, padding=1)
    assert "MatMul" in check_onnx(layer, tmp_path, torch.randn(1, 2, 6, 6))


def test_another_size_is_refused() -> None:
    layer = LocalConv2d(2, 3, 3, input_size=(6, 7))
    with pytest.raises(ValueError, match=r"LocalConv2d: the weights are made for an input of \(6, 7\), got \(7, 6\)"):
        layer(torch.zeros(1, 2, 7, 6))
    with pytest.raises(ValueError, match=r"input must be \(N, C, H, W\) or \(C, H, W\), got \(1, 2\)"):
        layer(torch.zeros(1, 2))
    for kind in (layer, LocalConv2d(2, 3, 3)):
        with pytest.raises(TypeError, match="LocalConv2d: input must be a tensor, got list"):
            kind([[1.0]])


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"groups": 3}, ValueError, "in_channels must be a multiple of groups=3, got 4"),
        ({"in_channels": 0}, ValueError, "in_channels must be an integer of at least 1, got 0"),
        ({"bias": True}, ValueError, "bias must be 'unshared', 'shared' or False, got True"),
        ({"bias": 0}, ValueError, "bias must be 'unshared', 'shared' or False, got 0"),
        ({"bias": "none"}, ValueError, "bias must be 'unshared', 'shared' or False, got 'none'"),
        ({"input_size": (5, 5, 5)}, ValueError, r"input_size must be one number or one an axis \(2\), got \(5, 5, 5\)"),
        ({"input_size": 0}, ValueError, "input_size must be an integer of at least 1, got 0"),
        ({"input_size": 2.5}, TypeError, "input_size must be an integer of at least 1, got 2.5"),
        ({"input_size": 2}, ValueError, "the window is larger than the padded input"),
        ({"padding": "sam"}, ValueError, "did you mean 'same'"),
        ({"padding_mode": "learned"}, ValueError, "padding_mode must be one of zeros, .*, got 'learned'"),
        ({"border": 1.0}, ValueError, "border goes with padding_mode 'constant', got 'zeros'"),
        ({"padding_mode": "constant", "border": [1.0]}, ValueError, r"one a channel \(4\), got \[1.0\]"),
        ({"padding_mode": "constant", "border": torch.ones(4, 1)}, ValueError, r"one a channel \(4\), got tensor"),
        ({"padding_mode": "constant", "border": "none"}, TypeError, r"one a channel \(4\), got 'none'"),
        ({"padding_mode": "constant", "border": None}, TypeError, "border must be a number or one a channel"),
        ({"border": torch.zeros(4)}, ValueError, "border goes with padding_mode 'constant', got 'zeros'"),
    ],
)
def test_refuses(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LocalConv2d(**{"in_channels": 4, "out_channels": 6, "kernel_size": 3, **settings})
