"""What every network must stand."""

import copy
import dataclasses
import inspect
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.models.cases import CASES, CLASSES, QUICK, TWINS, all_scores, build, error, inputs
from torch import Tensor, nn
from torch.nn import functional as F

from striate import models
from striate.models import Network

# The rest of a network that shares all of its code with another is for `make sweep`.
ALL = [*QUICK, *(pytest.param(name, marks=pytest.mark.sweep) for name in TWINS)]
LAYOUTS = {3: torch.contiguous_format, 4: torch.channels_last, 5: torch.channels_last_3d}


@pytest.fixture(scope="module", params=ALL)
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    """A network in evaluation mode, left as it is by every test."""
    network = build(request.param).eval()
    before = {name: value.clone() for name, value in network.named_buffers()}
    yield network
    assert not network.training
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())


@pytest.fixture
def input(network: Network) -> Tensor:
    return inputs(network)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that is gone after the test: some networks fill half a gigabyte."""
    with TemporaryDirectory() as name:
        yield Path(name)


def scores_of(network: nn.Module, input: Tensor) -> Tensor:
    with torch.no_grad():
        scores: Tensor = network(input)
    return scores


def shapes_of(network: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in network.state_dict().items()}


def test_every_network_is_tried():
    assert sorted(CASES) == models.names()
    assert all(CASES[name].twin_of in QUICK for name in TWINS)


@pytest.mark.parametrize("name", CASES)
def test_parameters(name: str):
    with torch.device("meta"):
        network = models.create(name)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == CASES[name].parameters
    assert f"{count:,}" in inspect.getdoc(models.builder_of(name))


@pytest.mark.parametrize("name", CASES)
def test_rebuilt_from_json(name: str):
    options = CASES[name].options
    with torch.device("meta"):
        network = models.create(name, num_classes=3, input_size=CASES[name].sizes[1], **options)
        assert models.name_of(network) == name
        again = models.rebuild(name, json.loads(json.dumps(dataclasses.asdict(network.config))))
    assert again.config == network.config
    assert shapes_of(again) == shapes_of(network)


@pytest.mark.parametrize("name", CASES)
def test_first_and_last_layers(name: str):
    config = models.config_of(name)
    with torch.device("meta"):
        network = models.create(name)
        wider = models.create(name, in_channels=config.in_channels + 1)
        finer = models.create(name, num_classes=config.num_classes + 1)
    before = shapes_of(network)
    assert {n for n, shape in shapes_of(wider).items() if shape != before[n]} == {f"{network.FIRST}.weight"}
    changed = {n.rpartition(".")[0] for n, shape in shapes_of(finer).items() if shape != before[n]}
    assert changed == {n for n in network.LAST if f"{n}.weight" in before}
    assert network.LAST[0] in changed


@pytest.mark.parametrize("name", CASES)
def test_every_parameter_learns(name: str):
    network = build(name, live=False).train()
    found = all_scores(network(inputs(network)))
    for scores in found:
        assert scores.shape[:2] == (2, CLASSES)
        assert scores.isfinite().all()
        assert scores.abs().max() < 1e4
    torch.stack([scores.float().square().mean() for scores in found]).sum().backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all() and parameter.grad.any(), parameter_name
    assert all(value.isfinite().all() for value in network.state_dict().values())


def test_scores(network: Network, input: Tensor):
    scores = scores_of(network, input)
    assert isinstance(scores, Tensor)
    assert scores.isfinite().all()
    places = {"classes": (), "maps": input.shape[2:]}[network.GIVES]
    assert scores.shape == (2, CLASSES, *places)
    # Else the comparisons of the other tests would say little.
    assert error(scores[:1], scores[1:]) > 0.01


def test_first_weights(network: Network):
    torch.manual_seed(0)
    first = models.create(models.name_of(network), **dataclasses.asdict(network.config))
    # In training: before it, statistics of 0 and 1 normalise nothing.
    with torch.no_grad():
        found = all_scores(first(inputs(first)))
    assert all(scores.isfinite().all() and 0 < scores.abs().max() < 100 for scores in found)


def test_saved_and_loaded(network: Network, input: Tensor, folder: Path):
    file = folder / "network.safetensors"
    save_file(network.state_dict(), file)
    other, report = models.load(models.name_of(network), file, **dataclasses.asdict(network.config))
    assert report.complete and not report.changed
    assert len(report.loaded) == len(network.state_dict())
    assert torch.equal(scores_of(other, input), scores_of(network, input))


def test_compiles_as_one_graph(network: Network, input: Tensor):
    torch._dynamo.reset()
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    assert error(scores_of(compiled, input), scores_of(network, input)) <= 1e-6


@pytest.mark.sweep
def test_compiles_with_inductor(network: Network, input: Tensor):
    torch._dynamo.reset()
    compiled = torch.compile(network, fullgraph=True)
    assert error(scores_of(compiled, input), scores_of(network, input)) <= 1e-5


@pytest.mark.sweep
def test_compiles_in_training(network: Network, input: Tensor):
    torch._dynamo.reset()
    trained, other = (quiet(copy.deepcopy(network).train()) for _ in range(2))
    compiled = torch.compile(other, backend="aot_eager", fullgraph=True)
    for scores, expected in zip(all_scores(compiled(input)), all_scores(trained(input)), strict=True):
        assert error(scores, expected) <= 1e-5


def quiet(network: Network) -> Network:
    """The network without dropout."""
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return network


def test_channels_last(network: Network, input: Tensor):
    layout = LAYOUTS[input.ndim]
    other = copy.deepcopy(network).to(memory_format=layout)
    assert error(scores_of(other, input.contiguous(memory_format=layout)), scores_of(network, input)) <= 1e-5


def test_bfloat16(network: Network, input: Tensor):
    expected = scores_of(network, input)
    with torch.autocast("cpu", torch.bfloat16):
        scores = scores_of(network, input)
    assert scores.dtype == torch.bfloat16
    # Some networks magnify what is rounded: the measure is what rounding weights and input alone leads to.
    rounded = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in rounded.parameters():
            parameter.copy_(parameter.bfloat16())
    assert error(scores, expected) <= 4 * error(scores_of(rounded, input.bfloat16().float()), expected)


def test_batch_of_one(network: Network, input: Tensor):
    scores = scores_of(network, input)
    assert error(scores_of(network, input[:1]), scores[:1]) <= 1e-5


def test_another_size(network: Network):
    case = CASES[models.name_of(network)]
    other = build(models.name_of(network), size=case.sizes[1]).eval() if case.fixed else network
    input = inputs(other, size=case.sizes[1])
    scores = scores_of(other, input)
    assert scores.shape[:2] == (2, CLASSES)
    assert scores.shape[2:] == (input.shape[2:] if network.GIVES == "maps" else ())
    assert scores.isfinite().all()


def test_features(network: Network, input: Tensor):
    with torch.no_grad():
        maps = network.features(input)
        scores = network.head(list(maps.values())[-1])
    assert list(maps) == [name for name, _ in network.stages()]
    assert all(len(found) == 2 and found.isfinite().all() for found in maps.values())
    if network.GIVES == "maps":
        scores = F.interpolate(scores, size=input.shape[2:], mode="bilinear")
    assert error(scores, scores_of(network, input)) <= 1e-6


def test_reset_classifier(network: Network, input: Tensor):
    other = copy.deepcopy(network)
    other.reset_classifier(CLASSES + 4)
    assert other.config == dataclasses.replace(network.config, num_classes=CLASSES + 4)
    assert scores_of(other, input).shape[1] == CLASSES + 4
    assert dict(network.named_parameters()).keys() == dict(other.named_parameters()).keys()
    for scores in all_scores(other.train()(input)):
        assert scores.shape[1] == CLASSES + 4
    with torch.device("meta"):
        rebuilt = models.rebuild(models.name_of(network), dataclasses.asdict(other.config))
    assert shapes_of(rebuilt) == shapes_of(other)


def test_onnx(network: Network, input: Tensor):
    with warnings.catch_warnings():
        # PyTorch's own exporter warns of its own calls.
        warnings.simplefilter("ignore")
        program: Any = torch.onnx.export(network, (input,), dynamo=True, verbose=False)
    (scores,) = program(input)
    assert error(scores, scores_of(network, input)) <= 1e-5
