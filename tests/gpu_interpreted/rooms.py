"""Whole operators by the GPU's rooms, on the CPU."""

import importlib

import pytest


def take_gpu_room(monkeypatch: pytest.MonkeyPatch, module: str, *names: str) -> None:
    """Let the CPU run what an operator's file registers for GPUs."""
    for name in names:
        functions = getattr(importlib.import_module(f"striate.ops.{module}"), name)._backend_fns
        monkeypatch.setitem(functions, "cpu", functions["cuda"])


def take_deformed_rooms(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rooms of both deformable operators."""
    take_gpu_room(monkeypatch, "deform_conv.registered", "_deform_conv", "_deform_conv_backward")
    take_gpu_room(monkeypatch, "deform_aggregate.registered", "_aggregate", "_aggregate_backward")
