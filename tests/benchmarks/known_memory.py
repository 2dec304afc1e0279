"""A topic whose contenders hold 32 MiB for a while, beyond inputs of 16 MiB and results of 8, each in its way."""

import threading
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from benchmarks.runner.case import Case, Peer, Topic, Work
from numba import njit

MIB = 2**20


def _work(hold: Callable[[], object]) -> Work:
    input = torch.ones(4 * MIB)

    def results() -> tuple[torch.Tensor, ...]:
        result = input[: 2 * MIB] * 2
        hold()
        return (result,)

    return Work(run=lambda: None, results=results)


def _by_numpy() -> None:
    np.ones(4 * MIB).sum()


def _in_a_thread() -> None:
    thread = threading.Thread(target=_by_numpy)
    thread.start()
    thread.join()


@njit(nogil=True)
def _by_numba() -> float:
    return np.ones(4 * MIB).sum()  # type: ignore[no-any-return]


def _in_small_pieces() -> None:
    sum(map(len, [bytes(range(256)) * 32 for _ in range(4096)]))


_HOLDS = {
    "PyTorch": lambda: torch.ones(8 * MIB).sum(),
    "NumPy": _by_numpy,
    "another thread": _in_a_thread,
    "a Numba kernel": _by_numba,
    "small pieces": _in_small_pieces,
}

TOPIC = Topic(
    cases=(
        Case(
            name="32 MiB",
            ours=lambda: _work(lambda: None),
            peers=(
                *(Peer(name=name, make=partial(_work, hold)) for name, hold in _HOLDS.items()),
                Peer(name="absent", make=lambda: _work(lambda: None), needs=("no_such_package",)),
                Peer(name="no operator", make=lambda: Work(run=lambda: None)),
            ),
            floor="",
        ),
    ),
    tests=(),
)
