"""Triton, as every GPU kernel has it: whether it compiles or interprets, tilings, and products in the right precision.

Where `TRITON_INTERPRET=1` is set, Triton runs kernels on the CPU, number by number. It computes garbage in bfloat16
there, in silence: a kernel says `widened` right after each load.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
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
# The most tilings that are measured for a key: compiling one takes a second.
_MEASURED = 4


@jit
def widened(values):
    """Loaded numbers, as float32 where Triton interprets and they are narrower."""
    if _WIDE and values.dtype.primitive_bitwidth == 16:
        return values.to(tl.float32)
    return values


class _Tuned:
    """A kernel that is launched with the fastest tiling of those that suit it, or the first where none is measured."""

    def __init__(self, kernel: Any, suited: Callable[[dict[str, Any]], list[dict[str, int]]], measured: Any) -> None:
        self._kernel, self._suited, self._measured = kernel, suited, measured

    def __getitem__(self, grid: Callable[[dict[str, Any]], tuple[int, ...]]) -> Callable[..., None]:
        # Another tiling adds up in another order.
        if self._measured is not None and not torch.are_deterministic_algorithms_enabled():
            measured: Callable[..., None] = self._measured[grid]
            return measured

        def launch(**arguments: Any) -> None:
            tiling = self._suited(arguments)[0]
            self._kernel[grid(arguments | tiling)](**arguments, **tiling)

        return launch


def tuned(
    tiles: Sequence[dict[str, int]],
    key: Sequence[str],
    small: dict[str, int],
    exact: Sequence[dict[str, int]] = (),
    fits: Mapping[str, str] = MappingProxyType({}),
    zero: Sequence[str] = (),
) -> Callable[[Any], Any]:
    """Let a kernel be launched with the fastest of a few tilings, measured once for each key and kept on the disk.

    Under `torch.use_deterministic_algorithms` it is always the first that suits.

    Args:
        tiles: values of the kernel's `BLOCK_*`, of `num_warps` and `num_stages`, the likely ones first, the smallest
            last. No more than four are measured.
        key: the kernel's arguments with whose values the best tiling changes; not a size that changes from call to
            call. Plain values, for the disk.
        small: the tiles where Triton interprets.
        exact: other tiles for products of matrices in float32 or float64 that no unit for matrices may round.
        fits: by `BLOCK_*` the argument that it goes through: only the smallest block may be twice as large.
        zero: arguments that the kernel adds to.

    Returns:
        A decorator of a kernel made by `jit`. The launcher's grid is a function of all arguments by name.
    """

    def suited(arguments: dict[str, Any]) -> list[dict[str, int]]:
        if INTERPRETED:
            return [small]
        whole = arguments.get("PRECISION") == "ieee" and arguments["VALUE"] in (tl.float32, tl.float64)
        own = exact if whole and exact else tiles
        most = {block: max(2 * arguments[size] - 1, min(each[block] for each in own)) for block, size in fits.items()}
        found = [each for each in own if all(each[block] <= size for block, size in most.items())]
        return (found or list(own[-1:]))[:_MEASURED]

    def tune(kernel: Any) -> Any:
        if INTERPRETED:
            return _Tuned(kernel, suited, None)
        every = [*tiles, *(each for each in exact if each not in tiles)]

        def pruned(configs: list[Any], named: dict[str, Any], **given: Any) -> list[Any]:
            wanted = suited(named | given)
            return [config for config, each in zip(configs, every, strict=True) if each in wanted]

        measured = triton.autotune(
            [_config(each) for each in every],
            list(key),
            prune_configs_by={"early_config_prune": pruned},
            reset_to_zero=list(zero) or None,
            cache_results=True,
        )
        return _Tuned(kernel, suited, measured(kernel))

    return tune


def _config(tiling: dict[str, int]) -> Any:
    blocks = {name: size for name, size in tiling.items() if name.isupper()}
    return triton.Config(blocks, **{name: number for name, number in tiling.items() if name not in blocks})


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
