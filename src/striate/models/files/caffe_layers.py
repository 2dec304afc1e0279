"""The settings of Caffe's layers, by the numbers of their fields.

Source: Caffe, `src/caffe/proto/caffe.proto`.
"""

from typing import Any, NamedTuple

from striate.models.files.wire import BYTES, VARINT, Field, Wire

_MAX_VALUES = 8


class Layout(NamedTuple):
    """Where a version of Caffe's format keeps what a layer has.

    Args:
        name: number of the field with the name.
        type: with the type.
        blobs: with the weights.
        settings: numbers of the fields with settings, to the names of their tables.
    """

    name: int
    type: int
    blobs: int
    settings: dict[int, str]


# `layers` (2) and `layer` (100) of a network.
LAYOUTS = {
    2: Layout(4, 5, 6, {10: "convolution", 17: "inner_product", 18: "lrn", 19: "pooling", 36: "transform"}),
    100: Layout(
        1,
        2,
        7,
        {
            100: "transform",
            106: "convolution",
            117: "inner_product",
            118: "lrn",
            121: "pooling",
            139: "batch_norm",
        },
    ),
}

# Types of `layers` are numbers, under which these are meant.
TYPES = {
    1: "Accuracy",
    2: "BNLL",
    3: "Concat",
    4: "Convolution",
    5: "Data",
    6: "Dropout",
    7: "EuclideanLoss",
    8: "Flatten",
    9: "HDF5Data",
    10: "HDF5Output",
    11: "Im2col",
    12: "ImageData",
    13: "InfogainLoss",
    14: "InnerProduct",
    15: "LRN",
    16: "MultinomialLogisticLoss",
    17: "Pooling",
    18: "ReLU",
    19: "Sigmoid",
    20: "Softmax",
    21: "SoftmaxWithLoss",
    22: "Split",
    23: "TanH",
    24: "WindowData",
    25: "Eltwise",
    26: "Power",
    27: "SigmoidCrossEntropyLoss",
    28: "HingeLoss",
    29: "MemoryData",
    30: "ArgMax",
    31: "Threshold",
    32: "DummyData",
    33: "Slice",
    34: "MVN",
    35: "AbsVal",
    36: "Silence",
    37: "ContrastiveLoss",
    38: "Exp",
    39: "Deconvolution",
}

# Number of a field to its name and kind; `ints` and `floats` may be repeated.
_TABLES = {
    "convolution": {
        1: ("num_output", "int"),
        2: ("bias_term", "bool"),
        3: ("pad", "ints"),
        4: ("kernel_size", "ints"),
        5: ("group", "int"),
        6: ("stride", "ints"),
        9: ("pad_h", "int"),
        10: ("pad_w", "int"),
        11: ("kernel_h", "int"),
        12: ("kernel_w", "int"),
        13: ("stride_h", "int"),
        14: ("stride_w", "int"),
        18: ("dilation", "ints"),
    },
    "inner_product": {1: ("num_output", "int"), 2: ("bias_term", "bool"), 6: ("transpose", "bool")},
    "lrn": {
        1: ("local_size", "int"),
        2: ("alpha", "float"),
        3: ("beta", "float"),
        4: ("within_channel", "bool"),
        5: ("k", "float"),
    },
    "pooling": {
        1: ("method", "int"),
        2: ("kernel_size", "ints"),
        3: ("stride", "ints"),
        4: ("pad", "ints"),
        5: ("kernel_h", "int"),
        6: ("kernel_w", "int"),
        7: ("stride_h", "int"),
        8: ("stride_w", "int"),
        9: ("pad_h", "int"),
        10: ("pad_w", "int"),
        12: ("global_pooling", "bool"),
    },
    "batch_norm": {3: ("eps", "float")},
    "transform": {1: ("scale", "float"), 3: ("crop_size", "int"), 5: ("mean_value", "floats")},
}

# What Caffe takes where a file says nothing.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "convolution": {"bias_term": True, "group": 1, "pad": (0, 0), "stride": (1, 1), "dilation": (1, 1)},
    "inner_product": {"bias_term": True, "transpose": False},
    "lrn": {"local_size": 5, "alpha": 1.0, "beta": 0.75, "k": 1.0, "within_channel": False},
    "pooling": {"method": 0, "pad": (0, 0), "stride": (1, 1), "global_pooling": False},
    "batch_norm": {"eps": 1e-5},
    "transform": {"scale": 1.0, "crop_size": 0, "mean_value": ()},
}
_METHODS = {0: "max", 1: "average", 2: "stochastic"}
_AXES = {"kernel_size": "kernel", "stride": "stride", "pad": "pad"}


def defaults_of(type: str) -> dict[str, Any]:
    """The settings that a layer of a type has if its message says nothing."""
    tables = {"Convolution": "convolution", "Deconvolution": "convolution", "InnerProduct": "inner_product"}
    tables |= {"LRN": "lrn", "BatchNorm": "batch_norm"}
    return dict(_DEFAULTS[tables[type]]) if type in tables else {}


def read_settings(wire: Wire, message: Field, table: str) -> dict[str, Any]:
    """The settings in a message, with Caffe's defaults for those that it lacks.

    Raises:
        ValueError: if a field is of another kind than the table says.
    """
    if message.wire != BYTES:
        raise ValueError(f"the {table} settings at byte {message.begin:,} are no message")
    found: dict[str, Any] = {}
    for field in wire.fields(message):
        if field.number not in _TABLES[table]:
            continue
        name, kind = _TABLES[table][field.number]
        if kind in ("ints", "floats"):
            values: list[Any] = (wire.integers if kind == "ints" else wire.floats)(field, _MAX_VALUES)
            found[name] = (*found.get(name, ()), *values)
            if len(found[name]) > _MAX_VALUES:
                raise ValueError(f"{name} has more than {_MAX_VALUES} values")
        elif kind == "float":
            [found[name]] = wire.floats(field, 1) or [0.0]
        elif field.wire != VARINT:
            raise ValueError(f"{name} at byte {field.begin:,} must be an integer")
        else:
            found[name] = bool(field.value) if kind == "bool" else field.signed
    if table in ("convolution", "pooling"):
        _join_axes(found)
    if "method" in found:
        found["method"] = _METHODS.get(found["method"], "unknown")
    return _DEFAULTS[table] | found


def _join_axes(found: dict[str, Any]) -> None:
    """One size an axis, from a single one or from those of height and width; sizes of more axes stay."""
    for name, short in _AXES.items():
        pair = tuple(found.pop(f"{short}_{axis}", None) for axis in "hw")
        if pair != (None, None):
            found[name] = tuple(size or 0 for size in pair)
    for name in (*_AXES, "dilation"):
        if len(found.get(name, ())) == 1:
            found[name] *= 2
