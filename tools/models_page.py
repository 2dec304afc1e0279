"""The page of all networks: a table, the sizes of their stages, and how to build, load and list them."""

import inspect
import math
import re
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from operators_page.speeds import table
from striate import models
from striate.models import Network
from striate.nn import LocalConv1d, LocalConv2d, LocalConv3d

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_UNSHARED = (LocalConv1d, LocalConv2d, LocalConv3d)
_ABOUT = """\
# Networks

Written by `make docs` from the networks themselves. Each is built by its function or by its name, takes any number of
channels and of classes, compiles as one graph, exports to ONNX, and gives its maps at every stage:

```python
>>> import torch
>>> from striate import models
>>> network = models.resnet18(in_channels=1, num_classes=7).eval()
>>> network(torch.zeros(1, 1, 64, 64)).shape
torch.Size([1, 7])
>>> {name: tuple(maps.shape[1:]) for name, maps in network.features(torch.zeros(1, 1, 64, 64)).items()}["layer4"]
(512, 2, 2)
>>> network.reset_classifier(3)
>>> network(torch.zeros(1, 1, 64, 64)).shape
torch.Size([1, 3])
>>> models.create("resnet18", num_classes=3).config.num_classes
3
>>> models.create("resnet19")
Traceback (most recent call last):
ValueError: there is no network named 'resnet19': did you mean resnet18 or ...
>>> with torch.device("meta"):                             # sizes and counts, and nothing allocated
...     sum(parameter.numel() for parameter in models.vgg16().parameters())
138357544

```

`striate models` lists them, and `striate train SOURCE --model NAME` trains those that take pictures and give classes.

## Weights from a file

`models.load` builds a network and fills it from a safetensors file. Where torchvision has the network, the names of the
tensors are torchvision's, and with its weights the scores are, too: save its state dict, and it loads as it is.
`in_channels` and `num_classes` may differ from the file's: the first layer and the classifier are changed, and the
report says so. It also says what is missing, unexpected or wrongly sized, which are errors unless `strict=False`.

```python
>>> import pathlib, tempfile
>>> from safetensors.torch import save_file
>>> folder = tempfile.TemporaryDirectory()
>>> file = pathlib.Path(folder.name) / "weights.safetensors"
>>> save_file(models.resnet18().state_dict(), file)        # or torchvision's
>>> network, report = models.load("resnet18", file, in_channels=1, num_classes=7)
>>> print(str(report).replace(folder.name, "folder"))
folder/weights.safetensors: 120 tensors loaded
changed: fc begins anew: 1000 classes in the file, 7 wanted
changed: conv1 has its filters summed over 3 channels and shared out among 1
preprocessing: unknown
>>> folder.cleanup()

```

`weights` may also be "torchvision" or "timm" for what they publish, "hub:ORG/NAME" for a repository of the hub (extra
`hub`), Caffe's caffemodel, or, with `allow_pickle=True`, a PyTorch checkpoint, of which no code is run. Names of timm,
Caffe and mmcv and the prefixes of wrappers are recognised. Mean, deviation, size and order of channels travel with the
weights: `report.preprocessing(picture)` gives the network's input.
"""
_LEGEND = """\
## All of them

**Input**: channels and sizes by default; clips have frames, height and width. **MACs**: multiply-accumulates of the
convolutions and linear layers for one input of that size. **torchvision**: whether the weights of its network of that
name load as they are. The published ones of `googlenet` and `inception_v3` want `transform_input=True` beside it."""
_HEADERS = (*("network", "paper", "takes", "gives scores of", "input", "classes", "parameters", "MACs", "torchvision"),)
_STAGES = "What `network.features(input)` gives for one input of the default size: the stages, and their maps."
# What the paper of the class does not tell of a network.
_ALSO = dict.fromkeys(("resnet18_deform", "resnet50_deform"), "; deformable: Dai et al., 2017, and Zhu et al., 2019")
# What the networks need to have the tensors of torchvision's published weights.
PUBLISHED: dict[str, dict[str, Any]] = {"fcn_resnet50": {"aux_loss": True}}
# The same of torchvision's, which must not warn, nor download any.
THEIRS: dict[str, dict[str, Any]] = {
    "fcn_resnet50": {"aux_loss": True, "weights_backbone": None},
    "googlenet": {"init_weights": True},
    "inception_v3": {"init_weights": True},
}


def paper(network: type[Network]) -> tuple[str, str]:
    """Title and year of the first paper that the network names.

    Raises:
        ValueError: if it names none.
    """
    source = " ".join(inspect.cleandoc(network.__doc__ or "").partition("Source:")[2].split())
    found = re.search(r'"(.+?),?"(.*)', source)
    year = found and re.search(r"\b(?:19|20)\d\d\b", found[2])
    if not found or not year:
        raise ValueError(f"{network.__name__} must name a paper with its year, got {source!r}")
    return found[1], year[0]


def multiply_accumulates(network: nn.Module, input: Tensor) -> int:
    """Those of the convolutions and linear layers, without biases: each weight is used once at every place."""
    counts: list[int] = []

    def count(layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(layer, nn.Linear):
            counts.append(output.numel() * layer.in_features)
        elif isinstance(layer, _UNSHARED):
            counts.append(len(output) * layer.weight.numel())
        else:
            maps = inputs[0] if isinstance(layer, _TRANSPOSED) else output
            counts.append(len(maps) * math.prod(maps.shape[2:]) * layer.weight.numel())

    layers = [layer for layer in network.modules() if _has_weights(layer)]
    handles = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        network(input)
    for handle in handles:
        handle.remove()
    return sum(counts)


def _has_weights(layer: nn.Module) -> bool:
    """Whether this is a linear layer or a convolution of any kind."""
    return isinstance(layer, nn.Linear) or hasattr(layer, "kernel_size") and hasattr(layer, "weight")


def takes_torchvisions(name: str, torchvision: Any) -> str:
    """Whether torchvision has a network of this name, whose tensors have the names and sizes of ours."""
    if name not in torchvision.list_models():
        return "–"
    options = PUBLISHED.get(name, {})
    with torch.device("meta"):
        theirs = torchvision.get_model(name, weights=None, **THEIRS.get(name, {}))
        ours = models.create(name, **options)
    if _shapes(ours) != _shapes(theirs):
        return "no"
    return ", ".join(["yes", *(f"`{option}={value}`" for option, value in options.items())])


def _shapes(network: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in network.state_dict().items()}


def whole(torchvision: Any) -> str:
    """The page.

    Args:
        torchvision: its `models`.
    """
    rows, lists = [], []
    for summary in models.summaries():
        with torch.device("meta"):
            network = models.create(summary.name).eval()
            input = torch.zeros(1, *summary.input_size)
        title, year = paper(type(network))
        rows.append(
            (
                f"`{summary.name}`",
                f"{title}, {year}{_ALSO.get(summary.name, '')}",
                summary.takes,
                summary.gives,
                _sizes(summary.input_size),
                f"{summary.num_classes:,}",
                f"{summary.parameters:,}",
                _short(multiply_accumulates(network, input)),
                takes_torchvisions(summary.name, torchvision),
            )
        )
        with torch.no_grad():
            stages = [f"{stage} {_sizes(maps.shape[1:])}" for stage, maps in network.features(input).items()]
        lists.append(f"- `{summary.name}`: {', '.join(stages)}")
    parts = [_ABOUT, _LEGEND, table(_HEADERS, rows), "## Stages", _STAGES, "\n".join(lists)]
    return "\n\n".join(parts) + "\n"


def _sizes(sizes: Iterable[int]) -> str:
    return "×".join(map(str, sizes))


def _short(count: int) -> str:
    """A count in millions, with three digits or all of the whole ones."""
    millions = count / 1e6
    return f"{millions:,.0f} M" if millions >= 100 else f"{millions:.3g} M"
