import copy
import pickle

import pytest
import torch

from ops.checks import check_compiles, check_onnx
from striate import divisive_norm, local_contrast_norm, subtractive_norm
from striate.nn import DivisiveNorm, LocalContrastNorm, SubtractiveNorm

LAYERS = ((LocalContrastNorm, local_contrast_norm), (SubtractiveNorm, subtractive_norm), (DivisiveNorm, divisive_norm))


@pytest.mark.parametrize(("layer", "function"), LAYERS)
def test_is_the_function_with_settings(layer, function):
    input = torch.randn(2, 3, 9, 8)
    assert torch.equal(layer()(input), function(input))
    settings = {"sigma": (1.0, 2.0), "border": "zeros"}
    if layer is not SubtractiveNorm:
        settings |= {"mode": "torch7", "floor": 0.5}
    assert torch.equal(layer((3, 5), **settings)(input), function(input, (3, 5), **settings))
    assert not list(layer().parameters())


@pytest.mark.parametrize(("layer", "function"), LAYERS)
def test_one_layer_takes_series_pictures_and_volumes(layer, function):
    one = layer(3)
    for shape in ((2, 3, 9), (2, 3, 9, 8), (2, 3, 4, 5, 6)):
        input = torch.randn(shape)
        assert torch.equal(one(input), function(input, 3))


def test_is_shown_with_its_settings():
    assert repr(LocalContrastNorm()) == "LocalContrastNorm(7)"
    shown = LocalContrastNorm((3, 5), sigma=1.0, mode="torch7", floor=0.5, border="zeros").extra_repr()
    assert shown == "(3, 5), sigma=1.0, mode=torch7, floor=0.5, border=zeros"
    assert repr(SubtractiveNorm(9, border="zeros")) == "SubtractiveNorm(9, border=zeros)"
    assert repr(DivisiveNorm(9, floor=1.0)) == "DivisiveNorm(9, floor=1.0)"


@pytest.mark.parametrize(("layer", "function"), LAYERS)
def test_copies_and_pickles(layer, function):
    one, input = layer(5, sigma=2.0), torch.randn(1, 4, 9, 9)
    for other in (copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert torch.equal(other(input), one(input))


def test_compiles_and_exports(tmp_path):
    layer = LocalContrastNorm(3)
    check_compiles(layer, lambda size: (torch.randn(2, 4, size, size + 1).double(),), (5, 8))
    check_onnx(layer, tmp_path, torch.randn(2, 4, 5, 6))


@pytest.mark.parametrize(("layer", "function"), LAYERS)
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"kernel_size": 4}, ValueError, "kernel_size must be odd, so that the window has a centre, got 4"),
        ({"kernel_size": "7"}, TypeError, "kernel_size must be an integer of at least 1, got '7'"),
        ({"sigma": 0}, ValueError, "sigma must be more than 0, got 0"),
        ({"border": "same"}, ValueError, "border must be one of renormalize, zeros, got 'same'"),
    ],
)
def test_refuses(layer, function, change: dict[str, object], error: type[Exception], message: str):
    with pytest.raises(error, match=f"{layer.__name__}: {message}"):
        layer(**change)


@pytest.mark.parametrize("layer", [LocalContrastNorm, DivisiveNorm])
def test_refuses_modes_and_floors(layer):
    with pytest.raises(ValueError, match=f"{layer.__name__}: mode must be one of jarrett2009, torch7, got 'lua'"):
        layer(mode="lua")
    with pytest.raises(ValueError, match=f"{layer.__name__}: floor must be a finite number of at least 0.0, got -1"):
        layer(floor=-1)
