"""Local response normalisation: values, PyTorch, ONNX's evaluator, Caffe within channels, gradients, both formats."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx.reference
import pytest
import torch
from onnx import helper
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

import striate
from ops import checks
from ops.norm_sweep import response_norm
from striate.ops import dispatch
from striate.ops.local_response_norm import local_response_norm, reference
from striate.ops.local_response_norm.registered import _normalize, _normalize_backward

SETTINGS: list[dict[str, Any]] = [
    {"size": 5},
    {"size": 4, "alpha": 0.5, "beta": 0.5},
    {"size": 4, "alpha": 0.5, "even": "onnx", "beta": 1.0},
    {"size": 1, "alpha": 2.0, "k": 2.0, "alpha_mode": "sum"},
    {"size": 30, "alpha": 2.0, "beta": 0.6},
    {"size": 3, "alpha": 0.7, "within_channel": True},
    {"size": 6, "alpha": 0.7, "within_channel": True, "even": "onnx", "alpha_mode": "sum", "beta": 1.3},
]


def maps(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def norm(**settings: Any) -> Callable[[Tensor], Tensor]:
    return lambda input: local_response_norm(input, **settings)


def defined(**settings: Any) -> Callable[[Tensor], Tensor]:
    return lambda input: response_norm(input, **{"alpha": 1e-4, "beta": 0.75, "k": 1.0, **settings})


def test_by_hand() -> None:
    row = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1)
    found = local_response_norm(row, 3, alpha=1.0, beta=1.0, alpha_mode="sum")
    assert found.flatten().tolist() == pytest.approx([1 / 6, 2 / 15, 3 / 14])
    assert local_response_norm(row, 3, alpha=3.0, beta=1.0).equal(found)
    before = local_response_norm(row, 2, alpha=1.0, beta=1.0, alpha_mode="sum")
    assert before.flatten().tolist() == pytest.approx([1 / 2, 2 / 6, 3 / 14])
    behind = local_response_norm(row, 2, alpha=1.0, beta=1.0, alpha_mode="sum", even="onnx")
    assert behind.flatten().tolist() == pytest.approx([1 / 6, 2 / 14, 3 / 10])
    within = local_response_norm(row.view(1, 1, 3), 3, alpha=3.0, beta=1.0, within_channel=True)
    assert within.flatten().tolist() == pytest.approx([1 / 6, 2 / 15, 3 / 14])


@pytest.mark.parametrize("size", [1, 2, 5, 8, 100])
@pytest.mark.parametrize("shape", [(2, 7, 9), (2, 7, 4, 5), (2, 7, 3, 4, 2), (3, 70, 5, 5)], ids=str)
def test_equals_pytorch(shape: tuple[int, ...], size: int) -> None:
    settings = {"size": size, "alpha": 0.5, "beta": 0.75, "k": 2.0}
    checks.check_same(norm(**settings), lambda input: F.local_response_norm(input, **settings), maps(*shape))


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_equals_onnx(size: int) -> None:
    info = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ("x", "y")]
    node = helper.make_node("LRN", ["x"], ["y"], size=size, alpha=0.5, beta=0.6, bias=2.0)
    model = helper.make_model(helper.make_graph([node], "LRN", info[:1], info[1:]))
    # Its loop over the channels runs over the batch.
    input = maps(6, 6, 3, 4).float()
    (expected,) = onnx.reference.ReferenceEvaluator(model).run(None, {"x": input.numpy()})
    checks.assert_close(local_response_norm(input, size, 0.5, 0.6, 2.0, even="onnx"), torch.from_numpy(expected))


@pytest.mark.parametrize("size", [1, 3, 5])
def test_equals_caffe_within_a_channel(size: int) -> None:
    """Its average pooling counts the padding: the divisor is the size squared at the borders, too."""

    def caffe(input: Tensor) -> Tensor:
        pooled = F.avg_pool2d(input.square(), size, 1, (size - 1) // 2, count_include_pad=True)
        return input * (1 + 0.5 * pooled) ** -0.75

    found = lambda input: local_response_norm(input, size, 0.5, within_channel=True)  # noqa: E731
    checks.check_same(found, caffe, maps(2, 3, 6, 5))


def test_alexnet_and_pytorch_say_alpha_differently() -> None:
    input = maps(1, 20, 4, 4) * 100
    paper = local_response_norm(input, 5, 1e-4, 0.75, 2.0, alpha_mode="sum")
    checks.assert_close(paper, F.local_response_norm(input, 5, 5e-4, 0.75, 2.0))


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("shape", [(2, 5, 6), (2, 20, 4, 5), (1, 3, 2, 3, 4), (2, 9, 70, 60)], ids=str)
def test_equals_its_definition(shape: tuple[int, ...], settings: dict[str, Any]) -> None:
    input = maps(*shape)
    checks.check_same(norm(**settings), defined(**settings), input)
    if len(shape) > 3:
        layout = torch.channels_last if len(shape) == 4 else torch.channels_last_3d
        checks.check_same(norm(**settings), defined(**settings), input.contiguous(memory_format=layout))


def test_channels_without_places() -> None:
    settings: dict[str, Any] = {"size": 3, "alpha": 0.5}
    checks.check_same(norm(**settings), defined(**settings), maps(4, 6))
    checks.check_same(norm(**settings), defined(**settings), maps(2, 6, 1, 1))


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 0, 4), (2, 3, 0, 4), (0, 3)], ids=str)
def test_empty(shape: tuple[int, ...]) -> None:
    (input,) = checks.leaves(torch.zeros(shape))
    output = local_response_norm(input, 5)
    assert output.shape == shape
    assert torch.autograd.grad(output.sum(), input)[0].shape == shape


def test_infinity_and_nan_go_no_further_than_their_neighbours() -> None:
    for lost, beside in ((float("inf"), 0.0), (float("nan"), float("nan"))):
        row = torch.ones(1, 40, 17)
        row[:, 20, 3] = lost
        for last in (row, row.movedim(1, -1).contiguous().movedim(-1, 1)):
            found = local_response_norm(last, 5, alpha=1.0, beta=0.5)
            assert found[0, 20, 3].isnan()
            near = found[0, [18, 19, 21, 22], 3]
            assert (near == beside).all() if beside == 0 else near.isnan().all()
            assert found.isfinite().sum() == found.numel() - (1 if beside == 0 else 5)


def test_zeros_without_k() -> None:
    row = torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1)
    found = local_response_norm(row, 1, alpha=1.0, k=0.0).flatten()
    assert found[:2].isnan().all() and found[2] == 1


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_gradients(settings: dict[str, Any]) -> None:
    checks.check_gradients(norm(**settings), maps(1, 4, 2, 2))


def test_third_order() -> None:
    (input,) = checks.leaves(maps(1, 4, 3))

    def third(function: Callable[[Tensor], Tensor]) -> Tensor:
        (first,) = torch.autograd.grad(function(input).pow(3).sum(), input, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), input, create_graph=True)
        return torch.autograd.grad(second.square().sum(), input)[0]

    settings: dict[str, Any] = {"size": 3, "alpha": 0.5}
    checks.assert_close(third(norm(**settings)), third(defined(**settings)))


def test_what_pytorch_asks_of_a_custom_operator() -> None:
    settings = 1, 2, 0.5, 0.75, 1.0, False
    for input in (maps(2, 4, 3), maps(2, 4, 3, 5).contiguous(memory_format=torch.channels_last)):
        torch.library.opcheck(_normalize, (*checks.leaves(input), *settings))
        torch.library.opcheck(_normalize_backward, (*checks.leaves(input, input), *settings))


@pytest.mark.parametrize("settings", [SETTINGS[1], SETTINGS[5]], ids=str)
class TestHabits:
    def test_transforms(self, settings: dict[str, Any]) -> None:
        call = norm(**settings)
        checks.check_transforms(lambda input, gain: gain * call(input), maps(2, 3, 4), maps(3, 4))

    def test_compiles(self, settings: dict[str, Any]) -> None:
        checks.check_compiles(norm(**settings), lambda size: (maps(2, 3, size, size + 1),), sizes=(5, 8))

    def test_dtypes(self, settings: dict[str, Any]) -> None:
        checks.check_dtypes(norm(**settings), maps(2, 6, 5, 4))

    @pytest.mark.parametrize("shape", [(2, 6, 7), (2, 6, 5, 4), (2, 6, 3, 4, 2)], ids=str)
    def test_formats(self, settings: dict[str, Any], shape: tuple[int, ...]) -> None:
        checks.check_formats(norm(**settings), maps(*shape))

    def test_deterministic(self, settings: dict[str, Any]) -> None:
        checks.check_deterministic(norm(**settings), maps(3, 40, 30, 31).float(), threads=True)

    def test_written(self, settings: dict[str, Any]) -> None:
        checks.check_written(norm(**settings), defined(**settings), maps(2, 20, 11, 9).float())

    def test_whole(self, settings: dict[str, Any]) -> None:
        checks.check_whole(norm(**settings), maps(2, 20, 11, 9))

    def test_concurrent(self, settings: dict[str, Any]) -> None:
        checks.check_concurrent(norm(**settings), maps(2, 20, 20, 20))


def test_inductor() -> None:
    torch._dynamo.reset()
    function = norm(size=5, alpha=0.5)
    checks.check_same(torch.compile(function, fullgraph=True), function, maps(2, 6, 5, 4))


@pytest.mark.parametrize(
    ("settings", "shape", "node"),
    [
        ({"size": 5, "alpha": 0.5}, (2, 6, 4, 5), True),
        ({"size": 3, "alpha": 0.5, "alpha_mode": "sum", "k": 2.0}, (2, 6, 7), True),
        ({"size": 3, "alpha": 0.5, "beta": 0.6}, (2, 6, 3, 4, 2), True),
        ({"size": 4, "alpha": 0.5}, (2, 6, 4, 5), False),
        ({"size": 4, "alpha": 0.5, "even": "onnx"}, (2, 6, 3, 4, 2), False),
        ({"size": 3, "alpha": 0.5, "within_channel": True}, (2, 6, 4, 5), False),
    ],
    ids=str,
)
def test_exports_to_onnx(settings: dict[str, Any], shape: tuple[int, ...], node: bool, tmp_path: Path) -> None:
    operators = checks.check_onnx(norm(**settings), tmp_path, maps(*shape).float())
    assert ("LRN" in operators) == node


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_autocast_normalises_in_float32_as_pytorch_does(dtype: torch.dtype) -> None:
    input = maps(2, 6, 4, 5).to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = local_response_norm(input, 5, 0.5), F.local_response_norm(input, 5, 0.5)
    assert found.dtype == expected.dtype
    checks.assert_close(found, defined(size=5, alpha=0.5)(input.double()), torch.float32)


def test_views_that_are_not_contiguous() -> None:
    picture = maps(2, 6, 8, 8)
    for view in (picture[:, ::2], picture[:, :, 1:7, ::2], picture.transpose(2, 3), picture[:1].expand(3, 6, 8, 8)):
        checks.check_same(norm(size=3, alpha=0.5), defined(size=3, alpha=0.5), view)


def test_dispatch_is_explained() -> None:
    said = dispatch.explain_dispatch("local_response_norm", torch.zeros(1, 3, 4, 4), 5)
    assert said.startswith("local_response_norm: kernels: PyTorch writes the squares")
    assert striate.local_response_norm is local_response_norm


def test_other_devices_run_the_definition() -> None:
    meta = torch.zeros(2, 3, 4, device="meta")
    with dispatch.routes_taken() as taken:
        assert local_response_norm(meta, 3).shape == (2, 3, 4)
    assert taken[0][1].name == "reference"
    assert "kernels for CPU and CUDA only, and the input is on meta" in taken[0][1].reason
    input = maps(2, 5, 4)
    checks.assert_close(
        reference.local_response_norm(input, 1, 1, 0.5, 0.75, 1.0, False), norm(size=3, alpha=1.5)(input)
    )


class Normalized(Dataset[Tensor]):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Tensor:
        return local_response_norm(torch.full((2, 8, 20, 20), float(index)), 5, 0.5)


def test_a_worker_of_a_data_loader_can_call_it() -> None:
    for index, found in enumerate(DataLoader(Normalized(), batch_size=None, num_workers=1, timeout=60)):
        checks.assert_close(found, response_norm(torch.full((2, 8, 20, 20), float(index)).double(), 5, 0.5, 0.75, 1.0))


def test_large_numbers_of_neighbours_are_added_without_taking_away() -> None:
    """A running sum would keep the rounding of a number that has left the window."""
    row = np.ones((1, 1000, 2))
    row[0, 10] = 1e9
    input = torch.from_numpy(row)
    tail = norm(size=9, alpha=9.0)(input)[0, 100:900]
    checks.assert_close(tail, torch.full_like(tail, 10**-0.75))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"input": torch.zeros(4)}, ValueError, r"local_response_norm: input must be \(N, C, \*sizes\) .* got \(4,\)"),
        ({"input": torch.zeros([1] * 6)}, ValueError, "with at most three sizes, got"),
        ({"input": torch.zeros(2, 3), "within_channel": True}, ValueError, r"one to three sizes, got \(2, 3\)"),
        ({"input": torch.zeros(1, 3, 4, dtype=torch.int64)}, TypeError, "floating-point numbers, got torch.int64"),
        ({"size": 0}, ValueError, "local_response_norm: size must be an integer of at least 1, got 0"),
        ({"size": 2.0}, TypeError, "size must be an integer of at least 1, got 2.0"),
        ({"size": (3, 3)}, TypeError, r"size must be an integer of at least 1, got \(3, 3\)"),
        ({"alpha": -1.0}, ValueError, "alpha must be a finite number of at least 0.0, got -1.0"),
        ({"alpha": "mean"}, TypeError, "alpha must be a finite number of at least 0.0, got 'mean'"),
        ({"beta": float("nan")}, ValueError, "beta must be a finite number, got nan"),
        ({"k": -0.5}, ValueError, "k must be a finite number of at least 0.0, got -0.5"),
        ({"k": float("inf")}, ValueError, "k must be a finite number of at least 0.0, got inf"),
        ({"alpha_mode": "average"}, ValueError, "alpha_mode must be one of mean, sum, got 'average'"),
        ({"even": "caffe"}, ValueError, "even must be one of torch, onnx, got 'caffe'"),
    ],
)
def test_errors(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        local_response_norm(**{"input": torch.zeros(1, 3, 4), "size": 3, **change})
