"""The depthwise kernels: sixteen channels at a time in channels-last, planes in bands, gradients by FFT."""

import pytest
import torch

from ops.checks import assert_close
from striate.ops.conv import cpu
from striate.ops.conv.depthwise import depthwise_conv
from striate.ops.conv.routes import by_torch

_LAYOUTS = {2: torch.channels_last, 3: torch.channels_last_3d}


def _draw(axes: int, channels: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(axes * channels)
    input = torch.randn(2, channels, *(7, 18, 5)[:axes], generator=generator).to(dtype)
    weight = torch.randn(channels, 1, *(3, 4, 2)[:axes], generator=generator).to(dtype)
    bias = torch.randn(channels, generator=generator).to(dtype)
    return input.contiguous(memory_format=_LAYOUTS[axes]), weight, bias


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("channels", [3, 16, 37])
@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize(
    ("stride", "dilation", "low", "high"), [(1, 1, 1, 2), (2, 1, 1, 0), (1, 2, 4, 4), (3, 2, 2, 3)]
)
def test_matches_torch(
    axes: int, channels: int, dtype: torch.dtype, stride: int, dilation: int, low: int, high: int
) -> None:
    input, weight, bias = _draw(axes, channels, dtype)
    settings = [stride] * axes, [low] * axes, [high] * axes, [dilation] * axes
    leaves = [tensor.detach().double().clone().requires_grad_() for tensor in (input, weight, bias)]
    wished = by_torch(*leaves, *settings, groups=channels)
    output = cpu.forward(input, weight, bias, *settings)
    assert output.dtype == dtype
    assert_close(output, wished)
    grad = torch.randn(wished.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    wished_input, wished_weight = torch.autograd.grad(wished, leaves[:2], grad.double())
    grad_input, grad_weight = cpu.backward(grad, input, weight, *settings, [True, True])
    assert_close(grad_input, wished_input)
    assert_close(grad_weight, wished_weight)


@pytest.mark.parametrize(
    ("stride", "dilation", "low", "high"), [(1, 1, 1, 1), (2, 1, 5, 0), (3, 2, 0, 9), (1, 1, 9, 9)]
)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_few_large_planes_in_bands(axes: int, stride: int, dilation: int, low: int, high: int) -> None:
    generator = torch.Generator().manual_seed(axes)
    input = torch.randn(1, 2, *{1: (50001,), 2: (300, 200), 3: (40, 30, 30)}[axes], generator=generator).double()
    weight, bias = torch.randn(4, 1, *[4] * axes, generator=generator).double(), torch.randn(4).double()
    settings = [stride] * axes, [low] * axes, [high] * axes, [dilation] * axes
    assert_close(cpu.forward(input, weight, bias, *settings), by_torch(input, weight, bias, *settings, groups=2))


def test_result_is_channels_last() -> None:
    input, weight, _ = _draw(2, 16, torch.float32)
    settings = [1, 1], [1, 1], [1, 1], [1, 1]
    assert cpu.forward(input, weight, None, *settings).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("stride", [1, 2])
def test_gradients_of_a_sum(stride: int) -> None:
    """What comes back is one number, expanded."""
    input, weight, _ = _draw(2, 16, torch.float64)
    settings = [stride] * 2, [1] * 2, [1] * 2, [1] * 2
    leaves = [input.clone().requires_grad_(), weight.clone().requires_grad_()]
    output = by_torch(*leaves, None, *settings, groups=16)
    wished = torch.autograd.grad(output.sum(), leaves)
    found = cpu.backward(torch.ones((), dtype=torch.float64).expand(output.shape), input, weight, *settings, [True] * 2)
    for gradient, expected in zip(found, wished, strict=True):
        assert_close(gradient, expected)


@pytest.mark.parametrize(("low", "high", "dilation"), [(7, 7, 1), (0, 3, 1), (14, 14, 2)])
def test_large_kernels(low: int, high: int, dilation: int) -> None:
    generator = torch.Generator().manual_seed(0)
    input = torch.randn(2, 17, 32, 30, generator=generator).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(17, 1, 15, 15, generator=generator)
    settings = [1, 1], [low, low], [high, high], [dilation, dilation]
    own = input.clone().requires_grad_(), weight.clone().requires_grad_()
    assert_close(depthwise_conv(*own, None, *settings), by_torch(*own, None, *settings, groups=17))
    grads = torch.autograd.grad(depthwise_conv(*own, None, *settings).square().sum(), own)
    wished = torch.autograd.grad(by_torch(*own, None, *settings, groups=17).square().sum(), own)
    for found, expected in zip(grads, wished, strict=True):
        assert_close(found, expected)
    assert grads[0].is_contiguous(memory_format=torch.channels_last)
