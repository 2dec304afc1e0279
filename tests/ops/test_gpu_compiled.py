"""Every kernel is compiled to machine code for a GPU that need not be there: Triton's interpreter takes what it cannot.

Kernels are caught where they would be launched.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="Triton is not installed")

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from striate.ops.local_contrast_norm.window import Rule

HOPPER = GPUTarget("cuda", 90, 32)
TYPES = {
    torch.float32: "*fp32",
    torch.float64: "*fp64",
    torch.bfloat16: "*bf16",
    torch.int32: "*i32",
    torch.int64: "*i64",
    torch.uint8: "*u8",
}
LAUNCHERS = (
    "conv.gpu",
    "conv.rows",
    "_unshared.gpu",
    "_pooling.gpu",
    "local_response_norm.gpu",
    "local_contrast_norm.gpu",
)


class Compiler:
    """Compiles a kernel for the arguments that it would be launched with, once for each of their types."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}

    def __call__(
        self, kernel: Any, grid: Callable[[dict[str, Any]], tuple[int, ...]], like: Tensor, **given: Any
    ) -> None:
        signature, constants = {}, {}
        for number, parameter in enumerate(kernel.params):
            value = given[parameter.name]
            if parameter.is_constexpr or value is None or (type(value) is int and value == 1):
                signature[parameter.name], constants[(number,)] = "constexpr", value
            else:
                signature[parameter.name] = TYPES[value.dtype] if isinstance(value, Tensor) else "i32"
        assert grid(given)[0] > 0
        key = f"{kernel.fn.__name__} {signature} {constants}"
        if key not in self.sizes:
            source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
            self.sizes[key] = len(triton.compile(source, target=HOPPER).asm["cubin"])


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Compiler:
    monkeypatch.setattr(triton.knobs.cache, "dir", str(tmp_path))
    caught = Compiler()
    for module in LAUNCHERS:
        monkeypatch.setattr(importlib.import_module(f"striate.ops.{module}"), "launched", caught)
    return caught


def room(name: str) -> Any:
    return importlib.import_module(f"striate.ops.{name}.gpu")


def depthwise(maps: Tensor) -> None:
    for taps, stride in ((3, 2), (7, 1)):
        weight, at = maps.new_zeros(8, 1, taps, taps), ([stride] * 2, [1, 1], [1, 1], [1, 1])
        output = room("conv").forward(maps, weight, None, *at)
        room("conv").backward(output, maps, weight, *at, [True, True])


def unshared(maps: Tensor) -> None:
    weight, at = maps.new_zeros(14, 14, 4, 8, 3, 3), ([1, 1], [0, 0], [1, 1])
    output = room("local_conv").forward(maps, weight, maps.new_zeros(4), *at)
    room("local_conv").backward(output, maps, weight, *at, [True, True])


def response_norm(maps: Tensor) -> None:
    for beta in (0.5, 0.75, 1.0, 1.3):
        settings = 2, 2, 1e-4, beta, 1.0, beta == 0.5
        room("local_response_norm").backward(room("local_response_norm").forward(maps, *settings), maps, *settings)


def contrast_norm(maps: Tensor) -> None:
    rule = Rule([7, 7], [1.7, 1.7], True, True, False, True, None)
    room("local_contrast_norm").backward(room("local_contrast_norm").forward(maps, rule), maps, rule)


def pooling(maps: Tensor) -> None:
    at, sizes, last = ([3, 3], [2, 2], [1, 1], [1, 1]), [16, 16], not maps.is_contiguous()
    averages = room("avg_pool").forward(maps, *at, [8, 8], [0, 0, 16, 16], 0, last)
    room("avg_pool").backward(averages, sizes, *at, [0, 0, 16, 16], 5, last)
    maxima, _ = room("max_pool").forward(maps, *at, [8, 8], last, torch.uint8)
    room("max_pool").backward(maxima, maxima.to(torch.uint8), sizes, *at, last)
    indices = torch.zeros(maxima.shape, dtype=torch.int64)
    room("max_unpool").backward(room("max_unpool").forward(maxima, indices, sizes, last), indices, last)
    if maps.dtype == torch.float32:
        for power in (2.0, 3.3):
            norms = room("lp_pool").forward(maps, power, *at, [8, 8])
            room("lp_pool").backward(norms, maps, norms, power, *at)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("run", "kernels"), [(depthwise, 5), (unshared, 3), (response_norm, 3), (contrast_norm, 5), (pooling, 7)]
)
def test_compiles(run: Callable[[Tensor], None], kernels: int, dtype: torch.dtype, compiler: Compiler) -> None:
    maps = torch.zeros(2, 8, 16, 16, dtype=dtype)
    run(maps.contiguous(memory_format=torch.channels_last) if dtype == torch.bfloat16 else maps)
    assert len({key.partition(" ")[0] for key in compiler.sizes}) == kernels + 2 * (
        run is pooling and dtype == torch.float32
    )
    assert all(compiler.sizes.values())


def test_a_kernel_that_reads_a_global_is_refused(compiler: Compiler) -> None:
    from striate.ops._triton import jit

    @jit
    def reads(output: Any) -> None:
        pass

    # Triton reads annotations, too, which its interpreter never looks at.
    with pytest.raises(triton.CompilationError, match="Cannot access global variable Any"):
        compiler(reads, lambda _: (1,), torch.zeros(1), output=torch.zeros(1))
