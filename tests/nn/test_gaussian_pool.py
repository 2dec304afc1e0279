import copy
import math
import pickle

import pytest
import torch

import striate
from ops.checks import check_compiles, check_onnx
from striate import nn


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_equals_its_function(axes):
    input, function = torch.randn(2, 3, *[7] * axes), getattr(striate, f"gaussian_pool{axes}d")
    layer = getattr(nn, f"GaussianPool{axes}d")(4, 2, "same")
    assert torch.equal(layer(input), function(input, 4, 2, "same"))
    assert not list(layer.parameters())
    learned = getattr(nn, f"GaussianPool{axes}d")(4, 2, "same", sigma=0.7, learn_sigma=True)
    torch.testing.assert_close(learned(input), function(input, 4, 2, "same", sigma=0.7))
    assert learned.windows == striate.geometry.windows(axes, 4, 2, "same")
    assert learned.log_sigma.shape == (axes,)
    assert torch.equal(pickle.loads(pickle.dumps(copy.deepcopy(learned)))(input), learned(input))


def test_a_learned_sigma_stays_positive():
    layer = nn.GaussianPool2d(5, 1, sigma=(0.5, 2.0), learn_sigma=True)
    optimizer = torch.optim.SGD(layer.parameters(), lr=100.0)
    input = torch.randn(1, 1, 9, 9)
    layer(input).square().sum().backward()
    assert layer.log_sigma.grad.count_nonzero() == 2
    optimizer.step()
    assert (layer.log_sigma.exp() > 0).all()
    assert layer(input).isfinite().all()
    layer.reset_parameters()
    torch.testing.assert_close(layer.log_sigma.exp(), torch.tensor([0.5, 2.0]))


def test_made_without_memory_then_initialised():
    layer = nn.GaussianPool1d(4, learn_sigma=True, device="meta", dtype=torch.float64).to_empty(device="cpu")
    layer.reset_parameters()
    assert layer.log_sigma.tolist() == [0.0]


def test_shows_its_settings():
    assert repr(nn.GaussianPool1d(3, learn_sigma=True)) == (
        "GaussianPool1d(kernel_size=3, stride=3, padding=0, sigma=(0.75,), learn_sigma=True)"
    )


def test_compiles_and_exports(tmp_path):
    layer = nn.GaussianPool2d(3, 2, 1, learn_sigma=True)
    check_compiles(layer, lambda size: (torch.randn(1, 2, size, size + 1),), (6, 9))
    check_onnx(layer, tmp_path, torch.randn(1, 2, 5, 7))


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.inf, (1.0, 0.0), (1.0, 1.0, 1.0)])
def test_refuses(sigma):
    with pytest.raises(ValueError, match=r"sigma must be one number above 0 or one an axis \(2\), got"):
        nn.GaussianPool2d(3, sigma=sigma)
