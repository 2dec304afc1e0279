"""JAX gives what PyTorch gives, gradients too."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from benchmarks.peers import jax_on_cpu
from benchmarks.runner.agreement import disagreement
from benchmarks.runner.contender import on_torch
from benchmarks.runner.gate import ROOT
from torch import Tensor
from torch.nn import functional as F

pytest.importorskip("jax", reason="JAX is a peer: make bench-peers")

_CONV = (F.conv1d, F.conv2d, F.conv3d)
_TRANSPOSED = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)


def assert_alike(function: Callable[..., Tensor], of_jax: jax_on_cpu.Function, *inputs: Tensor) -> None:
    """Output and every gradient."""
    ours, theirs = on_torch(function, *inputs), jax_on_cpu.on_jax(of_jax, *inputs)
    assert ours.results is not None
    assert theirs.results is not None
    found = theirs.results()
    assert len(found) == 1 + len(inputs)
    assert disagreement(ours.results(), found) is None


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_conv(axes: int) -> None:
    settings = {"stride": (2, 1, 1)[:axes], "padding": (1, 2, 0)[:axes], "dilation": (1, 2, 1)[:axes], "groups": 2}
    tensors = torch.randn(2, 4, *(7, 6, 5)[:axes]), torch.randn(6, 2, *(3, 2, 3)[:axes])
    assert_alike(lambda x, w: _CONV[axes - 1](x, w, **settings), jax_on_cpu.conv(**settings), *tensors)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_conv_transpose_with_groups_and_bias(axes: int) -> None:
    settings = {"stride": (2, 3, 1)[:axes], "padding": (1, 0, 1)[:axes], "groups": 2}
    tensors = torch.randn(2, 4, *(4, 3, 5)[:axes]), torch.randn(4, 3, *(4, 3, 2)[:axes]), torch.randn(6)
    transposed = _TRANSPOSED[axes - 1]
    assert_alike(lambda x, w, b: transposed(x, w, b, **settings), jax_on_cpu.conv_transpose(**settings), *tensors)


def test_im2col() -> None:
    assert_alike(lambda x: F.unfold(x, (2, 3)), jax_on_cpu.im2col((2, 3)), torch.randn(2, 3, 5, 6))


def test_correlate() -> None:
    picture, kernel = torch.randn(7, 6), torch.randn(3, 2)
    assert_alike(lambda x, k: F.conv2d(x[None, None], k[None, None]), jax_on_cpu.correlate, picture, kernel)


def test_forward_alone() -> None:
    work = jax_on_cpu.on_jax(lambda x: x + 1, torch.zeros(3), backward=False)
    assert work.with_backward is None
    assert work.results is not None
    assert [array.tolist() for array in work.results()] == [[1.0, 1.0, 1.0]]


@pytest.mark.parametrize("threads", [1, 2])
def test_as_many_threads_as_pytorch(threads: int) -> None:
    code = f"""
import os, torch
torch.set_num_threads({threads})
from benchmarks.peers.jax_on_cpu import on_jax
on_jax(lambda x: x @ x, torch.ones(8, 8)).run()
tasks = [open(f"/proc/self/task/{{task}}/comm").read() for task in os.listdir("/proc/self/task")]
print(sum(name.startswith("tf_XLAEigen") for name in tasks))
"""
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(found.stdout) == threads
