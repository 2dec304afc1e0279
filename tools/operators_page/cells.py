"""The columns of the table of operators: what is asked, each answered by a run."""

import logging
import re
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from operators_page.peers import Peer
from operators_page.rows import Example, Row
from ops import checks

AXES = {"1-D": 1, "2-D": 2, "3-D": 3}


@dataclass(frozen=True, slots=True)
class Cell:
    """An answer.

    Args:
        text: "yes", "no", "–" where there is nothing to ask, "not run" where a package is missing.
        reasons: of "no", with the numbers of axes that they are of.
    """

    text: str
    reasons: tuple[str, ...] = ()


NOTHING = Cell("–")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# Where bits are compared: sums over the batch are where threads add in another order.
_BATCH = 8


def gradients(function: Any, example: Example) -> None:
    own = checks.leaves(*example.make(1, example.small))
    assert torch.autograd.gradcheck(function, own)


def double_backward(function: Any, example: Example) -> None:
    own = checks.leaves(*example.make(1, example.small))
    assert torch.autograd.gradgradcheck(function, own)


def forward_mode(function: Any, example: Example) -> None:
    own = checks.leaves(*example.make(1, example.small))
    assert torch.autograd.gradcheck(function, own, check_forward_ad=True, check_backward_ad=False)


def bfloat16(function: Any, example: Example) -> None:
    low = tuple(tensor.bfloat16() for tensor in example.make(1, example.small))
    wide = tuple(tensor.double() for tensor in low)
    checks.assert_close(function(*low), function(*wide), torch.bfloat16)
    expected = checks.gradients_of(function, *wide)
    for found, wished in zip(checks.gradients_of(function, *low), expected, strict=True):
        checks.assert_close(found, wished, torch.bfloat16)


def compiles(function: Any, example: Example) -> None:
    checks.check_compiles(function, partial(example.make, 1), example.two)


def exports(function: Any, example: Example) -> None:
    tensors = [tensor.float() for tensor in example.make(1, example.two[1])]
    with tempfile.TemporaryDirectory() as folder:
        checks.check_onnx(function, Path(folder), *tensors)


def deterministic(function: Any, example: Example) -> None:
    tensors = [tensor.float() for tensor in example.make(_BATCH, example.large)]
    checks.check_deterministic(function, *tensors, threads=False)


def threads(function: Any, example: Example) -> None:
    tensors = [tensor.float() for tensor in example.make(_BATCH, example.large)]
    checks.check_deterministic(function, *tensors, threads=True)


Ask = Callable[[Any, Example], None]
COLUMNS: dict[str, tuple[Ask, str]] = {
    "double backward": (double_backward, "the second derivatives are not those of finite differences"),
    "forward-mode": (forward_mode, "the tangents are not those of finite differences"),
    "bfloat16": (bfloat16, "not near the results in float64"),
    "compile": (compiles, "not the results of eager code"),
    "ONNX": (exports, "not the results of PyTorch"),
    "deterministic": (deterministic, "other bits at the second run"),
    "threads": (threads, "other bits on 2 threads than on 1"),
}
"""What is asked beside the axes, and what it means if it is not so."""


def cells_of(row: Row) -> dict[str, Cell]:
    """Ours, by column."""
    found = {
        column: _asked(gradients, "the derivatives are not those of finite differences", row, [axes])
        for column, axes in AXES.items()
    }
    return found | {column: _asked(*asked, row, list(row.examples)) for column, asked in COLUMNS.items()}


def cells_of_peer(row: Row, peer: Peer) -> dict[str, Cell]:
    """A peer's, by column; along its axes its results must also be ours."""
    if peer.missing():
        return dict.fromkeys([*AXES, *COLUMNS], Cell("not run"))
    asks = {column: COLUMNS[column] for column in COLUMNS}
    like_ours: Callable[[Any, Example], None] = _like_ours
    if peer.jax:
        asks = {column: (_ON_JAX[column], asks[column][1]) for column in COLUMNS if column in _ON_JAX}
        like_ours = _like_ours_on_jax
    reason = "neither our results nor the derivatives of finite differences"
    found = {column: _asked(like_ours, reason, row, [axes], peer.functions) for column, axes in AXES.items()}
    axes = list(peer.functions)
    others = {c: _asked(*asks[c], row, axes, peer.functions) if c in asks else NOTHING for c in COLUMNS}
    return found | others


def _asked(ask: Ask, otherwise: str, row: Row, axes: list[int], functions: Any = None) -> Cell:
    """Yes if it is so along all of the axes; nothing where there is none of them."""
    reasons: dict[str, list[str]] = {}
    asked = [n for n in axes if n in row.examples and (functions is None or n in functions)]
    for n in asked:
        example = row.examples[n]
        function = example.function if functions is None else functions[n]
        torch.manual_seed(0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ask(function, example)
        except Exception as error:
            reasons.setdefault(_said(error) or otherwise, []).append(f"{n}-D")
    if not asked:
        return NOTHING
    said = tuple(f"{', '.join(where)}: {reason}" for reason, where in reasons.items())
    return Cell("no", said) if reasons else Cell("yes")


def _said(error: Exception) -> str:
    """The first line of an error; nothing of a bare assertion, whose meaning is known."""
    lines = str(error).strip().splitlines()
    if not lines or isinstance(error, AssertionError):
        return ""
    lines[0] = _COLOUR.sub("", lines[0])
    said = lines[0] if len(lines[0]) <= 200 else f"{lines[0][:200]}…"
    return f"{type(error).__name__}: {said}"


def _like_ours(function: Any, example: Example) -> None:
    tensors = example.make(1, example.small)
    checks.assert_close(function(*tensors), example.function(*tensors))
    gradients(function, example)


def _arrays(example: Example, size: int, dtype: Any = "float64", batch: int = 1) -> list[Any]:
    import jax

    jax.config.update("jax_enable_x64", True)
    logging.getLogger("jax").setLevel(logging.ERROR)
    return [jax.numpy.asarray(tensor.numpy(), dtype) for tensor in example.make(batch, size)]


def _tensor(array: Any) -> Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float64))


def _like_ours_on_jax(function: Any, example: Example) -> None:
    from jax.test_util import check_grads

    arrays = _arrays(example, example.small)
    checks.assert_close(_tensor(function(*arrays)), example.function(*example.make(1, example.small)))
    check_grads(function, arrays, order=1, modes=["rev"])


def _derivatives_on_jax(order: int, mode: str) -> Ask:
    def ask(function: Any, example: Example) -> None:
        from jax.test_util import check_grads

        check_grads(function, _arrays(example, example.small), order=order, modes=[mode])

    return ask


def _results_on_jax(function: Any, arrays: list[Any]) -> list[Tensor]:
    import jax

    output, pull = jax.vjp(function, *arrays)
    return [_tensor(result) for result in (output, *pull(jax.numpy.ones_like(output)))]


def _bfloat16_on_jax(function: Any, example: Example) -> None:
    low = _arrays(example, example.small, "bfloat16")
    wide = [array.astype("float64") for array in low]
    for found, expected in zip(_results_on_jax(function, low), _results_on_jax(function, wide), strict=True):
        checks.assert_close(found, expected, torch.bfloat16)


def _compiles_on_jax(function: Any, example: Example) -> None:
    import jax

    for size in example.two:
        arrays = _arrays(example, size)
        found = _results_on_jax(jax.jit(function), arrays)
        for one, other in zip(found, _results_on_jax(function, arrays), strict=True):
            checks.assert_close(one, other)


def _deterministic_on_jax(function: Any, example: Example) -> None:
    arrays = _arrays(example, example.large, "float32", _BATCH)
    assert all(map(torch.equal, _results_on_jax(function, arrays), _results_on_jax(function, arrays)))


# JAX has no export to ONNX of its own, and its threads are those of its first use.
_ON_JAX: dict[str, Ask] = {
    "double backward": _derivatives_on_jax(2, "rev"),
    "forward-mode": _derivatives_on_jax(1, "fwd"),
    "bfloat16": _bfloat16_on_jax,
    "compile": _compiles_on_jax,
    "deterministic": _deterministic_on_jax,
}
