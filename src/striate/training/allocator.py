"""Memory that the C library keeps from step to step instead of asking the system for it again."""

import contextlib
import ctypes
import functools
import platform
from collections.abc import Iterator

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST, _NEVER = 2**31 - 1, -1
# The highest that glibc sets by itself, and its default.
_USUAL_MMAP, _USUAL_TRIM = 32 * 2**20, 128 * 2**10


@contextlib.contextmanager
def memory_kept() -> Iterator[None]:
    """Keep what is freed inside for what is asked for next; afterwards it goes back to the system.

    glibc takes every large tensor fresh from the system and gives it back at once, and a page that is touched for the
    first time costs more than the numbers on it: a seventh of VGG-16's training step. Elsewhere than on glibc nothing
    happens.

    Source:
        https://man7.org/linux/man-pages/man3/mallopt.3.html

    Example:
        >>> with memory_kept():
        ...     pass
    """
    libc = _glibc()
    if libc is None:
        yield
        return
    set_kept(True)
    try:
        yield
    finally:
        set_kept(False)
        libc.mallopt(_M_TRIM_THRESHOLD, _USUAL_TRIM)
        libc.malloc_trim(0)


def set_kept(kept: bool) -> None:
    """Whether large tensors from now on lie where freed memory stays; what is kept already stays."""
    libc = _glibc()
    if libc is not None:
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST if kept else _USUAL_MMAP)
        if kept:
            libc.mallopt(_M_TRIM_THRESHOLD, _NEVER)


@functools.cache
def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
