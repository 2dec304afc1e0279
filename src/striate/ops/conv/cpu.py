"""Depthwise convolution on the CPU.

Every plane is padded, cut into one sub-plane for each phase of the stride, and laid flat. A tap is then one offset into
the flat plane, whatever the number of axes, the stride and the dilation, and both kernels run over long contiguous
stretches. Stretches that run over the end of a row compute numbers that nobody reads.
"""

import math
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.ops._compile import kernel
from striate.ops._threads import run_slabs

# Places of a plane that are worked on at once: they and what they read stay in the first-level cache.
_BLOCK = 2048
_SLABS = 64


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where everything lies in a flat plane; one entry an axis, the outermost first.

    Args:
        sizes: places of the input.
        low: padding before it.
        stride: phases.
        pitch: places of one phase, so that a phase holds as many places as the product of these.
        outputs: places of the output.
        offsets: where each tap reads, relative to its output.
    """

    sizes: tuple[int, ...]
    low: tuple[int, ...]
    stride: tuple[int, ...]
    pitch: tuple[int, ...]
    outputs: tuple[int, ...]
    offsets: NDArray[np.int64]

    @property
    def phase(self) -> int:
        """Places of one phase."""
        return math.prod(self.pitch)

    @property
    def reach(self) -> int:
        """Places of a phase from the first output to the last."""
        last = 0
        for n, q in zip(self.outputs, self.pitch, strict=True):
            last = last * q + n - 1
        return last + 1


def _layout(
    sizes: tuple[int, ...],
    kernel_size: tuple[int, ...],
    stride: list[int],
    low: list[int],
    high: list[int],
    dilation: list[int],
) -> _Layout:
    extents = [d * (k - 1) + 1 for k, d in zip(kernel_size, dilation, strict=True)]
    padded = [a + n + b for a, n, b in zip(low, sizes, high, strict=True)]
    outputs = tuple((n - e) // s + 1 for n, e, s in zip(padded, extents, stride, strict=True))
    pitch = tuple(-(-n // s) for n, s in zip(padded, stride, strict=True))
    offsets = []
    for tap in product(*map(range, kernel_size)):
        phase = place = 0
        for k, d, s, q in zip(tap, dilation, stride, pitch, strict=True):
            steps, remainder = divmod(k * d, s)
            phase, place = phase * s + remainder, place * q + steps
        offsets.append(phase * math.prod(pitch) + place)
    return _Layout(sizes, tuple(low), tuple(stride), pitch, outputs, np.array(offsets, dtype=np.int64))


def _flat_input(input: Tensor, at: _Layout) -> Tensor:
    """The padded input `(planes, phases * phase)`."""
    images, channels = input.shape[:2]
    axes = len(at.sizes)
    whole = [q * s for q, s in zip(at.pitch, at.stride, strict=True)]
    padded = input.new_zeros(images, channels, *whole)
    inside = tuple(slice(a, a + n) for a, n in zip(at.low, at.sizes, strict=True))
    padded[:, :, *inside] = input
    if math.prod(at.stride) > 1:
        split = [side for q, s in zip(at.pitch, at.stride, strict=True) for side in (q, s)]
        order = [0, 1, *range(3, 3 + 2 * axes, 2), *range(2, 2 + 2 * axes, 2)]
        padded = padded.view(images, channels, *split).permute(order).contiguous()
    return padded.view(images * channels, at.phase * math.prod(at.stride))


def _flat_gradient(grad: Tensor, at: _Layout, margin: int) -> Tensor:
    """The output's gradient `(planes, margin + phase)`, laid out as a phase, with zeros where there is no output."""
    planes = grad.shape[0] * grad.shape[1]
    flat = grad.new_zeros(planes, margin + at.phase)
    inside = tuple(slice(0, n) for n in at.outputs)
    flat[:, margin:].view(planes, *at.pitch)[(slice(None), *inside)] = grad.reshape(planes, *at.outputs)
    return flat


def forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    low: list[int],
    high: list[int],
    dilation: list[int],
) -> Tensor:
    """Depthwise convolution of `(N, C, *sizes)` with `(C * multiplier, 1, *kernel)`, contiguous."""
    at = _layout(tuple(input.shape[2:]), tuple(weight.shape[2:]), stride, low, high, dilation)
    flat, taps = _numbers(_flat_input(input, at)), _numbers(weight.reshape(weight.shape[0], -1))
    result = np.empty((input.shape[0] * weight.shape[0], *_three(at.outputs, 1)), flat.dtype)
    start = np.zeros(weight.shape[0], flat.dtype) if bias is None else _numbers(bias)
    multiplier = weight.shape[0] // input.shape[1]
    _correlate_all(flat, at.offsets, taps, start, result, _three(at.pitch, 1), multiplier)
    return torch.from_numpy(result).view(input.shape[0], weight.shape[0], *at.outputs).to(input.dtype)


def backward(
    grad: Tensor,
    input: Tensor,
    weight: Tensor,
    stride: list[int],
    low: list[int],
    high: list[int],
    dilation: list[int],
    needs: list[bool],
) -> tuple[Tensor, Tensor]:
    """The gradients of input and weight; an empty tensor for one that is not needed."""
    at = _layout(tuple(input.shape[2:]), tuple(weight.shape[2:]), stride, low, high, dilation)
    multiplier = weight.shape[0] // input.shape[1]
    margin = int((at.offsets % at.phase).max())
    flat_grad = _flat_gradient(grad, at, margin)
    grad_input, grad_weight = input.new_empty(0), weight.new_empty(0)
    if needs[0]:
        grad_input = _input_gradient(_numbers(flat_grad), weight, at, margin, multiplier, input)
    if needs[1]:
        flat = _numbers(_flat_input(input, at))
        sums = np.empty((weight.shape[0], len(at.offsets)), flat.dtype)
        _products_all(flat, at.offsets, _numbers(flat_grad), sums, margin, at.reach, input.shape[0], multiplier)
        grad_weight = torch.from_numpy(sums).view(weight.shape).to(weight.dtype)
    return grad_input, grad_weight


def _input_gradient(
    flat_grad: NDArray[Any], weight: Tensor, at: _Layout, margin: int, multiplier: int, input: Tensor
) -> Tensor:
    """Each phase of the input's gradient is a correlation of the output's with the taps of that phase, reversed."""
    images, channels = input.shape[:2]
    planes, length = images * channels, margin + at.phase
    taps = _numbers(weight.reshape(channels, -1))
    grads = flat_grad.reshape(planes, multiplier * length)
    phases = np.zeros((math.prod(at.stride), planes, *_three(at.pitch, 1)), flat_grad.dtype)
    nothing = np.zeros(channels, flat_grad.dtype)
    for phase, result in enumerate(phases):
        here = np.flatnonzero(at.offsets // at.phase == phase)
        if len(here):
            reversed_offsets = margin - at.offsets[here] % at.phase
            offsets = np.concatenate([reversed_offsets + copy * length for copy in range(multiplier)])
            chosen = np.concatenate([here + copy * len(at.offsets) for copy in range(multiplier)])
            own = np.ascontiguousarray(taps[:, chosen])
            _correlate_all(grads, offsets, own, nothing, result, _three(at.pitch, 1), 1)
    axes = len(at.sizes)
    whole = torch.from_numpy(phases).view(*at.stride, images, channels, *at.pitch)
    order = [axes, axes + 1]
    for axis in range(axes):
        order += [axes + 2 + axis, axis]
    whole = whole.permute(order).reshape(images, channels, *(q * s for q, s in zip(at.pitch, at.stride, strict=True)))
    inside = tuple(slice(a, a + n) for a, n in zip(at.low, at.sizes, strict=True))
    return whole[:, :, *inside].to(input.dtype).contiguous()


def _numbers(tensor: Tensor) -> NDArray[Any]:
    """The tensor as an array that the kernels take: float32 or float64, contiguous."""
    wide = tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()
    array: NDArray[Any] = wide.detach().contiguous().numpy()
    return array


def _three(sizes: tuple[int, ...], filler: int) -> tuple[int, ...]:
    """Sizes along depth, height and width."""
    return (filler,) * (3 - len(sizes)) + sizes


def _correlate_all(
    flat: NDArray[Any],
    offsets: NDArray[np.int64],
    taps: NDArray[Any],
    start: NDArray[Any],
    result: NDArray[Any],
    pitch: tuple[int, ...],
    multiplier: int,
) -> None:
    planes = len(result)
    step = max(1, -(-planes // _SLABS))
    run_slabs(
        lambda slab: _correlate(
            flat,
            offsets,
            taps,
            start,
            result,
            pitch[1],
            pitch[2],
            multiplier,
            slab * step,
            min(planes, (slab + 1) * step),
        ),
        -(-planes // step),
    )


def _products_all(
    flat: NDArray[Any],
    offsets: NDArray[np.int64],
    grads: NDArray[Any],
    sums: NDArray[Any],
    margin: int,
    reach: int,
    images: int,
    multiplier: int,
) -> None:
    channels = len(sums)
    step = max(1, -(-channels // _SLABS))
    run_slabs(
        lambda slab: _products(
            flat, offsets, grads, sums, margin, reach, images, multiplier, slab * step, min(channels, (slab + 1) * step)
        ),
        -(-channels // step),
    )


@kernel
def _correlate(
    flat: Any,
    offsets: Any,
    taps: Any,
    start: Any,
    result: Any,
    height: int,
    width: int,
    multiplier: int,
    first: int,
    last: int,
) -> None:
    """result[p, z, y, x] = start[c] + sum over t of taps[c, t] * flat[p // multiplier, (z, y, x) + offsets[t]]."""
    count = offsets.size
    _, OD, OH, OW = result.shape
    rows = min(OH, max(1, _BLOCK // width))
    sums = np.empty(max(_BLOCK, width), flat.dtype)
    for p in range(first, last):
        c = p % taps.shape[0]
        for z in range(OD):
            for y in range(0, OH, rows):
                here = min(rows, OH - y)
                length = (here - 1) * width + OW
                plane = flat[p // multiplier, (z * height + y) * width :]
                for begin in range(0, length, _BLOCK):
                    n = min(_BLOCK, length - begin)
                    block = plane[begin:]
                    acc = sums[begin : begin + n]
                    acc[:] = start[c]
                    t = 0
                    while t + 8 <= count:
                        w0, w1, w2, w3 = taps[c, t], taps[c, t + 1], taps[c, t + 2], taps[c, t + 3]
                        w4, w5, w6, w7 = taps[c, t + 4], taps[c, t + 5], taps[c, t + 6], taps[c, t + 7]
                        r0, r1, r2 = block[offsets[t] :], block[offsets[t + 1] :], block[offsets[t + 2] :]
                        r3, r4, r5 = block[offsets[t + 3] :], block[offsets[t + 4] :], block[offsets[t + 5] :]
                        r6, r7 = block[offsets[t + 6] :], block[offsets[t + 7] :]
                        for i in range(n):
                            acc[i] += (
                                w0 * r0[i] + w1 * r1[i] + w2 * r2[i] + w3 * r3[i]
                                + w4 * r4[i] + w5 * r5[i] + w6 * r6[i] + w7 * r7[i]
                            )  # fmt: skip
                        t += 8
                    while t < count:
                        w0, r0 = taps[c, t], block[offsets[t] :]
                        for i in range(n):
                            acc[i] += w0 * r0[i]
                        t += 1
                for row in range(here):
                    result[p, z, y + row] = sums[row * width : row * width + OW]


@kernel
def _products(
    flat: Any,
    offsets: Any,
    grads: Any,
    sums: Any,
    margin: int,
    reach: int,
    images: int,
    multiplier: int,
    first: int,
    last: int,
) -> None:
    """sums[o, t] = sum over n and i of grads[n, o][margin + i] * flat[n, o // multiplier][i + offsets[t]]."""
    count, channels = offsets.size, sums.shape[0]
    zero = flat.dtype.type(0)
    for o in range(first, last):
        sums[o] = zero
        for n in range(images):
            p = n * channels + o
            for begin in range(0, reach, _BLOCK):
                places = min(_BLOCK, reach - begin)
                block = flat[p // multiplier, begin:]
                q = grads[p, margin + begin : margin + begin + places]
                t = 0
                while t + 8 <= count:
                    r0, r1, r2 = block[offsets[t] :], block[offsets[t + 1] :], block[offsets[t + 2] :]
                    r3, r4, r5 = block[offsets[t + 3] :], block[offsets[t + 4] :], block[offsets[t + 5] :]
                    r6, r7 = block[offsets[t + 6] :], block[offsets[t + 7] :]
                    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = zero
                    for i in range(places):
                        s0 += q[i] * r0[i]
                        s1 += q[i] * r1[i]
                        s2 += q[i] * r2[i]
                        s3 += q[i] * r3[i]
                        s4 += q[i] * r4[i]
                        s5 += q[i] * r5[i]
                        s6 += q[i] * r6[i]
                        s7 += q[i] * r7[i]
                    sums[o, t] += s0
                    sums[o, t + 1] += s1
                    sums[o, t + 2] += s2
                    sums[o, t + 3] += s3
                    sums[o, t + 4] += s4
                    sums[o, t + 5] += s5
                    sums[o, t + 6] += s6
                    sums[o, t + 7] += s7
                    t += 8
                while t < count:
                    r0 = block[offsets[t] :]
                    s0 = zero
                    for i in range(places):
                        s0 += q[i] * r0[i]
                    sums[o, t] += s0
                    t += 1
