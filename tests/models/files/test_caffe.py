"""caffemodels, written by the protocol buffers library and by hand."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.files.making import caffe_messages, fill_blob, small_caffe

from striate.models.files import WeightFile, open_weights


def varint(value: int) -> bytes:
    """An integer of the wire format."""
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    return bytes([*data, value])


def integer(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def message(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def layer(*blobs: bytes, type: str = "Convolution", name: bytes = b"conv1") -> bytes:
    content = message(1, name) + message(2, type.encode()) + b"".join(message(7, blob) for blob in blobs)
    return message(100, content)


def opened(tmp_path: Path, data: bytes) -> WeightFile:
    file = tmp_path / "net.caffemodel"
    file.write_bytes(data)
    return open_weights(file)


def numbers(*values: float) -> bytes:
    return torch.tensor(values, dtype=torch.float32).numpy().tobytes()


SIZES = message(7, message(1, bytes([2, 3])))


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("legacy", [True, False])
def test_layers_and_settings(tmp_path: Path, legacy: bool, packed: bool) -> None:
    data, tensors = small_caffe(legacy=legacy, packed=packed)
    with opened(tmp_path, data) as file:
        assert file.metadata["name"] == "small"
        layers = file.metadata["layers"]
        assert list(layers) == ["data", "conv1", "norm1", "fc"]
        assert [about["type"] for about in layers.values()] == ["Data", "Convolution", "LRN", "InnerProduct"]
        conv = {
            "bias_term": True,
            "group": 2,
            "pad": (0, 0),
            "stride": (4, 4),
            "dilation": (1, 1),
            "kernel_size": (3, 3),
        }
        assert layers["conv1"] == {"type": "Convolution"} | conv
        norm = {"local_size": 5, "alpha": 0.5, "beta": 0.25, "k": 1.0, "within_channel": False}
        assert layers["norm1"] == {"type": "LRN"} | norm
        assert layers["fc"] == {"type": "InnerProduct", "bias_term": True, "transpose": False}
        assert {name: entry.shape for name, entry in file.entries.items()} == {
            name: tuple(tensor.shape) for name, tensor in tensors.items()
        }


def test_settings_of_two_axes_means_and_other_blobs(tmp_path: Path) -> None:
    net: Any = caffe_messages(packed=True)()
    data = net.layer.add(name="data", type="Data")
    data.transform_param.crop_size = 224
    data.transform_param.mean_value.extend([104.0, 117.0, 123.0])
    conv = net.layer.add(name="conv", type="Convolution")
    conv.convolution_param.pad_h, conv.convolution_param.pad_w = 1, 2
    conv.convolution_param.kernel_size.extend([3, 5])
    conv.convolution_param.bias_term = False
    fill_blob(conv.blobs.add(), torch.ones(1, 1, 3, 5, dtype=torch.float64))
    norm = net.layer.add(name="bn", type="BatchNorm")
    for tensor in (torch.ones(2), torch.ones(2), torch.ones(1)):
        fill_blob(norm.blobs.add(), tensor)
    fill_blob(net.layer.add(name="shift", type="Bias").blobs.add(), torch.ones(2))
    cell = net.layer.add(name="cell", type="LSTM")
    for _ in range(3):
        fill_blob(cell.blobs.add(), torch.ones(1))
    with opened(tmp_path, net.SerializeToString()) as file:
        layers = file.metadata["layers"]
        assert layers["data"] == {"type": "Data", "scale": 1.0, "crop_size": 224, "mean_value": (104.0, 117.0, 123.0)}
        assert layers["conv"]["pad"] == (1, 2)
        assert layers["conv"]["kernel_size"] == (3, 5)
        assert layers["conv"]["bias_term"] is False
        assert layers["bn"] == {"type": "BatchNorm", "eps": 1e-5}
        assert list(file.entries) == [
            *("conv.weight", "bn.mean", "bn.variance", "bn.scale_factor", "shift.bias"),
            *("cell.weight", "cell.bias", "cell.blob2"),
        ]
        assert file.entries["conv.weight"].dtype == torch.float64
        assert torch.equal(file.read("conv.weight"), torch.ones(1, 1, 3, 5, dtype=torch.float64))


def test_a_layer_of_training_and_of_test_by_one_name(tmp_path: Path) -> None:
    net: Any = caffe_messages(packed=True)()
    net.layer.add(name="data", type="Data")
    net.layer.add(name="data", type="ImageData")
    fill_blob(net.layer.add(name="data", type="Scale").blobs.add(), torch.ones(1))
    with opened(tmp_path, net.SerializeToString()) as file:
        assert file.metadata["layers"]["data"] == {"type": "Scale"}


def test_numbers_in_pieces_and_unknown_fields(tmp_path: Path) -> None:
    loose = b"".join(b"\x2d" + numbers(value) for value in (3.0, 4.0))
    unknown = message(999, b"\xff" * 50) + integer(998, 2**64 - 1) + varint(997 << 3 | 1) + bytes(8)
    blob = unknown + message(5, numbers(1.0, 2.0)) + loose + SIZES + message(5, numbers(5.0)) + b"\x2d" + numbers(6.0)
    with opened(tmp_path, unknown + layer(blob + message(6, bytes(24)))) as file:
        assert torch.equal(file.read("conv1.weight"), torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))


def test_many_loose_numbers_are_read_at_once(tmp_path: Path) -> None:
    values = torch.arange(600_000, dtype=torch.float32)
    net: Any = caffe_messages(packed=False)()
    fill_blob(net.layer.add(name="fc", type="InnerProduct").blobs.add(), values.reshape(600, 1000))
    with opened(tmp_path, net.SerializeToString()) as file:
        assert torch.equal(file.read("fc.weight"), values.reshape(600, 1000))


def nested(depth: int) -> bytes:
    """A message in a message, and so on; each length is honest."""
    content = b""
    for _ in range(depth):
        content = message(2, content)
    return content


GOOD = SIZES + message(5, numbers(*range(6)))


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "there are no layers with weights: it is no caffemodel, or truncated"),
        (message(100, nested(20_000)), "claims|must be at most 1,024 bytes"),
        (nested(20_000), "there are no layers with weights|must be at most"),
        (b"\x13" * 100_000, "field 2 at byte 0 is a group or of no known kind"),
        (layer(GOOD + b"\x0b" * 1000), "field 1 at byte .* is a group"),
        (varint(100 << 3 | 2) + varint(2**40), "field 100 at byte 0 claims 1,099,511,627,776 bytes of 0"),
        (varint(100 << 3 | 2) + b"\xff" * 9 + b"\x01", "field 100 at byte 0 claims 18,446,744,073,709,551,615 bytes"),
        (b"\xff" * 11, "the integer at byte 0 does not end within its message"),
        (b"\xff" * 9 + b"\x7f", "the integer at byte 0 does not end within its message"),
        (b"\x00\x00", "there is no field 0 at byte 0: it is damaged, or no caffemodel"),
        (integer(100, 5), "the layer at byte .* is no message"),
        (message(100, message(1, b"conv1") + integer(7, 5)), "the blob at byte .* is no message"),
        (message(100, message(1, b"x" * 1025)), "must be at most 1,024 bytes, has 1,025"),
        (message(100, message(1, b"\xff")), "can't decode"),
        (layer(GOOD, name=b""), "has weights and no name"),
        (layer(GOOD) + layer(GOOD), "the name 'conv1.weight' comes twice"),
        (layer(GOOD) + message(2, b""), "it has both `layers` and `layer`"),
        (message(2, message(1, b"")), "those of Caffe's first format"),
        (layer(*[GOOD] * 17), "the layer 'conv1' has more than 16 blobs"),
        (layer(SIZES), r"conv1.weight has the shape \[2, 3\] and 0 numbers"),
        (layer(SIZES + message(5, bytes(28))), r"conv1.weight has the shape \[2, 3\] and 7 numbers"),
        (layer(SIZES + message(5, bytes(23))), "does not hold numbers of 4 bytes"),
        (layer(SIZES + integer(5, 1)), "does not hold numbers of 4 bytes"),
        (layer(GOOD + message(8, bytes(48))), "conv1.weight has numbers of two types"),
        (layer(message(7, message(1, varint(2**64 - 6)))), r"has the shape \[-6\]: expected integers from 0 on"),
        (layer(message(7, message(1, varint(2**40) * 2))), "which no file can hold"),
        (layer(message(7, message(1, bytes(9)))), "must hold at most 8 integers"),
        (layer(message(7, message(1, bytes(5)) * 2)), "has 10 axes: expected at most 8"),
        (layer(message(1, b"") + GOOD), "the size at byte .* is no integer"),
        (message(100, message(106, integer(3, 1) * 9)), "pad has more than 8 values"),
        (message(100, message(106, message(1, b""))), "num_output at byte .* must be an integer"),
        (message(100, message(118, integer(2, 1))), "field 2 at byte .* must hold at most 1 numbers"),
        (message(100, integer(106, 1)), "the convolution settings at byte .* are no message"),
        (integer(4, 1) * (2**18 + 1), "more than 262,144 fields"),
        (message(100, b"") * 3 + b"".join(layer(name=b"%d" % n) for n in range(2**14)), "more than 16,384 layers"),
        (layer(message(5, b"") * (2**16 + 1)), "the numbers lie in more than 65,536 pieces"),
    ],
    ids=range(36),
)
def test_faults(tmp_path: Path, data: bytes, match: str) -> None:
    with pytest.raises(ValueError, match=f"net.caffemodel: .*(?:{match})"):
        opened(tmp_path, data)
