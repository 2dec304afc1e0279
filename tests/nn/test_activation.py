import copy
import pickle

import pytest
import torch
from torch import nn

from ops.checks import check_compiles, check_onnx
from striate import abs_rectify, maxout, scaled_tanh
from striate.nn import AbsRectify, Maxout, ScaledTanh


def test_modules_call_their_functions():
    input = torch.randn(2, 6, 5, 5)
    assert torch.equal(AbsRectify()(input), abs_rectify(input))
    assert torch.equal(Maxout(3)(input), maxout(input, 3))
    assert torch.equal(Maxout(5, dim=-1)(input), maxout(input, 5, -1))
    layer = ScaledTanh(6, gain=0.5)
    assert torch.equal(layer(input), scaled_tanh(input, torch.full((6,), 0.5)))
    assert torch.equal(ScaledTanh(gain=2)(input), scaled_tanh(input, 2.0))
    assert torch.equal(ScaledTanh(6, dim=-3)(input[0]), input[0].tanh())


def test_the_gain_is_learned():
    for layer, shape in ((ScaledTanh(), ()), (ScaledTanh(4), (4,))):
        assert isinstance(layer.gain, nn.Parameter)
        assert layer.gain.shape == shape
        layer(torch.ones(2, 4, 3)).sum().backward()
        torch.testing.assert_close(layer.gain.grad.sum(), 24 * torch.tensor(1.0).tanh())
        (name,) = layer.state_dict()
        assert name == "gain"


def test_made_without_memory_then_initialised():
    layer = ScaledTanh(3, gain=1.5, device="meta", dtype=torch.float64).to_empty(device="cpu")
    layer.reset_parameters()
    assert layer.gain.tolist() == [1.5] * 3
    assert layer.gain.dtype == torch.float64


def test_copies_pickles_compiles_and_exports(tmp_path):
    layer = nn.Sequential(nn.Conv2d(2, 6, 3), ScaledTanh(6), AbsRectify(), Maxout(3))
    input = torch.randn(1, 2, 6, 6)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other(input), layer(input))
    check_compiles(layer, lambda size: (torch.randn(1, 2, size, size + 1),), (6, 9))
    check_onnx(layer, tmp_path, input)


def test_autocast_keeps_the_precision_that_comes():
    layer = nn.Sequential(nn.Conv2d(2, 4, 3), ScaledTanh(4), AbsRectify(), Maxout(2))
    with torch.autocast("cpu", torch.bfloat16):
        output = layer(torch.randn(1, 2, 6, 6))
    assert output.dtype == torch.bfloat16
    output.sum().backward()
    assert layer[1].gain.grad.dtype == torch.float32


def test_shown():
    assert repr(Maxout(2)) == "Maxout(pieces=2, dim=1)"
    assert repr(ScaledTanh()) == "ScaledTanh()"
    assert repr(ScaledTanh(4, 2.0, dim=-3)) == "ScaledTanh(4, gain=2.0, dim=-3)"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Maxout(0), ValueError, "pieces must be an integer of at least 1, got 0"),
        (lambda: ScaledTanh(0), ValueError, "channels must be an integer of at least 1, got 0"),
        (lambda: ScaledTanh(2.0), TypeError, "channels must be an integer of at least 1, got 2.0"),
        (lambda: ScaledTanh(gain="1"), TypeError, "gain must be a number, got '1'"),
    ],
)
def test_refuses(make, error, message):
    with pytest.raises(error, match=message):
        make()
