"""The threads of the CPU kernels: a small pool that runs kernels which let go of Python's lock, slab by slab.

Which slab a thread takes changes from run to run, but a slab is always computed by one thread in one order, so the
result has the same bits at every run and for every number of threads.
"""

import itertools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_made_for: tuple[int, int] | None = None


def run_slabs(work: Callable[[int], None], slabs: int) -> None:
    """Call `work` once for each slab, on as many threads as PyTorch uses; on this one if that is one.

    Inside a thread PyTorch runs on one thread, too, so that `work` may call it.

    Args:
        work: takes the number of a slab; writes to places that no other slab writes to.
        slabs: how many there are, the same whatever the number of threads.
    """
    threads = min(torch.get_num_threads(), slabs)
    if threads <= 1:
        for slab in range(slabs):
            work(slab)
        return
    numbers = itertools.count()

    def take() -> None:
        while (slab := next(numbers)) < slabs:
            work(slab)

    pool = _pool_of(torch.get_num_threads())
    for future in [pool.submit(take) for _ in range(threads)]:
        future.result()


def _pool_of(threads: int) -> ThreadPoolExecutor:
    """The pool of this process; a forked child, whose parent's threads do not exist, makes its own."""
    global _pool, _made_for
    with _lock:
        if _pool is None or _made_for != (os.getpid(), threads):
            ready = threading.Barrier(threads + 1)

            def start() -> None:
                # A thread takes the number of all threads at its first question, so that must come first.
                torch.get_num_threads()
                torch.set_num_threads(1)
                ready.wait()

            _pool = ThreadPoolExecutor(threads, "striate", initializer=start)
            _made_for = os.getpid(), threads
            for _ in range(threads):
                _pool.submit(int)
            ready.wait()
            # The threads have set the number for every thread that starts later, too.
            torch.set_num_threads(threads)
        return _pool


class Workspace(threading.local):
    """Arrays that a thread uses again from slab to slab: fresh memory can cost more than the work done in it."""

    def __init__(self) -> None:
        self._held: dict[str, NDArray[Any]] = {}

    def array(self, name: str, size: int, dtype: Any) -> NDArray[Any]:
        """A flat array of this thread's, whose contents last until the thread asks for that name again.

        Args:
            name: what it is for; always with the same dtype.
            size: numbers.
            dtype: of the numbers.
        """
        held = self._held.get(name)
        if held is None or held.size < size:
            held = self._held[name] = np.empty(size, dtype)
        return held[:size]
