import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ops.checks import check_compiles
from striate.geometry import Window
from striate.nn import MaxPool1d, MaxPool2d, MaxPool3d, MaxUnpool1d, MaxUnpool2d, MaxUnpool3d

LAYERS = ((MaxPool1d, MaxUnpool1d), (MaxPool2d, MaxUnpool2d), (MaxPool3d, MaxUnpool3d))
TORCH = (nn.MaxUnpool1d, nn.MaxUnpool2d, nn.MaxUnpool3d)


@pytest.mark.parametrize("arguments", [(2,), (3, 2, 1), ((3,), (2,), (1,))], ids=str)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_has_the_arguments_of_pytorch(axes: int, arguments: tuple[Any, ...]) -> None:
    given = [a * axes if isinstance(a, tuple) else a for a in arguments]
    pool, layer = LAYERS[axes - 1]
    values, indices = pool(*given, return_indices=True)(torch.randn(2, 3, *[9] * axes))
    ours, theirs = layer(*given), TORCH[axes - 1](*given)
    assert repr(ours) == repr(theirs)
    assert torch.equal(ours(values, indices, output_size=[9] * axes), theirs(values, indices, output_size=[9] * axes))
    assert ours.state_dict() == {}


def test_windows_are_those_that_have_pooled() -> None:
    assert MaxUnpool2d((3, 2), padding=((1, 0), 1)).windows == (Window(3, 3, (1, 0)), Window(2, 2, 1))


def test_copies() -> None:
    layer = MaxUnpool2d(2, padding="same")
    assert repr(layer) == "MaxUnpool2d(kernel_size=(2, 2), stride=(2, 2), padding='same')"
    values, indices = MaxPool2d(2, padding="same", return_indices=True)(torch.randn(1, 2, 8, 8))
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other(values, indices), layer(values, indices))


class _Autoencoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pool, self.unpool = MaxPool2d(2, return_indices=True), MaxUnpool2d(2)

    def forward(self, input: Tensor) -> Tensor:
        values, indices = self.pool(input)
        return self.unpool(values.tanh(), indices, output_size=input.shape)


def test_compiles_in_a_network() -> None:
    check_compiles(_Autoencoder(), lambda size: (torch.randn(1, 2, size, size),), sizes=(9, 14))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel_size": 0}, "kernel_size must be an integer of at least 1, got 0"),
        ({"kernel_size": (2, 2, 2)}, r"kernel_size must be one number or one an axis \(2\)"),
        ({"kernel_size": 2, "stride": 0}, "stride must be an integer of at least 1, got 0"),
        ({"kernel_size": 2, "padding": "full"}, "full"),
    ],
)
def test_errors(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MaxUnpool2d(**arguments)
