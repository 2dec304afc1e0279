"""What every door does: the facts that the design rests on."""

import threading
import warnings
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

import striate
from ops.checks import assert_close
from striate import ops
from striate.geometry import windows
from striate.ops._door import (
    cast,
    check_alike,
    check_fits,
    check_input,
    in_transform,
    memory_format,
    place,
    remembered,
    second_order,
    watched,
)
from striate.ops.conv import conv2d


def test_autocast_lowers_floats_but_not_float64() -> None:
    narrow, wide, whole = torch.zeros(1), torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.int64)
    assert cast(narrow, wide, None) == (narrow, wide, None)
    with torch.autocast("cpu", torch.bfloat16):
        lowered, same, index, nothing = cast(narrow, wide, whole, None)
    assert lowered.dtype == torch.bfloat16
    assert same is wide and index is whole and nothing is None


def test_devices_without_autocast_are_left_alone() -> None:
    tensor = torch.zeros(1, device="meta")
    assert cast(tensor) == (tensor,)


def test_transforms_are_noticed() -> None:
    seen = []

    def function(x: torch.Tensor) -> torch.Tensor:
        seen.append(in_transform())
        return x.sum()

    function(torch.zeros(2))
    torch.func.grad(function)(torch.zeros(2))
    torch.func.vmap(function)(torch.zeros(2, 2))
    with torch.autograd.forward_ad.dual_level():
        function(torch.zeros(2))
    assert seen == [False, True, True, True]


def test_a_bare_custom_operator_has_no_tangent() -> None:
    """Why doors look for transforms: PyTorch gives a zero tangent, or refuses, for an operator of one's own."""
    weight, input = torch.randn(2, 1, 3), torch.randn(1, 2, 5)
    operator = torch.ops.striate.depthwise_conv if hasattr(torch.ops.striate, "depthwise_conv") else None
    if operator is None:
        from striate.ops import conv  # noqa: F401 - registers it

        operator = torch.ops.striate.depthwise_conv
    try:
        _, tangent = torch.func.jvp(lambda x: operator(x, weight, None, [1], [0], [0], [1]), (input,), (input,))
    except (RuntimeError, NotImplementedError):
        return
    assert not tangent.any()


def test_second_order_is_right_to_the_third_order() -> None:
    def plain(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a.pow(2) * b

    a, b = torch.tensor(3.0, dtype=torch.float64), torch.tensor(5.0, dtype=torch.float64)
    a.requires_grad_()
    one = torch.ones((), dtype=torch.float64)
    grad_grad, grad_a, grad_b = second_order(plain)((one, torch.zeros_like(one)), one, a, b)
    assert (grad_grad, grad_a, grad_b) == (2 * 3 * 5, 2 * 5, 2 * 3)
    (third,) = torch.autograd.grad(grad_b, a)
    assert third == 2


def test_memory_formats() -> None:
    plain = torch.zeros(2, 3, 4, 5)
    assert memory_format(plain) == torch.contiguous_format
    assert memory_format(plain.contiguous(memory_format=torch.channels_last)) == torch.channels_last
    volume = torch.zeros(2, 3, 4, 5, 6).contiguous(memory_format=torch.channels_last_3d)
    assert memory_format(volume) == torch.channels_last_3d
    assert memory_format(plain[:, :, ::2]) == torch.contiguous_format


def test_settings_are_worked_out_once() -> None:
    calls: list[Sequence[object]] = []

    @remembered
    def recorded(*settings: object) -> int:
        calls.append(settings)
        return len(calls)

    keys: list[Sequence[object]] = [(1, "same"), (1.0, "same"), (True, "same"), ((1, 1), 2), ((1, True), 2)]
    keys += [(torch.Size([1, 1]), 2), (((1, 1), (0, 1)),), (((1, 1), (0, 1.0)),)]
    numbers = [recorded(*key) for key in keys]
    assert numbers == list(range(1, len(keys) + 1)), "numbers that are equal but of other types are other settings"
    assert [recorded(*key) for key in keys] == numbers
    assert recorded([1]) < recorded([1]), "lists are no keys"


def test_errors_come_every_time() -> None:
    for stride, error in ((1, None), (0, ValueError), (True, TypeError), (1.0, TypeError), ((1, 1.0), TypeError)) * 2:
        if error is None:
            assert place("conv2d", 2, 3, stride, "same", 1, (5, 6))[1:] == ((1, 1), (1, 1))
        else:
            with pytest.raises(error, match="stride must be an integer of at least 1"):
                place("conv2d", 2, 3, stride, "same", 1, (5, 6))  # type: ignore[arg-type]


def test_sizes_that_a_tracer_does_not_know_are_not_remembered() -> None:
    weight = torch.ones(1, 1, 3, 3)
    function = lambda x: conv2d(x, weight, padding="same_upper", stride=2)  # noqa: E731
    graph = make_fx(function, tracing_mode="symbolic", _allow_non_fake_inputs=True)(torch.ones(1, 1, 5, 6))
    for sizes in ((5, 6), (8, 9)):
        input = torch.randn(1, 1, *sizes)
        assert torch.equal(graph(input), function(input))


def test_compiled_code_remembers_nothing() -> None:
    """PyTorch's compiler warns of every cache that it meets."""
    torch._dynamo.reset()
    torch._dynamo.utils.warn_once_cache.clear()
    compiled = torch.compile(lambda x: conv2d(x, torch.ones(1, 1, 3, 3)), backend="eager", fullgraph=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiled(torch.ones(1, 1, 3, 3)).item() == 9


def test_errors_name_the_operator() -> None:
    with pytest.raises(ValueError, match=r"^conv1d: input must be \(N, C, W\) or \(C, W\), got \(2, 2, 2, 2\)"):
        check_input("conv1d", torch.zeros(2, 2, 2, 2), 1)
    with pytest.raises(ValueError, match=r"^conv3d: input must be \(N, C, D, H, W\)"):
        check_input("conv3d", torch.zeros(2, 2), 3)
    with pytest.raises(TypeError, match=r"^lp: input must hold floating-point numbers, got torch.bool"):
        check_input("lp", torch.zeros(2, 2, dtype=torch.bool), 1)
    with pytest.raises(TypeError, match=r"^op: b must have the dtype of a, torch.float32, got torch.float64"):
        check_alike("op", a=torch.zeros(1), none=None, b=torch.zeros(1, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"^op: b must be on the device of a, cpu, got meta"):
        check_alike("op", a=torch.zeros(1), b=torch.zeros(1, device="meta"))
    with pytest.raises(ValueError, match=r"^op: axis 1: the window is larger than the padded input"):
        check_fits("op", windows(2, 3), (5, 2))


@pytest.mark.parametrize("in_dims", [0, 3])
def test_vmap_of_maps_that_do_not_lie_in_order(in_dims: int) -> None:
    stack = torch.randn(2, 4, 9, 3, 9).movedim(in_dims, 0).transpose(2, 3).movedim(0, in_dims)
    filters = torch.randn(stack.movedim(in_dims, 0).shape[2], 1, 3, 3)

    def convolved(maps: Tensor) -> Tensor:
        return striate.conv2d(maps, filters, groups=len(filters))

    found = torch.func.vmap(convolved, in_dims=in_dims)(stack)
    assert_close(found, torch.stack([convolved(maps) for maps in stack.unbind(in_dims)]))
    each = torch.func.vmap(torch.func.grad(lambda maps: convolved(maps).square().sum()), in_dims=in_dims)(stack)
    alone = [torch.func.grad(lambda maps: convolved(maps).square().sum())(maps) for maps in stack.unbind(in_dims)]
    assert_close(each, torch.stack(alone))


@pytest.mark.parametrize("value", [None, [[1.0]], 1.0])
def test_what_is_no_tensor(value: object) -> None:
    maps, filters = torch.zeros(1, 2, 4, 4), torch.zeros(2, 2, 3, 3)
    with pytest.raises(TypeError, match=rf"conv2d: input must be a tensor, got {type(value).__name__}"):
        striate.conv2d(value, filters)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=rf"conv2d: weight must be a tensor, got {type(value).__name__}"):
        striate.conv2d(maps, value)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"input must hold floating-point numbers of 16 to 64 bits, got torch.float8"):
        striate.conv2d(maps.to(torch.float8_e4m3fn), filters)
    with pytest.raises(TypeError, match=r"input must be a dense tensor, got torch.sparse_coo"):
        striate.conv2d(maps.to_sparse(), filters)
    with pytest.raises(TypeError, match="stride must be an integer of at least 1, got None"):
        striate.conv2d(maps, filters, stride=None)  # type: ignore[arg-type]


class TestAnnounced:
    """Public functions tell who watches of their calls."""

    def test_a_watcher_is_called_in_place_of_the_function(self) -> None:
        calls = []

        def watcher(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            calls.append((function.__name__, len(args), dict(kwargs)))
            return function(*args, **kwargs)

        input, weight = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 3, 3)
        with watched(watcher):
            inside = striate.conv2d(input, weight, padding=1)
        assert calls == [("conv2d", 2, {"padding": 1})]
        assert torch.equal(inside, striate.conv2d(input, weight, padding=1))
        assert len(calls) == 1

    def test_another_thread_is_not_watched(self) -> None:
        calls: list[str] = []
        with watched(lambda function, args, kwargs: calls.append(function.__name__)):
            other = threading.Thread(target=lambda: striate.abs_rectify(torch.ones(2)))
            other.start()
            other.join()
        assert calls == []

    def test_every_operator_announces_itself(self) -> None:
        names: list[str] = []
        operators = [name for name in ops.OPERATORS if name != "explain_dispatch"]
        with watched(lambda function, args, kwargs: names.append(function.__name__)):
            for name in operators:
                ops.load_operator(name)()
        assert names == operators
