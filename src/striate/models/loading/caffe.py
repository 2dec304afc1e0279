"""Networks that were published for Caffe: blue before red, bytes less a mean colour, and its response normalisation."""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from striate.models.alexnet import AlexNet2012
from striate.models.loading.convention import Change, Convention
from striate.models.loading.preprocessing import Preprocessing
from striate.models.network import Network
from striate.models.vgg import VGG

# Mean red, green and blue of ImageNet: those that VGG was published with, and of Caffe's mean picture.
_VGG_MEAN = (123.68, 116.779, 103.939)
_ALEXNET_MEAN = (122.67891434, 116.66876762, 104.00698793)
_BYTES = (0.0, 255.0)
# The response normalisation of bvlc_alexnet; Caffe divides alpha by the size.
_USUAL = {"local_size": 5, "alpha": 1e-4, "beta": 0.75, "k": 1.0}


def caffe_names(network: Network, layers: Mapping[str, Mapping[str, Any]]) -> Convention | None:
    """What Caffe's files call the layers of VGG and AlexNet, and what of their numbers is another.

    Args:
        network: that takes the weights.
        layers: the type and the settings of each layer of the file, in order.

    Raises:
        ValueError: if a linear layer is transposed, or a response normalisation cannot be brought to the network's.
    """
    for name, settings in layers.items():
        if settings.get("transpose"):
            raise ValueError(f"{name} must have its outputs first, got a transposed weight")
    blue_first = "the first layer's channels turned from blue, green, red to red, green, blue"
    first: dict[str, Change] = {f"{network.FIRST}.weight": partial(Tensor.flip, dims=(1,))}
    ones = (1.0, 1.0, 1.0)
    if isinstance(network, VGG) and not network.config.batch_norm:
        pictures = Preprocessing(mean=_VGG_MEAN, std=ones, size=(224, 224), resize=256, range=_BYTES)
        return Convention(
            whose="Caffe", layers=_vgg(network), changes=first, said=(blue_first,), preprocessing=pictures
        )
    if isinstance(network, AlexNet2012):
        pictures = Preprocessing(mean=_ALEXNET_MEAN, std=ones, size=(227, 227), resize=(256, 256), range=_BYTES)
        scales = _alexnet(network, layers)
        said = (blue_first, "weights scaled, for the response normalisation is the paper's")
        weight = f"{network.FIRST}.weight"
        changes = {name: partial(_scaled, by=by) for name, by in scales.items()}
        changes[weight] = partial(_turned, by=scales[weight])
        return Convention(whose="Caffe", changes=changes, said=said, preprocessing=pictures)
    return None


def _vgg(network: VGG) -> dict[str, str]:
    """The layers of VGG: its convolutions by their bank and place, its linear layers from the sixth on."""
    layers, bank, place = {"fc6": "classifier.0", "fc7": "classifier.3", "fc8": "classifier.6"}, 1, 1
    for number, layer in enumerate(network.features):
        if isinstance(layer, nn.Conv2d):
            layers[f"conv{bank}_{place}"] = f"features.{number}"
            place += 1
        elif isinstance(layer, nn.MaxPool2d):
            bank, place = bank + 1, 1
    return layers


def _alexnet(network: AlexNet2012, layers: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """What weights and biases are multiplied by, for the network's response normalisation to do what the file's does.

    With `(k + a S)^-b` there and `(K + A S)^-b` here, where S sums the squares of x, `s x` for x gives `c` times as
    much, if `s^2 = a K / (A k)` and `c = s (k / K)^b`. The layer before is scaled by s, the weight of the one behind by
    1 / c; rectification and pooling let factors through.

    Raises:
        ValueError: if the normalisation differs in more than alpha and k, or stands behind the pooling.
    """
    scales: dict[str, float] = {}
    order = list(layers)
    for number in (1, 2):
        before, norm, pool, behind = f"conv{number}", f"norm{number}", f"pool{number}", f"conv{number + 1}"
        if norm in layers and pool in layers and order.index(pool) < order.index(norm):
            raise ValueError(f"{norm} must stand before {pool}, as in the paper and in bvlc_alexnet, got it behind")
        theirs = layers.get(norm, {})
        size, alpha, beta, k = (theirs.get(word, usual) for word, usual in _USUAL.items())
        ours: Any = network.get_submodule(norm)
        if (size, beta, theirs.get("within_channel", False)) != (ours.size, ours.beta, ours.within_channel):
            raise ValueError(f"{norm} must be {ours.extra_repr()} but for alpha and k, got {dict(theirs)}")
        if not (0 < alpha < math.inf and 0 < k < math.inf):
            raise ValueError(f"{norm} must have alpha and k above 0, got {alpha} and {k}")
        factor = ours.alpha if ours.alpha_mode == "sum" else ours.alpha / ours.size
        s = math.sqrt(alpha / size * ours.k / (factor * k))
        c = s * (k / ours.k) ** ours.beta
        for name, by in ((f"{before}.weight", s), (f"{before}.bias", s), (f"{behind}.weight", 1 / c)):
            scales[name] = scales.get(name, 1.0) * by
    return scales


def _scaled(tensor: Tensor, *, by: float) -> Tensor:
    """A multiple."""
    return tensor * by


def _turned(tensor: Tensor, *, by: float) -> Tensor:
    """A multiple, with the channels in the other order."""
    return tensor.flip(1) * by
