"""Memory that stays between steps."""

import platform
import subprocess
import sys

import pytest

from striate.training.allocator import _glibc, memory_kept

_ON_GLIBC = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc is told to keep memory")


def printed(code: str) -> list[int]:
    """What a process of its own prints, in which nothing else has filled the memory that is kept."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]


@_ON_GLIBC
def test_a_tensor_takes_the_pages_of_the_one_before_it() -> None:
    code = """
import resource
import torch
from striate.training.allocator import memory_kept

def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.ones(4 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with memory_kept():
    faults(2)
    print(faults(10))
"""
    # Ten tensors of 4,096 pages each; where the heap grows, one or two are fresh.
    assert printed(code)[0] < 3 * 4096


@_ON_GLIBC
def test_memory_goes_back_at_the_end() -> None:
    code = """
import torch
from pathlib import Path
from striate.training.allocator import memory_kept

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

torch.ones(8)
before = resident()
with memory_kept():
    torch.ones(64 * 2**20)
    print(resident() - before)
print(resident() - before)
"""
    held, left = printed(code)
    assert held > 200 * 2**20
    assert left < 64 * 2**20


def test_without_glibc_nothing_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    _glibc.cache_clear()
    try:
        with memory_kept():
            assert _glibc() is None
    finally:
        _glibc.cache_clear()
