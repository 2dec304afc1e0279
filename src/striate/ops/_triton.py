"""Triton, as every GPU kernel has it: whether it compiles or interprets, tilings, and products in the right precision.

Where `TRITON_INTERPRET=1` is set, Triton runs kernels on the CPU, number by number. It computes garbage in bfloat16
there, in silence: a kernel says `widened` right after each load.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

try:
    import triton
    import triton.language as tl
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "the kernels for GPUs need Triton, which comes with PyTorch's builds for CUDA on Linux: pip install triton"
    ) from error

__all__ = [
    "INTERPRETED",
    "divided",
    "index_type",
    "jit",
    "launched",
    "number_type",
    "product_precision",
    "product_type",
    "tl",
    "tuned",
    "widened",
]

INTERPRETED = bool(triton.knobs.runtime.interpret)

jit: Callable[[Callable[..., Any]], Any] = triton.jit
_WIDE = tl.constexpr(INTERPRETED)


@jit
def widened(values):
    """Loaded numbers, as float32 where Triton interprets and they are narrower."""
    if _WIDE and values.dtype.primitive_bitwidth == 16:
        return values.to(tl.float32)
    return values


class _Tuned:
    """A kernel that is launched with the fastest of its tilings, or with the first where nothing may be measured."""

    def __init__(self, kernel: Any, first: dict[str, int], measured: Any) -> None:
        self._kernel, self._first, self._measured = kernel, first, measured

    def __getitem__(self, grid: Callable[[dict[str, Any]], tuple[int, ...]]) -> Callable[..., None]:
        # Another tiling adds up in another order.
        if self._measured is not None and not torch.are_deterministic_algorithms_enabled():
            launch: Callable[..., None] = self._measured[grid]
            return launch
        return lambda **arguments: self._kernel[grid(arguments | self._first)](**arguments, **self._first)


def tuned(
    tiles: Sequence[dict[str, int]], key: Sequence[str], small: dict[str, int], zero: Sequence[str] = ()
) -> Callable[[Any], Any]:
    """Let a kernel be launched with the fastest of a few tilings, measured once for each key and kept on the disk.

    Under `torch.use_deterministic_algorithms` it is always the first.

    Args:
        tiles: values of the kernel's `BLOCK_*`, of `num_warps` and `num_stages`; a handful.
        key: the kernel's arguments with whose values the best tiling changes; not a size that changes from call to
            call.
        small: the tiles where Triton interprets.
        zero: arguments that the kernel adds to.

    Returns:
        A decorator of a kernel made by `jit`. The launcher's grid is a function of all arguments by name.
    """
    options = ("num_warps", "num_stages")

    def tune(kernel: Any) -> Any:
        if INTERPRETED:
            return _Tuned(kernel, small, None)
        configs = [
            triton.Config(
                {name: size for name, size in each.items() if name not in options},
                **{name: each[name] for name in options if name in each},
            )
            for each in tiles
        ]
        measured = triton.autotune(configs, list(key), reset_to_zero=list(zero) or None, cache_results=True)(kernel)
        return _Tuned(kernel, tiles[0], measured)

    return tune


def launched(kernel: Any, grid: Callable[[dict[str, Any]], tuple[int, ...]], like: Tensor, **arguments: Any) -> None:
    """Run a kernel on the device of a tensor, unless it has no programs."""
    if like.device.type == "cuda":
        with torch.cuda.device(like.device):
            kernel[grid](**arguments)
    else:
        kernel[grid](**arguments)


def divided(size: int, tile: int) -> int:
    """How many tiles a size takes."""
    return -(-size // tile)


def index_type(*tensors: Tensor | None) -> Any:
    """The type of indices into these tensors: 32 bits where that is enough for a tile beyond the last place, too."""
    largest = max(
        (
            sum(abs(step) * (n - 1) for n, step in zip(t.shape, t.stride(), strict=True))
            for t in tensors
            if t is not None
        ),
        default=0,
    )
    return tl.int32 if largest < 2**31 - 2**24 else tl.int64


def number_type(dtype: torch.dtype) -> Any:
    """The type of coordinates and sums for values of a dtype."""
    return tl.float64 if dtype == torch.float64 else tl.float32


def product_type(dtype: torch.dtype) -> Any:
    """The type in which a tile of values goes into a product of matrices."""
    if INTERPRETED and dtype in (torch.bfloat16, torch.float16):
        return tl.float32
    return {torch.float64: tl.float64, torch.float32: tl.float32, torch.float16: tl.float16}.get(dtype, tl.bfloat16)


def product_precision() -> str:
    """How products of float32 are computed: exactly, unless the user allows PyTorch's products to use tf32."""
    return "tf32" if torch.backends.cuda.matmul.fp32_precision == "tf32" else "ieee"
