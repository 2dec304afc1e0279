"""The names of timm's networks, where they are not torchvision's."""

from torch import nn

from striate.models.loading.convention import Convention
from striate.models.mobilenet_v2 import MobileNetV2
from striate.models.network import Network
from striate.models.vgg import VGG

# Blocks of each stage of MobileNetV2.
_BLOCKS = (1, 2, 3, 4, 3, 3, 1)


def timm_names(network: Network) -> Convention | None:
    """What timm calls the layers of a network; None where it calls them as torchvision does, or lacks the network.

    Its VGG has the linear layers as convolutions, of the same numbers. Its MobileNetV1 is no counterpart of ours: it
    cuts rectifications off at 6.
    """
    if isinstance(network, VGG):
        layers = {"pre_logits.fc1": "classifier.0", "pre_logits.fc2": "classifier.3", "head.fc": "classifier.6"}
    elif isinstance(network, MobileNetV2):
        layers = _mobilenet_v2(network)
    else:
        return None
    return Convention(whose="timm", layers=layers)


def _mobilenet_v2(network: MobileNetV2) -> dict[str, str]:
    """The layers of a MobileNetV2: stages of blocks instead of one row of them, and each layer with a name."""
    layers = {"conv_stem": "features.0.0", "bn1": "features.0.1"}
    place = 1
    for stage, count in enumerate(_BLOCKS):
        for block in range(count):
            theirs, ours = f"blocks.{stage}.{block}", f"features.{place}.conv"
            widens = isinstance(network.get_submodule(f"{ours}.1"), nn.Sequential)
            # The first block does not widen, and its last convolution is called the one behind a depthwise one.
            names = ("conv_pw", "conv_dw", "conv_pwl") if widens else ("conv_dw", "conv_pw")
            for number, name in enumerate(names, 1):
                pair = number < len(names)
                conv, norm = (f"{number - 1}.0", f"{number - 1}.1") if pair else (f"{number - 1}", f"{number}")
                layers |= {f"{theirs}.{name}": f"{ours}.{conv}", f"{theirs}.bn{number}": f"{ours}.{norm}"}
            place += 1
    head = {"conv_head": f"features.{place}.0", "bn2": f"features.{place}.1", "classifier": "classifier.1"}
    return layers | head
