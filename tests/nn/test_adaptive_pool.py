import copy
import pickle

import pytest
import torch

import striate
from ops.checks import check_compiles, check_onnx
from striate import nn


@pytest.mark.parametrize("kind", ["Avg", "Max"])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_equals_its_function_and_pytorch(axes, kind):
    layer = getattr(nn, f"Adaptive{kind}Pool{axes}d")(2)
    theirs = getattr(torch.nn, f"Adaptive{kind}Pool{axes}d")(2)
    input = torch.randn(2, 3, *[5] * axes)
    function = getattr(striate, f"adaptive_{kind.lower()}_pool{axes}d")
    assert torch.equal(layer(input), function(input, 2))
    torch.testing.assert_close(layer(input), theirs(input))
    assert repr(layer) == repr(theirs)
    assert torch.equal(pickle.loads(pickle.dumps(copy.deepcopy(layer)))(input), layer(input))


def test_indices_on_request():
    values, indices = nn.AdaptiveMaxPool2d((1, None), return_indices=True)(torch.eye(3)[None])
    assert values.tolist() == [[[1, 1, 1]]]
    assert indices.tolist() == [[[0, 4, 8]]]


def test_compiles_and_exports(tmp_path):
    layer = nn.AdaptiveAvgPool2d((2, 3))
    check_compiles(layer, lambda size: (torch.randn(1, 2, size, size + 1),), (6, 9))
    check_onnx(layer, tmp_path, torch.randn(1, 2, 5, 7))
