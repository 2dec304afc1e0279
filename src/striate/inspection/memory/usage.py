"""The memory that a network needs: for a forward pass, for a backward pass, for training, for a batch of any size."""

import math
from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from typing import Any, get_args

from torch import nn

from striate.inspection.memory.batches import OfBatch, of_batch
from striate.inspection.memory.kept import Keeping, keepings
from striate.inspection.memory.optimizers import Optimizer as Optimizer
from striate.inspection.memory.optimizers import TrainingBytes, state_bytes
from striate.inspection.report import State, Total
from striate.inspection.rows import leaves, rows
from striate.inspection.tracing.trace import Memory, Operation, Run, Trace, Value, trace

# What these work with, and some keep for the backward pass, has no size before they run.
_FUSED = frozenset(
    f"aten.{name}"
    for name in (
        "mkldnn_rnn_layer _cudnn_rnn miopen_rnn _native_multi_head_attention _transformer_encoder_layer_fwd"
    ).split()
)
# Modules with another way through their forward where there are no gradients.
_TWO_WAYS = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerEncoder)


class Usage:
    """The memory that a network needs, in bytes.

    What tensors hold is counted, by the size of the memory they lie in, that which several share once. What kernels
    take while they run is not: on CPU, oneDNN holds copies of its weights, and, unless pictures lie channels-last, of
    inputs and outputs in an order of its own; on GPUs, cuDNN holds a workspace.

    Args:
        found: a run of the network, with gradients.
        model: the network, for further runs where they are asked for; it is not touched.

    Example:
        >>> import striate
        >>> usage = striate.inspect("vgg16").usage
        >>> usage.parameters_bytes, usage.peak_forward_bytes.value
        (553430176, 25690112)
    """

    def __init__(self, found: Trace, model: nn.Module) -> None:
        self._trace = found
        self._model = model

    @cached_property
    def parameters_bytes(self) -> int:
        """The weights; what several layers share is counted once."""
        return _total(value.memory for value, _ in self._weights)

    @cached_property
    def buffers_bytes(self) -> int:
        """Running statistics and the like."""
        weights = {id(value.memory) for value, _ in self._weights}
        others = (value for value in self._trace.parameters.values() if id(value.memory) not in weights)
        return _total(value.memory for value in others)

    @cached_property
    def gradients_bytes(self) -> int:
        """The gradients of the trainable weights."""
        return sum(_own_size(value) for value, trained in self._weights if trained)

    @cached_property
    def input_bytes(self) -> int:
        """The network's inputs."""
        return _total(value.memory for value in self._trace.inputs)

    @cached_property
    def outputs_bytes(self) -> int:
        """The network's inputs and the outputs of all layers, were nothing let go; what is written in place is one."""
        outputs = (value.memory for row in leaves(rows(self._trace)) for value in row.outputs)
        return self.input_bytes + _total(memory for memory in outputs if not memory.parameter and not memory.given)

    @cached_property
    def outputs_apart_bytes(self) -> int:
        """The same, were nothing written in place: what each layer computes in memory of its own."""
        operations = self._trace.operations
        found = self.input_bytes
        for row in leaves(rows(self._trace)):
            made = {id(memory) for operation in operations[row.first : row.last] for memory in _written(operation)}
            found += sum(_own_size(value) for value in row.outputs if id(value.memory) in made)
        return found

    @cached_property
    def kept(self) -> tuple[Keeping, ...]:
        """What each operation keeps for the backward pass, and why; the bytes add up to `saved_for_backward_bytes`."""
        return keepings(self._trace)

    @cached_property
    def saved_for_backward_bytes(self) -> Total:
        """Kept from the forward to the backward pass, without parameters, buffers and input.

        It is a lower bound for recurrent layers, whose fused kernels keep a workspace that has no size before they run,
        and for functions of autograd that keep tensors as attributes.
        """
        return self._total(sum(item.nbytes for item in self.kept), self._unseen)

    @cached_property
    def saved_parameters_bytes(self) -> int:
        """Parameters and buffers that the backward pass reads; they lie in memory anyway."""
        return _total(saved.memory for saved in self._trace.saved if saved.memory.parameter)

    @cached_property
    def saved_input_bytes(self) -> int:
        """The network's inputs as far as the backward pass reads them."""
        return _total(saved.memory for saved in self._trace.saved if saved.memory.given)

    @cached_property
    def peak_forward_bytes(self) -> Total:
        """The most that lies in memory at once in a forward pass without gradients, without parameters, buffers, input.

        The network is in the mode in which it was given.
        """
        found = self._inference
        if found.failure is not None:
            return self._total(0, (), failed=True)
        return self._total(max(found.live, default=0), _fused(found))

    @cached_property
    def peak_training_bytes(self) -> Total:
        """The most that lies in memory at once in a forward and a backward pass, gradients of the weights included.

        Without parameters, buffers and input; unavailable where an operator has no backward pass on tensors without
        numbers. Gradients of earlier steps are taken to be gone.
        """
        found = self._training
        return self._total(max(found.live, default=0), self._unseen, failed=found.failure is not None)

    def optimizer_bytes(self, optimizer: Optimizer) -> int:
        """What an optimizer holds between steps.

        Args:
            optimizer: "sgd" holds nothing, "momentum" one number a trainable weight, "adam" two, and its step count.

        Returns:
            Bytes.

        Raises:
            ValueError: if there is no such optimizer.

        Example:
            >>> import striate
            >>> striate.inspect("lenet5").usage.optimizer_bytes("sgd")
            0
        """
        return state_bytes(optimizer, self.gradients_bytes, sum(trained for _, trained in self._weights))

    def training(self, optimizer: Optimizer = "adam") -> TrainingBytes:
        """What one step of training needs, part by part.

        Args:
            optimizer: see `optimizer_bytes`.

        Returns:
            The parts and their sum. The most at once is less where saved memory goes before gradients come, and more by
            what the backward pass works with: see `peak_training_bytes`.

        Raises:
            ValueError: if there is no such optimizer, or the network does not run on this input.

        Example:
            >>> import striate
            >>> striate.inspect("lenet5").usage.training("sgd").optimizer
            0
        """
        saved = self.saved_for_backward_bytes.value
        if saved is None:
            raise ValueError(f"what training needs is unknown: the network failed with {self._trace.failure}")
        parts = {
            "parameters": self.parameters_bytes,
            "buffers": self.buffers_bytes,
            "gradients": self.gradients_bytes,
            "optimizer": self.optimizer_bytes(optimizer),
            "input": self.input_bytes,
            "saved": saved,
        }
        return TrainingBytes(**parts, total=sum(parts.values()))

    @cached_property
    def peak_forward_of_batch(self) -> OfBatch:
        """The peak of a forward pass without gradients for a batch of any size: `peak_forward_of_batch(32)`."""
        return of_batch(self._model, self._trace, "inference", lambda found: found.live)

    @cached_property
    def saved_of_batch(self) -> OfBatch:
        """What is saved for the backward pass for a batch of any size."""
        return of_batch(
            self._model, self._trace, "forward", lambda found: [sum(item.nbytes for item in keepings(found))]
        )

    @cached_property
    def training_of_batch(self) -> OfBatch:
        """The peak of a forward and a backward pass, gradients of the weights included, for a batch of any size."""
        return of_batch(self._model, self._trace, "training", lambda found: found.live)

    def step_bytes(self, batch: int, optimizer: Optimizer = "adam") -> int:
        """The most that lies in memory at once in a step of training.

        Args:
            batch: samples.
            optimizer: see `optimizer_bytes`.

        Returns:
            Bytes: parameters, buffers, input, what the optimizer holds, and the peak of the forward and backward pass.

        Raises:
            ValueError: if the batch is not positive, there is no such optimizer, or the backward pass is unknown.

        Example:
            >>> import striate
            >>> usage = striate.inspect("lenet5").usage
            >>> usage.step_bytes(2, "sgd") > usage.step_bytes(1, "sgd")
            True
        """
        fixed = self.parameters_bytes + self.buffers_bytes + self.optimizer_bytes(optimizer)
        return fixed + batch * self._sample_bytes + self.training_of_batch(batch)

    def largest_batch(self, memory_bytes: int, optimizer: Optimizer | None = "adam") -> int:
        """The largest batch that fits in a memory.

        Args:
            memory_bytes: of the device, in bytes, for this network alone.
            optimizer: see `optimizer_bytes`; None for inference.

        Returns:
            Samples; 0 if not even one fits.

        Raises:
            ValueError: if the memory is not positive, there is no such optimizer, or memory does not grow with the
                batch.

        Example:
            >>> import striate
            >>> usage = striate.inspect("lenet5").usage
            >>> usage.largest_batch(usage.step_bytes(64))
            64
        """
        if memory_bytes <= 0:
            raise ValueError(f"memory_bytes must be positive, got {memory_bytes}")
        fixed = self.parameters_bytes + self.buffers_bytes
        if optimizer is None:
            return self.peak_forward_of_batch.largest(memory_bytes - fixed, self._sample_bytes)
        return self.training_of_batch.largest(
            memory_bytes - fixed - self.optimizer_bytes(optimizer), self._sample_bytes
        )

    def to_dict(self) -> dict[str, Any]:
        """The numbers in the types of JSON; those that need no further run of the network.

        Returns:
            By the names of the attributes, and `optimizer_bytes` and `training_bytes` by optimizer.

        Example:
            >>> import striate
            >>> striate.inspect("lenet5").usage.to_dict()["optimizer_bytes"]["sgd"]
            0
        """
        names = ("parameters", "gradients", "buffers", "input", "outputs", "saved_parameters", "saved_input")
        failed = self._trace.failure is not None
        return {
            **{f"{name}_bytes": getattr(self, f"{name}_bytes") for name in names},
            **{name: _plain(getattr(self, name)) for name in ("saved_for_backward_bytes", "peak_forward_bytes")},
            "optimizer_bytes": {name: self.optimizer_bytes(name) for name in get_args(Optimizer)},
            "training_bytes": {name: None if failed else self.training(name).total for name in get_args(Optimizer)},
        }

    @cached_property
    def _weights(self) -> list[tuple[Value, bool]]:
        """The weights, those that are shared once, and whether they are trained."""
        model = self._trace.calls[0].module if self._trace.calls else self._model
        return [(self._trace.parameters[name], weight.requires_grad) for name, weight in model.named_parameters()]

    @property
    def _sample_bytes(self) -> int:
        return sum(value.memory.nbytes // max(1, *value.shape[:1]) for value in self._trace.inputs)

    @property
    def _unseen(self) -> tuple[str, ...]:
        """What keeps memory that was not seen."""
        recurrent = [call.kind for call in self._trace.calls if isinstance(call.module, nn.RNNBase)]
        return tuple(dict.fromkeys([*_fused(self._trace), *recurrent, *self._trace.unhooked]))

    @cached_property
    def _inference(self) -> Trace:
        """A run without gradients; that with them if it holds the same memory."""
        return self._again("inference") if _chooses(self._trace) else self._trace

    @cached_property
    def _training(self) -> Trace:
        return self._again("training")

    def _again(self, run: Run) -> Trace:
        return trace(self._model, self._trace.given, self._trace.settings, run)

    def _total(self, value: int, missing: tuple[str, ...], failed: bool = False) -> Total:
        if failed or self._trace.failure is not None:
            return Total(value=None, state="unavailable", missing=missing)
        state: State = "lower bound" if missing else "complete"
        return Total(value=value, state=state, missing=missing)


def usage(found: Trace, model: nn.Module) -> Usage:
    """The memory that a network needs.

    Args:
        found: a run of the network, with gradients.
        model: the network.

    Returns:
        The memory; what needs further runs is worked out when it is asked for.

    Example:
        >>> import torch
        >>> layer = torch.nn.Linear(3, 2)
        >>> usage(trace(layer, [torch.empty(1, 3)]), layer).gradients_bytes
        32
    """
    return Usage(found, model)


def _distinct(memories: Iterable[Memory]) -> list[Memory]:
    return list({id(memory): memory for memory in memories}.values())


def _total(memories: Iterable[Memory]) -> int:
    return sum(memory.nbytes for memory in _distinct(memories))


def _own_size(value: Value) -> int:
    return math.prod(value.shape) * value.dtype.itemsize


def _written(operation: Operation) -> list[Memory]:
    """Where an operation writes: what it makes, and what it changes in place."""
    given = {id(value.memory) for value in operation.inputs}
    schema = getattr(operation.function, "_schema", None)
    in_place = schema is not None and schema.is_mutable
    return [value.memory for value in operation.outputs if in_place or id(value.memory) not in given]


def _fused(found: Trace) -> tuple[str, ...]:
    return tuple(dict.fromkeys(operation.name for operation in found.operations if operation.name in _FUSED))


def _chooses(found: Trace) -> bool:
    """Whether the network might do something else without gradients, or holds more with them.

    Functions of Striate choose between their kernels and PyTorch's; what is one operation of PyTorch is so anyway.
    """
    if found.held or found.unhooked or any(isinstance(call.module, _TWO_WAYS) for call in found.calls):
        return True
    parts = Counter(operation.within for operation in found.operations)
    return any(
        (operation.name.startswith("striate.") and not operation.name.endswith("()"))
        or (operation.name.endswith("()") and parts[place] > 1)
        for place, operation in enumerate(found.operations)
    )


def _plain(total: Total) -> dict[str, Any]:
    return {"value": total.value, "state": total.state, "missing": list(total.missing)}
