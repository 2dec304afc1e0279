"""Sizes may be symbolic: they stay so, and no second size is compiled anew."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend
from torch.fx.experimental.proxy_tensor import make_fx

from striate.geometry import Window, windows

SETTINGS = [
    (7, 2, 3),
    (3, 2, (0, 1), 2),
    *((4, 2, word) for word in ("valid", "same", "same_upper", "same_lower", "half", "full", "causal")),
    (2, 2, 0, 1, True),
]


def outputs(*settings: object) -> Callable[[Tensor], Tensor]:
    return lambda x: x.new_zeros(Window(*settings).output_size(x.shape[0]))  # type: ignore[arg-type]


def pyramid(x: Tensor) -> tuple[Tensor, Tensor]:
    """Two axes, down and up again."""
    down = windows(2, (3, 5), 2, (1, "causal"))
    sizes = [window.output_size(n) for window, n in zip(down, x.shape, strict=True)]
    back = [window.transposed_output_size(n) for window, n in zip(windows(2, 4, 2, "same"), sizes, strict=True)]
    return x.new_zeros(sizes), x.new_zeros(back)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_one_compilation_serves_every_size(settings: tuple[object, ...]) -> None:
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(outputs(*settings), fullgraph=True, dynamic=True, backend=counter)
    for n in (9, 12, 31):
        assert compiled(torch.ones(n)).shape == (Window(*settings).output_size(n),)  # type: ignore[arg-type]
    assert counter.frame_count == 1


def test_one_compilation_serves_every_size_of_several_axes() -> None:
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(pyramid, fullgraph=True, dynamic=True, backend=counter)
    for shape in ((9, 12), (12, 31), (224, 225)):
        x = torch.ones(shape)
        assert [y.shape for y in compiled(x)] == [y.shape for y in pyramid(x)]
    assert counter.frame_count == 1


def test_a_traced_size_stays_symbolic() -> None:
    graph = make_fx(outputs(7, 2, 3), tracing_mode="symbolic")(torch.ones(224))
    assert graph(torch.ones(33)).shape == (17,)
    assert graph(torch.ones(224)).shape == (112,)
