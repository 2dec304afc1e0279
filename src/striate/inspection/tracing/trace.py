"""Running a network on tensors without numbers: its operations, the calls of its modules, and the memory it holds."""

import contextlib
import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from striate.inspection.tracing.quiet import quiet, uncollected
from striate.inspection.tracing.record import Call, Memory, Operation, Saved, Trace, Value
from striate.inspection.tracing.recorder import Recorder, nodes, tensors
from striate.inspection.tracing.shadow import Shadow
from striate.ops import _door

__all__ = ["Call", "Memory", "Operation", "Saved", "Trace", "Value", "trace"]

Run = Literal["forward", "inference", "training"]


def trace(
    model: nn.Module, inputs: Sequence[Tensor], settings: Mapping[str, Any] | None = None, run: Run = "forward"
) -> Trace:
    """Run a network on tensors without numbers, and write down what happens.

    The network runs as it is, in its own mode of training or evaluation. Neither it, nor any random state, nor its
    inputs are touched.

    Args:
        model: any module.
        inputs: tensors of the sizes and dtypes to run on; their numbers are not read.
        settings: further arguments of the network's forward by name.
        run: "forward", with gradients for what asks for them; what is kept for the backward pass is written down and
            let go, so that memory lives as in inference; "inference", without gradients; "training", forward and
            backward, memory kept until the backward pass has read it.

    Returns:
        The run; if the network failed, up to where it did.

    Raises:
        ValueError: if a module does not know its sizes yet.
        TypeError: if a module is compiled to TorchScript.
    """
    recorder = Recorder(lets_go=run == "forward")
    found = _without_numbers(model, inputs, settings, run, recorder)
    if recorder.refused:
        # It asks for gradients in its forward.
        found = _without_numbers(model, inputs, settings, run, Recorder(lets_go=False))
    return found


def _without_numbers(
    model: nn.Module, inputs: Sequence[Tensor], settings: Mapping[str, Any] | None, run: Run, recorder: Recorder
) -> Trace:
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with torch.inference_mode(False), uncollected():
        shadow = Shadow(model, mode, recorder.enter, recorder.leave)
    with mode, torch.inference_mode(False):
        given = [_empty(x, _device(model, x)) for x in inputs]
    return observe(shadow, recorder, given, settings, run, mode)


def observe(
    shadow: Shadow,
    recorder: Recorder,
    given: Sequence[Tensor],
    settings: Mapping[str, Any] | None,
    run: Run = "forward",
    mode: FakeTensorMode | None = None,
) -> Trace:
    """Run a copy of a network, and write down what happens.

    Args:
        shadow: the copy; it tells the recorder of its calls.
        recorder: what writes.
        given: the inputs.
        settings: further arguments of the network's forward by name.
        run: see `trace`.
        mode: of tensors without numbers.

    Returns:
        The run; if the network failed, up to where it did.
    """
    recorder.begin(shadow)
    found = recorder.trace
    found.given, found.settings = tuple(given), dict(settings or {})
    found.inputs = tuple(
        recorder.hold(tensor, Memory(tensor.untyped_storage().nbytes(), given=True)) for tensor in given
    )
    with (
        untouched(),
        torch.set_grad_enabled(run != "inference"),
        mode or contextlib.nullcontext(),
        torch.autograd.graph.saved_tensors_hooks(recorder.keep, recorder.give_back),
        recorder,
        _door.watched(recorder.announced),
    ):
        try:
            output = shadow.model(*given, **found.settings)
            recorder.returned(output)
            if run == "training":
                _backward(output, recorder)
        except (Exception, SystemExit) as error:
            found.failure = error
        else:
            del output
    found.held = recorder.bytes
    return found


def _empty(tensor: Tensor, device: torch.device) -> Tensor:
    empty = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=device)
    return empty.requires_grad_(tensor.requires_grad)


def _backward(output: Any, recorder: Recorder) -> None:
    """Run backward from every output that has a gradient."""
    recorder.trace.backward = len(recorder.trace.operations)
    ends = [tensor for tensor in tensors(output) if tensor.requires_grad]
    before = [(leaf, leaf.grad) for leaf in _foreign_leaves(ends)]
    try:
        torch.autograd.backward(ends, [torch.empty_like(tensor) for tensor in ends])
    finally:
        for leaf, gradient in before:
            leaf.grad = gradient


def _foreign_leaves(ends: Sequence[Tensor]) -> list[Tensor]:
    """Tensors with numbers that gradients would go to: weights that a forward reads from outside of its network."""
    leaves = (getattr(node, "variable", None) for node in nodes(ends))
    return [leaf for leaf in leaves if isinstance(leaf, Tensor) and not isinstance(leaf, FakeTensor)]


def _device(model: nn.Module, like: Tensor) -> torch.device:
    first = next((tensor for tensor in model.parameters()), like)
    return torch.device("cpu") if first.is_meta else first.device


_ONE_AT_A_TIME = threading.RLock()


@contextlib.contextmanager
def untouched() -> Iterator[None]:
    """Give back every random state, and collect no garbage; print nothing, and compile nothing.

    All of these are of the process, so that runs in two threads wait for one another.
    """
    with (
        _ONE_AT_A_TIME,
        torch.random.fork_rng(),
        uncollected(),
        quiet(),
        torch.compiler.set_stance("force_eager"),
        torch.inference_mode(False),
        # It would look at numbers.
        torch.autograd.set_detect_anomaly(False),
    ):
        python, numpy = random.getstate(), np.random.get_state()
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
