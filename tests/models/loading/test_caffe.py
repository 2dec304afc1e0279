import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.cases import error
from tests.models.filling import liven, quick_numbers
from torch import Tensor
from torch.nn import functional as F

from striate import models
from striate.models import Network
from striate.models.loading.plan import plan

ALEXNET = {"num_classes": 7, "input_size": (67, 67)}
ORDER = ("conv1", "relu1", "norm1", "pool1", "conv2", "relu2", "norm2", "pool2", "conv3", "conv4", "conv5")


def message(number: int, content: bytes) -> bytes:
    """A field of protobuf's wire format that holds others."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def number(field: int, value: float) -> bytes:
    """A field with a single float."""
    return varint(field << 3 | 5) + struct.pack("<f", value)


def blob(tensor: Tensor, legacy: bool) -> bytes:
    """A tensor with its sizes."""
    sizes = [1] * (4 - tensor.ndim) + list(tensor.shape)
    shape = b"".join(varint(axis << 3) + varint(size) for axis, size in enumerate(sizes, 1))
    if not legacy:
        shape = message(7, message(1, b"".join(map(varint, tensor.shape))))
    return shape + message(5, tensor.numpy().tobytes())


def caffemodel(
    file: Path, state: Mapping[str, Tensor], lrn: bytes, *, legacy: bool, order: tuple[str, ...] = ORDER
) -> Path:
    """Write AlexNet's layers as Caffe does, in its older or newer format."""
    name, kind, blobs, settings, layer = (4, 5, 6, 18, 2) if legacy else (1, 2, 7, 118, 100)
    types = {
        "conv": ("Convolution", 4),
        "fc": ("InnerProduct", 14),
        "norm": ("LRN", 15),
        "pool": ("Pooling", 17),
        "relu": ("ReLU", 18),
    }
    found = message(1, b"AlexNet")
    for each in (*order, "fc6", "fc7", "fc8"):
        word, value = types[each[:-1]]
        content = message(name, each.encode())
        content += varint(kind << 3) + varint(value) if legacy else message(kind, word.encode())
        content += message(settings, lrn) if word == "LRN" else b""
        for which in ("weight", "bias"):
            if f"{each}.{which}" in state:
                content += message(blobs, blob(state[f"{each}.{which}"], legacy))
        found += message(layer, content)
    file.write_bytes(found)
    return file


def scores(state: Mapping[str, Tensor], blue_first: Tensor, alpha: float, k: float) -> Tensor:
    """What Caffe's bvlc_alexnet gives; its alpha is divided by the size, as torch's is."""

    def conv(layer: int, maps: Tensor, **others: int) -> Tensor:
        return F.relu(F.conv2d(maps, state[f"conv{layer}.weight"], state[f"conv{layer}.bias"], **others))

    def pooled(maps: Tensor) -> Tensor:
        return F.max_pool2d(F.local_response_norm(maps, 5, alpha, 0.75, k), 3, 2)

    maps = pooled(conv(2, pooled(conv(1, blue_first, stride=4)), padding=2, groups=2))
    maps = conv(5, conv(4, conv(3, maps, padding=1), padding=1, groups=2), padding=1, groups=2)
    found = F.max_pool2d(maps, 3, 2).flatten(1)
    for layer in (6, 7):
        found = F.relu(F.linear(found, state[f"fc{layer}.weight"], state[f"fc{layer}.bias"]))
    return F.linear(found, state["fc8.weight"], state["fc8.bias"])


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """Numbers of AlexNet's sizes."""
    torch.manual_seed(0)
    with quick_numbers():
        network = models.create("alexnet_2012", **ALEXNET)
    liven(network)
    return {name: value.detach() for name, value in network.state_dict().items()}


@pytest.mark.parametrize(
    ("legacy", "alpha", "k"), [(True, 1e-4, 1.0), (False, 5e-4, 2.0)], ids=["older format", "newer format"]
)
def test_alexnet(state: dict[str, Tensor], tmp_path: Path, legacy: bool, alpha: float, k: float):
    lrn = number(2, alpha) + number(3, 0.75) + number(5, k)
    file = caffemodel(tmp_path / "bvlc_alexnet.caffemodel", state, lrn, legacy=legacy)
    network, report = models.load("alexnet_2012", file, **ALEXNET)
    assert report.complete
    assert report.changed == (
        "names of Caffe's layers",
        "the first layer's channels turned from blue, green, red to red, green, blue",
        "weights scaled, for the response normalisation is the paper's",
    )
    # Bytes less a mean: large enough for the normalisation to count.
    blue_first = torch.randn(2, 3, 67, 67, generator=torch.Generator().manual_seed(1)) * 60
    with torch.no_grad():
        expected = scores(state, blue_first, alpha, k)
        assert error(scores(state, blue_first, 1e-9, k), expected) > 0.01
        assert error(network(blue_first.flip(1)), expected) <= 1e-5
    wished = report.preprocessing
    assert wished is not None and (wished.size, wished.range, wished.channels) == ((227, 227), (0.0, 255.0), "RGB")
    assert wished.mean == pytest.approx((122.68, 116.67, 104.01), abs=0.01)


@pytest.mark.parametrize("channels", [1, 4])
def test_alexnet_with_other_channels_and_classes(state: dict[str, Tensor], tmp_path: Path, channels: int):
    file = caffemodel(tmp_path / "alexnet.caffemodel", state, number(2, 1e-4), legacy=True)
    network, report = models.load("alexnet_2012", file, in_channels=channels, num_classes=3, input_size=(67, 67))
    assert report.complete
    assert report.changed[-2:] == (
        "fc8 begins anew: 7 classes in the file, 3 wanted",
        f"conv1 has its filters summed over 3 channels and shared out among {channels}",
    )
    plain = models.load("alexnet_2012", file, **ALEXNET).network
    grey = torch.randn(1, 1, 67, 67) * 60
    with torch.no_grad():
        expected = plain.features(grey.expand(-1, 3, -1, -1))["pool5"]
        assert error(network.features(grey.expand(-1, channels, -1, -1))["pool5"], expected) <= 1e-5


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            {"pool1": {}, "norm1": {}},
            "norm1 must stand before pool1, as in the paper and in bvlc_alexnet, got it behind",
        ),
        ({"norm2": {"local_size": 3}}, "norm2 must be 5, alpha=0.0001, beta=0.75, .* but for alpha and k, got {'local"),
        ({"norm1": {"beta": 0.5}}, "norm1 must be 5"),
        ({"norm1": {"within_channel": True}}, "norm1 must be 5"),
        ({"norm1": {"alpha": 0.0}}, "norm1 must have alpha and k above 0, got 0.0 and 1.0"),
        ({"norm1": {"alpha": float("nan")}}, "norm1 must have alpha and k above 0"),
        ({"norm1": {"k": float("inf")}}, "norm1 must have alpha and k above 0"),
        ({"fc6": {"transpose": True}}, "fc6 must have its outputs first, got a transposed weight"),
    ],
)
def test_what_cannot_be_converted(layers: dict[str, Any], message: str):
    with torch.device("meta"):
        network = models.create("alexnet_2012")
    with pytest.raises(ValueError, match=message):
        plan(network, network.state_dict(), "file", caffe=layers)


def vgg(name: str, **options: Any) -> Network:
    with torch.device("meta"):
        return models.create(name, **options)


@pytest.mark.parametrize(("name", "banks"), [("vgg16", (2, 2, 3, 3, 3)), ("vgg19", (2, 2, 4, 4, 4))])
@pytest.mark.parametrize("legacy", [True, False])
def test_vgg(name: str, banks: tuple[int, ...], legacy: bool):
    network = vgg(name, num_classes=7)
    places = [f"conv{bank}_{place}" for bank, count in enumerate(banks, 1) for place in range(1, count + 1)]
    layers = [*places, "fc6", "fc7", "fc8"]
    ours = list(network.state_dict().items())
    assert len(ours) == 2 * len(layers)
    given = {}
    for (tensor, value), layer in zip(ours, [layer for layer in layers for _ in range(2)], strict=True):
        sizes = (*[1] * (4 - value.ndim), *value.shape) if legacy else value.shape
        given[f"{layer}.{tensor.rpartition('.')[2]}"] = value.reshape(sizes)
    found = plan(network, given, "file", caffe={})
    assert found.report.complete
    assert [found.places[tensor].source for tensor, _ in ours] == list(given)
    weight, bias = torch.randn(64, 3, 3, 3), torch.randn(64)
    tensors = {"conv1_1.weight": weight, "conv1_1.bias": bias.view(1, 1, 1, 64) if legacy else bias}
    assert torch.equal(found.places["features.0.weight"].read(tensors.__getitem__), weight[:, [2, 1, 0]])
    assert torch.equal(found.places["features.0.bias"].read(tensors.__getitem__), bias)
    assert not found.places["features.2.weight"].changes
    wished = found.report.preprocessing
    assert wished is not None and wished.mean == (123.68, 116.779, 103.939)
    assert (wished.std, wished.size, wished.range) == ((1.0, 1.0, 1.0), (224, 224), (0.0, 255.0))


def test_a_network_that_was_not_published_so():
    network = vgg("vgg16_bn")
    report = plan(network, vgg("vgg16").state_dict(), "file", caffe={}).report
    assert not report.complete and report.preprocessing is None
