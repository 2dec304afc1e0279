"""Activations: values, ties and NaN, PyTorch's own, the definitions, what PyTorch asks of an operator."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from ops import checks
from striate.ops.activation import abs_rectify, maxout, reference, scaled_tanh
from striate.ops.dispatch import explain_dispatch

NAN, INFINITY = math.nan, math.inf


def drawn(*shape: int) -> Tensor:
    """What bfloat16 can tell, so that no precision has other winners."""
    generator = torch.Generator().manual_seed(len(shape))
    values = torch.randperm(math.prod(shape), generator=generator).view(shape) % 251
    return (values.double() - 125.5) / 32


def pairs(input: Tensor) -> Tensor:
    return maxout(input, 2)


def all_of(input: Tensor, gain: Tensor) -> Tensor:
    return scaled_tanh(input, gain) + abs_rectify(input) + maxout(input, 2).repeat_interleave(2, 1)


KINDS: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor], tuple[Tensor, ...]]] = {
    "abs": (abs_rectify, reference.abs_rectify, ()),
    "maxout": (pairs, lambda input: reference.maxout(input, 2, 1), ()),
    "scaled_tanh": (scaled_tanh, lambda input, gain: reference.scaled_tanh(input, gain, 1), (drawn(4),)),
    "one gain": (scaled_tanh, lambda input, gain: reference.scaled_tanh(input, gain, 1), (torch.tensor(1.5).double(),)),
    "a number": (
        lambda input: scaled_tanh(input, -1.5),
        lambda input: reference.scaled_tanh(input, torch.tensor(-1.5).to(input), 1),
        (),
    ),
}


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> tuple[Callable[..., Tensor], Callable[..., Tensor], tuple[Tensor, ...]]:
    return KINDS[request.param]


def test_values_by_hand() -> None:
    (input,) = checks.leaves(torch.tensor([[-2.0, -0.0, 0.0, 3.0, -INFINITY, NAN]]))
    output = abs_rectify(input)
    assert torch.equal(output[:, :5], torch.tensor([[2.0, 0.0, 0.0, 3.0, INFINITY]]))
    assert output[0, 5].isnan()
    (gradient,) = torch.autograd.grad(output[:, :5].sum(), input)
    assert gradient.tolist() == [[-1, 0, 0, 1, -1, 0]]
    assert maxout(torch.tensor([[1.0, 5, 2, -3, -4, -6]]), 3).tolist() == [[5, -3]]
    squashed = scaled_tanh(torch.tensor([[0.0, 1.0, INFINITY, -INFINITY]]), 1.7159)
    torch.testing.assert_close(squashed, torch.tensor([[0.0, 1.7159 * math.tanh(1), 1.7159, -1.7159]]))
    assert scaled_tanh(torch.tensor([NAN]), 2).isnan().all()


@pytest.mark.parametrize("needed", [True, False])
def test_the_first_winner_wins_and_so_does_the_first_nan(needed: bool) -> None:
    (input,) = checks.leaves(torch.tensor([[3.0, 3, 1], [1, 2, 2], [-INFINITY] * 3, [NAN, 9, NAN], [9, NAN, NAN]]))
    with torch.set_grad_enabled(needed):
        output = maxout(input, 3)
    torch.testing.assert_close(
        output.detach(), torch.tensor([[3.0], [2], [-INFINITY], [NAN], [NAN]]), equal_nan=True, rtol=0, atol=0
    )
    if needed:
        (gradient,) = torch.autograd.grad(output, input, torch.ones(5, 1))
        assert gradient.tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("dtype", checks.TOLERANCE)
@pytest.mark.parametrize("size", [1, 40])
def test_ties_along_every_stride(dtype: torch.dtype, size: int) -> None:
    """Vectorised maxima must not choose another of equal channels."""
    for dim in (0, 1, 2):
        (input,) = checks.leaves(torch.ones(6, 6, size * 6, dtype=dtype))
        (gradient,) = torch.autograd.grad(maxout(input, 3, dim).sum(), input)
        first = (torch.arange(input.shape[dim]) % 3 == 0).to(dtype)
        assert torch.equal(gradient, first.view(-1, *[1] * (2 - dim)).expand_as(input))


@pytest.mark.parametrize("shape", [(2, 4), (2, 4, 5), (2, 4, 3, 5), (2, 4, 2, 3, 2)])
def test_equals_its_definition(kind: Any, shape: tuple[int, ...]) -> None:
    function, definition, others = kind
    checks.check_same(function, definition, drawn(*shape), *others)
    with torch.no_grad():
        checks.assert_close(function(drawn(*shape), *others), definition(drawn(*shape), *others))


@pytest.mark.parametrize(("pieces", "dim"), [(1, 1), (2, 1), (3, 1), (6, 1), (4, -1), (2, 0), (2, -3), (5, 2)])
def test_maxout_along_every_axis(pieces: int, dim: int) -> None:
    input = drawn(4, 6, 5, 4)
    checks.check_same(
        lambda input: maxout(input, pieces, dim), lambda input: reference.maxout(input, pieces, dim % 4), input
    )
    expected = torch.stack([part.amax(dim) for part in input.split(pieces, dim)], dim)
    assert torch.equal(maxout(input, pieces, dim), expected)


def test_equals_pytorch() -> None:
    input, gain = drawn(2, 4, 5, 5), drawn(4)
    assert torch.equal(abs_rectify(input), input.abs())
    channels_first = input.permute(0, 2, 3, 1).flatten(1, 2)
    assert torch.equal(maxout(input, 2).permute(0, 2, 3, 1).flatten(1, 2), F.max_pool1d(channels_first, 2))
    assert torch.equal(scaled_tanh(input, gain, dim=-3), gain.view(-1, 1, 1) * input.tanh())


def test_a_single_piece_is_a_copy() -> None:
    input = torch.zeros(1, 2, 4)
    maxout(input, 1).add_(1)
    assert not input.any()


class TestHabits:
    def test_gradients(self, kind: Any) -> None:
        function, _, others = kind
        checks.check_gradients(function, drawn(2, 4, 3), *others)

    def test_the_gradient_at_zero_is_zero_to_any_order(self) -> None:
        (zero,) = checks.leaves(torch.zeros(3))
        (first,) = torch.autograd.grad(abs_rectify(zero).sum(), zero, create_graph=True)
        assert not first.any()
        assert not torch.func.jvp(abs_rectify, (zero.detach(),), (torch.ones(3),))[1].any()

    def test_transforms(self) -> None:
        checks.check_transforms(all_of, drawn(2, 4, 3), drawn(4))
        checks.check_transforms(lambda input, gain: pairs(input) * gain, drawn(2, 4, 3), drawn(2, 3))

    def test_what_pytorch_asks_of_an_operator(self, kind: Any, tmp_path: Path) -> None:
        function, _, others = kind
        input = drawn(3, 4, 5, 7)
        checks.check_dtypes(function, input, *others)
        checks.check_formats(function, input, *others)
        checks.check_formats(function, drawn(3, 4, 5, 3, 2), *others)
        checks.check_deterministic(function, input, *others, threads=True)
        checks.check_whole(function, input, *others)
        checks.check_concurrent(function, input, *others)
        checks.check_onnx(function, tmp_path, input.float(), *(tensor.float() for tensor in others))

    def test_maps_without_a_gradient_keep_their_format(self) -> None:
        input = drawn(3, 4, 5, 7).contiguous(memory_format=torch.channels_last)
        for pieces in (1, 2):
            assert maxout(input, pieces).is_contiguous(memory_format=torch.channels_last)
            assert maxout(input.contiguous(), pieces).is_contiguous()

    def test_compiles(self, kind: Any) -> None:
        function, _, others = kind
        checks.check_compiles(function, lambda size: (drawn(2, 4, size, size + 1), *others), (4, 7))
        with torch.no_grad():
            compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
            assert torch.equal(compiled(drawn(2, 4, 3), *others), function(drawn(2, 4, 3), *others))

    def test_batches(self) -> None:
        for function in (abs_rectify, lambda input: maxout(input, 2, -3), lambda input: scaled_tanh(input, 2.0)):
            checks.check_batches(function, drawn(3, 4, 5, 5))
        checks.check_batches(lambda input, gain: scaled_tanh(input, gain, dim=-3), drawn(3, 4, 5, 5), drawn(4))
        assert maxout(torch.zeros(2, 0, 5), 2).shape == (2, 0, 5)

    def test_autocast_leaves_the_dtype_as_pytorch_does(self, kind: Any) -> None:
        function, _, others = kind
        narrow = tuple(tensor.float() for tensor in others)
        for dtype in checks.TOLERANCE:
            input = drawn(2, 4, 3).to(dtype)
            with torch.autocast("cpu", torch.bfloat16):
                output = function(input, *narrow)
                assert output.dtype == input.tanh().dtype == dtype
            checks.assert_close(output, function(input, *(tensor.to(dtype) for tensor in others)))

    def test_routes(self) -> None:
        input = torch.zeros(2, 4)
        assert explain_dispatch("abs_rectify", input).startswith("abs_rectify: torch: PyTorch's absolute value")
        assert explain_dispatch("scaled_tanh", input, 1.0).startswith("scaled_tanh: torch: PyTorch's tangent")
        assert explain_dispatch("maxout", input, 2).startswith("maxout: torch: without a gradient")
        assert "knows the winner" in explain_dispatch("maxout", input.clone().requires_grad_(), 2)


class Activated(Dataset[Tensor]):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Tensor:
        return all_of(drawn(2, 4, 3) + index, drawn(4))


def test_a_worker_of_a_loader_can_call_them() -> None:
    for index, found in enumerate(DataLoader(Activated(), batch_size=None, num_workers=1, timeout=60)):
        assert torch.equal(found, all_of(drawn(2, 4, 3) + index, drawn(4)))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: abs_rectify(x.long()), TypeError, "abs_rectify: input must hold floating-point .* got torch.int64"),
        (lambda x: abs_rectify(x + 1j), TypeError, "abs_rectify: input must hold floating-point .* got torch.complex"),
        (lambda x: maxout(x.long(), 2), TypeError, "maxout: input must hold floating-point numbers, got torch.int64"),
        (lambda x: maxout(x, 3), ValueError, r"a multiple of pieces=3 channels along axis 1, got \(2, 4, 5\)"),
        (lambda x: maxout(x, 2, -1), ValueError, r"a multiple of pieces=2 channels along axis 2, got \(2, 4, 5\)"),
        (lambda x: maxout(x, 0), ValueError, "pieces must be an integer of at least 1, got 0"),
        (lambda x: maxout(x, 2.0), TypeError, "pieces must be an integer of at least 1, got 2.0"),
        (lambda x: maxout(x, 2, 3), ValueError, r"maxout: dim must be an axis of the input, \(2, 4, 5\), got 3"),
        (lambda x: maxout(x, 2, -4), ValueError, r"maxout: dim must be an axis of the input, \(2, 4, 5\), got -4"),
        (lambda x: maxout(x, 2, True), TypeError, "maxout: dim must be an integer, got True"),
        (lambda x: maxout(x[0, 0, 0], 1, 0), ValueError, r"dim must be an axis of the input, \(\), got 0"),
        (lambda x: scaled_tanh(x.long(), 1), TypeError, "scaled_tanh: input must hold floating-point numbers"),
        (lambda x: scaled_tanh(x, "1"), TypeError, "scaled_tanh: gain must be a number or a tensor, got '1'"),
        (lambda x: scaled_tanh(x, True), TypeError, "scaled_tanh: gain must be a number or a tensor, got True"),
        (lambda x: scaled_tanh(x, x[0, 0]), ValueError, r"gain must be \(\) or \(4,\), .* axis 1 .*, got \(5,\)"),
        (lambda x: scaled_tanh(x, x), ValueError, r"gain must be \(\) or \(4,\), .* got \(2, 4, 5\)"),
        (lambda x: scaled_tanh(x, x[0, 0], dim=3), ValueError, "scaled_tanh: dim must be an axis of the input"),
        (lambda x: scaled_tanh(x, x[0, :, 0].double()), TypeError, "gain must have the dtype of input, torch.float32"),
        (lambda x: scaled_tanh(x, x[0, :, 0].to("meta")), ValueError, "gain must be on the device of input, cpu"),
    ],
)
def test_errors(call: Callable[[Tensor], Tensor], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(torch.zeros(2, 4, 5))
