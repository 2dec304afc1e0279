import math
from pathlib import Path

import pytest
import torch
from tests.models.cases import build, error, inputs
from torch import Tensor
from torch.nn import functional as F

from striate import models
from striate.models.loading.plan import plan
from striate.models.loading.timm import timm_names

# Names and sizes of timm 1.0.31's `mobilenetv2_100` of seven classes, but for the counters of batches.
_RECORDED = Path(__file__).with_name("timm_mobilenetv2_100.txt")


def recorded() -> dict[str, Tensor]:
    """Numbers of those names and sizes."""
    rows = [line.split() for line in _RECORDED.read_text().splitlines()]
    torch.manual_seed(0)
    found = {name: torch.rand([int(size) for size in sizes.split("x")]) for name, sizes in rows}
    for name, value in found.items():
        if value.ndim > 1:
            value.sub_(0.5).mul_(4 / math.sqrt(value[0].numel()))
        elif name.endswith(("running_var", "weight")):
            value.add_(0.5)
    return found


def scores(state: dict[str, Tensor], input: Tensor) -> Tensor:
    """MobileNetV2 as timm runs it: by its names of the layers."""

    def norm(layer: str, maps: Tensor) -> Tensor:
        mean, var, weight, bias = (state[f"{layer}.{n}"] for n in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(maps, mean, var, weight, bias)

    def deep(layer: str, maps: Tensor, stride: int) -> Tensor:
        weight = state[f"{layer}.weight"]
        return F.conv2d(maps, weight, stride=stride, padding=1, groups=len(weight))

    maps = F.relu6(norm("bn1", F.conv2d(input, state["conv_stem.weight"], stride=2, padding=1)))
    maps = F.relu6(norm("blocks.0.0.bn1", deep("blocks.0.0.conv_dw", maps, 1)))
    maps = norm("blocks.0.0.bn2", F.conv2d(maps, state["blocks.0.0.conv_pw.weight"]))
    for stage, (count, stride) in enumerate(((2, 2), (3, 2), (4, 2), (3, 1), (3, 2), (1, 1)), 1):
        for block in range(count):
            name = f"blocks.{stage}.{block}"
            found = F.relu6(norm(f"{name}.bn1", F.conv2d(maps, state[f"{name}.conv_pw.weight"])))
            found = F.relu6(norm(f"{name}.bn2", deep(f"{name}.conv_dw", found, 1 if block else stride)))
            found = norm(f"{name}.bn3", F.conv2d(found, state[f"{name}.conv_pwl.weight"]))
            maps = maps + found if block else found
    maps = F.relu6(norm("bn2", F.conv2d(maps, state["conv_head.weight"])))
    return F.linear(maps.mean((2, 3)), state["classifier.weight"], state["classifier.bias"])


@pytest.mark.parametrize("prefix", ["", "module.model."])
def test_mobilenet_v2(prefix: str):
    state = recorded()
    network = models.create("mobilenet_v2", num_classes=7).eval()
    found = plan(network, given := {prefix + name: value for name, value in state.items()}, "file")
    assert found.report.complete
    assert found.report.changed[-1] == "names of timm's layers"
    found.fill(network, given.__getitem__)
    input = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * torch.tensor([1.0, -3]).view(
        -1, 1, 1, 1
    )
    expected = scores(state, input)
    assert error(expected[:1], expected[1:]) > 0.01
    assert error(network(input), expected) <= 1e-5


def test_every_layer_has_one_name():
    with torch.device("meta"):
        network = models.create("mobilenet_v2", num_classes=7)
    convention = timm_names(network)
    assert convention is not None
    layers = {name.rpartition(".")[0] for name in network.state_dict()}
    assert sorted(convention.layers.values()) == sorted(layers)
    assert set(convention.layers) == {line.split()[0].rpartition(".")[0] for line in _RECORDED.read_text().splitlines()}


@pytest.mark.parametrize("name", ["vgg11", "vgg11_bn", "vgg16", "vgg19_bn"])
def test_vgg(name: str):
    with torch.device("meta"):
        network = models.create(name, num_classes=7)
        given = {n: v for n, v in network.state_dict().items() if n.startswith("features")}
        given |= {"pre_logits.fc1.weight": torch.empty(4096, 512, 7, 7), "pre_logits.fc1.bias": torch.empty(4096)}
        given |= {"pre_logits.fc2.weight": torch.empty(4096, 4096, 1, 1), "pre_logits.fc2.bias": torch.empty(4096)}
        given |= {"head.fc.weight": torch.empty(5, 4096), "head.fc.bias": torch.empty(5)}
    found = plan(network, given, "file")
    assert found.report.complete
    assert found.report.changed == (
        "names of timm's layers", "classifier.6 begins anew: 5 classes in the file, 7 wanted"
    )  # fmt: skip
    assert {name: place.source for name, place in found.places.items() if "classifier.3" in name} == {
        "classifier.3.weight": "pre_logits.fc2.weight",
        "classifier.3.bias": "pre_logits.fc2.bias",
    }


def test_a_convolution_of_the_whole_map_is_a_linear_layer():
    weight, maps = torch.randn(6, 2, 3, 3), torch.randn(4, 2, 3, 3)
    with torch.device("meta"):
        network = models.create("vgg11", num_classes=7)
    given = {n: v for n, v in network.state_dict().items() if n.startswith("features")}
    place = plan(network, given | {"pre_logits.fc1.weight": torch.empty(4096, 512, 7, 7)}, "file").places
    assert place["classifier.0.weight"].read_as == (4096, 512 * 49)
    linear = F.linear(maps.flatten(1), weight.flatten(1))
    torch.testing.assert_close(linear, F.conv2d(maps, weight).flatten(1))


def test_names_like_torchvisions_are_left():
    network = build("resnet18", live=False)
    assert timm_names(network) is None
    found = plan(network, network.state_dict(), "file").report
    assert found.complete and not found.changed
    assert network(inputs(network)).isfinite().all()


def test_no_counterpart():
    assert timm_names(models.mobilenet_v1(width_mult=0.25)) is None
    assert timm_names(models.lenet5()) is None
