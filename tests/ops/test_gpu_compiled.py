"""Every kernel is compiled to machine code for GPUs that need not be there, as a call on one compiles it."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

pytest.importorskip("triton", reason="Triton is not installed")

from benchmarks.gpu import machine_code
from benchmarks.gpu.cases import CASES, PLAIN, Case, Kind
from benchmarks.gpu.pretended import Launch, pretended

from gpu import operators
from gpu_interpreted import test_deformed
from striate import ops

OPS = Path(ops.__file__).parent
# Calls that launch every kernel there is.
CALLS = {
    **{name: test_deformed.CASES[name] for name in ("plain", "depthwise", "aggregate")},
    **{
        name: operators.CASES[name]
        for name in (
            "depthwise: picture",
            "depthwise: filters",
            "depthwise: large",
            "depthwise: large, dilated",
            "unshared: picture",
            "response: picture",
            "response: within",
            "contrast: whole",
            "average: picture",
            "maximum: picture",
            "norm: picture",
            "put back: picture",
        )
    },
}
ALIKE = "depthwise: filters", "depthwise: large, dilated", "response: within"
PRODUCTS = "plain", "unshared: picture", "depthwise: large"
# Cases of the benchmark whose kernels are another's.
LIKE_OTHERS = (
    "deform_conv2d v2 3×3, 8×64×112²",
    "local_conv2d 3×3, 1×32×28²",
    "depthwise 7×7 by the kernels, 32×96×56²",
)
# Bytes a thread that find no place in registers, at most. A few words find one with another version of the compiler;
# the gradients of volumes keep products for eight corners.
FEW, MORE = (
    16,
    {
        ("deform_conv3d 3×3×3, 2×32×8×28²", torch.bfloat16): 432,
        ("max_pool3d of 3, stride 2, 4×64×16×56²", torch.float32): 24,
    },
)


@pytest.fixture(scope="module", autouse=True)
def _fresh() -> Iterator[None]:
    with machine_code.fresh():
        yield


def kernels() -> set[str]:
    """The kernels that are in the source."""
    return {name for file in OPS.rglob("*.py") for name in re.findall(r"^def (_\w+_kernel)\(", file.read_text(), re.M)}


def compiled(name: str, dtype: torch.dtype, architecture: int) -> list[Launch]:
    """What both passes of a call launch."""
    call, _, tensors = CALLS[name]()
    own = [tensor.to(dtype).requires_grad_() for tensor in tensors]
    with machine_code.gpu_rooms(), pretended(architecture) as found:
        output = call(*own)
        torch.autograd.grad(output, own, torch.ones_like(output))
    return found


def first_tilings(monkeypatch: pytest.MonkeyPatch) -> None:
    for kernel in operators.tuned_kernels():
        monkeypatch.setattr(kernel, "_measured", None)


def test_every_kernel_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    first_tilings(monkeypatch)
    found = [launch for name in CALLS for launch in compiled(name, torch.bfloat16, 90)]
    assert {launch.kernel for launch in found} == kernels()
    assert all(launch.code for launch in found)


# Those in float32 are compiled below.
@pytest.mark.parametrize("name", [name for name in CALLS if name not in ALIKE])
def test_compiles_in_float64(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first_tilings(monkeypatch)
    found = compiled(name, torch.float64, 90)
    assert {launch.kernel for launch in found} <= kernels()
    assert len(found) >= 2 and all(launch.code for launch in found)


@pytest.mark.parametrize(
    ("dtype", "architecture"),
    [(torch.float16, 90), (torch.bfloat16, 100), (torch.bfloat16, 80), (torch.float16, 75), (torch.bfloat16, 75)],
    ids=str,
)
def test_products_compile_for_other_gpus(
    dtype: torch.dtype, architecture: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_tilings(monkeypatch)
    for name in PRODUCTS:
        found = [launch for launch in compiled(name, dtype, architecture) if multiplies(launch)]
        assert len(found) >= 2
        # Triton leaves the tensor cores of older ones alone, and yet computes in bfloat16 there.
        units = [machine_code.product(launch) for launch in found[:1]]
        assert all(units) == (architecture >= 80)


def multiplies(launch: Launch) -> bool:
    """Whether a kernel is one that multiplies matrices."""
    return "PRECISION" in launch.tiling and bool(launch.tiling.get("PRODUCT", True))


@pytest.mark.parametrize("kind", PLAIN, ids=str)
@pytest.mark.parametrize("case", [case for case in CASES if case.name not in LIKE_OTHERS], ids=str)
def test_code_at_the_sizes_of_the_benchmark(case: Case, kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind.dtype == torch.float32:
        # `python -m benchmarks.gpu --code` tells of the others.
        first_tilings(monkeypatch)
    # The small sizes make the same code.
    found = machine_code.launches(dataclasses.replace(case, sizes=case.small), kind)
    most = MORE.get((case.name, kind.dtype), FEW)
    assert found
    for launch in found:
        assert launch.usage["STACK"] <= most, f"{launch.kernel} with {launch.tiling}"
    for launch in {launch.kernel: launch for launch in reversed(found) if multiplies(launch)}.values():
        assert bool(machine_code.product(launch)) == (kind.dtype == torch.bfloat16), launch.kernel
        assert launch.kernel != "_deform_forward_kernel" or machine_code.widest(launch) == 16
