"""Which room of an operator runs, and that PyTorch knows of both."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from striate import ops
from striate.ops._rooms import DEVICES, kind, room

OPS = Path(ops.__file__).parent


@pytest.mark.parametrize(("device", "name"), [("cpu", "cpu"), ("cuda", "gpu")])
def test_a_room_for_each_device(device: str, name: str) -> None:
    assert device in DEVICES
    with FakeTensorMode():
        like = torch.empty(1, device=device)
    assert kind(like) == name
    if name == "gpu":
        pytest.importorskip("triton", reason="Triton is not installed")
    assert room("max_unpool", like).__name__ == f"striate.ops.max_unpool.{name}"


def test_operators_with_kernels_are_registered_for_every_device() -> None:
    for name in ops.OPERATORS:
        ops.load_operator(name)
    own = [name for name in torch._C._dispatch_get_all_op_names() if name.startswith("striate::")]
    assert len(own) == 2 * len(list(OPS.glob("[a-z]*/cpu.py")))
    for device in DEVICES:
        key = torch._C._dispatch_key_for_device(device)
        assert all(torch._C._dispatch_has_kernel_for_dispatch_key(name, key) for name in own)


def test_a_missing_triton_is_an_error_that_says_what_to_install() -> None:
    code = """
import sys
sys.modules["triton"] = None
import torch, striate
from striate.ops import _rooms
_rooms.kind = lambda like: "gpu"
for _ in range(2):
    try:
        striate.local_response_norm(torch.zeros(1, 2, 3), 3)
    except ModuleNotFoundError as error:
        print(error)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.count("the kernels for GPUs need Triton, which comes with PyTorch's builds for CUDA on Linux") == 2
