import copy
import pickle

import pytest
import torch
from torch import nn

from ops.checks import assert_close, check_compiles, check_onnx
from striate import local_response_norm
from striate.nn import LocalResponseNorm


def test_is_the_function_with_settings():
    input = torch.randn(2, 6, 5, 4)
    assert torch.equal(LocalResponseNorm(3)(input), local_response_norm(input, 3))
    settings = {"alpha_mode": "sum", "within_channel": True, "even": "onnx"}
    layer = LocalResponseNorm(4, 0.5, 0.6, 2.0, **settings)
    assert torch.equal(layer(input), local_response_norm(input, 4, 0.5, 0.6, 2.0, **settings))


def test_takes_the_place_of_pytorchs():
    input = 10 * torch.randn(2, 6, 5, 4)
    theirs, ours = nn.LocalResponseNorm(5, 0.1, 0.5, 2.0), LocalResponseNorm(5, 0.1, 0.5, 2.0)
    assert_close(ours(input), theirs(input))
    assert repr(ours) == repr(theirs)
    assert ours.state_dict() == theirs.state_dict() == {}


def test_is_shown_with_its_settings():
    layer = LocalResponseNorm(4, k=2.0, alpha_mode="sum", within_channel=True, even="onnx")
    expected = "4, alpha=0.0001, beta=0.75, k=2.0, alpha_mode=sum, within_channel=True, even=onnx"
    assert layer.extra_repr() == expected


def test_copies_and_pickles():
    layer, input = LocalResponseNorm(3, alpha=0.5, even="onnx"), torch.randn(1, 4, 5)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other(input), layer(input))


def test_compiles_and_exports(tmp_path):
    layer = LocalResponseNorm(3, alpha=0.5)
    check_compiles(layer, lambda size: (torch.randn(2, 4, size, size + 1),), (5, 8))
    assert "LRN" in check_onnx(layer, tmp_path, torch.randn(2, 4, 5, 5))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"size": 0}, ValueError, "LocalResponseNorm: size must be an integer of at least 1, got 0"),
        ({"size": "5"}, TypeError, "LocalResponseNorm: size must be an integer of at least 1, got '5'"),
        ({"alpha": -1}, ValueError, "LocalResponseNorm: alpha must be a finite number of at least 0.0, got -1"),
        ({"beta": None}, TypeError, "LocalResponseNorm: beta must be a finite number, got None"),
        ({"alpha_mode": "avg"}, ValueError, "LocalResponseNorm: alpha_mode must be one of mean, sum, got 'avg'"),
        ({"even": "tf"}, ValueError, "LocalResponseNorm: even must be one of torch, onnx, got 'tf'"),
    ],
)
def test_refuses(change: dict[str, object], error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        LocalResponseNorm(**{"size": 5, **change})
