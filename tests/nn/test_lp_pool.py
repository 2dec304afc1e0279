import copy
import math
import pickle

import pytest
import torch

import striate
from ops.checks import check_onnx
from striate import nn


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_equals_its_function_and_pytorch(axes):
    layer, theirs = getattr(nn, f"LPPool{axes}d")(2, 3, 2), getattr(torch.nn, f"LPPool{axes}d")(2, 3, 2)
    input = torch.rand(2, 3, *[7] * axes)
    torch.testing.assert_close(layer(input), theirs(input))
    assert repr(layer) == repr(theirs)
    padded = getattr(nn, f"LPPool{axes}d")(math.inf, 2, ceil_mode=True, padding=1, dilation=2)
    function = getattr(striate, f"lp_pool{axes}d")
    assert torch.equal(padded(input), function(input, math.inf, 2, None, True, padding=1, dilation=2))
    assert "padding=1, dilation=2" in repr(padded)
    assert padded.windows == striate.geometry.windows(axes, 2, 2, 1, 2, True)
    assert torch.equal(pickle.loads(pickle.dumps(copy.deepcopy(padded)))(input), padded(input))


def test_exports(tmp_path):
    check_onnx(nn.LPPool2d(2, 3, 2, padding="same"), tmp_path, torch.randn(1, 2, 5, 7))


def test_refuses():
    with pytest.raises(ValueError, match="kernel_size must be one number or one an axis"):
        nn.LPPool2d(2, (3, 3, 3))
    with pytest.raises(ValueError, match="lp_pool2d: norm_type must be above 0, got -1"):
        nn.LPPool2d(-1, 3)(torch.zeros(1, 3, 3))
