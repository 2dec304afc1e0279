import pytest
import torch
from torch import nn

import striate.nn
from striate.nn import from_torch


@pytest.mark.parametrize(
    "theirs",
    [
        nn.Conv1d(4, 6, 3, padding="same", padding_mode="circular"),
        nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2, bias=False),
        nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"),
        nn.Conv3d(4, 6, 2, padding="valid"),
        nn.ConvTranspose1d(4, 6, 3, stride=2, output_padding=1),
        nn.ConvTranspose2d(4, 6, (3, 4), stride=2, padding=(1, 0), groups=2, dilation=2, bias=False),
        nn.ConvTranspose3d(4, 6, 2, stride=2).eval(),
    ],
    ids=str,
)
def test_has_the_same_parameters_and_outputs(theirs: nn.Module):
    state = torch.get_rng_state()
    ours = from_torch(theirs)
    assert torch.equal(torch.get_rng_state(), state)
    assert type(ours) is getattr(striate.nn, type(theirs).__name__)
    assert repr(ours) == repr(theirs)
    assert ours.training == theirs.training
    assert all(one is other for one, other in zip(ours.parameters(), theirs.parameters(), strict=True))
    input = torch.randn(2, 4, *[6] * (theirs.weight.ndim - 2))
    torch.testing.assert_close(ours(input), theirs(input))


class Standardized(nn.Conv2d):
    """A subclass that computes something else."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input) / self.weight.std()


@pytest.mark.parametrize("module", [nn.Linear(2, 2), Standardized(2, 2, 1)])
def test_refuses(module: nn.Module):
    with pytest.raises(TypeError, match=f"module must be one of torch.nn's Conv1d.*got {type(module).__name__}"):
        from_torch(module)
