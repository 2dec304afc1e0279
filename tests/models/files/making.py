"""Small files of weights of every kind, and the bytes of which hostile ones are made."""

import io
import json
import struct
import zipfile
from typing import Any

import safetensors.torch
import torch
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from torch import Tensor

# Caffe's own messages, as far as they are read: name, number, type, repeated, packed.
INT, FLOAT, DOUBLE, TEXT, BOOL, ENUM = (
    "TYPE_INT64",
    "TYPE_FLOAT",
    "TYPE_DOUBLE",
    "TYPE_STRING",
    "TYPE_BOOL",
    "TYPE_INT32",
)
MESSAGES: dict[str, list[tuple[str, int, str, bool]]] = {
    "BlobShape": [("dim", 1, INT, True)],
    "BlobProto": [
        ("num", 1, INT, False),
        ("channels", 2, INT, False),
        ("height", 3, INT, False),
        ("width", 4, INT, False),
        ("data", 5, FLOAT, True),
        ("diff", 6, FLOAT, True),
        ("shape", 7, "BlobShape", False),
        ("double_data", 8, DOUBLE, True),
    ],
    "ConvolutionParameter": [
        ("num_output", 1, INT, False),
        ("bias_term", 2, BOOL, False),
        ("pad", 3, INT, True),
        ("kernel_size", 4, INT, True),
        ("group", 5, INT, False),
        ("stride", 6, INT, True),
        ("pad_h", 9, INT, False),
        ("pad_w", 10, INT, False),
        ("dilation", 18, INT, True),
    ],
    "LRNParameter": [
        ("local_size", 1, INT, False),
        ("alpha", 2, FLOAT, False),
        ("beta", 3, FLOAT, False),
        ("norm_region", 4, ENUM, False),
        ("k", 5, FLOAT, False),
    ],
    "TransformationParameter": [
        ("scale", 1, FLOAT, False),
        ("crop_size", 3, INT, False),
        ("mean_value", 5, FLOAT, True),
    ],
    "LayerParameter": [
        ("name", 1, TEXT, False),
        ("type", 2, TEXT, False),
        ("bottom", 3, TEXT, True),
        ("top", 4, TEXT, True),
        ("blobs", 7, "BlobProto", True),
        ("transform_param", 100, "TransformationParameter", False),
        ("convolution_param", 106, "ConvolutionParameter", False),
        ("lrn_param", 118, "LRNParameter", False),
    ],
    "V1LayerParameter": [
        ("bottom", 2, TEXT, True),
        ("top", 3, TEXT, True),
        ("name", 4, TEXT, False),
        ("type", 5, ENUM, False),
        ("blobs", 6, "BlobProto", True),
        ("convolution_param", 10, "ConvolutionParameter", False),
        ("lrn_param", 18, "LRNParameter", False),
    ],
    "NetParameter": [
        ("name", 1, TEXT, False),
        ("layers", 2, "V1LayerParameter", True),
        ("layer", 100, "LayerParameter", True),
    ],
}


def caffe_messages(*, packed: bool) -> Any:
    """NetParameter, its numbers of blobs packed or one by one."""
    file = descriptor_pb2.FileDescriptorProto(name=f"caffe{packed}.proto", package="caffe", syntax="proto2")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            about = message.field.add(name=field, number=number)
            about.label = about.LABEL_REPEATED if repeated else about.LABEL_OPTIONAL
            if kind in MESSAGES:
                about.type, about.type_name = about.TYPE_MESSAGE, f".caffe.{kind}"
            else:
                about.type = getattr(about, kind)
                # As in Caffe: sizes of convolutions and mean values never are.
                about.options.packed = packed and repeated and name in ("BlobProto", "BlobShape")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.NetParameter"))


def fill_blob(blob: Any, tensor: Tensor, *, legacy: bool = False) -> None:
    """Put a tensor into a blob."""
    numbers = blob.double_data if tensor.dtype == torch.float64 else blob.data
    numbers.extend(tensor.flatten().tolist())
    if legacy:
        sizes = [1] * (4 - tensor.ndim) + list(tensor.shape)
        blob.num, blob.channels, blob.height, blob.width = sizes
    else:
        blob.shape.dim.extend(tensor.shape)


def small_caffe(*, legacy: bool = False, packed: bool = True) -> tuple[bytes, dict[str, Tensor]]:
    """AlexNet's kinds of layers, small: the file and its tensors."""
    torch.manual_seed(0)
    tensors = {
        "conv1.weight": torch.randn(4, 3, 3, 3),
        "conv1.bias": torch.randn(4),
        "fc.weight": torch.randn(2, 16),
        "fc.bias": torch.randn(2),
    }
    net: Message = caffe_messages(packed=packed)(name="small")
    layers = net.layers if legacy else net.layer
    layers.add(name="data", type=5 if legacy else "Data", top=["data"])
    conv = layers.add(name="conv1", type=4 if legacy else "Convolution", bottom=["data"], top=["conv1"])
    conv.convolution_param.group = 2
    conv.convolution_param.stride.append(4)
    conv.convolution_param.kernel_size.append(3)
    norm = layers.add(name="norm1", type=15 if legacy else "LRN")
    norm.lrn_param.alpha, norm.lrn_param.beta = 0.5, 0.25
    fc = layers.add(name="fc", type=14 if legacy else "InnerProduct")
    for name, tensor in tensors.items():
        layer = conv if name.startswith("conv1") else fc
        fill_blob(layer.blobs.add(), tensor, legacy=legacy)
    return net.SerializeToString(), tensors


def header(about: Any, data: bytes = b"") -> bytes:
    """A safetensors file with a header, given as JSON or as its text."""
    text = about if isinstance(about, bytes) else json.dumps(about).encode()
    return struct.pack("<Q", len(text)) + text + data


def place(begin: int, end: int, shape: list[Any], dtype: str = "F32") -> dict[str, Any]:
    """A tensor in a header of safetensors."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def saved(value: Any, *, archive: bool = True) -> bytes:
    """What `torch.save` writes."""
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=archive)
    return stream.getvalue()


def with_pickle(pickle: bytes, **records: bytes) -> bytes:
    """A checkpoint's archive around a pickle."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", pickle)
        archive.writestr("archive/version", b"3\n")
        archive.writestr("archive/byteorder", b"little")
        for name, data in records.items():
            archive.writestr(f"archive/{name.replace('__', '/')}", data)
    return stream.getvalue()


def small_tensors() -> dict[str, Tensor]:
    """Two layers' weights."""
    torch.manual_seed(0)
    return {"conv1.weight": torch.randn(4, 1, 3, 3), "conv1.bias": torch.randn(4), "steps": torch.tensor(7)}


def small_files() -> dict[str, tuple[bytes, dict[str, Tensor]]]:
    """A file of every kind by a name that fits it, and its tensors."""
    tensors = small_tensors()
    return {
        "small.safetensors": (safetensors.torch.save(tensors), tensors),
        "small.pt": (saved({"state_dict": tensors, "epoch": 3}), tensors),
        "row.pth": (saved(tensors, archive=False), tensors),
        "small.caffemodel": small_caffe(),
        "old.caffemodel": small_caffe(legacy=True),
        "loose.caffemodel": small_caffe(packed=False),
    }
