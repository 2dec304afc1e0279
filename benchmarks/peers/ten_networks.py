"""Ten small networks whose cost is worked out by hand, to see which counters count them right.

None has a bias, an activation or a normalisation, about which counters differ by convention.
"""

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A network with its truth.

    Args:
        name: what the table calls it.
        about: what it is, for the list below the table.
        make: builds it.
        inputs: makes what it takes.
        macs: the factors of each of its products: their products are summed.
        parameters: the factors of each of its weights, likewise.
    """

    name: str
    about: str
    make: Callable[[], nn.Module]
    inputs: Callable[[], tuple[Tensor, ...]]
    macs: tuple[tuple[int, ...], ...]
    parameters: tuple[tuple[int, ...], ...]


def total(terms: tuple[tuple[int, ...], ...]) -> int:
    """A sum of products."""
    return sum(map(math.prod, terms))


def formula(terms: tuple[tuple[int, ...], ...]) -> str:
    """The same as people write it."""
    return " + ".join("·".join(map(str, term)) for term in terms)


class _Deformable(nn.Module):
    """torchvision's deformable convolution with the convolution that gives its offsets."""

    def __init__(self) -> None:
        super().__init__()
        importlib.import_module("benchmarks.peers.torchvision_on_cpu")
        operators = importlib.import_module("torchvision.ops")
        self.offset = nn.Conv2d(64, 18, 3, padding=1, bias=False)
        self.deform = operators.DeformConv2d(64, 64, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        moved: Tensor = self.deform(x, self.offset(x))
        return moved


class _Reused(nn.Module):
    """One convolution that runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(16, 16, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        twice: Tensor = self.conv(self.conv(x))
        return twice


class _Tied(nn.Module):
    """An embedding, and scores of all words by the same weight."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(1000, 64)
        self.scores = nn.Linear(64, 1000, bias=False)
        self.scores.weight = self.words.weight

    def forward(self, words: Tensor) -> Tensor:
        scores: Tensor = self.scores(self.words(words))
        return scores


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(64, 4, bias=False, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        seen: Tensor = self.attention(x, x, x, need_weights=False)[0]
        return seen


class _Unshared(nn.Module):
    """A 3×3 convolution with a weight of its own at each of 8×8 places."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(64, 8, 72))

    def forward(self, x: Tensor) -> Tensor:
        windows = F.unfold(x, 3)
        return torch.einsum("nip,poi->nop", windows, self.weight).reshape(len(x), 8, 8, 8)


class _Functional(nn.Module):
    """Weights in the hands of the network itself, and no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Parameter(torch.randn(16, 3, 3, 3))
        self.head = nn.Parameter(torch.randn(16, 10))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.filters, padding=1).mean((2, 3)) @ self.head


class _TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, bias=False)
        self.linear = nn.Linear(8, 8, bias=False)
        self.both = nn.Linear(16, 4, bias=False)

    def forward(self, picture: Tensor, numbers: Tensor) -> Tensor:
        seen = self.conv(picture).mean((2, 3))
        scores: Tensor = self.both(torch.cat([seen, self.linear(numbers)], 1))
        return scores


def _numbers(*sizes: int) -> Callable[[], tuple[Tensor, ...]]:
    return lambda: (torch.randn(sizes),)


TEN = (
    Example(
        name="transposed",
        about="`ConvTranspose2d(16, 8, 4, stride=2, padding=1)` on 10×10: a product at every place of the *input*",
        make=lambda: nn.Sequential(nn.ConvTranspose2d(16, 8, 4, stride=2, padding=1, bias=False)),
        inputs=_numbers(1, 16, 10, 10),
        macs=((10, 10, 16, 8, 4, 4),),
        parameters=((16, 8, 4, 4),),
    ),
    Example(
        name="grouped",
        about="AlexNet's second layer, 96 → 256 in two groups, 5×5 on 27×27",
        make=lambda: nn.Sequential(nn.Conv2d(96, 256, 5, padding=2, groups=2, bias=False)),
        inputs=_numbers(1, 96, 27, 27),
        macs=((27, 27, 256, 48, 5, 5),),
        parameters=((256, 48, 5, 5),),
    ),
    Example(
        name="deformable",
        about="torchvision's `DeformConv2d(64, 64, 3)` on 14×14 and the convolution that gives its offsets: the "
        "product, the sampling (4 corners for each tap of each channel) and the offsets",
        make=_Deformable,
        inputs=_numbers(1, 64, 14, 14),
        macs=((14, 14, 64, 64, 9), (14, 14, 64, 9, 4), (14, 14, 18, 64, 9)),
        parameters=((64, 64, 9), (18, 64, 9)),
    ),
    Example(
        name="unshared",
        about="a 3×3 convolution 8 → 8 with a weight of its own at each of 8×8 places, by `unfold` and `einsum`",
        make=_Unshared,
        inputs=_numbers(1, 8, 10, 10),
        macs=((8, 8, 8, 8, 9),),
        parameters=((8, 8, 8, 8, 9),),
    ),
    Example(
        name="reused",
        about="one 3×3 convolution 16 → 16 that runs twice on 14×14",
        make=_Reused,
        inputs=_numbers(1, 16, 14, 14),
        macs=((2, 14, 14, 16, 16, 9),),
        parameters=((16, 16, 9),),
    ),
    Example(
        name="tied",
        about="an embedding of 1,000 words, and a linear layer with the same weight, on 12 words",
        make=_Tied,
        inputs=lambda: (torch.arange(12).unsqueeze(0),),
        macs=((12, 64, 1000),),
        parameters=((1000, 64),),
    ),
    Example(
        name="attention",
        about="`MultiheadAttention(64, 4)` of 16 places: four projections, and two products of every place with every "
        "other",
        make=_Attention,
        inputs=_numbers(1, 16, 64),
        macs=((4, 16, 64, 64), (2, 16, 16, 64)),
        parameters=((4, 64, 64),),
    ),
    Example(
        name="recurrent",
        about="`LSTM(32, 64)` over 10 steps: four gates that read the input and the state",
        make=lambda: nn.Sequential(nn.LSTM(32, 64, bias=False, batch_first=True)),
        inputs=_numbers(1, 10, 32),
        macs=((10, 4, 64, 32), (10, 4, 64, 64)),
        parameters=((4, 64, 32), (4, 64, 64)),
    ),
    Example(
        name="functional",
        about="`F.conv2d`, 3 → 16, 3×3 on 32×32, the mean over places, and `@`, with weights of the network itself",
        make=_Functional,
        inputs=_numbers(1, 3, 32, 32),
        macs=((32, 32, 16, 3, 9), (16, 10)),
        parameters=((16, 3, 9), (16, 10)),
    ),
    Example(
        name="two inputs",
        about="a 3×3 convolution of a 16×16 picture, a linear layer of 8 numbers, and one of both",
        make=_TwoInputs,
        inputs=lambda: (torch.randn(1, 3, 16, 16), torch.randn(1, 8)),
        macs=((14, 14, 8, 3, 9), (8, 8), (16, 4)),
        parameters=((8, 3, 9), (8, 8), (16, 4)),
    ),
)
