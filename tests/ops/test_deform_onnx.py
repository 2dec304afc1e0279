"""The deformable operators exported by the user's plain call and run in ONNX Runtime."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor

from ops import checks, deformed
from striate.ops.deform_aggregate import deform_aggregate1d, deform_aggregate2d, deform_aggregate3d
from striate.ops.deform_conv import deform_conv1d, deform_conv2d, deform_conv3d

CONVOLUTIONS = (deform_conv1d, deform_conv2d, deform_conv3d)
AGGREGATIONS = (deform_aggregate1d, deform_aggregate2d, deform_aggregate3d)
NODES = ("DeformConv", "DeformConv", "GridSample")
SETTINGS: dict[str, Any] = {"stride": 2, "padding": ((1, 2),), "dilation": 2}


def tensors(axes: int, taps: int, groups: int, settings: dict[str, Any], size: int = 6, batch: int = 2) -> list[Tensor]:
    """Input of 4 channels, offset and mask, float32."""
    generator = torch.Generator().manual_seed(0)
    sizes = [size + axis for axis in range(axes)]
    places = deformed.outputs(sizes, 3, **settings)
    input = deformed.draw(generator, batch, 4, *sizes)
    offset = deformed.draw_offsets(generator, batch, groups * taps * axes, *places)
    offset[:, :axes, 0] = 1e9
    return [input.float(), offset.float(), deformed.draw(generator, batch, groups * taps, *places).float()]


def convolution(axes: int, settings: dict[str, Any]) -> Callable[..., Tensor]:
    return lambda i, o, w, b=None, m=None: CONVOLUTIONS[axes - 1](i, o, w, b, mask=m, **settings)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_convolution_which_torchvision_exports_by_another_package(axes: int, tmp_path: Path) -> None:
    settings = {**SETTINGS, "padding": SETTINGS["padding"] * axes}
    input, offset, mask = tensors(axes, 3**axes, 2, settings)
    weight, bias = torch.randn(6, 2, *[3] * axes), torch.randn(6)
    call = convolution(axes, settings)
    assert NODES[axes - 1] in checks.check_onnx(call, tmp_path, input, offset, weight, bias, mask)
    assert NODES[axes - 1] in checks.check_onnx(call, tmp_path, input, offset, weight)


@pytest.mark.parametrize("remove_center", [False, True])
@pytest.mark.parametrize("scale", [1.0, 1.5])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_aggregation_which_dcn_does_not_export(axes: int, scale: float, remove_center: bool, tmp_path: Path) -> None:
    settings = {**SETTINGS, "padding": SETTINGS["padding"] * axes}
    own = tensors(axes, 3**axes - remove_center, 2, settings)

    def call(input: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        options: dict[str, Any] = {"groups": 2, "offset_scale": scale, "remove_center": remove_center}
        return AGGREGATIONS[axes - 1](input, offset, mask, 3, **settings, **options)

    assert NODES[axes - 1] in checks.check_onnx(call, tmp_path, *own)


class _Layer(torch.nn.Module):
    def __init__(self, call: Callable[..., Tensor]) -> None:
        super().__init__()
        self.call = call

    def forward(self, input: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        return self.call(input, offset, mask)


@pytest.mark.parametrize(("padding", "stride"), [("same", 1), ("same_upper", 2)])
@pytest.mark.parametrize("kind", ["convolution", "aggregation"])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_one_file_for_any_batch_and_size(axes: int, kind: str, padding: str, stride: int, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": 1}
    weight = torch.randn(6, 4, *[3] * axes)
    convolve, add = CONVOLUTIONS[axes - 1], AGGREGATIONS[axes - 1]
    call = {
        "convolution": lambda i, o, m: convolve(i, o, weight, mask=m, **settings),
        "aggregation": lambda i, o, m: add(i, o, m, 3, **settings, offset_scale=2.0),
    }[kind]
    any_size = dict.fromkeys((0, *range(2, axes + 2)), torch.export.Dim.DYNAMIC)
    file = tmp_path / "operator.onnx"
    with warnings.catch_warnings():
        # PyTorch's own exporter warns of its own calls.
        warnings.simplefilter("ignore")
        own = tuple(tensors(axes, 3**axes, 1, settings))
        shapes = dict.fromkeys(("input", "offset", "mask"), any_size)
        torch.onnx.export(_Layer(call).eval(), own, file, dynamo=True, verbose=False, dynamic_shapes=shapes)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    for size, batch in ((6, 2), (4, 3)):
        other = tensors(axes, 3**axes, 1, settings, size=size, batch=batch)
        feeds = {taken.name: tensor.numpy() for taken, tensor in zip(session.get_inputs(), other, strict=True)}
        (output,) = session.run(None, feeds)
        checks.assert_close(torch.from_numpy(output), call(*other), torch.float32)


def test_lower_values_are_sampled_in_float32(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"stride": 1, "padding": 1, "dilation": 1}
    input, offset, mask = tensors(2, 9, 1, settings)
    weight = torch.randn(6, 4, 3, 3).half()
    file = tmp_path / "operator.onnx"
    call = lambda i, o, m: deform_conv2d(i, o, weight, mask=m, **settings)  # noqa: E731
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(_Layer(call).eval(), (input.half(), offset, mask), file, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    feeds = dict(zip([i.name for i in session.get_inputs()], [input.half(), offset, mask], strict=True))
    (output,) = session.run(None, {name: tensor.numpy() for name, tensor in feeds.items()})
    checks.assert_close(torch.from_numpy(output), call(input.half(), offset, mask), torch.float16)


@pytest.mark.parametrize("kind", ["convolution", "aggregation"])
def test_taken_apart_for_something_else_they_are_their_definitions(kind: str) -> None:
    settings: dict[str, Any] = {"stride": 2, "padding": 1, "dilation": 1}
    own = tuple(tensors(2, 9, 1, settings))
    weight = torch.randn(6, 4, 3, 3)
    call, operator = {
        "convolution": (lambda i, o, m: deform_conv2d(i, o, weight, mask=m, **settings), "deform_conv"),
        "aggregation": (lambda i, o, m: deform_aggregate2d(i, o, m, 3, **settings), "deform_aggregate"),
    }[kind]
    overload = getattr(torch.ops.striate, operator).default
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(_Layer(call), own)
        assert overload in {node.target for node in program.graph.nodes}
        program = program.run_decompositions({overload: torch._decomp.decomposition_table[overload]})
    assert overload not in {node.target for node in program.graph.nodes}
    checks.assert_close(program.module()(*own), call(*own))
