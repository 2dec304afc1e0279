"""What is measured on a GPU: our operators, and those of others on the same tensors."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

import striate

Function = Callable[..., Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One operator on tensors of one size.

    Args:
        name: what it is.
        sizes: of its tensors; the first is the input.
        small: sizes on which the numbers are compared.
        ours: takes the tensors.
        peers: others by name, which take the same.
        operations: of the forward pass; those of the backward pass are twice as many.
        moved: which tensor holds offsets, which lie between the places.
        dtypes: in which it is measured.
    """

    name: str
    sizes: Sequence[tuple[int, ...]]
    small: Sequence[tuple[int, ...]]
    ours: Function
    peers: Mapping[str, Function] = field(default_factory=dict)
    operations: int = 0
    moved: int | None = None
    dtypes: Sequence[torch.dtype] = (torch.bfloat16, torch.float32)

    def tensors(self, sizes: Sequence[tuple[int, ...]], dtype: torch.dtype, device: str) -> list[Tensor]:
        """Drawn on the CPU, the same for the same sizes."""
        generator = torch.Generator().manual_seed(0)
        found = []
        for number, shape in enumerate(sizes):
            tensor = torch.randn(shape, generator=generator)
            if number == self.moved:
                # Odd multiples of 1/8, which bfloat16 holds: no coordinate is whole, where derivatives jump.
                tensor = (tensor.mul_(4).floor_().clamp_(-15, 14) + 0.5) / 4
            found.append(tensor.to(dtype).to(device))
        return found


def _deformed(batch: int, channels: int, size: int, kernel: int = 3, groups: int = 1) -> list[tuple[int, ...]]:
    """Input, offset, weight and mask."""
    taps, places = kernel * kernel, (size, size)
    return [
        (batch, channels, *places),
        (batch, 2 * taps, *places),
        (channels, channels // groups, kernel, kernel),
        (batch, taps, *places),
    ]


def _torchvision(input: Tensor, offset: Tensor, weight: Tensor, mask: Tensor) -> Tensor:
    from torchvision.ops import deform_conv2d

    result: Tensor = deform_conv2d(input, offset, weight, padding=weight.shape[2] // 2, mask=mask)
    return result


def _plain(input: Tensor, offset: Tensor, weight: Tensor, mask: Tensor) -> Tensor:
    """It reads other pixels, and neither offsets nor factors."""
    last = torch.channels_last
    input, weight = input.contiguous(memory_format=last), weight.contiguous(memory_format=last)
    groups = input.shape[1] // weight.shape[1]
    return F.conv2d(input, weight, padding=weight.shape[2] // 2, groups=groups) + 0 * (offset.sum() + mask.sum())


def _dcnv4(input: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
    """Its numbers lie in another order, so that only its time says something."""
    from DCNv4.functions import DCNv4Function

    groups = mask.shape[1] // 9
    both = torch.cat([offset, mask], 1).permute(0, 2, 3, 1)
    both = F.pad(both, (0, -both.shape[3] % 8)).contiguous()
    pictures = input.permute(0, 2, 3, 1).contiguous()
    result: Tensor = DCNv4Function.apply(
        pictures, both, 3, 3, 1, 1, 1, 1, 1, 1, groups, input.shape[1] // groups, 1.0, 256, False
    )
    return result.permute(0, 3, 1, 2)


def _unfolded(input: Tensor, weight: Tensor) -> Tensor:
    """Unshared convolution by `unfold` and `einsum`."""
    height, width, out, into, *kernel = weight.shape
    columns = F.unfold(input, tuple(kernel), padding=1).view(len(input), into * math.prod(kernel), height, width)
    return torch.einsum("nkhw,hwok->nohw", columns, weight.reshape(height, width, out, -1))


def _deform(name: str, batch: int, channels: int, size: int) -> Case:
    return Case(
        name=name,
        sizes=_deformed(batch, channels, size),
        small=_deformed(2, 20, 9),
        ours=lambda input, offset, weight, mask: striate.deform_conv2d(input, offset, weight, padding=1, mask=mask),
        peers={"torchvision": _torchvision, "plain convolution, channels-last": _plain},
        operations=2 * batch * size * size * channels * channels * 9,
        moved=1,
    )


def _like_torch(
    name: str, ours: Function, torch_own: Function, sizes: Sequence[tuple[int, ...]], small: Sequence[tuple[int, ...]]
) -> Case:
    filters = math.prod(sizes[1]) if len(sizes) > 1 else 0
    places = math.prod(sizes[0]) // sizes[0][1]
    return Case(
        name=name, sizes=sizes, small=small, ours=ours, peers={"torch.nn": torch_own}, operations=2 * places * filters
    )


CASES = (
    _deform("deform_conv2d v2 3×3, 8×256×56²", 8, 256, 56),
    _deform("deform_conv2d v2 3×3, 8×64×112²", 8, 64, 112),
    Case(
        name="deform_conv2d depthwise 3×3, 8×256×56²",
        sizes=_deformed(8, 256, 56, groups=256),
        small=_deformed(2, 6, 9, groups=6),
        ours=lambda input, offset, weight, mask: striate.deform_conv2d(input, offset, weight, padding=1, mask=mask),
        peers={"torchvision": _torchvision},
        operations=10 * 8 * 256 * 56 * 56 * 9,
        moved=1,
    ),
    Case(
        name="deform_conv3d 3×3×3, 2×32×8×28²",
        sizes=[(2, 32, 8, 28, 28), (2, 81, 8, 28, 28), (32, 32, 3, 3, 3)],
        small=[(1, 4, 3, 4, 5), (1, 81, 3, 4, 5), (5, 4, 3, 3, 3)],
        ours=lambda input, offset, weight: striate.deform_conv3d(input, offset, weight, padding=1),
        operations=2 * 2 * 8 * 28 * 28 * 32 * 32 * 27,
        moved=1,
    ),
    Case(
        name="deform_aggregate2d 3×3, 16 groups, 8×256×56²",
        sizes=[(8, 256, 56, 56), (8, 16 * 18, 56, 56), (8, 16 * 9, 56, 56)],
        small=[(2, 6, 7, 8), (2, 36, 7, 8), (2, 18, 7, 8)],
        ours=lambda input, offset, mask: striate.deform_aggregate2d(
            input, offset, mask, 3, padding=1, groups=mask.shape[1] // 9
        ),
        peers={"DCNv4": _dcnv4},
        operations=10 * 8 * 256 * 56 * 56 * 9,
        moved=1,
    ),
    Case(
        name="local_conv2d 3×3, 32×32×28²",
        sizes=[(32, 32, 28, 28), (28, 28, 32, 32, 3, 3)],
        small=[(3, 4, 5, 6), (5, 6, 5, 4, 3, 3)],
        ours=lambda input, weight: striate.local_conv2d(input, weight, padding=1),
        peers={"unfold and einsum": _unfolded},
        operations=2 * 32 * 28 * 28 * 32 * 32 * 9,
    ),
    _like_torch(
        "conv2d depthwise 31×31, 8×128×56²",
        lambda input, weight: striate.conv2d(input, weight, padding=weight.shape[2] // 2, groups=len(weight)),
        lambda input, weight: F.conv2d(input, weight, padding=weight.shape[2] // 2, groups=len(weight)),
        [(8, 128, 56, 56), (128, 1, 31, 31)],
        [(2, 3, 9, 11), (3, 1, 7, 7)],
    ),
    _like_torch(
        "conv3d depthwise 3×3×3, 4×64×8×56²",
        lambda input, weight: striate.conv3d(input, weight, padding=1, groups=len(weight)),
        lambda input, weight: F.conv3d(input, weight, padding=1, groups=len(weight)),
        [(4, 64, 8, 56, 56), (64, 1, 3, 3, 3)],
        [(2, 3, 4, 5, 6), (3, 1, 3, 3, 3)],
    ),
    _like_torch(
        "local_response_norm of 5, 16×96×56²",
        lambda input: striate.local_response_norm(input, 5),
        lambda input: F.local_response_norm(input, 5),
        [(16, 96, 56, 56)],
        [(2, 7, 4, 5)],
    ),
    Case(
        name="local_contrast_norm 7×7, 16×32×112²",
        sizes=[(16, 32, 112, 112)],
        small=[(2, 3, 9, 10)],
        ours=lambda input: striate.local_contrast_norm(input),
    ),
    _like_torch(
        "lp_pool2d of 3, stride 2, 16×64×112²",
        lambda input: striate.lp_pool2d(input.abs() + 0.1, 3, 3, 2),
        lambda input: F.lp_pool2d(input.abs() + 0.1, 3.0, 3, 2),
        [(16, 64, 112, 112)],
        [(2, 3, 9, 10)],
    ),
)
