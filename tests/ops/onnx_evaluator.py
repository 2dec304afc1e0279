"""ONNX's reference evaluator, NumPy and plain Python: one more definition that shares nothing with ours."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from onnx import helper
from onnx.reference import ReferenceEvaluator
from torch import Tensor


def conv(input: Tensor, weight: Tensor, bias: Tensor, **attributes: Any) -> Tensor:
    """The operator Conv; attributes are ONNX's."""
    return _run("Conv", input, weight, bias, **attributes)


def conv_transpose(input: Tensor, weight: Tensor, bias: Tensor, group: int, **attributes: Any) -> Tensor:
    """The operator ConvTranspose.

    Each group is a call of its own: with several, onnx 1.23.2 cuts the weight by outputs in place of inputs, adds the
    first group's bias to all and writes one channel of each.
    """
    parts = zip(input.chunk(group, 1), weight.chunk(group), bias.chunk(group), strict=True)
    return torch.cat([_run("ConvTranspose", *part, group=1, **attributes) for part in parts], 1)


def col2im(columns: Tensor, output_size: Sequence[int], kernel_size: Sequence[int], **attributes: Any) -> Tensor:
    """The operator Col2Im."""
    return _run("Col2Im", columns, torch.tensor(output_size), torch.tensor(kernel_size), **attributes)


def _run(operator: str, *tensors: Tensor, **attributes: Any) -> Tensor:
    names = [f"input_{number}" for number in range(len(tensors))]
    node = helper.make_node(operator, names, ["output"], **attributes)
    feeds = {name: tensor.detach().numpy() for name, tensor in zip(names, tensors, strict=True)}
    (output,) = ReferenceEvaluator(node).run(None, feeds)
    return torch.from_numpy(np.asarray(output))
