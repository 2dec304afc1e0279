"""Whole networks, as PyTorch exports them and as files of old have them."""

import importlib
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import helper
from tests.inspection.onnx_graph.graphs import floating, model_of, saved
from torch import Tensor, nn

import striate
from striate import models
from striate.inspection.counting.counts import count
from striate.inspection.onnx_graph import GraphInput, inputs_of, open_onnx
from striate.inspection.tracing.trace import Trace, trace

ANY = torch.export.Dim("batch")


def exported(network: nn.Module, folder: Path, *inputs: Tensor, **settings: Any) -> Path:
    file = folder / "network.onnx"
    with warnings.catch_warnings():
        # PyTorch's own exporter warns of its own calls.
        warnings.simplefilter("ignore")
        torch.onnx.export(network.eval(), inputs, file, **{"dynamo": True, "verbose": False, **settings})
    return file


def check(network: nn.Module, folder: Path, *inputs: Tensor, **settings: Any) -> Trace:
    """The file gives ONNX Runtime's numbers, and without them the same sizes and the network's products."""
    file = exported(network, folder, *inputs, **settings)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    assert names == [each.name for each in inputs_of(file)]
    expected = session.run(None, {name: value.numpy() for name, value in zip(names, inputs, strict=True)})
    found = open_onnx(file, numbers=True)(*inputs)
    found = found if isinstance(found, tuple) else (found,)
    for tensor, wished in zip(found, expected, strict=True):
        scale = max(1.0, float(np.abs(wished).max()))
        np.testing.assert_allclose(tensor.detach().numpy() / scale, wished / scale, atol=2e-5)
    blank = open_onnx(file)
    sizes = {name: tuple(value.shape) for name, value in zip(names, inputs, strict=True)}
    run = trace(blank, blank.blank_inputs(sizes))
    assert run.failure is None, run.failure
    assert [value.shape for value in run.outputs] == [np.shape(wished) for wished in expected]
    assert count(run).macs == count(trace(network, inputs)).macs
    assert not count(run).missing
    return run


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_names_and_sizes_of_layers(name: str, tmp_path: Path):
    network = models.create(name, num_classes=10)
    picture = torch.randn(2, 3, 64, 64)
    run = check(network, tmp_path, picture, dynamic_shapes=({0: ANY},))
    ours = {call.name: call.outputs or () for call in trace(network, [picture]).calls}
    theirs = {call.name: call.outputs or () for call in run.calls if call.kind in ("Conv", "Gemm", "MatMul")}
    assert len(theirs) == {"resnet18": 21, "mobilenet_v2": 53}[name]
    for layer, outputs in theirs.items():
        assert [value.shape for value in outputs] == [value.shape for value in ours[layer]]


def test_lenet5(tmp_path: Path):
    file = exported(models.create("lenet5"), tmp_path, torch.randn(1, 1, 28, 28))
    network = open_onnx(file)
    run = trace(network, network.blank_inputs())
    # In the file the connection table is an ordinary convolution.
    links, taps, places = 6 * 16 - 60, 25, 10 * 10
    ours = trace(models.create("lenet5"), network.blank_inputs())
    assert count(run).macs == count(ours).macs + links * taps * places


class Recurrent(nn.Module):
    """An embedding, a recurrent layer in both directions, and a linear one."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.words = nn.Embedding(10, 8)
        self.layer = getattr(nn, kind)(8, 6, bidirectional=True, batch_first=True)
        self.scores = nn.Linear(12, 3)

    def forward(self, input: Tensor) -> Tensor:
        scores: Tensor = self.scores(self.layer(self.words(input))[0])
        return scores


NETWORKS = {
    "transposed": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.ConvTranspose2d(8, 4, 3, 2, 1, 1), nn.InstanceNorm2d(4, affine=True),
            nn.Upsample(scale_factor=2), nn.PixelShuffle(2), nn.Conv2d(1, 2, 3, padding="same", dilation=2),
            nn.AdaptiveAvgPool2d(4),
        ),
        torch.randn(2, 3, 16, 16),
    ),
    "attention": (lambda: nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), torch.randn(2, 7, 16)),
    "volumes": (
        lambda: nn.Sequential(nn.Conv3d(2, 3, 3), nn.BatchNorm3d(3), nn.MaxPool3d(2)), torch.randn(1, 2, 6, 8, 7),
    ),
    "series": (lambda: nn.Sequential(nn.Conv1d(2, 3, 3), nn.GELU(), nn.AvgPool1d(2)), torch.randn(1, 2, 9)),
    "unshared": (lambda: nn.Sequential(striate.nn.LocalConv2d(3, 4, 3, input_size=(6, 6))), torch.randn(1, 3, 6, 6)),
    "LSTM": (lambda: Recurrent("LSTM"), torch.randint(0, 10, (2, 5))),
    "GRU": (lambda: Recurrent("GRU"), torch.randint(0, 10, (2, 5))),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_numbers_and_products(name: str, tmp_path: Path):
    make, input = NETWORKS[name]
    torch.manual_seed(0)
    network = make()
    if name in ("LSTM", "GRU"):
        # Ours counts each step, PyTorch's layer is one operation.
        file = exported(network, tmp_path, input)
        found = open_onnx(file, numbers=True)(input)
        torch.testing.assert_close(found, network(input), rtol=1e-4, atol=1e-5)
        blank = open_onnx(file)
        run = trace(blank, blank.blank_inputs())
        gates = {"LSTM": 4, "GRU": 3}[name]
        assert count(run).macs == 2 * 5 * (2 * gates * 6 * (8 + 6) + 12 * 3)
    else:
        check(network, tmp_path, input)


def test_deformable(tmp_path: Path):
    network = nn.Sequential(striate.nn.DeformConv2d(3, 4, 3, padding=1, predict=True))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape) / 4)
    input = torch.randn(1, 3, 8, 8)
    file = exported(network, tmp_path, input)
    torch.testing.assert_close(open_onnx(file, numbers=True)(input), network(input), rtol=1e-4, atol=1e-4)
    blank = open_onnx(file)
    run = trace(blank, blank.blank_inputs())
    assert "striate.deform_conv2d()" in [operation.name for operation in run.operations]
    assert run.outputs[0].shape == (1, 4, 8, 8)


def test_sizes_by_arithmetic(tmp_path: Path):
    """Flattening as exporters of old wrote it: the size is put together from the input's."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv"),
        helper.make_node("Shape", ["c"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"], axis=0),
        helper.make_node("Unsqueeze", ["n"], ["u"], axes=[0]),
        helper.make_node("Concat", ["u", "rest"], ["size"], axis=0),
        helper.make_node("Reshape", ["c", "size"], ["y"]),
    ]
    held = {"w": floating(2, 3, 3, 3), "zero": np.array(0), "rest": np.array([-1])}
    network = open_onnx(saved(model_of(nodes, {"x": (("N", 3, "H", "W"), np.float32)}, held, version=11), tmp_path))
    run = trace(network, network.blank_inputs((5, 3, 8, 6)))
    assert run.outputs[0].shape == (5, 2 * 6 * 4)
    # All of it is worked out aside.
    assert [operation.name for operation in run.operations] == ["aten.convolution", "aten.view"]


def test_made_out_of_sizes(tmp_path: Path):
    """A tensor as large as the input, and places along its axes."""
    one = helper.make_tensor("one", 1, [1], [1.5])
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("ConstantOfShape", ["s"], ["c"], value=one),
        helper.make_node("Gather", ["s", "last"], ["n"]),
        helper.make_node("Range", ["zero", "n", "step"], ["r"]),
        helper.make_node("Cast", ["r"], ["f"], to=1),
        helper.make_node("Add", ["x", "c"], ["a"]),
        helper.make_node("Add", ["a", "f"], ["y"]),
    ]
    held = {"last": np.array(1), "zero": np.array(0), "step": np.array(1)}
    # More numbers than are followed through the graph, and fewer.
    for rows in (3, 40_000):
        file = saved(model_of(nodes, {"x": (("N", 4), np.float32)}, held), tmp_path)
        expected = torch.full((rows, 4), 1.5) + torch.arange(4)
        assert torch.equal(open_onnx(file, numbers=True)(torch.zeros(rows, 4)), expected)
        network = open_onnx(file)
        run = trace(network, network.blank_inputs((rows, 4)))
        assert run.failure is None
        assert run.outputs[0].shape == (rows, 4)


class TestInputs:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        nodes = [helper.make_node("Add", ["x", "z"], ["s"]), helper.make_node("Add", ["s", "w"], ["y"])]
        inputs = {"x": (("N", 4), np.float32), "z": (("N", 1), np.float32)}
        return saved(model_of(nodes, inputs, {"w": floating(4)}), tmp_path)

    def test_what_it_takes(self, file: Path):
        assert inputs_of(file) == (
            GraphInput("x", ("N", 4), torch.float32),
            GraphInput("z", ("N", 1), torch.float32),
        )

    def test_sizes_left_open(self, file: Path):
        network = open_onnx(file)
        assert [tuple(each.shape) for each in network.blank_inputs((3, 4))] == [(3, 4), (3, 1)]
        assert [tuple(each.shape) for each in network.blank_inputs(batch=2)] == [(2, 4), (2, 1)]
        with pytest.raises(ValueError, match=r"'x' is \(N, 4\): the file leaves axis 0 open, give its size"):
            network.blank_inputs()
        with pytest.raises(ValueError, match=r"'z' must be \(N, 1\) with N = 2, got \(3, 1\)"):
            network.blank_inputs({"x": (2, 4), "z": (3, 1)})
        with pytest.raises(ValueError, match="has no input 'q': its inputs are x, z"):
            network.blank_inputs({"q": (2, 4)})
        with pytest.raises(ValueError, match=r"'x' must be \(N, 4\), got \(2, 5\)|with N = 2, got \(2, 5\)"):
            network.blank_inputs((2, 5))

    def test_what_it_is_given(self, file: Path):
        network = open_onnx(file, numbers=True)
        ones = torch.ones(2, 4), torch.ones(2, 1)
        assert torch.equal(network(*ones), network(ones[0], z=ones[1]))
        with pytest.raises(ValueError, match="takes 2 inputs: x, z; got 1"):
            network(ones[0])
        with pytest.raises(ValueError, match="takes 2 inputs: x, z; got 3"):
            network(*ones, z=ones[1])
        with pytest.raises(TypeError, match=r"'x' must be torch.float32, got torch.float64"):
            network(ones[0].double(), ones[1])
        with pytest.raises(ValueError, match="was opened without its numbers"):
            open_onnx(file)(*ones)


class TestParameters:
    def test_what_is_trained(self, tmp_path: Path):
        nodes = [
            helper.make_node("Conv", ["x", "a.weight", "a.bias"], ["c"], "conv"),
            helper.make_node("BatchNormalization", ["c", "b.g", "b.b", "b.m", "b.v"], ["n"], "norm"),
            helper.make_node("Mul", ["n", "half"], ["h"]),
            helper.make_node("Conv", ["h", "twice"], ["d"], "again"),
            helper.make_node("Conv", ["d", "twice"], ["y"], "more"),
        ]
        held = {
            "a.weight": floating(3, 3, 1, 1), "a.bias": floating(3), "half": np.float32(0.5),
            "twice": floating(3, 3, 1, 1), **{f"b.{name}": np.abs(floating(3)) for name in "gbmv"},
        }  # fmt: skip
        network = open_onnx(saved(model_of(nodes, {"x": ((1, 3, 4, 4), np.float32)}, held), tmp_path))
        assert {name: tuple(value.shape) for name, value in network.named_parameters(remove_duplicate=False)} == {
            "a.weight": (3, 3, 1, 1), "a.bias": (3,), "norm.weight": (3,), "norm.bias": (3,),
            "again.weight": (3, 3, 1, 1), "more.weight": (3, 3, 1, 1),
        }  # fmt: skip
        assert network.get_parameter("again.weight") is network.get_parameter("more.weight")
        assert [name for name, _ in network.named_buffers()] == ["norm.running_mean", "norm.running_var"]
        assert not network.training
        convolution = network.get_submodule("a")
        assert (convolution.in_channels, convolution.out_channels, convolution.kernel_size) == (3, 3, (1, 1))

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn])
    def test_dtypes(self, dtype: torch.dtype, tmp_path: Path):
        numbers = {torch.float16: 10, torch.bfloat16: 16, torch.float64: 11, torch.float8_e4m3fn: 17}
        values = torch.tensor([0.5, -2.0, 1.0, 4.0]).to(dtype)
        raw = values.view(torch.uint8).numpy().tobytes()
        model = model_of([helper.make_node("Identity", ["x"], ["t"]), helper.make_node("Cast", ["w"], ["y"], to=1)],
                         {"x": ((1,), np.float32)})  # fmt: skip
        model.graph.initializer.add(name="w", dims=[4], data_type=numbers[dtype], raw_data=raw)
        assert open_onnx(saved(model, tmp_path), numbers=True)(torch.zeros(1)).tolist() == [0.5, -2, 1, 4]


def test_without_onnx(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    module = importlib.import_module("striate.inspection.onnx_graph")
    with pytest.raises(ImportError, match=r"pip install 'striate\[export\]'"):
        module.open_onnx(tmp_path / "network.onnx")
