"""The names of the networks of mmcv's family, and the masks of its deformable layers."""

from collections.abc import Collection
from functools import partial

from torch import Tensor

from striate.models.loading.convention import Change, Convention
from striate.models.network import Network
from striate.models.resnet import ResNet
from striate.nn.deform_conv import DeformConv2d


def mmcv_names(network: Network, prefix: str, names: Collection[str]) -> Convention | None:
    """What mmdetection, mmsegmentation and their like call the layers of a ResNet; None where nothing tells them.

    The predictor of a deformable layer `conv2` is `conv2.conv_offset` there and here, with its channels in the same
    order: y before x for each tap, then the masks; in old files it is `conv2_offset`. Masks are sigmoids. Those of our
    networks reach `2 * mask_init`, so that the weights they multiply are divided by as much: the same numbers.

    Args:
        network: that takes the weights.
        prefix: what stands before the names: a `backbone` tells.
        names: without it; those of old predictors tell, too.
    """
    if not isinstance(network, ResNet):
        return None
    deformable = {
        name: layer for name, layer in network.named_modules() if isinstance(layer, DeformConv2d) and layer.predict
    }
    old = {f"{name}_offset": f"{name}.conv_offset" for name in deformable}
    if "backbone." not in prefix and not any(f"{layer}.weight" in names for layer in old):
        return None
    changes: dict[str, Change] = {
        f"{name}.weight": partial(_divided, by=2 * layer.mask_init)
        for name, layer in deformable.items()
        if layer.mask and layer.mask_init != 0.5
    }
    said: tuple[str, ...] = ()
    if changes:
        by = 2 * next(layer.mask_init for layer in deformable.values())
        said = (f"{len(changes)} deformable layers have their weights divided by {by:g}, the largest mask here",)
    return Convention(whose="mmcv", layers={**old, "head.fc": "fc"}, changes=changes, said=said)


def _divided(weight: Tensor, *, by: float) -> Tensor:
    """A weight for larger masks."""
    return weight / by
