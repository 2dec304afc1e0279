"""Networks with heads at earlier stages, which help them to learn."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor
from typing_extensions import override

from striate.models.network import Network, Outputs, Stage


class AuxiliaryNetwork(Network):
    """A network whose auxiliary heads give scores in training, and are not asked afterwards."""

    AUXILIARY_WEIGHT: ClassVar[float]
    """The weight of each auxiliary loss beside the loss of the scores."""

    @abstractmethod
    def auxiliary_heads(self) -> Mapping[str, Stage]:
        """The auxiliary heads.

        Returns:
            A function from maps to scores for the name of each stage that has a head; none where they are left out.
        """

    @override
    def forward(self, input: Tensor) -> Tensor | Outputs:
        heads = self.auxiliary_heads() if self.training else {}
        auxiliary: tuple[Tensor, ...] = ()
        for name, stage in self.stages():
            input = stage(input)
            if name in heads:
                # The deepest first, as torchvision has them.
                auxiliary = (heads[name](input), *auxiliary)
        scores = self.head(input)
        return Outputs(scores, auxiliary, self.AUXILIARY_WEIGHT) if auxiliary else scores
