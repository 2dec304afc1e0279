import importlib
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tests.models.cases import CASES, build, error, inputs
from tests.models.filling import liven
from torch import Tensor, nn

import striate
from striate import models, tables
from striate import nn as snn
from striate.export import onnx_file, to_onnx
from striate.models.loading.preprocessing import Preprocessing

# Of each kind one: stacks, branches, residuals, deformable, clips, series, maps.
FEW = [
    "alexnet_2012", "c3d", "dilated_context", "googlenet", "jarrett", "lenet5", "mlp", "resnet18_deform", "resnet1d18",
    "unet",
]  # fmt: skip
NETWORKS = [name if name in FEW else pytest.param(name, marks=pytest.mark.sweep) for name in CASES]


def run(file: Path, input: Tensor) -> Tensor:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {session.get_inputs()[0].name: input.numpy()})
    return torch.from_numpy(np.asarray(output))


def shape_of(file: Path) -> list[int | str]:
    (taken,) = onnxruntime.InferenceSession(file).get_inputs()
    shape: list[int | str] = taken.shape
    return shape


def check_true(file: Path, network: nn.Module, input: Tensor) -> None:
    """Near what the network gives in float64; where it rounds much itself, within twice of that."""
    with torch.no_grad():
        rounded, truth = network(input), network.double()(input.double())
        network.float()
    assert error(run(file, input), truth) < max(2e-5, 2 * error(rounded, truth))


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name: str, tmp_path: Path):
    network = build(name).train()
    done = to_onnx(network, tmp_path / "a.onnx")
    assert done.file == tmp_path / "a.onnx" and done.error <= 2e-5
    for batch in (2, 5):
        check_true(done.file, network.eval(), inputs(network, batch))
    assert shape_of(done.file) == ["batch", network.config.in_channels, *network.config.input_size]
    assert [file.name for file in tmp_path.iterdir()] == ["a.onnx"]


@pytest.mark.parametrize(
    "name",
    [name if name in ("all_cnn_c", "mlp", "vgg11") else pytest.param(name, marks=pytest.mark.sweep) for name in CASES],
)
def test_other_sizes(name: str, tmp_path: Path):
    network = build(name).eval()
    if CASES[name].fixed:
        with pytest.raises(ValueError, match=r"dynamic_size needs a network that takes inputs of any size: model does"):
            to_onnx(network, tmp_path / "a.onnx", dynamic_size=True)
        assert list(tmp_path.iterdir()) == []
        return
    done = to_onnx(network, tmp_path / "a.onnx", dynamic_size=True)
    check_true(done.file, network, inputs(network, size=CASES[name].sizes[1]))


def deform(axes: int) -> nn.Module:
    layer = (snn.DeformConv1d, snn.DeformConv2d, snn.DeformConv3d)[axes - 1]
    made = layer(4, 4, 3, padding=1, predict=True, offset_groups=2)
    for parameter in made.conv_offset.parameters():
        nn.init.uniform_(parameter, -0.3, 0.3)
    return made


def aggregate(layer: nn.Module) -> nn.Module:
    """An aggregation whose offsets are not zero."""
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -0.3, 0.3)
    return layer


def unpool() -> nn.Module:
    class Unpool(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down, self.up = snn.MaxPool2d(2, return_indices=True), snn.MaxUnpool2d(2)

        def forward(self, input: Tensor) -> Tensor:
            maps: Tensor = self.up(*self.down(input))
            return maps

    return Unpool()


C, S = (4, 12), (4, 9, 10)
LAYERS: dict[str, tuple[Callable[[], list[nn.Module]], tuple[int, ...]]] = {
    "deformable series": (lambda: [deform(1)], C),
    "deformable pictures": (lambda: [deform(2)], S),
    "deformable volumes": (lambda: [deform(3)], (4, 4, 5, 6)),
    "aggregations": (lambda: [aggregate(snn.DCNv3(16)), aggregate(snn.DCNv4(16))], (16, 6, 7)),
    "words of padding": (
        lambda: [
            snn.Conv2d(4, 4, 3, padding="same", padding_mode="reflect"),
            snn.Conv2d(4, 4, (2, 4), padding=("causal", "same_upper")),
            snn.Conv2d(4, 4, 3, stride=2, padding="half", padding_mode="constant", border=0.5),
        ],
        S,
    ),
    "series": (lambda: [snn.Conv1d(4, 4, 3, padding="causal"), snn.AvgPool1d(3, padding="same"), snn.MaxPool1d(2)], C),
    "separable": (
        lambda: [
            snn.DepthwiseConv2d(4, 5, padding="same"),
            snn.DepthwiseSeparableConv2d(4, 4, 3),
            snn.SpatiallySeparableConv2d(4, 4, 3),
        ],
        S,
    ),
    "unshared": (
        lambda: [
            snn.LocalConv2d(4, 4, 3, (9, 10), padding=1),
            snn.LocalConvTranspose2d(4, 2, 3, (9, 10)),
        ],
        S,
    ),
    "transposed": (lambda: [snn.ConvTranspose2d(4, 4, 3, stride=2, padding="same")], S),
    "table": (lambda: [snn.TableConv2d(tables.random(4, 6, 2), 6, 3), snn.ConvTanhGain2d(6, 6, 3)], S),
    "activations": (lambda: [snn.ScaledTanh(4), snn.AbsRectify(), snn.Maxout(2)], S),
    "normalisations": (
        lambda: [
            snn.LocalResponseNorm(3),
            snn.LocalContrastNorm(5),
            snn.SubtractiveNorm(5),
            snn.DivisiveNorm(5),
            snn.SyncBatchNorm(4),
        ],
        S,
    ),
    "poolings": (
        lambda: [
            snn.AvgPool2d(3, 1, padding="same"),
            snn.MaxPool2d(3, 1, padding="same", dilation=2),
            snn.LPPool2d(2, 2, 1),
            snn.GaussianPool2d(3, 1, padding="same"),
            snn.BlurPool2d(4),
            snn.SpatialPyramidPool2d([1, 2]),
        ],
        S,
    ),
    "adaptive": (lambda: [snn.AdaptiveAvgPool2d(6), snn.MaxBlurPool2d(4), snn.AdaptiveMaxPool2d(2)], (4, 12, 12)),
    "unpooling": (lambda: [unpool()], (4, 8, 10)),
    "volumes": (lambda: [snn.Conv3d(4, 4, 3, padding="same"), snn.AvgPool3d(2), snn.MaxPool3d(2)], (4, 8, 8, 9)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str, tmp_path: Path):
    torch.manual_seed(0)
    make, sizes = LAYERS[name]
    network = nn.Sequential(*make())
    assert to_onnx(network, tmp_path / "a.onnx", sizes).error < 2e-5


class Normalised(nn.Module):
    """What differs between training and evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.dropout = nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Dropout(0.5)

    def forward(self, input: Tensor) -> Tensor:
        maps: Tensor = self.dropout(self.norm(self.first(input)))
        return maps


def normalised() -> Normalised:
    torch.manual_seed(0)
    network = Normalised()
    liven(network)
    return network


def test_the_network_is_exported_as_in_evaluation_and_left_as_it_is(tmp_path: Path):
    network = normalised().train()
    network.norm.eval()
    network(torch.ones(2, 1, 8, 8)).sum().backward()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    grads = {name: value.grad.clone() for name, value in network.named_parameters() if value.grad is not None}
    random = torch.random.get_rng_state()
    done = to_onnx(network, tmp_path / "a.onnx", (1, 8, 8))
    assert torch.equal(torch.random.get_rng_state(), random)
    assert (network.training, network.first.training, network.norm.training) == (True, True, False)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert grads and all(torch.equal(value.grad, grads[name]) for name, value in network.named_parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())
    operators = {node.op_type for node in onnx.load(done.file).graph.node}
    assert operators.isdisjoint({"Dropout", "RandomNormal", "RandomUniform", "ReduceMean"})
    input = torch.randn(4, 1, 8, 8)
    with torch.no_grad():
        assert error(run(done.file, input), network.eval()(input)) < 1e-5


def test_one_sample(tmp_path: Path):
    done = to_onnx(normalised(), tmp_path / "a.onnx", (1, 8, 8), dynamic_batch=False)
    assert shape_of(done.file) == [1, 1, 8, 8]


def test_what_travels_with_the_file(tmp_path: Path):
    network = models.create("mlp", num_classes=2, input_size=(4, 4))
    preprocessing = Preprocessing(mean=(0.5,), std=(0.25,), size=(4, 4), channels="L")
    done = to_onnx(network, tmp_path / "a.onnx", classes=("Möwe", "gull"), preprocessing=preprocessing)
    words = onnxruntime.InferenceSession(done.file).get_modelmeta().custom_metadata_map
    assert words["library"] == "striate" and words["version"] == striate.__version__
    assert words["network"] == "mlp" and words["classes"] == '["Möwe", "gull"]'
    assert Preprocessing.from_json(words["preprocessing"]) == preprocessing


@pytest.mark.parametrize("opset", [19, 25])
def test_opsets(opset: int, tmp_path: Path):
    done = to_onnx(build("lenet5"), tmp_path / "a.onnx", opset=opset)
    assert done.contents == f"ONNX, opset {opset}"
    assert {one.version for one in onnx.load(done.file).opset_import if one.domain == ""} == {opset}


def test_half_precision(tmp_path: Path):
    done = to_onnx(normalised().half(), tmp_path / "a.onnx", (1, 8, 8))
    assert onnxruntime.InferenceSession(done.file).get_inputs()[0].type == "tensor(float16)"
    assert done.tolerance == 1e-2


def test_several_outputs(tmp_path: Path):
    class Two(nn.Module):
        def forward(self, input: Tensor) -> dict[str, Tensor]:
            return {"twice": 2 * input, "mean": input.mean(1)}

    done = to_onnx(Two(), tmp_path / "a.onnx", (3, 4))
    assert len(onnxruntime.InferenceSession(done.file).get_outputs()) == 2


def test_a_file_that_differs_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    network, other = normalised(), normalised()
    with torch.no_grad():
        other.norm.running_mean += 0.1
    export = torch.onnx.export
    monkeypatch.setattr(torch.onnx, "export", lambda _, *rest, **settings: export(other.eval(), *rest, **settings))
    file = tmp_path / "a.onnx"
    with pytest.raises(ValueError, match=r"a\.onnx does not give what the network gives: its outputs differ by 0\.\d+"):
        to_onnx(network, file, (1, 8, 8))
    assert list(tmp_path.iterdir()) == []
    file.write_text("old")
    with pytest.raises(ValueError, match="nothing was written"):
        to_onnx(network, file, (1, 8, 8), overwrite=True)
    assert file.read_text() == "old" and len(list(tmp_path.iterdir())) == 1
    assert to_onnx(network, file, (1, 8, 8), overwrite=True, tolerance=0.9).error > 1e-3
    assert onnx.load(file).graph.node


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        (
            {"opset": 18},
            ValueError,
            "opset must be at least 19, the first in which ONNX Runtime reads deformable .* 18",
        ),
        ({"opset": 99}, ValueError, "PyTorch cannot write this network for opset 99, but for 18"),
        ({"tolerance": 0.0}, ValueError, r"tolerance must be a positive number, got 0\.0"),
        ({"tolerance": float("nan")}, ValueError, "tolerance must be a positive number, got nan"),
        ({"input_size": (1, 0, 8)}, ValueError, r"input_size must be the size of one sample, .*, got \(1, 0, 8\)"),
        ({"input_size": (2, 8, 8)}, ValueError, r"model does not run on an input of \(1, 2, 8, 8\): Given groups=1"),
        ({"input_size": None}, ValueError, r"input_size is missing: the size of one sample, as \(3, 224, 224\)"),
        ({"preprocessing": "none"}, TypeError, "preprocessing must be a Preprocessing, got str"),
        ({"path": "no/folder.onnx"}, FileNotFoundError, "there is no folder no to write folder.onnx to"),
    ],
)
def test_refused(
    settings: dict[str, Any], kind: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=message):
        to_onnx(normalised(), **{"path": "a.onnx", "input_size": (1, 8, 8), **settings})
    assert list(tmp_path.iterdir()) == []


def test_other_numbers_are_refused(tmp_path: Path):
    with pytest.raises(TypeError, match=r"model must be of float32 or float16, got float64: try \.float\(\)"):
        to_onnx(normalised().double(), tmp_path / "a.onnx", (1, 8, 8))


class Branching(nn.Module):
    def forward(self, input: Tensor) -> Tensor:
        return input * 2 if input.sum() > 0 else input


class Infinite(nn.Module):
    def forward(self, input: Tensor) -> Tensor:
        return input / 0


class Wordy(nn.Module):
    def forward(self, input: Tensor) -> tuple[Tensor, str]:
        return input, "word"


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Branching(), "PyTorch cannot export this network to ONNX: .*data-dependent"),
        (Infinite(), "model gives numbers that are not finite on random inputs"),
        (Wordy(), "model must give tensors, and nothing else"),
    ],
    ids=["branching", "infinite", "wordy"],
)
def test_networks_that_cannot_be_exported(network: nn.Module, message: str, tmp_path: Path):
    with pytest.raises(ValueError, match=message):
        to_onnx(network, tmp_path / "a.onnx", (3, 4))
    assert list(tmp_path.iterdir()) == []


def test_deformable_volumes_need_opset_20(tmp_path: Path):
    with pytest.raises(ValueError, match="PyTorch cannot export this network to ONNX: Target opset: 19 less than node"):
        to_onnx(deform(3), tmp_path / "a.onnx", (4, 4, 5, 6), opset=19)


def test_what_onnx_runtime_cannot_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no such operator\nand more")

    runtime = SimpleNamespace(SessionOptions=SimpleNamespace, InferenceSession=broken)
    monkeypatch.setattr(onnx_file, "_imported", lambda: runtime)
    with pytest.raises(ValueError, match="ONNX Runtime cannot run the exported file: no such operator$"):
        to_onnx(normalised(), tmp_path / "a.onnx", (1, 8, 8))
    assert list(tmp_path.iterdir()) == []


def test_more_than_a_file_can_hold(tmp_path: Path):
    with torch.device("meta"):
        network = nn.Linear(2**15, 2**15)
    with pytest.raises(ValueError, match=r"model must fit in the 2 GiB of one ONNX file, got 4\.0 GiB of numbers"):
        to_onnx(network, tmp_path / "a.onnx", (2**15,))


@pytest.mark.parametrize("name", ["onnx", "onnxscript", "onnxruntime"])
def test_the_extra_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf"{name} is not installed: pip install 'striate\[export\]'"):
        to_onnx(normalised(), tmp_path / "a.onnx", (1, 8, 8))


def test_the_package_needs_no_extra():
    code = "import striate.export, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"onnx", "onnxscript", "onnxruntime"}.isdisjoint(loaded)


def test_nothing_is_said_but_what_is_returned(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    importlib.import_module("onnxscript")
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [logger.level for logger in loggers]
    to_onnx(build("lenet5"), tmp_path / "a.onnx")
    with pytest.raises(ValueError, match="opset 26"):
        to_onnx(build("resnet18_deform"), tmp_path / "b.onnx", opset=26)
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")
    assert [logger.level for logger in loggers] == levels
