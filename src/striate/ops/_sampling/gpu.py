"""Pictures read between their pixels on the GPU, and sums of samples by channel.

Tiles are output pixels of all images times channels, which lie together in memory. The channels of a tile share their
offsets.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from striate.geometry.axes import three
from striate.ops._door import memory_format
from striate.ops._sampling.places import NEAR, Taps, places_of, sampled, samples_of
from striate.ops._triton import divided, index_type, jit, launched, number_type, tl, tuned


def rows(maps: Tensor) -> Tensor:
    """Maps `(N, C, *sizes)` as `(N, pixels, C)`, each pixel's channels side by side in memory."""
    return maps.detach().flatten(2).transpose(1, 2).contiguous()


def empty_maps(like: Tensor, *sizes: int) -> Tensor:
    """Maps that nobody has written, in the memory format of others and on their device."""
    return torch.empty(sizes, dtype=like.dtype, device=like.device, memory_format=memory_format(like))


def by_pixel(maps: Tensor) -> tuple[int, int, int]:
    """The steps from image to image, channel to channel and pixel to pixel."""
    last = math.prod(maps.shape[2:])
    return maps.shape[1] * last, *((1, maps.shape[1]) if not maps.is_contiguous() else (last, 1))


@dataclass(frozen=True, slots=True)
class Window:
    """Where the taps of a window stand before offsets move them; one number an axis, as of the doors."""

    kernel: list[int]
    stride: list[int]
    low: list[int]
    dilation: list[int]
    scale: float = 1.0
    remove_center: bool = False


class Samples:
    """Pictures with offsets and mask as the kernels take them.

    Args:
        input: `(N, C, *sizes)`.
        offset: `(N, groups * taps * axes, *outputs)`.
        mask: `(N, groups * taps, *outputs)` or None.
        window: where the taps stand.
    """

    def __init__(self, input: Tensor, offset: Tensor, mask: Tensor | None, window: Window) -> None:
        axes = len(window.kernel)
        self.taps = math.prod(window.kernel) - window.remove_center
        self.channels = input.shape[1]
        self.groups = offset.shape[1] // (self.taps * axes)
        self.pixels = input.shape[0] * math.prod(offset.shape[2:])
        self.pictures, self.offsets = rows(input), offset.detach().contiguous()
        self.masks = None if mask is None else mask.detach().contiguous()
        self.number = torch.float64 if input.dtype == torch.float64 else torch.float32
        reaches = zip(
            input.shape[2:], offset.shape[2:], window.kernel, window.stride, window.dilation, window.low, strict=True
        )
        self._near = all(n < NEAR and o * s + k * d + low < NEAR for n, o, k, s, d, low in reaches)
        middle = [d * (k - 1) // 2 for k, d in zip(window.kernel, window.dilation, strict=True)]
        self._sizes = {
            "C": self.channels,
            "G": self.groups,
            "M": self.pixels,
            "sizes": three(input.shape[2:], 1),
            "outputs": three(offset.shape[2:], 1),
        }
        self._taps = Taps(
            axes,
            self.taps,
            three(window.kernel, 1),
            three(window.stride, 1),
            three(window.low, 0),
            three(window.dilation, 1),
            three(middle, 0),
            float(window.scale),
            window.remove_center,
            mask is not None,
            number_type(input.dtype).name,
            tl.int32.name,
        )

    def launch(self, kernel: Any, programs: Callable[[dict[str, Any]], int], **others: Any) -> None:
        """Run a kernel for so many programs."""
        own = {"input": self.pictures, "offset": self.offsets, "mask": self.masks}
        tensors = [tensor for tensor in others.values() if isinstance(tensor, Tensor)]
        index = index_type(*own.values(), *tensors) if self._near else tl.int64
        taps = self._taps._replace(integer=index.name)
        launched(kernel, lambda all: (programs(all),), self.pictures, **own, **others, **self._sizes, TAPS=taps)

    def gradients(
        self,
        found: tuple[Tensor, Tensor, Tensor],
        input: Tensor,
        offset: Tensor,
        mask: Tensor | None,
        needs: list[bool],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What `backward` found, as the tensors that were read; empty where it is not needed."""
        pictures, moves, factors = found
        grad_input = input.new_empty(0)
        if needs[0]:
            grad_input = empty_maps(input, *input.shape)
            grad_input.flatten(2).transpose(1, 2).copy_(pictures.view(self.pictures.shape))
        grad_offset = moves.view(offset.shape).to(offset.dtype) if needs[1] else offset.new_empty(0)
        if mask is None or not needs[2]:
            return grad_input, grad_offset, input.new_empty(0)
        return grad_input, grad_offset, factors.view(mask.shape).to(mask.dtype)


def add_up(samples: Samples, weight: Tensor | None, bias: Tensor | None, result: Tensor) -> None:
    """Write the sums of samples over the taps, each channel by itself, with a weight `(taps, C * multiplier)` or none.

    Args:
        samples: what is read.
        weight: of the input's dtype.
        bias: `(C * multiplier,)` or None.
        result: `(N, C * multiplier, *outputs)`.
    """
    if not result.numel():
        return
    each = samples.channels // samples.groups
    multiplier = result.shape[1] // samples.channels

    def programs(all: dict[str, Any]) -> int:
        tiles = divided(samples.pixels, all["BLOCK_P"])
        return tiles * samples.groups * divided(each, all["BLOCK_C"]) * multiplier

    samples.launch(
        _sums_forward_kernel,
        programs,
        weight=weight,
        bias=bias,
        output=result,
        steps=by_pixel(result),
        each=each,
        MULTIPLIER=multiplier,
        WEIGHTED=weight is not None,
        BIASED=bias is not None,
    )


@tuned(
    [
        {"BLOCK_P": 32, "BLOCK_C": 64, "num_warps": 4},
        {"BLOCK_P": 64, "BLOCK_C": 32, "num_warps": 4},
        {"BLOCK_P": 16, "BLOCK_C": 128, "num_warps": 4},
        {"BLOCK_P": 64, "BLOCK_C": 16, "num_warps": 4},
    ],
    key=["each", "MULTIPLIER", "TAPS"],
    fits={"BLOCK_C": "each"},
    small={"BLOCK_P": 16, "BLOCK_C": 4},
)
@jit
def _sums_forward_kernel(
    input,
    offset,
    mask,
    weight,
    bias,
    output,
    steps,
    each,
    C,
    G,
    M,
    sizes,
    outputs,
    MULTIPLIER: tl.constexpr,
    WEIGHTED: tl.constexpr,
    BIASED: tl.constexpr,
    TAPS: tl.constexpr,
    BLOCK_P: tl.constexpr,
    BLOCK_C: tl.constexpr,
):
    """output[n, c * MULTIPLIER + j, p] = sum over t of weight[t, c * MULTIPLIER + j] * factor * input[n, c] at x."""
    tiles = tl.cdiv(each, BLOCK_C)
    rest = tl.program_id(0) // MULTIPLIER
    g = rest // tiles % G
    m = (rest // (tiles * G)).to(tl.dtype(TAPS.integer)) * BLOCK_P + tl.arange(0, BLOCK_P)
    c = rest % tiles * BLOCK_C + tl.arange(0, BLOCK_C)
    own, own_c = m < M, c < each
    c += g * each
    o = c * MULTIPLIER + tl.program_id(0) % MULTIPLIER
    places = places_of(m, outputs)
    n, p = places[0], places[1]
    first = n * (sizes[0] * sizes[1] * sizes[2])
    total = tl.zeros((BLOCK_P, BLOCK_C), tl.dtype(TAPS.number))
    if BIASED:
        total += tl.load(bias + o, mask=own_c, other=0).to(tl.dtype(TAPS.number))[None, :]
    for t in range(TAPS.many):
        samples = samples_of(offset, mask, places, own, g, t, outputs, G, TAPS)
        values = sampled(input, first, c, own_c, own, samples, sizes, C, TAPS)
        if WEIGHTED:
            values *= tl.load(weight + t * (C * MULTIPLIER) + o, mask=own_c, other=0).to(tl.dtype(TAPS.number))[None, :]
        total += values
    at = output + (n * steps[0] + p * steps[2])[:, None] + (o.to(tl.dtype(TAPS.integer)) * steps[1])[None, :]
    tl.store(at, total.to(output.dtype.element_ty), mask=own[:, None] & own_c[None, :])
