"""Whole operators by the GPU's rooms, on the CPU."""

import pytest

from striate.ops import _rooms


def take_gpu_rooms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the CPU's tensors go to the rooms for GPUs."""
    monkeypatch.setattr(_rooms, "kind", lambda like: "gpu")
