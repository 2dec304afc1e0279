"""Deformable convolution on the CPU: the samples of a tile of output pixels, multiplied by the weight at once."""

import math
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from striate.ops._compile import kernel
from striate.ops._sampling.gradients import backward as through_samples
from striate.ops._sampling.gradients import block, cuts
from striate.ops._sampling.samples import Array, Grid, Samples, empty_maps, rows
from striate.ops._threads import run_slabs

# Numbers of all partial gradients of the weight together.
_PARTIAL = 1 << 20


def forward(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    stride: list[int],
    low: list[int],
    dilation: list[int],
) -> Tensor:
    """Deformable convolution of `(N, C, *sizes)` with `(out, C / groups, *kernel)`, in the input's memory format."""
    samples = Samples(input, offset, mask, _grid(input, offset, weight, stride, low, dilation))
    result = empty_maps(input, input.shape[0], weight.shape[0], *offset.shape[2:])
    places = rows(result)
    layer = _layer(weight, samples, [(0, input.shape[1])])
    whole = layer.blocks[0]
    work = [(image, *tile) for image in range(samples.images) for tile in samples.tiles(whole.columns)]
    start = None if bias is None else bias.detach().to(samples.dtype)

    def tile(number: int) -> None:
        image, begin, end = work[number]
        columns = samples.room("columns", (end - begin) * whole.columns)
        samples.gather(image, begin, end, whole.segments, columns)
        layer.outputs(columns, start, places[image, begin:end])

    run_slabs(tile, len(work))
    return result


def backward(
    grad: Tensor,
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    mask: Tensor | None,
    stride: list[int],
    low: list[int],
    dilation: list[int],
    needs: list[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of input, offset, weight and mask; an empty tensor for one that is not needed."""
    samples = Samples(input, offset, mask, _grid(input, offset, weight, stride, low, dilation))
    together = 1 if weight.shape[1] in (1, input.shape[1]) else weight.shape[1]
    layer = _layer(weight, samples, cuts(samples.images, samples.channels, together))
    layer.receive(rows(grad), max(1, min(samples.images, 8, _PARTIAL // max(weight.numel(), 1))))
    pictures, offsets, masks = through_samples(
        samples, layer.blocks, layer.chains, layer, input=needs[0], moves=needs[1] or needs[3], weight=needs[2]
    )
    grad_input, grad_weight = input.new_empty(0), weight.new_empty(0)
    if needs[0]:
        grad_input = empty_maps(input, *input.shape)
        rows(grad_input).copy_(pictures)
    if needs[2]:
        grad_weight = layer.weight_gradient().to(weight.dtype)
    grad_offset = offsets.view(offset.shape).to(offset.dtype) if needs[1] else offset.new_empty(0)
    if mask is None or not needs[3]:
        return grad_input, grad_offset, grad_weight, offset.new_empty(0)
    return grad_input, grad_offset, grad_weight, masks.view(mask.shape).to(mask.dtype)


def _grid(
    input: Tensor, offset: Tensor, weight: Tensor, stride: list[int], low: list[int], dilation: list[int]
) -> Grid:
    taps = np.array(list(product(*map(range, weight.shape[2:]))), dtype=np.int64)
    return Grid(input.shape[2:], offset.shape[2:], stride, taps * dilation - np.array(low))


class _Products:
    """Columns `(pixels, groups, taps * channels)`, multiplied by the weight, group by group."""

    def __init__(self, weight: Tensor, samples: Samples, cuts: list[tuple[int, int]]) -> None:
        self.shape = weight.shape
        self.groups = samples.channels // weight.shape[1]
        out, group = weight.shape[0] // self.groups, weight.shape[1]
        taps = weight.detach().to(samples.dtype).reshape(self.groups, out, group, samples.taps).permute(0, 3, 2, 1)
        self.blocks, self.matrices = [], []
        for first, last in cuts:
            held, width = (1, last - first) if self.groups == 1 else ((last - first) // group, group)
            part = taps[:, :, first:last] if self.groups == 1 else taps[first // group : last // group]
            self.matrices.append(part.reshape(held, samples.taps * width, out))
            together = samples.channels // samples.offset_groups
            self.blocks.append(block(first, last, together=together, group=width, taps=samples.taps))

    def _columns(self, block: int, columns: Array) -> Tensor:
        """The flat columns of a tile as one matrix a group."""
        held, each, _ = self.matrices[block].shape
        return torch.from_numpy(columns).view(-1, held, each).transpose(0, 1)

    def outputs(self, columns: Array, bias: Tensor | None, result: Tensor) -> None:
        """Write the outputs of a tile `(pixels, out)`."""
        matrices, columns_by_group = self.matrices[0], self._columns(0, columns)
        if self.groups == 1 and result.dtype == matrices.dtype:
            if bias is None:
                torch.mm(columns_by_group[0], matrices[0], out=result)
            else:
                torch.addmm(bias, columns_by_group[0], matrices[0], out=result)
            return
        outputs = torch.bmm(columns_by_group, matrices).transpose(0, 1).flatten(1)
        result.copy_(outputs if bias is None else outputs.add_(bias))

    def receive(self, grad: Tensor, chains: int) -> None:
        """Take the gradient of the output `(N, pixels, out)`."""
        self.chains, self._grad = chains, grad.detach()
        self._sums = [
            matrices.new_zeros(chains, held, out, columns)
            for matrices in self.matrices
            for held, columns, out in [matrices.shape]
        ]

    def _grads(self, block: int, image: int, begin: int, end: int) -> Tensor:
        """The gradients of a tile's outputs `(groups, pixels, out)`."""
        matrices = self.matrices[block]
        held, _, out = matrices.shape
        first = 0 if self.groups == 1 else self.blocks[block].first // self.shape[1] * out
        tile = self._grad[image, begin:end, first : first + held * out].to(matrices.dtype)
        return tile.reshape(-1, held, out).transpose(0, 1)

    def grad_columns(self, block: int, image: int, begin: int, end: int, grad_columns: Array) -> None:
        """Write the gradients of a tile's columns."""
        grads, target = self._grads(block, image, begin, end), self._columns(block, grad_columns)
        transposed = self.matrices[block].transpose(1, 2)
        if len(target) == 1:
            torch.mm(grads[0], transposed[0], out=target[0])
        else:
            target.copy_(torch.bmm(grads, transposed))

    def grad_weight(self, chain: int, block: int, image: int, begin: int, end: int, columns: Array) -> None:
        """Add a tile to the weight's gradient; each chain has its own."""
        grads = self._grads(block, image, begin, end).transpose(1, 2)
        sums = self._sums[block][chain]
        if len(sums) == 1:
            sums[0].addmm_(grads[0], self._columns(block, columns)[0])
        else:
            sums.baddbmm_(grads, self._columns(block, columns))

    def weight_gradient(self) -> Tensor:
        """The weight's gradient, in the weight's shape."""
        group, taps = self.shape[1], math.prod(self.shape[2:])
        parts = [sums.sum(0) for sums in self._sums]
        if self.groups == 1:
            whole = torch.cat([part[0].view(part.shape[1], taps, -1) for part in parts], dim=2)
        else:
            whole = torch.cat(parts).view(-1, taps, group)
        return whole.transpose(1, 2).reshape(self.shape)


class _Depthwise:
    """Columns `(pixels, taps, channels)`, each channel weighted and summed by its own filters."""

    def __init__(self, weight: Tensor, samples: Samples, cuts: list[tuple[int, int]]) -> None:
        self.shape, self.taps = weight.shape, samples.taps
        filters = weight.detach().to(samples.dtype).reshape(samples.channels, -1, samples.taps).permute(2, 1, 0)
        self.blocks, self.filters = [], []
        for first, last in cuts:
            together = samples.channels // samples.offset_groups
            self.blocks.append(block(first, last, together=together, group=last - first, taps=samples.taps))
            self.filters.append(filters[..., first:last].contiguous().numpy())

    def outputs(self, columns: Array, bias: Tensor | None, result: Tensor) -> None:
        """Write the outputs of a tile `(pixels, out)`."""
        filters = self.filters[0]
        taps, multiplier, width = filters.shape
        outputs = np.empty((len(result), multiplier, width), filters.dtype)
        _weigh(columns.reshape(len(result), taps, width), filters, outputs)
        whole = torch.from_numpy(outputs).transpose(1, 2).flatten(1)
        result.copy_(whole if bias is None else whole.add_(bias))

    def receive(self, grad: Tensor, chains: int) -> None:
        """Take the gradient of the output `(N, pixels, out)`."""
        self.chains, self._grad = chains, grad.detach()
        self._sums = [np.zeros((chains, *filters.shape), filters.dtype) for filters in self.filters]

    def _grads(self, block: int, image: int, begin: int, end: int) -> Array:
        """The gradients of a tile's outputs `(pixels, multiplier, channels)`."""
        own, multiplier = self.blocks[block], self.filters[block].shape[1]
        tile = self._grad[image, begin:end, own.first * multiplier : own.last * multiplier]
        wide = tile.reshape(len(tile), -1, multiplier).transpose(1, 2)
        array: Array = wide.to(torch.from_numpy(self.filters[block]).dtype).contiguous().numpy()
        return array

    def grad_columns(self, block: int, image: int, begin: int, end: int, grad_columns: Array) -> None:
        """Write the gradients of a tile's columns."""
        filters = self.filters[block]
        target = grad_columns.reshape(end - begin, self.taps, filters.shape[2])
        _weigh_back(self._grads(block, image, begin, end), filters, target)

    def grad_weight(self, chain: int, block: int, image: int, begin: int, end: int, columns: Array) -> None:
        """Add a tile to the weight's gradient; each chain has its own."""
        sums = self._sums[block][chain]
        _add_products(self._grads(block, image, begin, end), columns.reshape(end - begin, self.taps, -1), sums)

    def weight_gradient(self) -> Tensor:
        """The weight's gradient, in the weight's shape."""
        whole = np.concatenate([sums.sum(0) for sums in self._sums], axis=2)
        return torch.from_numpy(whole).permute(2, 1, 0).reshape(self.shape)


def _layer(weight: Tensor, samples: Samples, cuts: list[tuple[int, int]]) -> _Products | _Depthwise:
    """Filters of one channel need no product of matrices."""
    return (_Depthwise if weight.shape[1] == 1 else _Products)(weight, samples, cuts)


@kernel
def _weigh(columns: Any, filters: Any, outputs: Any) -> None:
    """outputs[b, m, c] = sum over t of filters[t, m, c] * columns[b, t, c]."""
    T, M, C = filters.shape
    for b in range(columns.shape[0]):
        for m in range(M):
            outputs[b, m] = 0
            for t in range(T):
                for c in range(C):
                    outputs[b, m, c] += filters[t, m, c] * columns[b, t, c]


@kernel
def _weigh_back(grads: Any, filters: Any, grad_columns: Any) -> None:
    """grad_columns[b, t, c] = sum over m of filters[t, m, c] * grads[b, m, c]."""
    T, M, C = filters.shape
    for b in range(grads.shape[0]):
        for t in range(T):
            for c in range(C):
                grad_columns[b, t, c] = filters[t, 0, c] * grads[b, 0, c]
            for m in range(1, M):
                for c in range(C):
                    grad_columns[b, t, c] += filters[t, m, c] * grads[b, m, c]


@kernel
def _add_products(grads: Any, columns: Any, sums: Any) -> None:
    """sums[t, m, c] += sum over b of grads[b, m, c] * columns[b, t, c]."""
    T, M, C = sums.shape
    for b in range(grads.shape[0]):
        for t in range(T):
            for m in range(M):
                for c in range(C):
                    sums[t, m, c] += grads[b, m, c] * columns[b, t, c]
