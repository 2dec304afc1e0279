"""The truths of the ten networks, and what is recorded of others' answers."""

import importlib.util
import json

import pytest
import torch
from benchmarks.peers.counters import ANSWERS, COUNTERS, answer
from benchmarks.peers.ten_networks import TEN, Example, formula, total
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

EXAMPLES = {example.name: example for example in TEN}
RECORD = json.loads(ANSWERS.read_text(encoding="utf-8"))
needs_torchvision = pytest.mark.skipif(
    not importlib.util.find_spec("torchvision"), reason="torchvision is not installed"
)
ALL = [
    pytest.param(example, marks=needs_torchvision if name == "deformable" else ()) for name, example in EXAMPLES.items()
]


def counted(network: nn.Module, *inputs: torch.Tensor) -> float:
    """Multiply-accumulates by PyTorch's own counter, which counts no fused attention."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        network(*inputs)
    return counter.get_total_flops() / 2


def test_formulas() -> None:
    assert total(((2, 3), (4,))) == 10
    assert formula(((2, 3), (4,))) == "2·3 + 4"
    assert len(EXAMPLES) == 10


@pytest.mark.parametrize("example", ALL, ids=EXAMPLES)
def test_parameters(example: Example) -> None:
    assert total(example.parameters) == sum(parameter.numel() for parameter in example.make().parameters())


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name not in {"deformable", "recurrent"}])
def test_products_are_those_of_pytorchs_counter(name: str) -> None:
    example = EXAMPLES[name]
    assert total(example.macs) == counted(example.make(), *example.inputs())


def test_products_of_ten_steps_are_ten_times_those_of_one() -> None:
    assert total(EXAMPLES["recurrent"].macs) == 10 * counted(nn.LSTMCell(32, 64, bias=False), torch.randn(1, 32))


@needs_torchvision
def test_products_of_the_deformable_one() -> None:
    example = EXAMPLES["deformable"]
    product, sampling, offsets = (total((term,)) for term in example.macs)
    assert offsets == counted(example.make(), *example.inputs())
    assert product == counted(nn.Conv2d(64, 64, 3, padding=1, bias=False), *example.inputs())
    corners = 4
    assert sampling == corners * nn.functional.unfold(*example.inputs(), 3, padding=1).numel()


@pytest.mark.parametrize("tool", COUNTERS)
def test_answers_are_recorded_with_versions(tool: str) -> None:
    assert RECORD["machine"]["versions"][tool]
    assert RECORD["answers"][tool].keys() == EXAMPLES.keys()


@needs_torchvision
@pytest.mark.parametrize("tool", COUNTERS)
def test_answers_are_what_the_tool_says(tool: str) -> None:
    if not importlib.util.find_spec(tool):
        pytest.skip(f"{tool} is not installed")
    example = EXAMPLES["transposed"]
    assert RECORD["answers"][tool][example.name] == answer(tool, example)
