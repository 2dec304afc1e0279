"""The threads of the CPU kernels: PyTorch's own, which run kernels that let go of Python's lock, slab by slab.

PyTorch's OpenMP threads go on spinning for milliseconds after each of its operators, so that threads beside them would
share their cores with them. A small pool takes their place where PyTorch has no such threads; in a child forked after
`import striate`, where the parent's threads do not exist; and for calls from threads beside the main one: OpenMP has
threads of its own for each, and Python would keep something of them.

Which slab a thread takes changes from run to run, but a slab is always computed by one thread in one order, so the
result has the same bits at every run and for every number of threads.
"""

import ctypes
import functools
import itertools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from striate import ops

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_made_for: tuple[int, int] | None = None
_KEPT = 1 << 24
_Region = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def run_slabs(work: Callable[[int], None], slabs: int) -> None:
    """Call `work` once for each slab, on as many threads as PyTorch uses; on this one if that is one.

    Inside a thread PyTorch runs on one thread, too, so that `work` may call it.

    Args:
        work: takes the number of a slab; writes to places that no other slab writes to.
        slabs: how many there are, the same whatever the number of threads.
    """
    threads = torch.get_num_threads()
    if min(threads, slabs) <= 1:
        for slab in range(slabs):
            work(slab)
        return
    numbers = itertools.count()

    def take() -> None:
        while (slab := next(numbers)) < slabs:
            work(slab)

    if torch.is_inference_mode_enabled():
        # The mode is of this thread alone, and outside of it nothing may write to what is made inside.
        take = torch.inference_mode()(take)
    main = os.getpid() == ops.PROCESS and threading.get_ident() == threading.main_thread().ident
    openmp = _openmp() if main else None
    if openmp is None:
        _on_pool(take, min(threads, slabs), _pool_of(threads))
    else:
        _on_openmp(take, threads, openmp)


@functools.cache
def _openmp() -> ctypes.CDLL | None:
    """PyTorch's own OpenMP library, with the names of GNU's; None where there is none."""
    if "OpenMP" not in torch.__config__.parallel_info().partition("ATen parallel backend:")[2]:
        return None
    # Looked up among the libraries that PyTorch is linked with: the process may hold others of that name.
    library = ctypes.CDLL(torch._C.__file__)
    if not hasattr(library, "GOMP_parallel"):
        return None
    library.GOMP_parallel.argtypes = [_Region, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    library.GOMP_parallel.restype = None
    return library


class _Known(threading.local):
    """Whether a thread has been here."""

    before = False


_known = _Known()


def _on_openmp(take: Callable[[], None], threads: int, openmp: ctypes.CDLL) -> None:
    """Run `take` on PyTorch's threads, as many as it uses itself: another number would end some of them.

    Raises:
        KeyboardInterrupt: if a signal ended this thread's part.
    """
    caller = threading.get_ident()
    errors: list[BaseException] = []
    returned = []

    def run(_: int | None) -> None:
        try:
            if not _known.before:
                # A thread takes the number of all threads at its first question, so that must come first.
                torch.get_num_threads()
                if threading.get_ident() != caller:
                    # What Python knows of a thread would go after every region, and its workspaces with it.
                    ctypes.pythonapi.PyGILState_Ensure()
                _known.before = True
            # For this region alone.
            openmp.omp_set_num_threads(1)
            take()
        except BaseException as error:
            errors.append(error)
        if threading.get_ident() == caller:
            returned.append(True)

    openmp.GOMP_parallel(_Region(run), None, threads, 0)
    if errors:
        try:
            raise errors[0]
        finally:
            # Its traceback holds this list, and what `take` holds.
            errors.clear()
    if not returned:
        # The error of a signal's handler came where nothing could catch it, and Python has dropped it.
        raise KeyboardInterrupt


def _on_pool(take: Callable[[], None], threads: int, pool: ThreadPoolExecutor) -> None:
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
    """Arrays that a thread uses again: fresh memory can cost more than the work done in it, the more so on threads."""

    def __init__(self) -> None:
        self._held: dict[str, NDArray[Any]] = {}

    def array(self, name: str, size: int, dtype: Any) -> NDArray[Any]:
        """A flat array of this thread's, whose contents last until the thread asks for that name again.

        One of more than 16 MiB is not kept.

        Args:
            name: what it is for; always with the same dtype.
            size: numbers.
            dtype: of the numbers.
        """
        held = self._held.get(name)
        if held is None or held.size < size:
            # PyTorch's memory begins at a line of the cache, NumPy's does not.
            held = torch.empty(size * np.dtype(dtype).itemsize, dtype=torch.uint8).numpy().view(dtype)
            if held.nbytes <= _KEPT:
                self._held[name] = held
        return held[:size]
