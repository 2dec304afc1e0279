"""Tiles, blocks of channels and bands of pixels: however the work is cut, the gradients are the same."""

import pytest
import torch
from torch import Tensor

from ops.checks import assert_close
from striate.ops._sampling import gradients, samples
from striate.ops.deform_aggregate import deform_aggregate2d
from striate.ops.deform_conv import deform_conv2d, reference


def _leaves(batch: int, channels: int, groups: int, offset_groups: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    sizes = (
        (batch, channels, 13, 14),
        (batch, offset_groups * 18, 13, 14),
        (10, channels // groups, 3, 3) if groups < channels else (channels, 1, 3, 3),
        (batch, offset_groups * 9, 13, 14),
    )
    return tuple(torch.randn(*size, generator=generator).double().requires_grad_() for size in sizes)


def _gradients(leaves: tuple[Tensor, ...], *, definition: bool = False) -> tuple[Tensor, ...]:
    input, offset, weight, mask = leaves
    if definition:
        output = reference.deform_conv(input, offset, weight, None, mask, [1, 1], [1, 1], [1, 1])
    else:
        output = deform_conv2d(input, offset, weight, padding=1, mask=mask)
    weights = torch.linspace(0.5, 1.5, output.numel(), dtype=torch.float64).view(output.shape)
    return torch.autograd.grad((output * weights).sum(), leaves)


@pytest.mark.parametrize(("batch", "channels", "groups", "offset_groups"), [
    (1, 64, 1, 1), (1, 64, 1, 4), (2, 96, 2, 3), (1, 48, 48, 2), (3, 40, 2, 5),
])  # fmt: skip
def test_blocks_bands_and_tiles(
    batch: int, channels: int, groups: int, offset_groups: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaves = _leaves(batch, channels, groups, offset_groups)
    wished = _gradients(leaves, definition=True)
    # Tiles of sixteen pixels, and bands of a few tiles.
    monkeypatch.setattr(samples, "_TILE", 1)
    monkeypatch.setattr(gradients, "_PARTIAL", 40 * 18 * offset_groups * batch * 8)
    for found, expected in zip(_gradients(leaves), wished, strict=True):
        assert_close(found, expected)


def test_a_small_batch_is_cut_into_blocks_and_bands() -> None:
    assert gradients.cuts(1, 64, 1) == [(0, 16), (16, 32), (32, 48), (48, 64)]
    assert gradients.cuts(1, 64, 24) == [(0, 24), (24, 48)]
    assert gradients.cuts(8, 64, 1) == [(0, 64)]
    assert gradients.cuts(1, 3, 1) == [(0, 3)]


@pytest.mark.parametrize("threads", [1, 2])
def test_bits_of_one_image_do_not_depend_on_threads(threads: int) -> None:
    leaves = tuple(leaf.detach().float().requires_grad_() for leaf in _leaves(1, 64, 1, 2))
    once = _gradients(leaves)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        again = _gradients(leaves)
    finally:
        torch.set_num_threads(before)
    for first, second in zip(once, again, strict=True):
        assert torch.equal(first, second)


def test_half_of_the_offset_groups_move_and_the_others_do_not() -> None:
    generator = torch.Generator().manual_seed(0)
    input = torch.randn(1, 4, 6, 6, generator=generator)
    offset = torch.zeros(1, 2, 18, 6, 6)
    offset[:, 1, 1::2] = 1
    mask = torch.zeros(1, 2, 9, 6, 6)
    mask[:, :, 4] = 1
    moved = deform_aggregate2d(input, offset.flatten(1, 2), mask.flatten(1, 2), 3, padding=1, groups=2)
    assert torch.equal(moved[:, :2], input[:, :2])
    assert torch.equal(moved[:, 2:, :, :-1], input[:, 2:, :, 1:])
    assert (moved[:, 2:, :, -1] == 0).all()
