import copy
import pickle

import pytest
import torch

import striate
from ops.checks import check_compiles, check_onnx
from striate import nn


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_equals_its_functions(axes):
    input = torch.randn(2, 3, *[7] * axes)
    blur, maximum = getattr(striate, f"blur_pool{axes}d"), getattr(striate, f"max_pool{axes}d")
    layer = getattr(nn, f"BlurPool{axes}d")(4, 3, padding=1, padding_mode="zeros")
    assert torch.equal(layer(input), blur(input, 4, 3, padding=1, padding_mode="zeros"))
    assert layer.windows == striate.geometry.windows(axes, 4, 3, 1)
    both = getattr(nn, f"MaxBlurPool{axes}d")()
    assert torch.equal(both(input), blur(maximum(input, 2, 1)))
    for other in (layer, both):
        assert torch.equal(pickle.loads(pickle.dumps(copy.deepcopy(other)))(input), other(input))


def test_shows_its_settings():
    settings = "kernel_size=3, stride=2, padding='same', padding_mode='reflect'"
    assert repr(nn.BlurPool2d()) == f"BlurPool2d({settings})"
    assert repr(nn.MaxBlurPool2d(3)) == f"MaxBlurPool2d(window_size=3, {settings})"


def test_a_maximum_shifts_less_than_without_a_blur():
    """The outputs of an input and of the same moved by one place, on a ring."""
    series = torch.randn(1, 8, 64, generator=torch.Generator().manual_seed(0))

    def change(layer):
        return (layer(series) - layer(series.roll(1, -1))).square().mean()

    blurred = nn.MaxBlurPool1d(2, 5, padding_mode="circular")
    assert change(blurred) < 0.3 * change(torch.nn.MaxPool1d(2))


def test_compiles_and_exports(tmp_path):
    layer = nn.MaxBlurPool2d()
    check_compiles(layer, lambda size: (torch.randn(1, 2, size, size + 1),), (6, 9))
    check_onnx(layer, tmp_path, torch.randn(1, 2, 5, 7))


def test_refuses():
    with pytest.raises(ValueError, match="stride must be an integer of at least 1, got 0"):
        nn.BlurPool2d(3, 0)
    with pytest.raises(ValueError, match="kernel_size must be one number or one an axis"):
        nn.MaxBlurPool2d((2, 2, 2))
