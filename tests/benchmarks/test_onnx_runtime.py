"""ONNX Runtime gives what the operator is defined to give."""

import pytest
import torch
from benchmarks.peers.onnx_runtime import on_onnx_runtime
from benchmarks.runner.case import Work
from benchmarks.runner.memory import peak
from torch import Tensor
from torch.nn import functional as F

pytest.importorskip("onnxruntime")


def output(work: Work) -> Tensor:
    assert work.with_backward is None
    assert work.results is not None
    assert work.run() is None
    (found,) = work.results()
    return torch.from_numpy(found)


def test_a_convolution_with_its_attributes_and_a_constant_weight() -> None:
    input, weight = torch.randn(2, 4, 7, 6), torch.randn(6, 2, 3, 3)
    work = on_onnx_runtime(
        "Conv", input, weight, constant=(1,), strides=[2, 1], pads=[1, 2, 1, 2], dilations=[1, 2], group=2
    )
    assert torch.allclose(output(work), F.conv2d(input, weight, None, (2, 1), (1, 2), (1, 2), 2), atol=1e-5)


def test_an_input_may_be_left_out() -> None:
    input, low, high = torch.randn(2, 3), torch.tensor(-0.5), torch.tensor(0.5)
    assert torch.equal(output(on_onnx_runtime("Clip", input, low, None)), input.clamp(min=-0.5))
    assert torch.equal(output(on_onnx_runtime("Clip", input, None, high)), input.clamp(max=0.5))


def test_constants_may_be_integers_and_inputs_views() -> None:
    columns = torch.randn(8, 2, 4).transpose(0, 1)
    sizes = torch.tensor([3, 3]), torch.tensor([2, 2])
    found = output(on_onnx_runtime("Col2Im", columns, *sizes, constant=(1, 2)))
    assert torch.allclose(found, F.fold(columns, (3, 3), 2))


def test_its_arena_hides_no_memory() -> None:
    work = on_onnx_runtime(
        "ConvTranspose", torch.ones(1, 64, 56, 56), torch.ones(64, 64, 4, 4), constant=(1,), strides=[2, 2]
    )
    assert work.results is not None
    found = peak(work.results)
    columns = 64 * 4 * 4 * 56 * 56 * 4
    assert found is None or found > 0.95 * columns
