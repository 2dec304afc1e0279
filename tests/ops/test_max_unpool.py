"""Numbers put back: values, places named twice or not at all, PyTorch's, the definition, gradients."""

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
from striate.ops.avg_pool import avg_pool2d
from striate.ops.max_pool import max_pool1d, max_pool2d, max_pool3d
from striate.ops.max_unpool import max_unpool1d, max_unpool2d, max_unpool3d, reference

POOLS = (max_pool1d, max_pool2d, max_pool3d)
FUNCTIONS = (max_unpool1d, max_unpool2d, max_unpool3d)
TORCH = (F.max_unpool1d, F.max_unpool2d, F.max_unpool3d)
LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}
AXES = [(1, False), (2, False), (3, False), (2, True), (3, True)]


def pooled(
    axes: int, kernel: int, stride: int, padding: Any = 0, **more: Any
) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """Numbers, their indices, and the sizes of what was pooled."""
    shape = (more.get("batch", 2), more.get("channels", 3), *[more.get("size", 7)] * axes)
    input = torch.randn(shape, generator=torch.Generator().manual_seed(axes), dtype=torch.float64)
    if more.get("last", False):
        input = input.contiguous(memory_format=LAYOUTS[input.ndim])
    values, indices = POOLS[axes - 1](input, kernel, stride, padding, return_indices=True)
    return values, indices, tuple(input.shape[2:])


def unpool(axes: int, indices: Tensor, sizes: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    return lambda values: FUNCTIONS[axes - 1](values, indices.expand_as(values), 2, output_size=sizes)


def defined(indices: Tensor, sizes: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    return lambda values: reference.max_unpool(values, indices, sizes)


def test_numbers_by_hand() -> None:
    values, indices = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[4, 0, 4]])
    assert max_unpool1d(values, indices, 2).tolist() == [[2, 0, 0, 0, 3, 0]]
    assert max_unpool1d(values, indices, 2, output_size=(1, 5)).tolist() == [[2, 0, 0, 0, 3]]
    assert max_unpool1d(values, indices, 3, 2, 1).tolist() == [[2, 0, 0, 0, 3]]
    assert max_unpool1d(values, indices, 3, 2, "same").tolist() == [[2, 0, 0, 0, 3, 0]]


def test_the_last_number_of_a_place_stays_and_gets_the_gradient() -> None:
    indices = torch.tensor([[[1, 1, 0, 1]]])
    (values,) = checks.leaves(torch.tensor([[[1.0, 2.0, 3.0, 4.0]]]))
    found = max_unpool1d(values, indices, 1)
    assert found.tolist() == [[[3, 4, 0, 0]]]
    (gradient,) = torch.autograd.grad(found.sum(), values)
    assert gradient.tolist() == [[[0, 0, 1, 1]]]


def test_an_index_of_nothing_goes_nowhere() -> None:
    values, indices = max_pool1d(torch.ones(1, 2), 2, padding=((3, 0),), return_indices=True)
    assert indices.tolist() == [[-1, 0]]
    assert max_unpool1d(values, indices, 2, output_size=(2,)).tolist() == [[1, 0]]


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (2, 3, 0), (3, 1, 1)])
@pytest.mark.parametrize(("axes", "last"), AXES)
def test_equals_pytorch(axes: int, last: bool, kernel: int, stride: int, padding: int) -> None:
    values, indices, sizes = pooled(axes, kernel, stride, padding, last=last, channels=18)
    settings = kernel, stride, padding
    assert torch.equal(
        FUNCTIONS[axes - 1](values, indices, *settings, output_size=sizes),
        TORCH[axes - 1](values, indices, *settings, output_size=sizes),
    )
    default = TORCH[axes - 1](values, torch.zeros_like(indices), *settings).shape
    assert FUNCTIONS[axes - 1](values, torch.zeros_like(indices), *settings).shape == default
    if kernel <= stride:
        checks.check_same(
            lambda v: FUNCTIONS[axes - 1](v, indices, *settings, output_size=sizes),
            lambda v: TORCH[axes - 1](v, indices, *settings, output_size=sizes),
            values,
        )


@pytest.mark.parametrize(("axes", "last"), AXES)
@pytest.mark.parametrize("channels", [3, 18])
def test_equals_its_definition(axes: int, last: bool, channels: int) -> None:
    values, indices, sizes = pooled(axes, 3, 1, 1, last=last, channels=channels)
    many = indices.clone()
    many[torch.rand(many.shape) < 0.3] = -1
    for named in (indices, many):
        checks.check_same(unpool(axes, named, sizes), defined(named, sizes), torch.randn_like(values))


def test_slabs_meet() -> None:
    for last in (False, True):
        values, indices, sizes = pooled(2, 3, 1, 1, last=last, channels=35, size=40)
        checks.check_same(unpool(2, indices, sizes), defined(indices, sizes), torch.randn_like(values).float())


@pytest.mark.parametrize(("axes", "last"), AXES)
def test_gradients(axes: int, last: bool) -> None:
    values, indices, sizes = pooled(axes, 2, 1, 0, last=last, size=3, channels=2, batch=1)
    checks.check_gradients(unpool(axes, indices, sizes), values)


@pytest.mark.parametrize("last", [False, True])
def test_the_operator_of_pytorch(last: bool) -> None:
    values, indices, sizes = pooled(2, 2, 1, last=last)
    operators = torch.ops.striate
    torch.library.opcheck(operators.max_unpool.default, (values.requires_grad_(), indices, list(sizes), last))
    grad = operators.max_unpool(values, indices, list(sizes), last).detach().requires_grad_()
    torch.library.opcheck(operators.max_unpool_backward.default, (grad, indices, last))


@pytest.mark.parametrize("last", [False, True])
class TestHabits:
    def test_transforms(self, last: bool) -> None:
        values, indices, sizes = pooled(2, 2, 1, last=last, size=4)
        call = unpool(2, indices[:1], sizes)
        checks.check_transforms(lambda v, w: call(v * w), values, torch.tensor(1.5, dtype=torch.float64))

    def test_many_indices_at_once(self, last: bool) -> None:
        values, indices, sizes = pooled(2, 2, 1, last=last, size=4)
        found = torch.func.vmap(lambda v, i: max_unpool2d(v, i, 2, output_size=sizes))(values, indices)
        assert torch.equal(found, max_unpool2d(values, indices, 2, output_size=sizes))

    def test_compiles(self, last: bool) -> None:
        def make(size: int) -> tuple[Tensor]:
            return (pooled(2, 2, 2, last=last, size=size)[0],)

        def call(values: Tensor) -> Tensor:
            places = torch.arange(values[0, 0].numel()).view(values.shape[2:]).expand_as(values)
            return max_unpool2d(values, 2 * places, 2)

        checks.check_compiles(call, make, sizes=(6, 10))

    def test_autocast_leaves_it_alone(self, last: bool) -> None:
        values, indices, sizes = pooled(2, 2, 1, last=last)
        with torch.autocast("cpu", torch.bfloat16):
            for dtype in checks.TOLERANCE:
                assert unpool(2, indices, sizes)(values.to(dtype)).dtype == dtype

    def test_dtypes(self, last: bool) -> None:
        values, indices, sizes = pooled(2, 2, 1, last=last)
        checks.check_dtypes(unpool(2, indices, sizes), values)

    def test_formats(self, last: bool) -> None:
        values, indices, sizes = pooled(2, 2, 1, last=last)
        checks.check_formats(unpool(2, indices, sizes), values.contiguous())

    def test_batches(self, last: bool) -> None:
        values, indices, sizes = pooled(2, 2, 1, last=last)
        for single in (values[0], values[:0]):
            named = indices[0] if single.ndim == 3 else indices[:0]
            found = max_unpool2d(single, named, 2, output_size=sizes)
            whole = max_unpool2d(values, indices, 2, output_size=sizes)
            assert torch.equal(found, whole[0] if single.ndim == 3 else whole[:0])

    def test_deterministic(self, last: bool) -> None:
        values, indices, sizes = pooled(2, 3, 1, last=last, channels=20, size=40)
        checks.check_deterministic(unpool(2, indices, sizes), values, threads=True)

    def test_whole(self, last: bool) -> None:
        values, indices, sizes = pooled(2, 2, 3, last=last, channels=17)
        checks.check_whole(unpool(2, indices, sizes), values)

    def test_concurrent(self, last: bool) -> None:
        values, indices, sizes = pooled(2, 3, 1, last=last, channels=20, size=40)
        checks.check_concurrent(unpool(2, indices, sizes), values)


class _Pooled(Dataset[Tensor]):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, number: int) -> Tensor:
        input = torch.full((1, 18, 40, 40), float(number))
        values, indices = max_pool2d(input, 2, return_indices=True)
        return avg_pool2d(max_unpool2d(values, indices, 2), 2)


def test_workers_of_a_loader_can_pool() -> None:
    for workers in (0, 2):
        found = torch.cat(list(DataLoader(_Pooled(), batch_size=None, num_workers=workers)))
        assert torch.equal(found, torch.arange(4.0).view(4, 1, 1, 1).expand(4, 18, 20, 20) / 4)


def test_inductor() -> None:
    torch._dynamo.reset()
    values, indices, sizes = pooled(2, 2, 2)
    function = unpool(2, indices, sizes)
    checks.check_same(torch.compile(function, fullgraph=True), function, values)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_exports_to_onnx(axes: int, tmp_path: Path) -> None:
    def call(input: Tensor) -> Tensor:
        values, indices = POOLS[axes - 1](input, 2, 1, return_indices=True)
        return FUNCTIONS[axes - 1](values, indices, 2, output_size=input.shape)

    input, _, _ = pooled(axes, 1, 1, size=4)
    assert {"MaxPool", "ScatterElements"} <= checks.check_onnx(call, tmp_path, input.float())


def test_dispatch_is_explained() -> None:
    values, indices, _ = pooled(2, 2, 2)
    assert dispatch.explain_dispatch("max_unpool2d", values, indices, 2).startswith("max_unpool2d: kernels: of numbers")
    with dispatch.routes_taken() as taken:
        max_unpool2d(values.to("meta"), indices.to("meta"), 2)
    assert taken[0][1].reason == "there are kernels for CPU and CUDA only, and the input is on meta"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"input": torch.zeros(3, 3)}, ValueError, r"max_unpool2d: input must be \(N, C, H, W\) or \(C, H, W\)"),
        (
            {"input": torch.zeros(1, 2, 3, 3).long()},
            TypeError,
            "input must hold floating-point numbers, got torch.int64",
        ),
        ({"indices": torch.zeros(1, 2, 3, 3)}, TypeError, "indices must be int64, got torch.float32"),
        ({"indices": torch.zeros(1, 2, 3).long()}, ValueError, r"indices must have the shape of input, \(1, 2, 3, 3\)"),
        (
            {"indices": torch.zeros(1, 2, 3, 3, device="meta").long()},
            ValueError,
            "on the device of input, cpu, got meta",
        ),
        (
            {"indices": torch.full((1, 2, 3, 3), 36)},
            ValueError,
            r"from 0 to 35, places of an output of \(6, 6\), or -1",
        ),
        ({"indices": torch.full((1, 2, 3, 3), -2)}, ValueError, "or -1, got -2"),
        ({"kernel_size": 0}, ValueError, "kernel_size must be an integer of at least 1, got 0"),
        ({"stride": (1, 2, 3)}, ValueError, r"stride must be one number or one an axis \(2\)"),
        ({"padding": "full"}, ValueError, "full"),
        ({"padding": 4}, ValueError, "the transposed output is empty"),
        ({"output_size": 6}, TypeError, "output_size must be a sequence of 2 integers, got 6"),
        ({"output_size": (6,)}, ValueError, "output_size must be the 2 sizes of the output, or its shape"),
        ({"output_size": (6, 0)}, ValueError, "output_size must be an integer of at least 1, got 0"),
        ({"output_size": (6, 1.5)}, TypeError, "output_size must be an integer of at least 1, got 1.5"),
    ],
)
def test_errors(change: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments = {"input": torch.zeros(1, 2, 3, 3), "indices": torch.zeros(1, 2, 3, 3).long(), "kernel_size": 2}
    with pytest.raises(error, match=message):
        max_unpool2d(**arguments | change)


def test_a_wrong_index_is_found_in_compiled_code() -> None:
    torch._dynamo.reset()
    compiled = torch.compile(max_unpool1d, fullgraph=True, backend="aot_eager")
    with pytest.raises(ValueError, match="indices must be from 0 to 3"):
        compiled(torch.zeros(1, 2), torch.tensor([[0, 4]]), 2)
