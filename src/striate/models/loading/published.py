"""Where weights were published, and what pictures they want."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from striate.models.loading.download import fetched, from_repository
from striate.models.loading.preprocessing import Preprocessing

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_SERVER = "https://download.pytorch.org/models/"
_TORCHVISION: Mapping[str, tuple[str, int | tuple[int, int], tuple[int, int] | None]] = MappingProxyType(
    # The file, whose name ends with the first digits of its SHA-256; the sides after resizing; those of the input.
    {
        "alexnet": ("alexnet-owt-7be5be79.pth", 256, (224, 224)),
        "fcn_resnet50": ("fcn_resnet50_coco-1167a1af.pth", 520, None),
        "googlenet": ("googlenet-1378be20.pth", 256, (224, 224)),
        "inception_v3": ("inception_v3_google-0cc3c7bd.pth", 342, (299, 299)),
        "mobilenet_v2": ("mobilenet_v2-7ebf99e0.pth", 232, (224, 224)),
        "r2plus1d_18": ("r2plus1d_18-91a641e6.pth", (128, 171), (112, 112)),
        "r3d_18": ("r3d_18-b3b3357e.pth", (128, 171), (112, 112)),
        "resnet18": ("resnet18-f37072fd.pth", 256, (224, 224)),
        "resnet34": ("resnet34-b627a593.pth", 256, (224, 224)),
        "resnet50": ("resnet50-11ad3fa6.pth", 232, (224, 224)),
        "resnet101": ("resnet101-cd907fc2.pth", 232, (224, 224)),
        "resnet152": ("resnet152-f82ba261.pth", 232, (224, 224)),
        "vgg11": ("vgg11-8a719046.pth", 256, (224, 224)),
        "vgg11_bn": ("vgg11_bn-6002323d.pth", 256, (224, 224)),
        "vgg13": ("vgg13-19584684.pth", 256, (224, 224)),
        "vgg13_bn": ("vgg13_bn-abd245e5.pth", 256, (224, 224)),
        "vgg16": ("vgg16-397923af.pth", 256, (224, 224)),
        "vgg16_bn": ("vgg16_bn-6c64b313.pth", 256, (224, 224)),
        "vgg19": ("vgg19-dcbb9e9d.pth", 256, (224, 224)),
        "vgg19_bn": ("vgg19_bn-c79401a0.pth", 256, (224, 224)),
    }
)
# Of videos there are other means.
_KINETICS = ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))
# These were ported from TensorFlow: torchvision normalises their pictures twice.
_PORTED = ("googlenet", "inception_v3")
_TIMM: Mapping[str, str] = MappingProxyType(
    {
        "inception_v3": "inception_v3.tv_in1k",
        "mobilenet_v2": "mobilenetv2_100.ra_in1k",
        "resnet18": "resnet18.a1_in1k",
        "resnet34": "resnet34.a1_in1k",
        "resnet50": "resnet50.a1_in1k",
        "resnet101": "resnet101.a1h_in1k",
        "resnet152": "resnet152.a1h_in1k",
        **{f"vgg{depth}{norm}": f"vgg{depth}{norm}.tv_in1k" for depth in (11, 13, 16, 19) for norm in ("", "_bn")},
    }
)
_REPOSITORY = re.compile(r"hub:([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", re.ASCII)
_MOST_TEXT = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file of weights, and what is known of it.

    Args:
        file: on this machine.
        published: whether it is from where weights are published, rather than given as a file.
        allow_pickle: whether a checkpoint of PyTorch may be read.
        options: of the network, that the weights want.
        preprocessing: None if nothing tells.
    """

    file: Path
    published: bool = True
    allow_pickle: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    preprocessing: Preprocessing | None = None


def find(name: str, weights: str | os.PathLike[str], allow_pickle: bool) -> Found:
    """The file of weights that is meant, fetched if it is not here.

    Args:
        name: the network's.
        weights: a file, "torchvision", "timm", or "hub:ORG/NAME", with "@REVISION" if wished.
        allow_pickle: whether a checkpoint of PyTorch may be read; that of torchvision is asked for by its name.

    Raises:
        ValueError: if none are published for this network, or the name is none.
        ImportError: if the extra `hub` is not installed.
        ConnectionError: if they cannot be fetched.
    """
    if weights == "torchvision":
        return _torchvision(name)
    if weights == "timm":
        repository = "timm/" + _published(_TIMM, name, "timm")
        return _hub(repository, None, allow_pickle)
    if isinstance(weights, str) and weights.startswith("hub:"):
        parts = _REPOSITORY.fullmatch(weights)
        if not parts:
            raise ValueError(f"weights must be hub:ORG/NAME or hub:ORG/NAME@REVISION, got {weights!r}")
        return _hub(parts[1], parts[2], allow_pickle)
    return Found(file=Path(weights), published=False, allow_pickle=allow_pickle)


def _published(table: Mapping[str, Any], name: str, whose: str) -> Any:
    """What a table has for a network.

    Raises:
        ValueError: if it has nothing.
    """
    if name not in table:
        raise ValueError(f"there are no weights of {whose} for {name}: expected one of {', '.join(sorted(table))}")
    return table[name]


def _torchvision(name: str) -> Found:
    """The weights that torchvision has by default."""
    file, resize, size = _published(_TORCHVISION, name, "torchvision")
    mean, std = _KINETICS if isinstance(resize, tuple) else _IMAGENET
    return Found(
        file=fetched(_SERVER + file),
        allow_pickle=True,
        options={"transform_input": True} if name in _PORTED else {},
        preprocessing=Preprocessing(mean=mean, std=std, size=size, resize=resize),
    )


def _hub(repository: str, revision: str | None, allow_pickle: bool) -> Found:
    """The weights of a repository, and what its `config.json` says of pictures, if it is written as timm does."""
    files = ("model.safetensors", *(("pytorch_model.bin",) if allow_pickle else ()))
    file = from_repository(repository, files, revision)
    assert file is not None
    about = from_repository(repository, ("config.json",), revision, needed=False)
    return Found(file=file, allow_pickle=allow_pickle, preprocessing=_of_timm(about) if about else None)


def _of_timm(file: Path) -> Preprocessing | None:
    """What pictures weights of timm want; None if the file does not say so as timm does."""
    if file.stat().st_size > _MOST_TEXT:
        return None
    try:
        config = json.loads(file.read_text())["pretrained_cfg"]
        channels, height, width = config["input_size"]
        cut, words = float(config.get("crop_pct") or 1), {1: "L", 3: "RGB"}
        resize: Any = tuple(int(side / cut) for side in (height, width))
        given: Any = {"channels": words[channels], "interpolation": config.get("interpolation", "bilinear")}
        if config.get("crop_mode", "center") == "center" and height == width:
            resize = resize[0]
        mean, std = tuple(config["mean"]), tuple(config["std"])
        return Preprocessing(mean=mean, std=std, size=(height, width), resize=resize, **given)
    except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
        return None
