"""What `explain_dispatch` says is what eager and what compiled code do."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.backends.common import aot_autograd
from torch.utils._python_dispatch import TorchDispatchMode

from striate.ops.conv import conv1d, conv2d, conv3d
from striate.ops.conv_transpose import conv_transpose2d
from striate.ops.correlate import correlate
from striate.ops.dispatch import explain_dispatch, routes_taken

Call = Callable[[Tensor, Tensor], Tensor]


def channels_last(pictures: Tensor) -> Tensor:
    return pictures.contiguous(memory_format=torch.channels_last)


# The operation by which each route is known.
KNOWN_BY = {
    "torch": "aten.convolution",
    "kernels": "striate.depthwise_conv",
    "fft": "aten._fft_r2c",
    "sub-pixel": "aten.bmm",
}

CALLS: list[tuple[str, Call, tuple[int, ...], tuple[int, ...]]] = [
    ("torch", conv2d, (1, 4, 9, 9), (4, 4, 3, 3)),
    ("torch", conv3d, (1, 4, 5, 5, 5), (2, 4, 3, 3, 3)),
    ("kernels", lambda x, w: conv2d(x, w, groups=4, padding="same"), (1, 4, 9, 9), (4, 1, 3, 3)),
    ("torch", lambda x, w: conv2d(channels_last(x), w, groups=4), (1, 4, 9, 9), (4, 1, 3, 3)),
    ("fft", lambda x, w: conv1d(x, w, groups=2), (1, 2, 99), (2, 1, 80)),
    ("kernels", lambda x, w: conv1d(x, w, groups=2, stride=2), (1, 2, 99), (2, 1, 80)),
    ("kernels", lambda x, w: correlate(x, w, padding=1), (4, 9, 9), (3, 3)),
    ("sub-pixel", lambda x, w: conv_transpose2d(x, w, stride=2), (1, 4, 9, 9), (4, 3, 2, 2)),
    ("torch", lambda x, w: conv_transpose2d(x, w, stride=3), (1, 4, 9, 9), (4, 3, 2, 2)),
]


class Operations(TorchDispatchMode):
    """The names of the operations that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(str(func).removesuffix(".default"))
        return func(*args, **kwargs or {})


@pytest.mark.parametrize(("route", "call", "shape", "weight_shape"), CALLS)
def test_eager_code_does_what_is_said(
    route: str, call: Call, shape: tuple[int, ...], weight_shape: tuple[int, ...]
) -> None:
    inputs = torch.randn(shape), torch.randn(weight_shape)
    with Operations() as eager, routes_taken() as taken:
        call(*inputs)
    assert {KNOWN_BY[route]} == set(KNOWN_BY.values()) & eager.names
    assert explain_dispatch(call, *inputs) == "\n".join(f"{name}: {at.name}: {at.reason}" for name, at in taken)
    assert [at.name for _, at in taken] == [route]


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize(("route", "call", "shape", "weight_shape"), CALLS)
def test_compiled_code_does_what_is_said(
    route: str, call: Call, shape: tuple[int, ...], weight_shape: tuple[int, ...], dynamic: bool
) -> None:
    torch._dynamo.reset()
    names: set[str] = set()

    def collect(graph: torch.fx.GraphModule, inputs: Any) -> torch.fx.GraphModule:
        names.update(str(node.target).removesuffix(".default") for node in graph.graph.nodes)
        return graph

    compiled = torch.compile(call, backend=aot_autograd(fw_compiler=collect), fullgraph=True, dynamic=dynamic)
    inputs = torch.randn(shape), torch.randn(weight_shape)
    said = explain_dispatch(compiled, *inputs)
    assert said == explain_dispatch(call, *inputs)
    assert said.split(": ")[1] == route
    assert not names, "explain_dispatch compiles nothing"
    compiled(*inputs)
    assert {KNOWN_BY[route]} == set(KNOWN_BY.values()) & names


def test_equal_lines_are_said_once() -> None:
    def twice(x: Tensor, w: Tensor) -> Tensor:
        return conv2d(conv2d(x, w, padding=1), w)

    said = explain_dispatch(twice, torch.zeros(1, 4, 9, 9), torch.zeros(4, 4, 3, 3))
    assert said == "conv2d: torch: PyTorch's own convolution is at the limit"


def test_an_operator_of_no_name() -> None:
    with pytest.raises(ValueError, match=r"there is no operator 'conv5d': did you mean conv4d or conv3d or conv2d\?"):
        explain_dispatch("conv5d")
    with pytest.raises(
        ValueError, match="there is no operator 'fold': expected one of abs_rectify, adaptive_avg_pool1d"
    ):
        explain_dispatch("fold")
