"""What the machine code of the kernels takes, for a GPU that need not be there."""

import contextlib
import math
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from unittest import mock

import torch
import triton

from benchmarks.gpu import measure, tilings
from benchmarks.gpu.cases import Case, Kind, every_kind
from benchmarks.gpu.pretended import Launch, pretended
from striate.ops import _rooms
from striate.ops.dispatch import Route

_HEADS = {
    "kernel": 37,
    "tiling": 44,
    "programs": 8,
    "registers": 9,
    "spilled": 7,
    "shared": 7,
    "tensor cores": 12,
    "widest load": 11,
}
_PRODUCT = re.compile(r"(HGMMA|HMMA|DMMA|IMMA|UTC\w*MMA)\b")


@contextlib.contextmanager
def gpu_rooms() -> Iterator[None]:
    """Let the CPU's tensors go to the rooms for GPUs; depthwise convolution has ways of its own on the CPU."""
    kernels = Route("kernels", "as on a GPU")
    with (
        mock.patch.object(_rooms, "kind", lambda like: "gpu"),
        mock.patch("striate.ops.conv.op.choose", lambda *settings: kernels),
    ):
        yield


@contextlib.contextmanager
def fresh() -> Iterator[None]:
    """Keep what is compiled in a folder of its own: a pretended GPU's tilings are not to be taken for measured ones."""
    with tempfile.TemporaryDirectory() as folder, triton.knobs.cache.scope():
        triton.knobs.cache.dir = folder
        yield
        for kernel in tilings.kernels().values():
            if kernel._measured is not None:
                kernel._measured.cache.clear()


def launches(case: Case, kind: Kind, architecture: int = 90) -> list[Launch]:
    """What both passes of a case would launch, every tiling once, in this order."""
    tensors = [tensor.requires_grad_() for tensor in case.tensors(case.sizes, kind, "cpu")]
    with gpu_rooms(), measure.products(kind.tf32), pretended(architecture) as found:
        output = case.ours(*tensors)
        torch.autograd.grad(output, tensors, torch.ones_like(output))
    return list({launch.code: launch for launch in found}.values())


def table(cases: Sequence[Case], architecture: int) -> Iterator[str]:
    """Lines that tell what each kernel takes, case by case; spilled and shared memory in bytes."""
    yield _row(_HEADS)
    with fresh():
        for case, kind in every_kind(cases):
            yield f"{case.name}, {kind}, sm_{architecture}"
            for launch in launches(case, kind, architecture):
                yield _row(_cells(launch))


def _row(cells: Iterable[str]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, _HEADS.values(), strict=True)).rstrip()


def _cells(launch: Launch) -> list[str]:
    given = launch.tiling.items()
    blocks = [f"{name.removeprefix('BLOCK_')} {size}" for name, size in given if name.startswith("BLOCK")]
    parts = *blocks, f"{launch.tiling['num_warps']} warps", f"{launch.tiling['num_stages']} stages"
    numbers = math.prod(launch.programs), launch.usage["REG"], launch.usage["STACK"], launch.shared
    return [
        launch.kernel, ", ".join(parts), *map(str, numbers), product(launch) or "-", f"{widest(launch)} bytes"
    ]  # fmt: skip


def product(launch: Launch) -> str | None:
    """The instruction by which tensor cores multiply, None where they do not."""
    return next((found[1] for name in launch.instructions if (found := _PRODUCT.match(name))), None)


def widest(launch: Launch) -> int:
    """The most bytes that one thread reads at once from the device's memory, 0 where it reads nothing."""
    return max(map(_bytes_read, launch.instructions), default=0)


def _bytes_read(instruction: str) -> int:
    name, *parts = instruction.split(".")
    if name not in ("LDG", "LDGSTS"):
        return 0
    sizes = {"256": 32, "128": 16, "64": 8, "U16": 2, "S16": 2, "U8": 1, "S8": 1}
    return next((sizes[part] for part in parts if part in sizes), 4)
