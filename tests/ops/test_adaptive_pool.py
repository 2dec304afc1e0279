"""Adaptive pooling: PyTorch's, the definition, the first of equal numbers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from ops import checks
from striate.ops import dispatch
from striate.ops.adaptive_pool import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    reference,
)

Function = Callable[..., Any]

AVERAGES: tuple[Function, ...] = (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)
MAXIMA: tuple[Function, ...] = (adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d)
POOLS = {"average": AVERAGES, "max": MAXIMA}
TORCH: dict[str, tuple[Function, ...]] = {
    "average": (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d),
    "max": (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d),
}
DEFINED: dict[str, Function] = {
    "average": reference.adaptive_avg_pool,
    "max": lambda input, sizes: reference.adaptive_max_pool(input, sizes)[0],
}
SIZES = (7, 5, 4)
OUTPUTS = [(3, 2, 2), (1, 1, 1), (7, 5, 4), (9, 5, 1)]


def maps(axes: int, *, batch: int = 2) -> Tensor:
    """What bfloat16 can tell, so that no precision has other winners."""
    generator = torch.Generator().manual_seed(axes)
    count = batch * 3 * torch.Size(SIZES[:axes]).numel()
    values = torch.randperm(count, generator=generator) % 251 - 125
    return values.double().view(batch, 3, *SIZES[:axes])


def pool(kind: str, axes: int, output_size: Any) -> Callable[[Tensor], Tensor]:
    return lambda input: POOLS[kind][axes - 1](input, output_size)


def test_windows_by_hand() -> None:
    series = torch.tensor([[1.0, 2.0, 4.0, 8.0, 16.0]])
    torch.testing.assert_close(adaptive_avg_pool1d(series, 2), torch.tensor([[7 / 3, 28 / 3]]))
    assert adaptive_max_pool1d(series, 3).tolist() == [[2, 8, 16]]
    assert adaptive_max_pool1d(series[:, :2], 3).tolist() == [[1, 2, 2]]


@pytest.mark.parametrize("outputs", OUTPUTS, ids=str)
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("kind", POOLS)
def test_equals_its_definition_and_pytorch(kind: str, axes: int, outputs: tuple[int, ...]) -> None:
    call = pool(kind, axes, outputs[:axes])
    checks.check_same(call, lambda input: DEFINED[kind](input, outputs[:axes]), maps(axes))
    checks.check_same(call, lambda input: TORCH[kind][axes - 1](input, outputs[:axes]), maps(axes))


@pytest.mark.parametrize("outputs", OUTPUTS, ids=str)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_indices_are_those_of_the_winners(axes: int, outputs: tuple[int, ...]) -> None:
    values, indices = MAXIMA[axes - 1](maps(axes), outputs[:axes], return_indices=True)
    assert indices.dtype == torch.int64
    assert torch.equal(maps(axes).flatten(2).gather(2, indices.flatten(2)).view_as(values), values)
    assert torch.equal(indices, reference.adaptive_max_pool(maps(axes), outputs[:axes])[1])


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_of_equal_numbers_the_first_wins(axes: int) -> None:
    (input,) = checks.leaves(torch.ones(1, 1, *SIZES[:axes]))
    for pooled in (MAXIMA[axes - 1](input, 1), reference.adaptive_max_pool(input, [1] * axes)[0]):
        (gradient,) = torch.autograd.grad(pooled.sum(), input)
        assert gradient.flatten()[0] == 1
        assert gradient.sum() == 1


@pytest.mark.parametrize("kind", POOLS)
def test_none_keeps_a_size(kind: str) -> None:
    assert pool(kind, 2, (None, 3))(maps(2)).shape == (2, 3, 7, 3)
    assert pool(kind, 1, (None,))(maps(1)).shape == (2, 3, 7)
    assert pool(kind, 3, 2)(maps(3)).shape == (2, 3, 2, 2, 2)


@pytest.mark.parametrize("kind", POOLS)
def test_no_channels(kind: str) -> None:
    """PyTorch refuses them, some only when the gradient is asked for."""
    for axes in (1, 2, 3):
        (gradient,) = checks.gradients_of(pool(kind, axes, 2), maps(axes)[:, :0])
        assert gradient.shape == (2, 0, *SIZES[:axes])


class TestHabits:
    @pytest.mark.parametrize("axes", [1, 2, 3])
    @pytest.mark.parametrize("kind", POOLS)
    def test_gradients(self, kind: str, axes: int) -> None:
        checks.check_gradients(pool(kind, axes, (3, 2, 1)[:axes]), maps(axes, batch=1)[:, :1, :4])

    @pytest.mark.parametrize("axes", [1, 2, 3])
    @pytest.mark.parametrize("kind", POOLS)
    def test_what_pytorch_asks_of_an_operator(self, kind: str, axes: int, tmp_path: Path) -> None:
        call = pool(kind, axes, (3, 2, 2)[:axes])
        checks.check_dtypes(call, maps(axes))
        checks.check_formats(call, maps(axes))
        checks.check_batches(call, maps(axes))
        checks.check_deterministic(call, maps(axes), threads=True)
        checks.check_whole(call, maps(axes))
        checks.check_onnx(call, tmp_path, maps(axes).float())
        factor = torch.randn(call(maps(axes)[:, :, :4]).shape[1:], dtype=torch.float64)
        checks.check_transforms(lambda tensor, factor: call(tensor) * factor, maps(axes)[:, :, :4], factor)

    @pytest.mark.parametrize("kind", POOLS)
    def test_compiles(self, kind: str) -> None:
        checks.check_compiles(pool(kind, 2, (3, None)), lambda size: (torch.randn(2, 3, size, size + 1),), sizes=(5, 8))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
    @pytest.mark.parametrize("kind", POOLS)
    def test_autocast_leaves_them_alone(self, kind: str, dtype: torch.dtype) -> None:
        for axes in (1, 2, 3):
            call = pool(kind, axes, 2)
            expected = call(maps(axes).to(dtype))
            with torch.autocast("cpu", torch.bfloat16):
                found = call(maps(axes).to(dtype))
            assert found.dtype == dtype
            assert torch.equal(found, expected)

    def test_concurrent(self) -> None:
        checks.check_concurrent(pool("max", 2, 3), torch.randn(4, 16, 32, 32))


@pytest.mark.parametrize("kind", POOLS)
def test_off_the_cpu_it_is_the_definition(kind: str) -> None:
    with dispatch.routes_taken() as taken:
        assert pool(kind, 2, 2)(torch.zeros(1, 2, 4, 4, device="meta")).shape == (1, 2, 2, 2)
        assert pool(kind, 2, 2)(torch.zeros(1, 2, 4, 4)).shape == (1, 2, 2, 2)
    assert [route.name for _, route in taken] == ["reference", "torch"]
    assert "on meta" in taken[0][1].reason


class Averages(Dataset[Tensor]):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Tensor:
        return adaptive_avg_pool2d(maps(2) + index, 2)


def test_a_worker_of_a_loader_can_call_it() -> None:
    for index, found in enumerate(DataLoader(Averages(), batch_size=None, num_workers=1, timeout=60)):
        assert torch.equal(found, adaptive_avg_pool2d(maps(2) + index, 2))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"input": torch.zeros(9, 9)}, ValueError, r"pool2d: input must be \(N, C, H, W\) or \(C, H, W\)"),
        ({"input": torch.zeros(1, 9, 9, dtype=torch.int64)}, TypeError, "floating-point numbers, got torch.int64"),
        ({"input": torch.zeros(1, 0, 9)}, ValueError, r"must not be empty along an axis, got \(1, 0, 9\)"),
        ({"output_size": 0}, ValueError, "pool2d: output_size must be an integer of at least 1, got 0"),
        ({"output_size": (2, -1)}, ValueError, "output_size must be an integer of at least 1, got -1"),
        ({"output_size": 2.0}, TypeError, "output_size must be an integer of at least 1, got 2.0"),
        (
            {"output_size": (2, 2, 2)},
            ValueError,
            r"output_size must be one number or one an axis \(2\), got \(2, 2, 2\)",
        ),
    ],
)
@pytest.mark.parametrize("kind", POOLS)
def test_errors(kind: str, change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        POOLS[kind][1](**{"input": torch.zeros(1, 9, 9), "output_size": 3, **change})
