"""How every network is tried: small inputs, and what makes it light."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from tests.models.filling import liven, quick_numbers
from torch import Tensor

from striate import models
from striate.models import Network, Outputs

CLASSES = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """How a network is tried.

    Args:
        parameters: with its default options: the paper's number, or torchvision's.
        sizes: of two inputs, the first as small as is sensible, the second of other sides.
        options: that make it light.
        fixed: whether a network built for one size takes no other.
        twin_of: the network that shares all of its code; `make sweep` tries the rest of this one.
    """

    parameters: int
    sizes: tuple[tuple[int, ...], tuple[int, ...]]
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    fixed: bool = False
    twin_of: str | None = None


CASES: dict[str, Case] = {
    "alexnet": Case(parameters=61_100_840, sizes=((63, 63), (95, 130))),
    "alexnet_2012": Case(parameters=60_965_224, sizes=((67, 67), (99, 72)), fixed=True),
    "all_cnn_c": Case(parameters=1_369_738, sizes=((16, 16), (24, 35))),
    "c3d": Case(parameters=79_991_015, sizes=((4, 16, 16), (9, 20, 36))),
    "deepface": Case(parameters=118_923_774, sizes=((72, 72), (75, 80)), fixed=True),
    "dilated_context": Case(parameters=8_443_853, sizes=((32, 32), (40, 61)), options={"width": 4}),
    "fcn_resnet50": Case(parameters=32_957_013, sizes=((32, 32), (40, 61)), options={"aux_loss": True}),
    "googlenet": Case(parameters=13_004_888, sizes=((64, 64), (70, 97))),
    "inception_v3": Case(parameters=27_161_264, sizes=((75, 75), (80, 101))),
    "jarrett": Case(parameters=755_494, sizes=((83, 83), (90, 104)), fixed=True),
    "lenet5": Case(parameters=60_806, sizes=((28, 28), (20, 33)), fixed=True),
    "mlp": Case(parameters=669_706, sizes=((8, 8), (12, 7)), fixed=True),
    "mobilenet_v1": Case(parameters=4_231_976, sizes=((32, 32), (64, 97)), options={"width_mult": 0.5}),
    "mobilenet_v2": Case(parameters=3_504_872, sizes=((64, 64), (80, 97)), options={"width_mult": 0.5}),
    "r2plus1d_18": Case(parameters=31_505_325, sizes=((4, 16, 16), (9, 24, 35))),
    "r3d_18": Case(parameters=33_371_472, sizes=((4, 16, 16), (9, 24, 35))),
    "resnet18": Case(parameters=11_689_512, sizes=((32, 32), (64, 97))),
    "resnet18_deform": Case(parameters=12_125_130, sizes=((32, 32), (64, 97))),
    "resnet1d18": Case(parameters=3_849_034, sizes=((64,), (201,))),
    "resnet34": Case(parameters=21_797_672, sizes=((32, 32), (64, 97)), twin_of="resnet18"),
    "resnet50": Case(parameters=25_557_032, sizes=((32, 32), (64, 97))),
    "resnet50_deform": Case(parameters=26_428_295, sizes=((32, 32), (64, 97)), twin_of="resnet18_deform"),
    "resnet101": Case(parameters=44_549_160, sizes=((32, 32), (64, 97)), twin_of="resnet50"),
    "resnet152": Case(parameters=60_192_808, sizes=((32, 32), (64, 97)), twin_of="resnet50"),
    "unet": Case(parameters=31_030_658, sizes=((32, 32), (40, 61)), options={"width": 8}),
    "vgg11": Case(parameters=132_863_336, sizes=((32, 32), (64, 97)), twin_of="vgg11_bn"),
    "vgg11_bn": Case(parameters=132_868_840, sizes=((32, 32), (64, 97))),
    "vgg13": Case(parameters=133_047_848, sizes=((32, 32), (64, 97)), twin_of="vgg11_bn"),
    "vgg13_bn": Case(parameters=133_053_736, sizes=((32, 32), (64, 97)), twin_of="vgg11_bn"),
    "vgg16": Case(parameters=138_357_544, sizes=((32, 32), (64, 97)), twin_of="vgg11_bn"),
    "vgg16_bn": Case(parameters=138_365_992, sizes=((32, 32), (64, 97)), twin_of="vgg11_bn"),
    "vgg19": Case(parameters=143_667_240, sizes=((32, 32), (64, 97)), twin_of="vgg11_bn"),
    "vgg19_bn": Case(parameters=143_678_248, sizes=((32, 32), (64, 97)), twin_of="vgg11_bn"),
    "zfnet": Case(parameters=62_357_608, sizes=((47, 47), (50, 61)), fixed=True),
}
QUICK = [name for name, case in CASES.items() if case.twin_of is None]
TWINS = [name for name, case in CASES.items() if case.twin_of is not None]


def build(name: str, *, size: tuple[int, ...] | None = None, live: bool = True, **options: Any) -> Network:
    """The network of a case, with numbers that are quickly drawn.

    Args:
        name: of the case.
        size: of the input, the case's first if None.
        live: whether scores depend on the input as they do after training; otherwise weights are the first ones.
        options: beside those of the case.
    """
    case = CASES[name]
    wished = {"num_classes": CLASSES, "input_size": size or case.sizes[0], **case.options, **options}
    torch.manual_seed(0)
    with quick_numbers():
        network = models.create(name, **wished)
    if live:
        liven(network)
    return network


def inputs(network: Network, batch: int = 2, size: tuple[int, ...] | None = None) -> Tensor:
    """Random inputs of a network, of the size that it was built for if no other is given."""
    return pictures(batch, network.config.in_channels, *(size or network.config.input_size))


def pictures(batch: int, *sizes: int) -> Tensor:
    """Random numbers, of another contrast in every sample."""
    values = torch.randn(batch, *sizes, generator=torch.Generator().manual_seed(1))
    return values * torch.arange(1.0, batch + 1).view(-1, *[1] * len(sizes))


def all_scores(found: Tensor | Outputs) -> tuple[Tensor, ...]:
    """The scores, and those of auxiliary heads after them."""
    return (found,) if isinstance(found, Tensor) else (found.scores, *found.auxiliary)


def error(found: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest expected number."""
    assert found.shape == expected.shape
    difference = (found.detach().double() - expected.detach().double()).abs().max()
    return float(difference / expected.detach().double().abs().max())
