"""Each operator against ONNX's own definition, and sizes on fake tensors against those of the numbers."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from onnx.reference import ReferenceEvaluator
from onnxruntime import InferenceSession
from tests.inspection.onnx_graph.graphs import Array, floating, model_of, saved

from striate.inspection.onnx_graph import open_onnx
from striate.inspection.tracing.trace import trace

INT = np.int64


@dataclass
class Case:
    """A node, what it is given, and what the file holds for it."""

    op: str
    given: list[Array]
    held: list[Any] = field(default_factory=list)
    version: int = 21
    outputs: int = 1
    tolerance: float = 1e-5
    settings: dict[str, Any] = field(default_factory=dict)

    def model(self) -> onnx.ModelProto:
        """The model, with held tensors as None where an input is left out."""
        names = [f"x{place}" for place in range(len(self.given))]
        held = {f"w{place}": value for place, value in enumerate(self.held) if value is not None}
        more = ["" if value is None else f"w{place}" for place, value in enumerate(self.held)]
        outputs = [f"y{place}" for place in range(self.outputs)]
        node = helper.make_node(self.op, [*names, *more], outputs, **self.settings)
        inputs = {name: (value.shape, value.dtype) for name, value in zip(names, self.given, strict=True)}
        return model_of([node], inputs, held, outputs, self.version)


def case(op: str, *given: Array, held: list[Any] | None = None, version: int = 21, outputs: int = 1,
         tolerance: float = 1e-5, **settings: Any) -> Any:  # fmt: skip
    written = "-".join(f"{key}={value}".replace(" ", "") for key, value in settings.items())
    made = Case(op, list(given), held or [], version, outputs, tolerance, settings)
    return pytest.param(made, id=f"{op}-{version}{'-' if written else ''}{written[:60]}")


PICTURE, SERIES, VOLUME = floating(2, 4, 9, 8), floating(2, 4, 11), floating(1, 2, 5, 6, 4)
TABLE, POSITIVE = floating(3, 5), np.abs(floating(3, 5)) + 0.1
WHOLE = np.arange(-6, 9).reshape(3, 5).astype(INT)
TRUTH = floating(3, 5) > 0
W = floating(6, 4, 3, 3, seed=1)


def ints(*numbers: int) -> Array:
    return np.array(numbers, INT)


def floats(*numbers: float) -> Array:
    return np.array(numbers, np.float32)


WINDOWS = [
    case("Conv", PICTURE, held=[W, floating(6)]),
    case("Conv", PICTURE, held=[W], pads=[1, 0, 2, 1], strides=[2, 1], dilations=[1, 2]),
    case("Conv", PICTURE, held=[W], auto_pad="SAME_UPPER", strides=[2, 2], kernel_shape=[3, 3]),
    case("Conv", PICTURE, held=[W], auto_pad="SAME_LOWER", strides=[2, 2]),
    case("Conv", PICTURE, held=[W], auto_pad="VALID", version=7),
    case("Conv", PICTURE, held=[floating(8, 1, 3, 3)], group=4, pads=[1, 1, 1, 1]),
    case("Conv", SERIES, held=[floating(3, 4, 3)], pads=[1, 1]),
    case("Conv", VOLUME, held=[floating(3, 2, 2, 2, 2)], pads=[1, 0, 0, 0, 0, 1]),
    case("ConvTranspose", PICTURE, held=[floating(4, 3, 3, 3), floating(3)], strides=[2, 2], pads=[1, 1, 1, 1]),
    case("ConvTranspose", PICTURE, held=[floating(4, 3, 3, 3)], strides=[2, 2], pads=[0, 1, 1, 0]),
    case("ConvTranspose", PICTURE, held=[floating(4, 3, 3, 3)], strides=[2, 2], output_padding=[1, 1]),
    case("MaxPool", PICTURE, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 1, 1, 1]),
    case("MaxPool", PICTURE, kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1]),
    case("MaxPool", PICTURE, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    case("MaxPool", PICTURE, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
    case("MaxPool", PICTURE, kernel_shape=[2, 2], dilations=[2, 2]),
    case("MaxPool", PICTURE, kernel_shape=[2, 2], strides=[2, 2], outputs=2),
    case("MaxPool", SERIES, kernel_shape=[3], strides=[2]),
    case("AveragePool", PICTURE, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    case("AveragePool", PICTURE, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1),
    case("AveragePool", PICTURE, kernel_shape=[3, 3], pads=[0, 0, 1, 1]),
    case("AveragePool", PICTURE, kernel_shape=[2, 2], dilations=[2, 2]),
    case("AveragePool", SERIES, kernel_shape=[4], strides=[2], ceil_mode=1),
    case("LpPool", PICTURE, kernel_shape=[3, 3], strides=[2, 2], p=2),
    case("GlobalAveragePool", PICTURE),
    case("GlobalAveragePool", VOLUME),
    case("GlobalMaxPool", PICTURE),
    case("MaxUnpool", np.ones((1, 1, 2, 2), np.float32), np.array([[[[5, 7], [13, 15]]]], INT),
         kernel_shape=[2, 2], strides=[2, 2]),
]  # fmt: skip

NORMS = [
    case("BatchNormalization", PICTURE, held=[floating(4), floating(4), floating(4), np.abs(floating(4))]),
    case("InstanceNormalization", PICTURE, held=[floating(4), floating(4, seed=1)]),
    case("GroupNormalization", PICTURE, held=[floating(4), floating(4, seed=1)], num_groups=2),
    case("LayerNormalization", PICTURE, held=[floating(8), floating(8, seed=1)], tolerance=1e-4),
    case("LayerNormalization", PICTURE, held=[floating(9, 8)], axis=2, tolerance=1e-4),
    case("LayerNormalization", PICTURE, held=[floating(8), floating(8)], outputs=3, tolerance=1e-4),
    case("RMSNormalization", PICTURE, held=[floating(8)], version=23),
    case("LpNormalization", TABLE, axis=1),
    case("MeanVarianceNormalization", PICTURE, tolerance=1e-4),
]

ONE = [
    *(case(op, TABLE) for op in (
        "Abs", "Atan", "Asinh", "Ceil", "Cos", "Cosh", "Erf", "Exp", "Floor", "Neg", "Reciprocal", "Round", "Sign",
        "Sin", "Sinh", "Tan", "Relu", "Sigmoid", "Tanh", "Softplus", "Softsign", "HardSwish", "Mish", "Identity",
        "LeakyRelu", "Elu", "Celu", "Selu", "HardSigmoid", "ThresholdedRelu", "Gelu", "IsNaN", "IsInf", "Shrink",
        "Dropout",
    )),
    *(case(op, POSITIVE) for op in ("Log", "Sqrt")),
    case("Not", TRUTH),
    case("BitwiseNot", WHOLE),
    case("Gelu", TABLE, approximate="tanh"),
    case("Swish", TABLE, alpha=1.5, version=24),
    case("LeakyRelu", TABLE, alpha=0.3),
    case("Elu", TABLE, alpha=0.3),
    case("HardSigmoid", TABLE, alpha=1 / 6),
    case("Clip", TABLE, held=[np.float32(0), np.float32(6)]),
    case("Clip", TABLE, held=[None, np.float32(0.5)]),
    case("Clip", TABLE, version=6, min=-0.5, max=0.5),
    case("PRelu", PICTURE, held=[floating(4, 1, 1)]),
    case("Softmax", PICTURE),
    case("Softmax", PICTURE, axis=1),
    case("LogSoftmax", PICTURE, axis=1),
    case("Hardmax", PICTURE, axis=1),
    case("Cast", TABLE * 3, to=7),
    case("CastLike", TABLE, WHOLE),
    case("Dropout", TABLE, held=[np.float32(0.3)], outputs=2),
]  # fmt: skip

TWO = [
    *(case(op, TABLE, floating(5, seed=3)) for op in (
        "Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean", "Greater", "GreaterOrEqual", "Less", "LessOrEqual",
        "Equal",
    )),
    *(case(op, TABLE, held=[np.float32(1.5)]) for op in ("Add", "Sub", "Mul", "Div")),
    case("Add", floats(1, 2), held=[np.array([[[3.0]]], np.float32)]),
    case("Div", WHOLE, held=[ints(4)]),
    case("Pow", POSITIVE, held=[np.float32(2)]),
    case("Pow", POSITIVE, floating(3, 5)),
    case("Mod", WHOLE, held=[ints(4)]),
    case("Mod", TABLE, held=[np.float32(0.3)], fmod=1),
    *(case(op, TRUTH, ~TRUTH) for op in ("And", "Or", "Xor")),
    *(case(op, WHOLE, WHOLE.T.reshape(3, 5).copy()) for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor")),
    case("BitShift", WHOLE.astype(np.uint8), held=[np.array([2], np.uint8)], direction="RIGHT"),
    case("Where", TRUTH, TABLE, floating(5, seed=3)),
]  # fmt: skip

SHAPES = [
    case("Reshape", PICTURE, held=[ints(0, -1, 4)]),
    case("Flatten", PICTURE),
    case("Flatten", PICTURE, axis=2),
    case("Flatten", PICTURE, axis=0),
    case("Squeeze", floating(1, 3, 1, 2), held=[ints(0, -2)]),
    case("Squeeze", floating(1, 3, 1, 2)),
    case("Squeeze", floating(1, 3, 1, 2), version=11, axes=[2]),
    case("Unsqueeze", TABLE, held=[ints(0, -1)]),
    case("Unsqueeze", TABLE, version=11, axes=[1, 3]),
    case("Transpose", PICTURE, perm=[0, 2, 3, 1]),
    case("Transpose", TABLE),
    case("Concat", PICTURE, floating(2, 1, 9, 8), axis=1),
    case("Split", PICTURE, held=[ints(1, 3)], outputs=2, axis=1),
    case("Split", PICTURE, outputs=2, axis=2, num_outputs=2),
    case("Split", PICTURE, outputs=2, axis=3, version=11),
    case("Slice", PICTURE, held=[ints(1, -6), ints(99, -1), ints(1, 3), ints(1, 2)]),
    case("Slice", PICTURE, held=[ints(-1), ints(-99), ints(2), ints(-1)]),
    case("Slice", PICTURE, held=[ints(6), ints(0), ints(2), ints(-2)]),
    case("Slice", PICTURE, version=9, starts=[1, 2], ends=[3, 5], axes=[1, 2]),
    case("Gather", PICTURE, held=[np.array(-1, INT)], axis=2),
    case("Gather", PICTURE, held=[ints(1, 2)], axis=1),
    case("Gather", PICTURE, held=[np.array([[0, 3], [-1, 1]], INT)], axis=1),
    case("GatherElements", TABLE, np.array([[0, -1, 2, 1, 0]], INT), axis=0),
    case("GatherND", PICTURE, held=[np.array([[0, 1], [1, 3]], INT)]),
    case("GatherND", PICTURE, held=[np.array([[[1, 2]], [[3, 4]]], INT)], batch_dims=1),
    case("ScatterElements", TABLE, np.array([[1, 0, 2, 1, 0]], INT), floating(1, 5, seed=2), axis=0),
    case("ScatterElements", TABLE, np.array([[1, 0, 2, 1, 0]], INT), floating(1, 5, seed=2), axis=0, reduction="add"),
    case("ScatterND", TABLE, held=[np.array([[0], [2]], INT), floating(2, 5, seed=4)]),
    case("Expand", floating(3, 1), held=[ints(2, 1, 4)]),
    case("Tile", TABLE, held=[ints(2, 3)]),
    case("Pad", PICTURE, held=[ints(0, 0, 1, 2, 0, 1, 0, 3), np.float32(0.5)]),
    case("Pad", PICTURE, held=[ints(0, 0, 1, 2, 0, 0, 2, 3)], mode="reflect"),
    case("Pad", PICTURE, held=[ints(0, 0, 1, 2, 0, 0, 2, 3)], mode="edge"),
    case("Pad", PICTURE, held=[ints(0, 0, 1, 2, 0, 0, 2, 3)], mode="wrap"),
    case("Pad", PICTURE, held=[ints(1, 2), None, ints(-1)]),
    case("Pad", PICTURE, version=2, pads=[0, 0, 1, 1, 0, 0, 1, 1], value=1.0),
    case("Shape", PICTURE),
    case("Shape", PICTURE, start=-3, end=3),
    case("Size", PICTURE),
    case("EyeLike", TABLE, dtype=7),
    case("OneHot", ints(0, 2, -1), held=[np.array(3, INT), floats(0.5, 2)]),
    case("EyeLike", TABLE, k=1),
    case("Trilu", TABLE),
    case("Trilu", TABLE, held=[np.array(-1, INT)], upper=0),
    case("DepthToSpace", PICTURE, blocksize=2),
    case("DepthToSpace", PICTURE, blocksize=2, mode="CRD"),
    case("SpaceToDepth", floating(2, 3, 4, 6), blocksize=2),
    case("Compress", TABLE, held=[np.array([True, False, True])], axis=0),
]

REDUCTIONS = [
    *(case(op, POSITIVE, held=[ints(1)], keepdims=keep, version=18) for keep in (0, 1) for op in (
        "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare",
        "ReduceLogSum", "ReduceLogSumExp",
    )),
    case("ReduceMean", PICTURE, version=13, axes=[2, 3]),
    case("ReduceSum", PICTURE),
    case("ReduceSum", PICTURE, noop_with_empty_axes=1),
    case("ArgMax", TABLE, axis=1),
    case("ArgMin", TABLE, axis=0, keepdims=0),
    case("ArgMax", np.array([[1, 3, 3]], np.float32), axis=1, select_last_index=1),
    case("TopK", TABLE, held=[ints(2)], outputs=2),
    case("TopK", TABLE, held=[ints(2)], outputs=2, largest=0, axis=0),
    case("CumSum", TABLE, held=[np.array(1, INT)]),
    case("CumSum", TABLE, held=[np.array(1, INT)], exclusive=1, reverse=1),
]  # fmt: skip

PRODUCTS = [
    case("Gemm", TABLE, held=[floating(4, 5), floating(4)], transB=1),
    case("Gemm", TABLE, held=[floating(5, 4), floating(1, 4)], alpha=0.5, beta=2.0),
    case("Gemm", TABLE, held=[floating(3, 4)], transA=1),
    case("MatMul", PICTURE, held=[floating(8, 3)]),
    case("MatMul", floating(2, 3, 4), floating(2, 4, 5)),
    case("Einsum", floating(2, 3, 4), floating(2, 4, 5), equation="bij,bjk->bik"),
    case("Det", floating(2, 3, 3)),
    case("Attention", floating(2, 3, 4, 8), floating(2, 3, 5, 8), floating(2, 3, 5, 6), version=23),
    case("Attention", floating(2, 4, 24), floating(2, 5, 12), floating(2, 5, 12), version=23, q_num_heads=4,
         kv_num_heads=2),
    case("QuantizeLinear", TABLE, held=[np.float32(0.02), np.uint8(120)]),
    case("QuantizeLinear", PICTURE, held=[np.abs(floating(4)) / 20, np.zeros(4, np.int8)]),
    case("DequantizeLinear", WHOLE.astype(np.int8), held=[np.float32(0.1), np.int8(3)]),
    case("DequantizeLinear", WHOLE.astype(np.int8), held=[floats(1, 2, 3)], axis=0),
    case("DynamicQuantizeLinear", TABLE, outputs=3),
    case("MatMulInteger", WHOLE.astype(np.uint8), held=[WHOLE.T.astype(np.uint8), np.uint8(3), np.uint8(1)]),
    case("ConvInteger", (PICTURE * 50).astype(np.uint8), held=[(W * 20).astype(np.uint8), np.uint8(7)],
         pads=[1, 1, 1, 1]),
    case("QLinearMatMul", WHOLE.astype(np.uint8), held=[np.float32(0.1), np.uint8(2), WHOLE.T.astype(np.uint8),
         np.float32(0.2), np.uint8(3), np.float32(5.0), np.uint8(9)]),
    case("QLinearConv", (PICTURE * 50).astype(np.uint8), held=[np.float32(0.1), np.uint8(2), (W * 20).astype(np.uint8),
         np.float32(0.2), np.uint8(3), np.float32(500.0), np.uint8(9)]),
]  # fmt: skip

RESIZES = [
    *(case("Resize", floating(1, 2, 4, 6), held=[None, floats(1, 1, *scale)], mode=mode, tolerance=1e-4,
           coordinate_transformation_mode=place)
      for scale in ((2, 2), (0.5, 1.5)) for mode in ("nearest", "linear", "cubic")
      for place in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")),
    case("Resize", floating(1, 2, 4, 6), held=[None, None, ints(1, 2, 7, 9)], mode="linear", tolerance=1e-4),
    case("Resize", floating(1, 2, 4, 6), held=[None, None, ints(7, 9)], mode="linear", axes=[2, 3], tolerance=1e-4),
    case("Resize", floating(1, 2, 4, 6), held=[None, None, ints(7, 9)], mode="nearest", axes=[2, 3],
         keep_aspect_ratio_policy="not_larger"),
    case("Resize", floating(1, 2, 4, 6), held=[None, floats(1, 1, 2, 2)], mode="nearest", nearest_mode="floor",
         coordinate_transformation_mode="asymmetric", version=11),
    case("Resize", floating(1, 2, 8, 6), held=[None, floats(1, 1, 0.5, 0.5)], mode="linear", antialias=1,
         tolerance=1e-4),
    case("Resize", floating(1, 2, 8, 6), held=[None, floats(1, 1, 1.5, 2)], mode="cubic", exclude_outside=1,
         tolerance=1e-4),
    case("GridSample", floating(1, 2, 5, 6), np.tanh(floating(1, 3, 4, 2)), mode="linear"),
    case("GridSample", floating(1, 2, 5, 6), np.tanh(floating(1, 3, 4, 2)), mode="nearest", align_corners=1),
    case("AffineGrid", floating(2, 2, 3), held=[ints(2, 3, 4, 5)]),
]  # fmt: skip


def recurrent(op: str, gates: int, directions: int = 1, **settings: Any) -> Any:
    sizes = (directions, gates * 4, 3), (directions, gates * 4, 4), (directions, 2 * gates * 4)
    held = [floating(*size, seed=place) / 2 for place, size in enumerate(sizes)]
    outputs = 3 if op == "LSTM" else 2
    return case(op, floating(5, 2, 3), held=held, hidden_size=4, outputs=outputs, version=22, **settings)


RECURRENT = [
    recurrent("RNN", 1),
    recurrent("GRU", 3),
    recurrent("GRU", 3, linear_before_reset=1),
    recurrent("LSTM", 4),
]

# What the reference has not, or has wrong: as ONNX Runtime computes it.
RUNTIME = [
    case("ConvTranspose", SERIES, held=[floating(4, 1, 3)], strides=[2], group=2),
    case("GlobalLpPool", PICTURE, p=2, tolerance=1e-4),
    case("BatchNormalization", PICTURE, held=[floating(4), floating(4), floating(4), np.abs(floating(4))], version=9),
    case("LRN", PICTURE, size=3),
    case("Softmax", PICTURE, axis=2, version=11),
    case("Pad", PICTURE, held=[ints(0, 0, -1, 2, 0, 0, 0, -3)]),
    case("OneHot", np.array([[0, 2], [1, 1]], INT), held=[ints(3), floats(0, 1)], axis=1),
    case("ConvTranspose", PICTURE, held=[floating(4, 3, 3, 3)], strides=[2, 2], auto_pad="SAME_UPPER"),
    case("ConvTranspose", PICTURE, held=[floating(4, 3, 4, 4)], strides=[2, 2], output_shape=[19, 17]),
    case("DeformConv", PICTURE, held=[W, floating(2, 18, 7, 6) / 2, floating(6)], version=19),
    case("LpPool", PICTURE, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 0, 1], p=2),
    case("MaxPool", PICTURE, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], outputs=2),
    case("Upsample", PICTURE, held=[floats(1, 1, 2, 2)], version=9, mode="nearest"),
    case("Upsample", PICTURE, held=[floats(1, 1, 2, 2)], version=9, mode="linear"),
    case("Resize", PICTURE, held=[floats(1, 1, 2, 3)], version=10, mode="nearest"),
    case("GridSample", VOLUME, np.tanh(floating(1, 3, 4, 2, 3)), mode="linear", version=20),
    recurrent("LSTM", 4, 2, direction="bidirectional"),
    recurrent("GRU", 3, 2, direction="bidirectional"),
    recurrent("RNN", 1, direction="reverse", activations=["Relu"]),
]


def check(case: Case, folder: Path, expected: list[Array]) -> None:
    """Numbers of a run, and sizes of a run without numbers."""
    file = saved(case.model(), folder)
    found = open_onnx(file, numbers=True)(*(torch.from_numpy(value) for value in case.given))
    found = found if isinstance(found, tuple) else (found,)
    for tensor, wished in zip(found, expected, strict=True):
        assert tensor.shape == np.shape(wished)
        assert tensor.detach().numpy().dtype == np.asarray(wished).dtype
        np.testing.assert_allclose(tensor.detach().numpy(), wished, rtol=case.tolerance, atol=case.tolerance)
    network = open_onnx(file)
    run = trace(network, network.blank_inputs())
    assert run.failure is None, run.failure
    assert [(value.shape, value.dtype) for value in run.outputs] == [(tuple(t.shape), t.dtype) for t in found]


@pytest.mark.parametrize("case", [*WINDOWS, *NORMS, *ONE, *TWO, *SHAPES, *REDUCTIONS, *PRODUCTS, *RESIZES, *RECURRENT])
def test_as_onnx_defines_it(case: Case, tmp_path: Path):
    model = case.model()
    feeds = {f"x{place}": value for place, value in enumerate(case.given)}
    check(case, tmp_path, ReferenceEvaluator(model).run(None, feeds))


@pytest.mark.parametrize("case", RUNTIME)
def test_as_onnx_runtime_computes_it(case: Case, tmp_path: Path):
    session = InferenceSession(case.model().SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {f"x{place}": value for place, value in enumerate(case.given)}
    check(case, tmp_path, session.run(None, feeds))
