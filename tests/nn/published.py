"""The layers of InternImage and FlashInternImage written out from a state dict, as they were published."""

from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional

from ops.deformed import read
from striate.nn import DCNv3, DCNv4


def stirred(layer: nn.Module) -> nn.Module:
    """The layer with every parameter drawn anew, so that taps move by a few places."""
    generator = torch.Generator().manual_seed(1)
    for parameter in layer.parameters():
        with torch.no_grad():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.5)
    return layer


def taps_by_columns(kernel: int, remove_center: bool) -> list[tuple[int, int]]:
    """The taps (x, y) as the published kernels go through them."""
    half = kernel // 2
    return [tap for tap in product(range(kernel), repeat=2) if not remove_center or tap != (half, half)]


def published_v3(layer: DCNv3, input: Tensor) -> Tensor:
    """InternImage's layer from a state dict, `(N, H, W, C)`, its sum by `grid_sample` on the padded input."""
    state, groups = layer.state_dict(), layer.groups
    (kernel, _), (padding, _), (dilation, _) = layer.kernel_size, layer.padding, layer.dilation
    n, h, w, c = input.shape
    value = functional.linear(input, state["input_proj.weight"], state["input_proj.bias"])
    maps = input.permute(0, 3, 1, 2)
    around = state["dw_conv.0.weight"].shape[2] // 2
    maps = functional.conv2d(maps, state["dw_conv.0.weight"], state["dw_conv.0.bias"], padding=around, groups=c)
    if layer.norm == "layer":
        maps = maps.permute(0, 2, 3, 1)
        maps = functional.layer_norm(maps, [c], state["dw_conv.1.1.weight"], state["dw_conv.1.1.bias"], 1e-6)
    else:
        statistics = (state[f"dw_conv.1.0.running_{name}"] for name in ("mean", "var"))
        maps = functional.batch_norm(maps, *statistics, state["dw_conv.1.0.weight"], state["dw_conv.1.0.bias"])
        maps = maps.permute(0, 2, 3, 1)
    maps = getattr(functional, layer.activation)(maps)
    taps = taps_by_columns(kernel, layer.remove_center)
    offset = functional.linear(maps, state["offset.weight"], state["offset.bias"]).view(n, h, w, groups, len(taps), 2)
    mask = functional.linear(maps, state["mask.weight"], state["mask.bias"]).view(n, h, w, groups, len(taps))
    mask = mask.softmax(-1)

    padded = functional.pad(value, (0, 0, padding, padding, padding, padding)).permute(0, 3, 1, 2)
    high, wide = padded.shape[2:]
    middle, d, c_group = dilation * (kernel - 1) // 2, dilation, c // groups
    y, x = torch.meshgrid(torch.arange(h) + middle + 0.5, torch.arange(w) + middle + 0.5, indexing="ij")
    sums = []
    for g in range(groups):
        total = 0
        for k, (i, j) in enumerate(taps):
            at_x = x + (i * d - middle + offset[:, :, :, g, k, 0]) * layer.offset_scale
            at_y = y + (j * d - middle + offset[:, :, :, g, k, 1]) * layer.offset_scale
            grid = torch.stack([2 * at_x / wide - 1, 2 * at_y / high - 1], -1)
            sampled = functional.grid_sample(padded[:, g * c_group : (g + 1) * c_group], grid, align_corners=False)
            total = total + sampled.permute(0, 2, 3, 1) * mask[:, :, :, g, k, None]
        sums.append(total)
    result = torch.cat(sums, -1)
    if layer.center_feature_scale:
        names = ("center_feature_scale_proj_weight", "center_feature_scale_proj_bias")
        scale = functional.linear(maps, *(state[name] for name in names)).sigmoid()
        scale = scale[..., None].repeat(1, 1, 1, 1, c_group).flatten(-2)
        result = result * (1 - scale) + value * scale
    return functional.linear(result, state["output_proj.weight"], state["output_proj.bias"])


def published_v4(layer: DCNv4, input: Tensor) -> Tensor:
    """FlashInternImage's layer from a state dict, `(N, H, W, C)`, its kernel as plain loops."""
    state, groups = layer.state_dict(), layer.groups
    (kernel, _), (padding, _), (dilation, _) = layer.kernel_size, layer.padding, layer.dilation
    n, h, w, c = input.shape
    value, maps = input, input
    if not layer.without_pointwise:
        value = functional.linear(input, state["value_proj.weight"], state["value_proj.bias"])
    if layer.dw_kernel_size is not None:
        weight, bias = state["offset_mask_dw.weight"], state["offset_mask_dw.bias"]
        maps = functional.conv2d(input.permute(0, 3, 1, 2), weight, bias, padding=weight.shape[2] // 2, groups=c)
        maps = maps.permute(0, 2, 3, 1)
    predicted = functional.linear(maps, state["offset_mask.weight"], state["offset_mask.bias"])
    taps = taps_by_columns(kernel, layer.remove_center)
    middle, each, c_group = dilation * (kernel - 1) // 2, 3 * len(taps), c // groups
    result = torch.zeros_like(value)
    for image, row, column, g in product(range(n), range(h), range(w), range(groups)):
        numbers = predicted[image, row, column, g * each : (g + 1) * each]
        for k, (i, j) in enumerate(taps):
            at_x = column - padding + middle - middle * layer.offset_scale
            at_y = row - padding + middle - middle * layer.offset_scale
            at_x = at_x + (i * dilation + numbers[2 * k]) * layer.offset_scale
            at_y = at_y + (j * dilation + numbers[2 * k + 1]) * layer.offset_scale
            for channel in range(g * c_group, (g + 1) * c_group):
                sampled = read(value[image, :, :, channel], (at_y, at_x))
                result[image, row, column, channel] += numbers[2 * len(taps) + k] * sampled
    if layer.center_feature_scale:
        names = ("center_feature_scale_proj_weight", "center_feature_scale_proj_bias")
        scale = functional.linear(result, *(state[name] for name in names)).sigmoid()
        scale = scale[..., None].repeat(1, 1, 1, 1, c_group).flatten(-2)
        result = result * (1 - scale) + value * scale
    if layer.without_pointwise:
        return result
    return functional.linear(result, state["output_proj.weight"], state.get("output_proj.bias"))
