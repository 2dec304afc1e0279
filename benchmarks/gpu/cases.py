"""What is measured on a GPU: our operators, and those of others on the same tensors."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

import striate
from striate.ops.conv.depthwise import depthwise_conv

Function = Callable[..., Tensor]
_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


@dataclass(frozen=True, slots=True)
class Kind:
    """In which numbers and in which memory format a case is measured.

    Args:
        dtype: of all tensors.
        last: whether the input lies channels-last.
        tf32: whether the user allows products of float32 in tf32; else they are exact, here and in the peers.
    """

    dtype: torch.dtype = torch.bfloat16
    last: bool = False
    tf32: bool = False

    def __str__(self) -> str:
        parts = ["tf32" if self.tf32 else str(self.dtype).removeprefix("torch."), *["channels-last"] * self.last]
        return ", ".join(parts)


PLAIN = (Kind(), Kind(torch.float32))
FORMATS = (*PLAIN, Kind(last=True))
PRODUCTS = (*FORMATS, Kind(torch.float32, tf32=True))


@dataclass(frozen=True, slots=True)
class Peer:
    """What others have.

    Args:
        function: takes tensors.
        prepared: makes these of the case's before the clock starts; None for the case's.
        alike: whether it computes the same numbers.
    """

    function: Function
    prepared: Callable[..., Sequence[Tensor]] | None = None
    alike: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One operator on tensors of one size.

    Args:
        name: what it is.
        sizes: of its tensors; the first is the input.
        small: sizes on which the numbers are compared, most with fewer images: what kernels are compiled for is the
            same, so that the code that is timed has been compared.
        ours: takes the tensors.
        peers: others by name, which take the same.
        operations: of the forward pass; those of the backward pass are twice as many.
        moved: which tensor holds offsets, which lie between the places.
        kinds: in which it is measured.
    """

    name: str
    sizes: Sequence[tuple[int, ...]]
    small: Sequence[tuple[int, ...]]
    ours: Function
    peers: Mapping[str, Peer] = field(default_factory=dict)
    operations: int = 0
    moved: int | None = None
    kinds: Sequence[Kind] = PLAIN

    def __str__(self) -> str:
        return self.name

    def tensors(self, sizes: Sequence[tuple[int, ...]], kind: Kind, device: str) -> list[Tensor]:
        """Drawn on the CPU, the same for the same sizes."""
        generator = torch.Generator().manual_seed(0)
        found = []
        for number, shape in enumerate(sizes):
            tensor = torch.randn(shape, generator=generator)
            if number == self.moved:
                # Odd multiples of 1/8, which bfloat16 holds: no coordinate is whole, where derivatives jump.
                tensor = (tensor.mul_(4).floor_().clamp_(-15, 14) + 0.5) / 4
            found.append(tensor.to(kind.dtype).to(device))
        if kind.last:
            found[0] = channels_last(found[0])
        return found


def channels_last(tensor: Tensor) -> Tensor:
    """The tensor with its channels last in memory, where it has the axes for it."""
    return tensor.contiguous(memory_format=_LAST[tensor.ndim]) if tensor.ndim in _LAST else tensor


def _deformed(batch: int, channels: int, size: int, kernel: int = 3, groups: int = 1) -> list[tuple[int, ...]]:
    """Input, offset, weight and mask."""
    taps, places = kernel * kernel, (size, size)
    return [
        (batch, channels, *places),
        (batch, 2 * taps, *places),
        (channels, channels // groups, kernel, kernel),
        (batch, taps, *places),
    ]


def _deform_conv2d(input: Tensor, offset: Tensor, weight: Tensor, mask: Tensor) -> Tensor:
    return striate.deform_conv2d(input, offset, weight, padding=weight.shape[2] // 2, mask=mask)


def _torchvision(input: Tensor, offset: Tensor, weight: Tensor, mask: Tensor) -> Tensor:
    from torchvision.ops import deform_conv2d

    result: Tensor = deform_conv2d(input, offset, weight, padding=weight.shape[2] // 2, mask=mask)
    return result


def _plain(input: Tensor, weight: Tensor) -> Tensor:
    """It reads other pixels, and neither offsets nor factors."""
    return F.conv2d(input, weight, padding=weight.shape[2] // 2, groups=input.shape[1] // weight.shape[1])


def _dcnv4(pictures: Tensor, both: Tensor) -> Tensor:
    """Its numbers lie in another order, so that only its time says something."""
    from DCNv4.functions import DCNv4Function

    groups = 16
    result: Tensor = DCNv4Function.apply(
        pictures, both, 3, 3, 1, 1, 1, 1, 1, 1, groups, pictures.shape[3] // groups, 1.0, 256, False
    )
    return result


def _for_dcnv4(input: Tensor, offset: Tensor, mask: Tensor) -> Sequence[Tensor]:
    both = torch.cat([offset, mask], 1).permute(0, 2, 3, 1)
    return input.permute(0, 2, 3, 1).contiguous(), F.pad(both, (0, -both.shape[3] % 8)).contiguous()


def _unfolded(input: Tensor, weight: Tensor) -> Tensor:
    """Unshared convolution by `unfold` and `einsum`."""
    height, width, out, into, *kernel = weight.shape
    columns = F.unfold(input, tuple(kernel), padding=1).view(len(input), into * math.prod(kernel), height, width)
    return torch.einsum("nkhw,hwok->nohw", columns, weight.reshape(height, width, out, -1))


def _deform(name: str, batch: int, channels: int, size: int) -> Case:
    plain = Peer(_plain, lambda input, _, weight, __: (channels_last(input), channels_last(weight)), alike=False)
    return Case(
        name=name,
        sizes=_deformed(batch, channels, size),
        small=_deformed(2, channels, size),
        ours=_deform_conv2d,
        peers={"torchvision": Peer(_torchvision), "plain convolution, channels-last": plain},
        operations=2 * batch * size * size * channels * channels * 9,
        moved=1,
        kinds=PRODUCTS,
    )


def _unshared(batch: int) -> Case:
    return Case(
        name=f"local_conv2d 3×3, {batch}×32×28²",
        sizes=[(batch, 32, 28, 28), (28, 28, 32, 32, 3, 3)],
        small=[(batch, 32, 28, 28), (28, 28, 32, 32, 3, 3)],
        ours=lambda input, weight: striate.local_conv2d(input, weight, padding=1),
        peers={"unfold and einsum": Peer(_unfolded)},
        operations=2 * batch * 28 * 28 * 32 * 32 * 9,
        kinds=PRODUCTS,
    )


def _like_torch(
    name: str,
    ours: Function,
    torch_own: Function,
    sizes: Sequence[tuple[int, ...]],
    small: Sequence[tuple[int, ...]],
    kinds: Sequence[Kind] = FORMATS,
) -> Case:
    filters = math.prod(sizes[1]) if len(sizes) > 1 else 0
    operations = 2 * math.prod(sizes[0]) // sizes[0][1] * filters
    peers = {"torch.nn": Peer(torch_own)}
    return Case(name=name, sizes=sizes, small=small, ours=ours, peers=peers, operations=operations, kinds=kinds)


def _by_kernels(input: Tensor, weight: Tensor) -> Tensor:
    """Depthwise convolution by the kernels, whatever the door would choose."""
    axes = weight.ndim - 2
    half = [size // 2 for size in weight.shape[2:]]
    return depthwise_conv(input, weight, None, [1] * axes, half, half, [1] * axes)


@functools.cache
def _places(shape: torch.Size, device: torch.device) -> Tensor:
    """The last of four places for each number."""
    rows, columns = (2 * torch.arange(size, device=device) + 1 for size in shape[2:])
    return (rows[:, None] * 2 * shape[3] + columns).expand(shape).contiguous()


CASES = (
    _deform("deform_conv2d v2 3×3, 8×256×56²", 8, 256, 56),
    _deform("deform_conv2d v2 3×3, 8×64×112²", 8, 64, 112),
    Case(
        name="deform_conv2d depthwise 3×3, 8×256×56²",
        sizes=_deformed(8, 256, 56, groups=256),
        small=_deformed(2, 256, 56, groups=256),
        ours=_deform_conv2d,
        peers={"torchvision": Peer(_torchvision)},
        operations=10 * 8 * 256 * 56 * 56 * 9,
        moved=1,
        kinds=FORMATS,
    ),
    Case(
        name="deform_conv3d 3×3×3, 2×32×8×28²",
        sizes=[(2, 32, 8, 28, 28), (2, 81, 8, 28, 28), (32, 32, 3, 3, 3)],
        small=[(2, 32, 8, 28, 28), (2, 81, 8, 28, 28), (32, 32, 3, 3, 3)],
        ours=lambda input, offset, weight: striate.deform_conv3d(input, offset, weight, padding=1),
        operations=2 * 2 * 8 * 28 * 28 * 32 * 32 * 27,
        moved=1,
        kinds=FORMATS,
    ),
    Case(
        name="deform_aggregate2d 3×3, 16 groups, 8×256×56²",
        sizes=[(8, 256, 56, 56), (8, 16 * 18, 56, 56), (8, 16 * 9, 56, 56)],
        small=[(2, 256, 56, 56), (2, 16 * 18, 56, 56), (2, 16 * 9, 56, 56)],
        ours=lambda input, offset, mask: striate.deform_aggregate2d(
            input, offset, mask, 3, padding=1, groups=mask.shape[1] // 9
        ),
        peers={"DCNv4": Peer(_dcnv4, _for_dcnv4, alike=False)},
        operations=10 * 8 * 256 * 56 * 56 * 9,
        moved=1,
        kinds=FORMATS,
    ),
    _unshared(32),
    _unshared(1),
    _like_torch(
        "conv2d depthwise 31×31, 8×128×56²",
        lambda input, weight: striate.conv2d(input, weight, padding=weight.shape[2] // 2, groups=len(weight)),
        lambda input, weight: F.conv2d(input, weight, padding=weight.shape[2] // 2, groups=len(weight)),
        [(8, 128, 56, 56), (128, 1, 31, 31)],
        [(2, 128, 56, 56), (128, 1, 31, 31)],
        PRODUCTS,
    ),
    # The door leaves these windows to PyTorch; the time says whether it should.
    _like_torch(
        "depthwise 7×7 by the kernels, 32×96×56²",
        _by_kernels,
        lambda input, weight: F.conv2d(input, weight, padding=3, groups=len(weight)),
        [(32, 96, 56, 56), (96, 1, 7, 7)],
        [(32, 96, 56, 56), (96, 1, 7, 7)],
    ),
    _like_torch(
        "conv3d depthwise 3×3×3, 4×64×8×56²",
        lambda input, weight: striate.conv3d(input, weight, padding=1, groups=len(weight)),
        lambda input, weight: F.conv3d(input, weight, padding=1, groups=len(weight)),
        [(4, 64, 8, 56, 56), (64, 1, 3, 3, 3)],
        [(4, 64, 8, 56, 56), (64, 1, 3, 3, 3)],
    ),
    _like_torch(
        "local_response_norm of 5, 16×96×56²",
        lambda input: striate.local_response_norm(input, 5),
        lambda input: F.local_response_norm(input, 5),
        [(16, 96, 56, 56)],
        [(2, 96, 56, 56)],
    ),
    Case(
        name="local_contrast_norm 7×7, 16×32×112²",
        sizes=[(16, 32, 112, 112)],
        small=[(2, 32, 112, 112)],
        ours=lambda input: striate.local_contrast_norm(input),
        kinds=FORMATS,
    ),
    _like_torch(
        "lp_pool2d of 3, stride 2, 16×64×112²",
        lambda input: striate.lp_pool2d(input.abs() + 0.1, 3, 3, 2),
        lambda input: F.lp_pool2d(input.abs() + 0.1, 3.0, 3, 2),
        [(16, 64, 112, 112)],
        [(16, 64, 112, 112)],
    ),
    _like_torch(
        "max_pool3d of 3, stride 2, 4×64×16×56²",
        lambda input: striate.max_pool3d(input, 3, 2, 1),
        lambda input: F.max_pool3d(input, 3, 2, 1),
        [(4, 64, 16, 56, 56)],
        [(2, 64, 16, 56, 56)],
    ),
    _like_torch(
        "avg_pool3d of 3, stride 2, 4×64×16×56²",
        lambda input: striate.avg_pool3d(input, 3, 2, 1),
        lambda input: F.avg_pool3d(input, 3, 2, 1),
        [(4, 64, 16, 56, 56)],
        [(2, 64, 16, 56, 56)],
    ),
    _like_torch(
        "max_unpool2d of 2, 16×64×56²",
        lambda input: striate.max_unpool2d(input, _places(input.shape, input.device), 2),
        lambda input: F.max_unpool2d(input, _places(input.shape, input.device), 2),
        [(16, 64, 56, 56)],
        [(2, 64, 56, 56)],
    ),
)


def every_kind(cases: Sequence[Case] = CASES) -> list[tuple[Case, Kind]]:
    """Each case in each of its kinds."""
    return [(case, kind) for case in cases for kind in case.kinds]
