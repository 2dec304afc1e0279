"""What inspection finds in the networks of Striate, and two designs side by side."""

from collections.abc import Callable

import torch
from torch import nn

import striate
from operators_page.speeds import table
from striate import models
from striate.inspection.comparison import compare
from striate.inspection.finding import Finding
from striate.inspection.inspection import Inspection
from striate.inspection.tracing.trace import trace

_UNREAD = """\
## Inputs that nobody reads

PyTorch rounds the size of an output down in silence. Where windows do not cover their input, rows and columns are
lost, at the end or between the windows, and inspection says which, and what would mend it. A remainder that falls into
the padding loses nothing and is no finding: so it is in the first layers of ResNet, and in AlexNet on 224×224 pixels.

On pictures of other sizes than a network was made for, and in two as their papers print them: AlexNet on 224 pixels in
place of 227, and ResNet-50 with the stride of a block in its first 1×1, where nobody reads what the shortcut skips:"""
_OWN_SIZES = """\
At their own sizes these networks of Striate leave inputs unread, all in the shortcuts of their residual blocks:"""
_COMPARED = """\
## Two designs side by side

`striate inspect vgg16 --vs resnet18` puts any two networks beside one another. Designs that the lectures compare:"""


def _resnet50_of_the_paper() -> nn.Module:
    """ResNet-50 with the stride of its blocks in their first 1×1 convolution."""
    network = models.resnet50()
    for block in (network.layer2[0], network.layer3[0], network.layer4[0]):
        block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
    return network


# Networks under the names they get on the page, and the side of the picture they are given.
_CLASSICS: tuple[tuple[str, Callable[[], nn.Module], int], ...] = (
    ("AlexNet, 2012", lambda: models.alexnet_2012(input_size=(224, 224)), 224),
    ("AlexNet, 2014", models.alexnet, 227),
    ("VGG-16", models.vgg16, 250),
    ("Inception v3", models.inception_v3, 224),
    ("ResNet-50 as in its paper", _resnet50_of_the_paper, 224),
)


def unread() -> str:
    """What windows leave unread in the classics, at sizes that they were not made for and at their own."""
    others = []
    for name, build, side in _CLASSICS:
        with torch.device("meta"):
            network = build().eval()
        found = _unread(network, (1, 3, side, side))
        others.append((f"{name}, {side}×{side}", _summary(found), "<br>".join(found[0].fixes[:2])))
    own: dict[str, list[str]] = {}
    silent = []
    for name in models.names():
        found = _unread(name, None)
        if found:
            own.setdefault(_summary(found), []).append(f"`{name}`")
        else:
            silent.append(f"`{name}`")
    parts = [
        _UNREAD,
        table(("network, picture", "found", "nearest fixes of the first"), others),
        _OWN_SIZES,
        table(("found", "in"), [(text, ", ".join(names)) for text, names in own.items()]),
        f"Nothing is left unread in {', '.join(silent)}.",
    ]
    return "\n\n".join(parts)


def _unread(network: nn.Module | str, size: tuple[int, ...] | None) -> list[Finding]:
    return [finding for finding in striate.inspect(network, size).findings if finding.kind == "unread"]


def _summary(found: list[Finding]) -> str:
    """The first of some findings, and the layers of the others."""
    others = dict.fromkeys(f"`{finding.layer}`" for finding in found[1:])
    return f"{found[0].text}{'<br>and at ' if others else ''}{', '.join(others)}"


def compared() -> str:
    """The designs that the lectures compare."""
    one = nn.Sequential(nn.Conv2d(64, 64, 7, bias=False, device="meta"))
    three = nn.Sequential(*[nn.Conv2d(64, 64, 3, bias=False, device="meta") for _ in range(3)])
    ordinary = nn.Sequential(nn.Conv2d(3, 128, 3, bias=False, device="meta"))
    depthwise = nn.Conv2d(3, 3, 3, groups=3, bias=False, device="meta")
    separable = nn.Sequential(depthwise, nn.Conv2d(3, 128, 1, bias=False, device="meta"))
    full = nn.Sequential(nn.Flatten(), nn.Linear(200 * 200, 40_000, bias=False, device="meta"))
    shared = nn.Sequential(nn.Conv2d(1, 100, 10, bias=False, device="meta"))
    return "\n\n".join([
        _COMPARED,
        "One 7×7 against three 3×3, 64 → 64 channels: 49·64² against 27·64² weights, and the same field.",
        _beside({"one 7×7": one, "three 3×3": three}, (1, 64, 32, 32)),
        "Ordinary against depthwise separable, 7×7×3 → 5×5×128: 3,456 against 27 + 384 = 411 weights.",
        _beside({"ordinary": ordinary, "separable": separable}, (1, 3, 7, 7)),
        "Fully connected, 200×200 pixels to 40,000 units, against 100 filters of 10×10: 1.6e9 against 10,000 weights.",
        _beside({"fully connected": full, "convolutional": shared}, (1, 1, 200, 200)),
    ])  # fmt: skip


def _beside(networks: dict[str, nn.Module], size: tuple[int, ...]) -> str:
    """Two networks on one size, as the command prints them."""
    first, second = (
        Inspection(name, network, trace(network, [torch.empty(size, device="meta")]))
        for name, network in networks.items()
    )
    return f"```text\n{str(compare(first, second)).rstrip()}\n```"
