"""Kernels on a real GPU. Elsewhere all of these are skipped, and pytest tells how many.

From a checkout, with nothing installed but PyTorch, Numba, pytest and its plugins timeout and xdist; several processes
compile at once, and the last file wants the GPU's memory for itself:

    PYTHONPATH=src python -m pytest -q -W default -n 10 tests/gpu --ignore tests/gpu/test_gpu_large.py
    PYTHONPATH=src python -m pytest -q -W default tests/gpu/test_gpu_large.py
"""

import os

import pytest
import torch

# What PyTorch's own products want, to be the same at every run.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@pytest.fixture(autouse=True)
def tilings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first tiling of every kernel: if they were measured, all would be compiled for each case."""
    if torch.cuda.is_available():
        from .operators import tuned_kernels

        for kernel in tuned_kernels():
            monkeypatch.setattr(kernel, "_measured", None)
