"""Tensors of more than 2^31 numbers: what is far behind is what it would be alone."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="Triton is not installed")

import striate
from ops.checks import assert_close

from .operators import Function

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU for CUDA here")

IMAGES, PLANES, SIDE = 33, 64, 1024
PICTURES, VOLUMES = (IMAGES, PLANES, SIDE, SIDE), (IMAGES, PLANES, 16, SIDE // 4, SIDE // 4)


def noise(*shape: int) -> Tensor:
    return torch.empty(shape, dtype=torch.bfloat16, device="cuda").normal_()


def depthwise() -> Function:
    weight = noise(PLANES, 1, 9, 9)
    return lambda input: striate.conv2d(input, weight, padding=4, groups=PLANES)


def volumes() -> Function:
    weight = noise(PLANES, 1, 3, 3, 3)
    return lambda input: striate.conv3d(input, weight, padding=1, groups=PLANES)


def unshared() -> Function:
    weight = noise(8, 8, 32, 32, 3, 3)
    return lambda input: striate.local_conv2d(input, weight, padding=1)


def unshared_transposed() -> Function:
    weight = noise(8, 8, 32, 32, 3, 3)
    return lambda input: striate.local_conv_transpose2d(input, weight, padding=1)


def put_back(input: Tensor) -> Tensor:
    # The third of four places each.
    side = input.shape[2]
    rows, columns = (2 * torch.arange(side, device=input.device) for _ in range(2))
    return striate.max_unpool2d(input, ((rows[:, None] + 1) * 2 * side + columns).expand(input.shape), 2)


Large = tuple[tuple[int, ...], Callable[[], Function], int]

# The input, the function, and how many times as much memory as the input has both passes take.
CASES: dict[str, Large] = {
    "conv2d": (PICTURES, depthwise, 8),
    "conv3d": (VOLUMES, volumes, 8),
    "local_conv2d": ((SIDE**2 + 2**17, 32, 8, 8), unshared, 8),
    "local_conv_transpose2d": ((SIDE**2 + 2**17, 32, 8, 8), unshared_transposed, 8),
    "local_response_norm": (PICTURES, lambda: lambda input: striate.local_response_norm(input, 5), 10),
    "local_contrast_norm": (PICTURES, lambda: lambda input: striate.local_contrast_norm(input, 5), 12),
    "avg_pool2d": (PICTURES, lambda: lambda input: striate.avg_pool2d(input, 2, 1, dilation=2), 8),
    "max_pool3d": (VOLUMES, lambda: lambda input: striate.max_pool3d(input, 3, 1, 1), 8),
    "lp_pool2d": (PICTURES, lambda: lambda input: striate.lp_pool2d(input, 3, 2, 1), 14),
    "max_unpool2d": ((IMAGES, PLANES, SIDE // 2, SIDE // 2), lambda: put_back, 40),
}


def both_passes(function: Function, input: Tensor) -> tuple[Tensor, Tensor]:
    own = input.detach().requires_grad_()
    output = function(own)
    (gradient,) = torch.autograd.grad(output, own, torch.ones_like(output))
    return output.detach(), gradient


def check_room(needed: int) -> None:
    """Skip where the GPU has less memory than is needed, and say so."""
    torch.cuda.empty_cache()
    free = torch.cuda.mem_get_info()[0]
    if free < needed:
        pytest.skip(f"the GPU has {free / 1e9:.0f} GB free, and this takes {needed / 1e9:.0f}")


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_the_last_image_is_what_it_would_be_alone(name: str, last: bool) -> None:
    shape, make, factor = CASES[name]
    check_room(factor * 2 * torch.Size(shape).numel())
    input, function = noise(*shape), make()
    if last:
        input = input.contiguous(memory_format=torch.channels_last if input.ndim == 4 else torch.channels_last_3d)
    output, gradient = both_passes(function, input)
    assert max(input.numel(), output.numel()) > 2**31
    for image in (0, len(input) - 1):
        alone = slice(image, image + 1)
        expected = both_passes(function, input[alone])
        assert_close(output[alone], expected[0])
        assert_close(gradient[alone], expected[1])


@pytest.mark.parametrize("kind", ["dense", "depthwise", "aggregate"])
def test_deformable_operators_on_many_pictures(kind: str) -> None:
    check_room(12 * 2 * torch.Size(PICTURES).numel())
    input, offset, mask = noise(*PICTURES), noise(IMAGES, 18, SIDE, SIDE), noise(IMAGES, 9, SIDE, SIDE)
    weight = noise(PLANES, PLANES if kind == "dense" else 1, 3, 3)

    def passes(*own: Tensor) -> tuple[Tensor, ...]:
        given = [tensor.detach().requires_grad_() for tensor in own]
        if kind == "aggregate":
            output = striate.deform_aggregate2d(*given, 3, padding=1)
        else:
            output = striate.deform_conv2d(given[0], given[1], weight, padding=1, mask=given[2])
        return output.detach(), *torch.autograd.grad(output, given, torch.ones_like(output))

    found = passes(input, offset, mask)
    assert input.numel() > 2**31
    for image in (0, IMAGES - 1):
        alone = slice(image, image + 1)
        for own, expected in zip(found, passes(input[alone], offset[alone], mask[alone]), strict=True):
            assert_close(own[alone], expected)
