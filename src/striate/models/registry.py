"""Every network by its name."""

import difflib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from torch import nn

from striate.models.alexnet import alexnet, alexnet_2012
from striate.models.all_cnn import all_cnn_c
from striate.models.c3d import c3d
from striate.models.dilated_context import dilated_context
from striate.models.fcn import fcn_resnet50
from striate.models.googlenet import googlenet
from striate.models.inception_v3 import inception_v3
from striate.models.jarrett import jarrett
from striate.models.lenet import lenet5
from striate.models.locally_connected import deepface
from striate.models.mlp import mlp
from striate.models.mobilenet_v1 import mobilenet_v1
from striate.models.mobilenet_v2 import mobilenet_v2
from striate.models.network import Config, Network
from striate.models.notation import Written, builder_for, is_text, notation
from striate.models.resnet import resnet18, resnet18_deform, resnet34, resnet50, resnet50_deform, resnet101, resnet152
from striate.models.resnet1d import resnet1d18
from striate.models.unet import unet
from striate.models.vgg import vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn
from striate.models.video_resnet import r2plus1d_18, r3d_18
from striate.models.zfnet import zfnet

# Of builders of one class the more special comes first: the first whose presets a network has names it.
_BUILDERS: tuple[Any, ...] = (
    lenet5,
    alexnet,
    alexnet_2012,
    zfnet,
    all_cnn_c,
    mobilenet_v1,
    mobilenet_v2,
    dilated_context,
    mlp,
    deepface,
    jarrett,
    vgg11,
    vgg11_bn,
    vgg13,
    vgg13_bn,
    vgg16,
    vgg16_bn,
    vgg19,
    vgg19_bn,
    resnet18_deform,
    resnet50_deform,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
    resnet1d18,
    r3d_18,
    r2plus1d_18,
    c3d,
    fcn_resnet50,
    unet,
    googlenet,
    inception_v3,
)
_BY_NAME: dict[str, Any] = {build.__name__: build for build in _BUILDERS}


def names() -> list[str]:
    """The names of all networks.

    Returns:
        The names, sorted.

    Example:
        >>> "lenet5" in names()
        True
    """
    return sorted(_BY_NAME)


def config_of(name: str) -> Config:
    """The options that a network has if none are given, its input size among them.

    Args:
        name: the network's name.

    Returns:
        The network's frozen config.

    Raises:
        ValueError: if there is no such network; near matches are named.

    Example:
        >>> config_of("lenet5").input_size
        (28, 28)
    """
    build = builder_of(name)
    config: Config = build.config(**build.presets)
    return config


def create(name: str, **options: Any) -> Network:
    """Build a network by its name, or from a text of the notation.

    Args:
        name: the network's name, or a text as "conv 6 5x5, relu, flatten, linear classes".
        options: fields of the network's config, such as `num_classes`.

    Returns:
        The network, with its config as `.config`.

    Raises:
        TypeError: if the network has no such option.
        ValueError: if there is no such network; near matches are named, and the place in a text is shown.

    Source:
        Each network names its paper.

    Example:
        >>> create("lenet5", num_classes=3).config.num_classes
        3
        >>> create("conv 6 5x5, relu, flatten, linear classes", num_classes=3).config.input_size
        (28, 28)
    """
    build = builder_of(name)
    known = [field.name for field in fields(build.config)]
    for option in options:
        if option not in known:
            raise TypeError(f"{name} has no option {option!r}: expected some of {', '.join(known)}")
    network: Network = build(**options)
    return network


def name_of(model: nn.Module) -> str | None:
    """The name under which `create` builds a network like this one.

    Args:
        model: any module.

    Returns:
        The name, or None if the module is not one of ours.

    Example:
        >>> name_of(create("lenet5")), name_of(nn.Linear(1, 1))
        ('lenet5', None)
    """
    if type(model) is Written:
        return str(notation.__name__)
    own = [build for build in _BUILDERS if type(model) is build.network]
    options: Any = getattr(model, "config", None)
    for build in own:
        if all(getattr(options, option) == value for option, value in build.presets.items()):
            return str(build.__name__)
    # Of a size that no name has: any of the names builds it again from all of its options.
    return str(own[0].__name__) if own else None


def rebuild(name: str, options: Mapping[str, Any] | None) -> Network:
    """Build a network again from its name and its config as JSON gives it back.

    Args:
        name: the network's name.
        options: all fields of its config; lists stand for tuples. None for a network that is not one of ours.

    Returns:
        The network, with new weights.

    Raises:
        ValueError: if the network is not one of ours.

    Example:
        >>> rebuild("lenet5", {"input_size": [32, 32]}).config.input_size
        (32, 32)
    """
    if options is None:
        raise ValueError(f"{name} is not a network of striate.models: give the module itself as model=")
    return create(name, **{key: _tuples(value) for key, value in options.items()})


def _tuples(value: Any) -> Any:
    """The value with tuples for lists, inside of them, too."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _plain(name: str) -> str:
    """Its letters and digits alone, small."""
    return "".join(filter(str.isalnum, name.lower()))


def builder_of(name: str) -> Any:
    """The function that builds a network.

    Args:
        name: the network's name.

    Returns:
        The function, with the class as `.network`, its config's class as `.config` and what sets it apart from others
        of that class as `.presets`.

    Raises:
        ValueError: if there is no such network; near matches are named.

    Source:
        Each network names its paper.

    Example:
        >>> builder_of("lenet5").network.TAKES
        'pictures'
    """
    if name == notation.__name__:
        return notation
    if is_text(name):
        return builder_for(name)
    if name not in _BY_NAME:
        plain = {_plain(known): known for known in names()}
        near = [plain[match] for match in difflib.get_close_matches(_plain(name), plain, n=3)]
        near = near[:1] if near and _plain(near[0]) == _plain(name) else near
        hint = f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(names())}"
        raise ValueError(f"there is no network named {name!r}: {hint}")
    return _BY_NAME[name]
