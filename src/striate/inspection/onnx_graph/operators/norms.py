"""Normalisation."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from striate.inspection.onnx_graph.operators.registry import Node, operator, within_rank
from striate.ops.local_response_norm import local_response_norm

_AFFINE = ("", "weight", "bias")


@operator("BatchNormalization", roles=(*_AFFINE, "running_mean", "running_var"),
          buffers=("running_mean", "running_var"), layer=True)  # fmt: skip
def _batch_norm(
    node: Node, input: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor
) -> Tensor | tuple[Tensor, ...]:
    if node.get("training_mode", 0):
        raise ValueError(f"{node.label} (BatchNormalization): training_mode 1; export the network in eval mode")
    if node.get("spatial", 1) != 1:
        raise ValueError(f"{node.label} (BatchNormalization): spatial 0, of operator set 6 and before")
    return functional.batch_norm(input, mean, variance, weight, bias, False, 0.0, node.get("epsilon", 1e-5))


@operator("InstanceNormalization", roles=_AFFINE, layer=True)
def _instance_norm(node: Node, input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return functional.instance_norm(input, weight=weight, bias=bias, eps=node.get("epsilon", 1e-5))


@operator("GroupNormalization", roles=_AFFINE, layer=True)
def _group_norm(node: Node, input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    groups = node.get("num_groups", 1)
    if node.version < 21:
        # One number for each group, not for each channel.
        weight, bias = (each.repeat_interleave(input.shape[1] // groups) for each in (weight, bias))
    return functional.group_norm(input, groups, weight, bias, node.get("epsilon", 1e-5))


@operator("LayerNormalization", roles=_AFFINE, layer=True)
def _layer_norm(
    node: Node, input: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor | tuple[Tensor | None, ...]:
    first = within_rank(node.get("axis", -1), input.dim(), node)
    sizes, eps = input.shape[first:], node.get("epsilon", 1e-5)
    affine = [None if each is None else each.expand(sizes) for each in (weight, bias)]
    found = functional.layer_norm(input, sizes, affine[0], affine[1], eps)
    if not (node.gives(1) or node.gives(2)):
        return found
    axes = list(range(first, input.dim()))
    return found, input.mean(axes, keepdim=True), (input.var(axes, correction=0, keepdim=True) + eps).rsqrt()


@operator("RMSNormalization", roles=("", "weight"), layer=True)
def _rms_norm(node: Node, input: Tensor, weight: Tensor) -> Tensor:
    first = within_rank(node.get("axis", -1), input.dim(), node)
    sizes = list(input.shape[first:])
    return functional.rms_norm(input, sizes, weight.expand(sizes), node.get("epsilon", 1e-5))


@operator("LRN", layer=True)
def _lrn(node: Node, input: Tensor) -> Tensor:
    settings: dict[str, Any] = {"alpha": node.get("alpha", 1e-4), "beta": node.get("beta", 0.75)}
    return local_response_norm(input, node.get("size", 5), k=node.get("bias", 1.0), even="onnx", **settings)


@operator("LpNormalization", layer=True)
def _lp_norm(node: Node, input: Tensor) -> Tensor:
    length = torch.linalg.vector_norm(input, node.get("p", 2), node.get("axis", -1), keepdim=True)
    return torch.where(length == 0, torch.zeros_like(input), input / length)


@operator("MeanVarianceNormalization", layer=True)
def _mean_variance(node: Node, input: Tensor) -> Tensor:
    axes = node.get("axes", [0, 2, 3])
    centred = input - input.mean(axes, keepdim=True)
    return centred / ((centred * centred).mean(axes, keepdim=True).sqrt() + 1e-9)
