from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from striate.models import Outputs
from striate.models.auxiliary import AuxiliaryNetwork
from striate.models.network import Stage


class Counting(AuxiliaryNetwork):
    """Three stages that add one; heads that say after which they stand."""

    AUXILIARY_WEIGHT: ClassVar[float] = 0.25

    def __init__(self, *heads: str) -> None:
        super().__init__(SimpleNamespace(in_channels=1, num_classes=1, input_size=(1,)))
        self.heads = heads

    @override
    def stages(self) -> Sequence[tuple[str, Stage]]:
        return tuple((name, lambda maps: maps + 1) for name in ("first", "second", "third"))

    @override
    def auxiliary_heads(self) -> Mapping[str, Stage]:
        return {name: lambda maps: -maps for name in self.heads}

    @override
    def head(self, maps: Tensor) -> Tensor:
        return 10 * maps


def test_auxiliary_scores_in_training_the_deepest_first():
    found = Counting("first", "second")(torch.zeros(1))
    assert found == Outputs(torch.tensor([30.0]), (torch.tensor([-2.0]), torch.tensor([-1.0])), 0.25)


def test_scores_alone_in_evaluation():
    assert torch.equal(Counting("first").eval()(torch.zeros(1)), torch.tensor([30.0]))


def test_scores_alone_without_auxiliary_heads():
    assert torch.equal(Counting()(torch.zeros(1)), torch.tensor([30.0]))
