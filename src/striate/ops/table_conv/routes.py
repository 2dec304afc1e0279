"""The ways to compute a convolution along the links of a table, and the choice among them."""

from collections.abc import Callable
from functools import lru_cache
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode

from striate.ops._door import in_transform
from striate.ops.dispatch import Route
from striate.ops.table_conv.parts import Parts, Places
from striate.ops.table_conv.tables import check_links

Convolution = Callable[[Tensor, Tensor, Tensor | None, int], Tensor]
"""Of input, weight, bias and groups."""

# How many times as long as in the whole convolution a product takes in a group: of whole blocks of maps, of half ones
# or several, of few maps (divided by their number), of one source (times the maps), where the depthwise kernels help.
_BLOCK = 8
_WHOLE, _HALF, _FEW, _ONE_SOURCE = 1.5, 6.0, 48.0, 8.0
# A convolution by itself costs as if it had so many sources more, and at least so many maps; it must cost less by this.
_MORE_SOURCES, _LEAST_MAPS, _LESS = 16, 16, 0.6


def choose(name: str, table: Tensor, inputs: int, outputs: int) -> tuple[Route, Parts | None]:
    """The fastest way, by what was measured, and the parts that it computes.

    Raises:
        ValueError: if the table's numbers are at hand, and link a map that there is not.
    """
    if not _at_hand(table):
        return Route("dense", "compiled code, transforms of the table and GPUs do not read its numbers first"), None
    route, parts = _planned(name, _numbers(table), inputs, outputs)
    return Route(route, _REASONS[route]), parts


_REASONS = {
    "dense": "one convolution with zeros where there is no link costs least",
    "groups": "maps with the same sources are the groups of a convolution that costs less than one with zeros",
    "parts": "maps with the same sources are convolutions that cost less than one with zeros",
}


def _at_hand(table: Tensor) -> bool:
    """Whether the numbers can be read without waiting."""
    if torch.compiler.is_compiling() or table.device.type != "cpu":
        return False
    if type(table).__torch_dispatch__ is not Tensor.__torch_dispatch__:
        # Such as PyTorch's fake tensors, which have no numbers.
        return False
    return not torch._C._functorch.is_functorch_wrapped_tensor(table)


def _numbers(table: Tensor) -> bytes:
    """The numbers of the table, one after the other."""
    # What is stored, not what a subclass would say.
    with torch._C.DisableTorchFunctionSubclass():
        if in_transform() or _get_current_dispatch_mode() is not None:
            # There `numpy` fails, or reads from elsewhere.
            return np.array(table.tolist(), dtype=np.int64).tobytes()
        return table.numpy().tobytes()


@lru_cache(maxsize=128)
def _planned(name: str, numbers: bytes, inputs: int, outputs: int) -> tuple[str, Parts | None]:
    """The name of the fastest way, and its parts; the numbers of the table are what is remembered, not the tensor.

    Raises:
        ValueError: if the table links a map that there is not.
    """
    links: list[list[int]] = np.frombuffer(numbers, dtype=np.int64).reshape(-1, 2).tolist()
    check_links(name, links, inputs, outputs)
    parts = Parts.of(links, outputs)
    sizes = [(len(sources), maps) for sources, maps in zip(parts.sources, parts.sizes, strict=True)]
    if len(set(sizes)) == 1 and _slowness(*sizes[0]) * sizes[0][0] < inputs:
        return "groups", parts
    cost = sum((sources + _MORE_SOURCES) * max(maps, _LEAST_MAPS) for sources, maps in sizes)
    return ("parts", parts) if cost < _LESS * inputs * outputs else ("dense", None)


def _slowness(sources: int, maps: int) -> float:
    """How many times as long as in the whole convolution a product takes in a group."""
    if maps % _BLOCK == 0:
        return _WHOLE
    among_few = _HALF if maps > _BLOCK or 2 * maps == _BLOCK else _FEW / maps
    return min(among_few, _ONE_SOURCE * maps) if sources == 1 else among_few


def dense(
    convolution: Convolution, input: Tensor, weight: Tensor, table: Tensor, outputs: int, bias: Tensor | None
) -> Tensor:
    """One convolution with zeros where there is no link."""
    zeros = weight.new_zeros(outputs, input.shape[1], *weight.shape[1:])
    whole = zeros.index_put((table[:, 1], table[:, 0]), weight, accumulate=True)
    return convolution(input, whole, bias, 1)


def by_parts(
    convolution: Convolution, input: Tensor, weight: Tensor, parts: Parts, bias: Tensor | None, *, together: bool
) -> Tensor:
    """A convolution for each part, or all of them as the groups of one."""
    most = max(map(len, parts.sources))
    zeros = weight.new_zeros(len(parts.order), most, *weight.shape[1:])
    rows = zeros.index_put((torch.from_numpy(parts.rows), torch.from_numpy(parts.columns)), weight, accumulate=True)
    if bias is not None:
        bias = _picked(bias, 0, parts.order)
    if together:
        result = convolution(_picked(input, 1, np.concatenate(parts.sources)), rows, bias, len(parts.sources))
    else:
        results = []
        for sources, end, maps in zip(parts.sources, accumulate(parts.sizes), parts.sizes, strict=True):
            own = slice(end - maps, end)
            read = _picked(input, 1, sources)
            results.append(convolution(read, rows[own, : len(sources)], None if bias is None else bias[own], 1))
        result = torch.cat(results, 1)
    return _picked(result, 1, parts.places)


def _picked(tensor: Tensor, axis: int, places: Places) -> Tensor:
    """The entries along an axis; the tensor itself where these are all of them in their order."""
    if len(places) == tensor.shape[axis] and (places[:-1] < places[1:]).all():
        return tensor
    return tensor.index_select(axis, torch.from_numpy(places))
