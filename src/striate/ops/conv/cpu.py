"""Depthwise convolution on the CPU.

Each plane is laid flat in a buffer that stays in cache, where a tap is one offset, and the kernels run over long
contiguous stretches. Stretches that run over the end of a row compute numbers that nobody reads. Where there are
sixteen planes or more, each with one filter, `vectors` takes them together.
"""

import math
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.geometry.axes import three
from striate.ops._compile import kernel
from striate.ops._lanes import LANES
from striate.ops._threads import run_slabs
from striate.ops.conv import vectors
from striate.ops.conv.layout import Layout, in_slabs, layout

# Places of a plane that are worked on at once: they and what they read stay in the first-level cache.
_BLOCK = 2048


def forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    low: list[int],
    high: list[int],
    dilation: list[int],
) -> Tensor:
    """Depthwise convolution of `(N, C, *sizes)` with `(C * multiplier, 1, *kernel)`, in either memory format."""
    at = layout(input.shape, weight.shape, stride, low, high, dilation)
    if _in_vectors(input, weight):
        return vectors.correlate(input, weight.flatten(1), bias, at)
    planes, taps = _planes(input), _numbers(weight).reshape(weight.shape[0], -1)
    result = np.empty((input.shape[0] * weight.shape[0], *three(at.outputs, 1)), planes.dtype)
    start = np.zeros(weight.shape[0], planes.dtype) if bias is None else _numbers(bias)
    multiplier = weight.shape[0] // input.shape[1]
    bands = at.bands(len(result))
    if len(bands) == 1:
        work = partial(_correlate, planes, at.place, 0, 1, at.offsets, taps, start, result, multiplier)
        in_slabs(len(result), work)
    else:
        before = (slice(None),) * (5 - input.ndim)

        def band(slab: int) -> None:
            p, (first, last) = slab // len(bands), bands[slab % len(bands)]
            own, read = at.part(first, last)
            part = planes[p // multiplier][(*before, read)][None]
            c, to = p % weight.shape[0], result[p][(*before, slice(first, last))][None]
            _correlate(part, own.place, 0, 1, own.offsets, taps[c : c + 1], start[c : c + 1], to, 1, 0, 1)

        run_slabs(band, len(result) * len(bands))
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
    at = layout(input.shape, weight.shape, stride, low, high, dilation)
    multiplier, single = weight.shape[0] // input.shape[1], _in_vectors(input, weight)
    grad_input, grad_weight = input.new_empty(0), weight.new_empty(0)
    back = at.backward()
    if needs[0] and single and back is not None:
        grad_input = vectors.correlate(grad, weight.flatten(1).flip(1), None, back)
    elif needs[0]:
        grad_input = _input_gradient(_planes(grad), weight, at, multiplier, input)
    if needs[1] and single:
        grad_weight = vectors.products(input, grad, at).view(weight.shape).to(weight.dtype)
    elif needs[1]:
        grads, planes = _planes(grad), _planes(input)
        sums = np.empty((weight.shape[0], len(at.offsets)), planes.dtype)
        work = partial(_products, planes, at.place, at.offsets, grads, sums, at.reach, input.shape[0], multiplier)
        in_slabs(len(sums), work)
        grad_weight = torch.from_numpy(sums).view(weight.shape).to(weight.dtype)
    return grad_input, grad_weight


def _input_gradient(grads: NDArray[Any], weight: Tensor, at: Layout, multiplier: int, input: Tensor) -> Tensor:
    """Each phase of the input's gradient is a correlation of the output's with the taps of that phase, reversed."""
    images, channels = input.shape[:2]
    margin = int((at.offsets % at.phase).max())
    taps = _numbers(weight).reshape(channels, -1)
    nothing = np.zeros(channels, grads.dtype)
    place = (0, 0, 0, 1, 1, 1, *three(at.pitch, 1))
    whole = math.prod(at.stride) == 1
    # At stride 1 the one phase is the padded input, of which only the inside is computed.
    origin, sizes = (at.origin, at.sizes) if whole else (0, at.pitch)
    phases = np.zeros((math.prod(at.stride), images * channels, *three(sizes, 1)), grads.dtype)
    for phase, result in enumerate(phases):
        here = np.flatnonzero(at.offsets // at.phase == phase)
        if len(here):
            back = origin + margin - at.offsets[here] % at.phase
            offsets = np.concatenate([back + copy * (margin + at.phase) for copy in range(multiplier)])
            chosen = np.concatenate([here + copy * len(at.offsets) for copy in range(multiplier)])
            own = np.ascontiguousarray(taps[:, chosen])
            work = partial(_correlate, grads, place, margin, multiplier, offsets, own, nothing, result, 1)
            in_slabs(len(result), work)
    if whole:
        return torch.from_numpy(phases).view(input.shape).to(input.dtype)
    axes = len(at.sizes)
    split = torch.from_numpy(phases).view(*at.stride, images, channels, *at.pitch)
    order = [axes, axes + 1, *(place for axis in range(axes) for place in (axes + 2 + axis, axis))]
    padded = split.permute(order).reshape(images, channels, *(q * s for q, s in zip(at.pitch, at.stride, strict=True)))
    inside = tuple(slice(a, a + n) for a, n in zip(at.low, at.sizes, strict=True))
    return padded[:, :, *inside].to(input.dtype).contiguous()


def _in_vectors(input: Tensor, weight: Tensor) -> bool:
    """Whether sixteen planes are taken at once: there are as many, and each channel has one filter."""
    return weight.shape[0] == input.shape[1] and input.shape[0] * input.shape[1] >= LANES


def _planes(maps: Tensor) -> NDArray[Any]:
    """Maps `(N, C, *sizes)` as planes `(N * C, depth, height, width)`."""
    planes: NDArray[Any] = _numbers(maps).reshape(maps.shape[0] * maps.shape[1], *three(tuple(maps.shape[2:]), 1))
    return planes


def _numbers(tensor: Tensor) -> NDArray[Any]:
    """The tensor as an array that the kernels take: float32 or float64, contiguous."""
    wide = tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()
    array: NDArray[Any] = wide.detach().contiguous().numpy()
    return array


@kernel
def _lay(plane: Any, place: Any, buffer: Any) -> None:
    """Lay a plane flat: phase by phase of the stride, padded, zeros where there is nothing."""
    low_z, low_y, low_x, step_z, step_y, step_x, pitch_z, pitch_y, pitch_x = place
    depth, height, width = plane.shape
    buffer[:] = 0
    for z in range(depth):
        for y in range(height):
            at_z, at_y = z + low_z, y + low_y
            phase = ((at_z % step_z) * step_y + at_y % step_y) * step_x
            row = (at_z // step_z * pitch_y + at_y // step_y) * pitch_x
            if step_x == 1:
                begin = phase * pitch_z * pitch_y * pitch_x + row + low_x
                buffer[begin : begin + width] = plane[z, y]
            else:
                for x in range(width):
                    at_x = x + low_x
                    begin = (phase + at_x % step_x) * pitch_z * pitch_y * pitch_x + row
                    buffer[begin + at_x // step_x] = plane[z, y, x]


@kernel
def _correlate(
    planes: Any,
    place: Any,
    margin: int,
    copies: int,
    offsets: Any,
    taps: Any,
    start: Any,
    result: Any,
    multiplier: int,
    first: int,
    last: int,
) -> None:
    """result[p, z, y, x] = start[c] + sum over t of taps[c, t] * flat[p // multiplier, (z, y, x) + offsets[t]].

    A flat plane is made of `copies` planes, each after a margin of zeros.
    """
    count = offsets.size
    _, OD, OH, OW = result.shape
    height, width = place[7], place[8]
    length = margin + place[3] * place[4] * place[5] * place[6] * height * width
    flat = np.zeros(copies * length, planes.dtype)
    rows = min(OH, max(1, _BLOCK // width))
    sums = np.empty(max(_BLOCK, width), planes.dtype)
    for p in range(first, last):
        c = p % taps.shape[0]
        if p == first or p % multiplier == 0:
            for copy in range(copies):
                _lay(planes[p // multiplier * copies + copy], place, flat[copy * length + margin : (copy + 1) * length])
        for z in range(OD):
            for y in range(0, OH, rows):
                here = min(rows, OH - y)
                stretch = (here - 1) * width + OW
                plane = flat[(z * height + y) * width :]
                for begin in range(0, stretch, _BLOCK):
                    n = min(_BLOCK, stretch - begin)
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
    planes: Any,
    place: Any,
    offsets: Any,
    grads: Any,
    sums: Any,
    reach: int,
    images: int,
    multiplier: int,
    first: int,
    last: int,
) -> None:
    """sums[o, t] = sum over n and i of grads[n, o][i] * flat[n, o // multiplier][i + offsets[t]]."""
    count, channels = offsets.size, sums.shape[0]
    phase = place[6] * place[7] * place[8]
    flat = np.empty(place[3] * place[4] * place[5] * phase, planes.dtype)
    grad = np.empty(phase, planes.dtype)
    zero = planes.dtype.type(0)
    for o in range(first, last):
        sums[o] = zero
        for n in range(images):
            p = n * channels + o
            _lay(planes[p // multiplier], place, flat)
            _lay(grads[p], (0, 0, 0, 1, 1, 1, place[6], place[7], place[8]), grad)
            for begin in range(0, reach, _BLOCK):
                places = min(_BLOCK, reach - begin)
                block = flat[begin:]
                q = grad[begin : begin + places]
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
