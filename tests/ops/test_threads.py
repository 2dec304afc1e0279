"""The threads of the CPU kernels."""

import concurrent.futures
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from striate import ops
from striate.ops import _threads
from striate.ops._threads import Workspace, run_slabs


@pytest.fixture(params=["PyTorch's threads", "pool"])
def two_threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if request.param == "pool":
        monkeypatch.setattr(_threads, "_openmp", lambda: None)
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


def test_every_slab_once_in_order_on_one_thread() -> None:
    seen: list[tuple[int, str]] = []
    run_slabs(lambda slab: seen.append((slab, threading.current_thread().name)), 5)
    assert seen == [(slab, threading.current_thread().name) for slab in range(5)]


def test_no_slab() -> None:
    run_slabs(lambda slab: pytest.fail("called"), 0)


def test_threads_follow_torch(two_threads: None) -> None:
    meeting = threading.Barrier(2)
    seen: list[tuple[str, int]] = []

    def work(slab: int) -> None:
        meeting.wait(30)
        seen.append((threading.current_thread().name, torch.get_num_threads()))

    run_slabs(work, 2)
    assert len({name for name, _ in seen}) == 2
    assert [threads for _, threads in seen] == [1, 1]


def test_later_threads_see_the_number_of_threads(two_threads: None) -> None:
    run_slabs(lambda slab: None, 4)
    assert torch.get_num_threads() == 2
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == 2


def test_products_inside_are_those_of_one_thread(two_threads: None) -> None:
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(2, 700, 700, generator=generator)
    products = [torch.empty(700, 700), torch.empty(700, 700)]
    run_slabs(lambda slab: products[slab].copy_(left @ right), 2)
    torch.set_num_threads(1)
    assert all(torch.equal(product, left @ right) for product in products)


def test_a_process_that_was_forked_has_a_pool_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_threads, "_openmp", lambda: pytest.fail("threads of the parent"))
    monkeypatch.setattr(ops, "PROCESS", 0)
    torch.set_num_threads(2)
    seen: list[int] = []
    run_slabs(seen.append, 3)
    torch.set_num_threads(1)
    assert sorted(seen) == [0, 1, 2]


def test_threads_beside_the_main_one_have_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_threads, "_openmp", lambda: pytest.fail("threads that Python would keep"))
    torch.set_num_threads(2)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        seen: list[int] = []
        pool.submit(run_slabs, seen.append, 3).result()
    torch.set_num_threads(1)
    assert sorted(seen) == [0, 1, 2]


INTERRUPTED = """
import os, random, signal, threading, time
import torch, striate

torch.set_num_threads(2)
raised = caught = 0
armed, done = threading.Event(), time.monotonic() + 4

def kill():
    while time.monotonic() < done:
        time.sleep(random.random() * 0.004)
        if armed.wait(1):
            armed.clear()
            os.kill(os.getpid(), signal.SIGINT)

def interrupt(*_):
    global raised
    raised += 1
    raise KeyboardInterrupt

from striate.ops._threads import run_slabs
signal.signal(signal.SIGINT, interrupt)
threading.Thread(target=kill, daemon=True).start()
running = True
while running:
    try:
        running = time.monotonic() < done
        before, slabs = raised, set()
        armed.set()
        run_slabs(slabs.add, 4)
        assert slabs == {0, 1, 2, 3}
        assert raised == before, "an interrupt was lost"
    except KeyboardInterrupt:
        caught += 1
print("caught", caught > 0)
os._exit(0)
"""


def test_interrupts_are_not_lost() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "caught True\n", done.stderr[-2000:]


def test_threads_keep_their_workspaces(two_threads: None) -> None:
    workspace, places = Workspace(), set()
    for _ in range(3):
        meeting = threading.Barrier(2)

        def work(slab: int, meeting: threading.Barrier = meeting) -> None:
            meeting.wait(30)
            places.add(workspace.array("sums", 4, np.float32).ctypes.data)

        run_slabs(work, 2)
    assert len(places) == 2


def test_large_arrays_are_not_kept() -> None:
    workspace = Workspace()
    assert workspace.array("sums", 1 << 25, np.uint8).size == 1 << 25
    assert workspace.array("sums", 4, np.uint8).base.size == 4


def test_errors_reach_the_caller(two_threads: None) -> None:
    with pytest.raises(ZeroDivisionError):
        run_slabs(lambda slab: 1 // (slab - 3), 8)


def test_slabs_inside_slabs(two_threads: None) -> None:
    seen: list[int] = []
    run_slabs(lambda slab: run_slabs(seen.append, 3), 2)
    assert sorted(seen) == [0, 0, 1, 1, 2, 2]


WORKER = """
import torch, striate
from torch.utils.data import DataLoader, Dataset

def result(groups):
    generator = torch.Generator().manual_seed(0)
    maps, filters = torch.randn(2, 4, 9, 9, generator=generator), torch.randn(4, 4 // groups, 3, 3, generator=generator)
    return striate.conv2d(maps, filters, groups=groups, padding="same")

class Results(Dataset):
    def __len__(self):
        return 2
    def __getitem__(self, index):
        return result((1, 4)[index])

torch.set_num_threads(2)
parents = [result(1), result(4)]
for child, parent in zip(DataLoader(Results(), batch_size=None, num_workers=1, timeout=60), parents, strict=True):
    assert torch.allclose(child, parent, atol=1e-5)
print("same")
"""


def test_a_worker_can_call_what_its_parent_has_called() -> None:
    done = subprocess.run([sys.executable, "-c", WORKER], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "same\n", done.stderr


def test_kernels_compile_where_nothing_can_be_written(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Root may write anywhere, so that the check of permission itself is replaced."""
    code = f"""
import os, tempfile
tempfile.tempdir = {str(tmp_path_factory.mktemp("cache"))!r}
os.access = lambda place, mode: False
import torch, striate
striate.conv2d(torch.zeros(1, 2, 4, 4, dtype=torch.float64), torch.ones(2, 1, 3, 3, dtype=torch.float64), groups=2)
print(sum(name.endswith(".nbc") for _, _, files in os.walk(tempfile.tempdir) for name in files) > 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "True\n", done.stderr


def test_each_thread_has_its_own_workspace() -> None:
    workspace = Workspace()
    first = workspace.array("sums", 4, np.float32)
    first[:] = 1
    assert workspace.array("sums", 3, np.float32).base is first.base
    others: list[Any] = []
    thread = threading.Thread(target=lambda: others.append(workspace.array("sums", 4, np.float32)))
    thread.start()
    thread.join()
    assert not np.shares_memory(first, others[0])
    assert workspace.array("sums", 9, np.float32).size == 9
