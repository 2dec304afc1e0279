"""Spatial pyramid pooling: the bins one by one, their order, any size to a fixed length."""

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
from striate.ops.spatial_pyramid_pool import (
    reference,
    spatial_pyramid_pool1d,
    spatial_pyramid_pool2d,
    spatial_pyramid_pool3d,
)

FUNCTIONS = (spatial_pyramid_pool1d, spatial_pyramid_pool2d, spatial_pyramid_pool3d)
SIZES = (7, 5, 4)
LEVELS: list[tuple[Any, ...]] = [(1,), (3, 2, 1), (2, 8)]


def maps(axes: int, *, batch: int = 2) -> Tensor:
    """What bfloat16 can tell, so that no precision has other winners."""
    generator = torch.Generator().manual_seed(axes)
    count = batch * 3 * torch.Size(SIZES[:axes]).numel()
    values = torch.randperm(count, generator=generator) % 251 - 125
    return values.double().view(batch, 3, *SIZES[:axes])


def pool(axes: int, levels: tuple[Any, ...], reduction: Any = "max") -> Callable[[Tensor], Tensor]:
    return lambda input: FUNCTIONS[axes - 1](input, levels, reduction=reduction)


def test_order_by_hand() -> None:
    """As Caffe's: the levels as given, in them the channels, in these the bins by rows."""
    maps = torch.stack([torch.arange(4.0).view(2, 2), 10 + torch.arange(4.0).view(2, 2)])
    assert spatial_pyramid_pool2d(maps, (1, 2)).tolist() == [3, 13, 0, 1, 2, 3, 10, 11, 12, 13]
    assert spatial_pyramid_pool2d(maps, ((1, 2), 1), reduction="average").tolist() == [1, 2, 11, 12, 1.5, 11.5]


@pytest.mark.parametrize("reduction", ["max", "average"])
@pytest.mark.parametrize("levels", LEVELS, ids=str)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_equals_its_definition(axes: int, levels: tuple[int, ...], reduction: str) -> None:
    grids = [(level,) * axes for level in levels]
    definition = lambda input: reference.spatial_pyramid_pool(input, grids, reduction)  # noqa: E731
    # Equal numbers would share the gradient there.
    input = torch.randn(2, 3, *SIZES[:axes], dtype=torch.float64)
    checks.check_same(pool(axes, levels, reduction), definition, input)


def test_equals_pytorch_level_by_level() -> None:
    expected = torch.cat([F.adaptive_max_pool2d(maps(2), level).flatten(1) for level in (6, 3, 2, 1)], 1)
    assert torch.equal(spatial_pyramid_pool2d(maps(2), (6, 3, 2, 1)), expected)


def test_any_size_gives_the_same_length() -> None:
    lengths = {spatial_pyramid_pool2d(torch.zeros(1, 3, n, m), (4, 2, 1)).shape for n in (1, 2, 9) for m in (1, 7)}
    assert lengths == {(1, 3 * 21)}


def test_channels_last_gives_the_same_order() -> None:
    last = maps(2).contiguous(memory_format=torch.channels_last)
    assert torch.equal(spatial_pyramid_pool2d(last, (3, 1)), spatial_pyramid_pool2d(maps(2), (3, 1)))
    found, expected = checks.gradients_of(pool(2, (3, 1)), last), checks.gradients_of(pool(2, (3, 1)), maps(2))
    checks.assert_close(*found, *expected)


class TestHabits:
    @pytest.mark.parametrize("reduction", ["max", "average"])
    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_gradients(self, axes: int, reduction: str) -> None:
        checks.check_gradients(pool(axes, (2, 1), reduction), maps(axes, batch=1)[:, :1, :4])

    @pytest.mark.parametrize("reduction", ["max", "average"])
    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_what_pytorch_asks_of_an_operator(self, axes: int, reduction: str, tmp_path: Path) -> None:
        call = pool(axes, (2, 1), reduction)
        checks.check_dtypes(call, maps(axes))
        checks.check_batches(call, maps(axes))
        checks.check_deterministic(call, maps(axes), threads=True)
        checks.check_whole(call, maps(axes))
        checks.check_onnx(call, tmp_path, maps(axes).float())
        factor = torch.randn(call(maps(axes)[:, :, :4]).shape[1:], dtype=torch.float64)
        checks.check_transforms(lambda tensor, factor: call(tensor) * factor, maps(axes)[:, :, :4], factor)

    def test_compiles(self) -> None:
        checks.check_compiles(pool(2, (3, 1)), lambda size: (torch.randn(2, 3, size, size + 1),), sizes=(5, 8))

    def test_autocast_leaves_it_alone(self) -> None:
        with torch.autocast("cpu", torch.bfloat16):
            assert pool(2, (2, 1))(maps(2).float()).dtype == torch.float32

    def test_concurrent(self) -> None:
        checks.check_concurrent(pool(2, (3, 1)), torch.randn(4, 16, 32, 32))


def test_it_tells_the_way_of_its_levels() -> None:
    assert dispatch.explain_dispatch("spatial_pyramid_pool2d", maps(2), (2, 1)).startswith("adaptive_max_pool2d: torch")


class Pyramids(Dataset[Tensor]):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Tensor:
        return spatial_pyramid_pool2d(maps(2) + index, (2, 1))


def test_a_worker_of_a_loader_can_call_it() -> None:
    for index, found in enumerate(DataLoader(Pyramids(), batch_size=None, num_workers=1, timeout=60)):
        assert torch.equal(found, spatial_pyramid_pool2d(maps(2) + index, (2, 1)))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"input": torch.zeros(9, 9)},
            ValueError,
            r"spatial_pyramid_pool2d: input must be \(N, C, H, W\) or \(C, H, W\)",
        ),
        ({"input": torch.zeros(1, 9, 9, dtype=torch.int64)}, TypeError, "floating-point numbers, got torch.int64"),
        ({"input": torch.zeros(1, 0, 9)}, ValueError, r"must not be empty along an axis, got \(1, 0, 9\)"),
        ({"levels": ()}, ValueError, r"spatial_pyramid_pool2d: levels must be a sequence of at least one, got \(\)"),
        ({"levels": 3}, ValueError, "levels must be a sequence of at least one, got 3"),
        ({"levels": (2, 0)}, ValueError, "a level must be an integer of at least 1, got 0"),
        ({"levels": (2, 1.5)}, TypeError, "a level must be an integer of at least 1, got 1.5"),
        ({"levels": ((2, 2, 2),)}, ValueError, r"a level must be one number or one an axis \(2\), got \(2, 2, 2\)"),
        ({"reduction": "mean"}, ValueError, "reduction must be one of max, average, got 'mean'"),
    ],
)
def test_errors(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        spatial_pyramid_pool2d(**{"input": torch.zeros(1, 9, 9), "levels": (2, 1), **change})
