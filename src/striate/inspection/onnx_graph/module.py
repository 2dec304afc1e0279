"""An ONNX file as a module of PyTorch."""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from striate.inspection.onnx_graph.plan import Plan, planned
from striate.inspection.onnx_graph.reader import Graph, GraphInput, Limits, read_graph
from striate.inspection.onnx_graph.running import Known, run


class OnnxNetwork(nn.Module):
    """The network of an ONNX file; see `open_onnx`.

    Args:
        graph: the checked file.
        numbers: whether parameters and buffers hold their numbers.
    """

    def __init__(self, graph: Graph, numbers: bool) -> None:
        super().__init__()
        self._plan: Plan = planned(self, graph, numbers)
        self.eval()

    @property
    def file(self) -> Path:
        """The file it was read from."""
        return self._plan.file

    @property
    def inputs(self) -> tuple[GraphInput, ...]:
        """What it takes: names, sizes and dtypes."""
        return self._plan.inputs

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what it gives."""
        return self._plan.outputs

    def blank_inputs(
        self, sizes: Sequence[int] | Mapping[str, Sequence[int]] | None = None, *, batch: int | None = None
    ) -> list[Tensor]:
        """Return inputs without numbers, to inspect the network on.

        Args:
            sizes: of the first input, batch included, or of inputs by name; those of the file where they are left out.
            batch: for the first axis of inputs whose sizes are left out, where the file leaves it open.

        Returns:
            A tensor for each input, on the device "meta".

        Raises:
            ValueError: if a size is left open, one differs from the file's, or a name is not an input's.
        """
        given = dict(sizes) if isinstance(sizes, Mapping) else {} if sizes is None else {self.inputs[0].name: sizes}
        strange = set(given) - {each.name for each in self.inputs}
        if strange:
            names = ", ".join(each.name for each in self.inputs)
            raise ValueError(f"{self.file} has no input {sorted(strange)[0]!r}: its inputs are {names}")
        symbols: dict[str, int] = {}
        found = []
        for each in self.inputs:
            shape = _chosen(each, given.get(each.name), batch, symbols)
            _check_sizes(each, shape, symbols)
            found.append(torch.empty(shape, dtype=each.dtype, device="meta"))
        return found

    def forward(self, *given: Tensor, **named: Tensor) -> Any:
        """Run the graph.

        Args:
            given: its inputs in order.
            named: its inputs by name.

        Returns:
            Its output, or a tuple of several.

        Raises:
            ValueError: if the inputs are too many or too few, or of other sizes than the file says.
            TypeError: if one has another dtype.
        """
        values = self._taken(given, named)
        del given, named
        plan = self._plan
        first = next(self.parameters(), None)
        if first is not None and first.is_meta and not isinstance(first, FakeTensor):
            raise ValueError(f"{self.file} was opened without its numbers: open_onnx(file, numbers=True)")
        for step in plan.steps:
            passed = [
                constant if constant is not None else values[name] if name else None
                for name, constant in zip(step.values, step.constants, strict=True)
            ]
            for name in step.last:
                del values[name]
            try:
                if step.layer:
                    found = self.get_submodule(step.layer)(*passed)
                else:
                    found = run(step.node, step.proto, step.shapes, passed)
            except Exception as error:
                error.add_note(f"in the node {step.node.label!r} ({step.node.op}) of {plan.file}")
                raise
            found = found if isinstance(found, tuple) else (found,)
            values.update((name, each) for name, each in zip(step.keeps, found, strict=False) if name)
            del passed, found
        results = tuple(_given_back(values.get(name, plan.constants.get(name))) for name in plan.outputs)
        return results[0] if len(results) == 1 else results

    def _taken(self, given: tuple[Tensor, ...], named: dict[str, Tensor]) -> dict[str, Any]:
        """The inputs by name.

        Raises:
            ValueError: if they are too many or too few, or of other sizes than the file says.
            TypeError: if one has another dtype.
        """
        names = [each.name for each in self.inputs]
        twice = dict(zip(names, given, strict=False))
        if len(given) > len(names) or set(named) & set(twice) or set(named) | set(twice) != set(names):
            raise ValueError(
                f"{self.file} takes {len(names)} inputs: {', '.join(names)}; got {len(given) + len(named)}"
            )
        values: dict[str, Any] = {**twice, **named}
        symbols: dict[str, int] = {}
        for each in self.inputs:
            tensor = values[each.name]
            if tensor.dtype != each.dtype:
                raise TypeError(f"the input {each.name!r} must be {each.dtype}, got {tensor.dtype}")
            _check_sizes(each, tensor.shape, symbols)
        return values


def _given_back(value: Any) -> Tensor:
    if isinstance(value, Known):
        return torch.tensor(value.array.tolist(), dtype=value.tensor.dtype)
    if value is None:
        raise ValueError("an output of the graph was not made")
    found: Tensor = value
    return found


def _chosen(
    each: GraphInput, given: Sequence[int] | None, batch: int | None, symbols: Mapping[str, int]
) -> tuple[int, ...]:
    """The sizes to run an input on.

    Raises:
        ValueError: if one is left open.
    """
    if given is not None:
        return tuple(given)
    if each.shape is None:
        raise ValueError(f"the file does not say how many axes the input {each.name!r} has: give its size")
    found = []
    for axis, size in enumerate(each.shape):
        if isinstance(size, str) and size in symbols:
            size = symbols[size]
        if not isinstance(size, int) and axis == 0 and batch is not None:
            size = batch
        if not isinstance(size, int):
            raise ValueError(
                f"the input {each.name!r} is {_written(each)}: the file leaves axis {axis} open, give its size"
            )
        found.append(size)
    return tuple(found)


def _check_sizes(each: GraphInput, shape: Sequence[int], symbols: dict[str, int]) -> None:
    if each.shape is None:
        return
    fits = len(shape) == len(each.shape)
    for size, wished in zip(shape, each.shape, strict=False):
        if isinstance(wished, str):
            fits &= symbols.setdefault(wished, size) == size
        elif wished is not None:
            fits &= wished == size
    if not fits:
        known_ones = ", ".join(f"{name} = {size}" for name, size in symbols.items() if name in each.shape)
        raise ValueError(
            f"the input {each.name!r} must be {_written(each)}{' with ' if known_ones else ''}{known_ones}, "
            f"got {tuple(shape)}"
        )


def _written(each: GraphInput) -> str:
    sizes = each.shape or ()
    return f"({', '.join('?' if size is None else str(size) for size in sizes)})"


def open_onnx(file: str | PathLike[str], *, numbers: bool = False, limits: Limits | None = None) -> OnnxNetwork:
    """Read an ONNX file as a module.

    Each node that holds numbers, has a window or is an activation is a module of its own, named as the exporter noted
    it, or after the node. Tensors of floating-point numbers that the file holds are parameters, but for means and
    variances of a batch normalisation, scales, single numbers and what decides sizes; all others are buffers. ONNX does
    not say which were trained: all parameters ask for gradients. Nothing of the file is executed, and files beside it
    are read only in its own folder. Quantized numbers of four bits are held in a byte each.

    Args:
        file: the file.
        numbers: whether to read its numbers, to run the network. Without them its sizes can be inspected.
        limits: what it may ask for; `Limits()` if left out.

    Returns:
        The network, in eval mode.

    Raises:
        ImportError: if the package onnx is not installed.
        ValueError: if the file is damaged, hostile, or of a form that is not known; the message names it.

    Example:
        >>> from striate.inspection.onnx_graph import open_onnx
        >>> open_onnx("missing.onnx")
        Traceback (most recent call last):
        ...
        ValueError: missing.onnx cannot be read: No such file or directory
    """
    path = Path(file)
    graph = read_graph(path, limits or Limits())
    try:
        return OnnxNetwork(graph, numbers)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def inputs_of(file: str | PathLike[str], *, limits: Limits | None = None) -> tuple[GraphInput, ...]:
    """Return what the network of an ONNX file takes.

    Args:
        file: the file.
        limits: what it may ask for.

    Returns:
        Names, sizes and dtypes, in order.

    Raises:
        ImportError: if the package onnx is not installed.
        ValueError: if the file is damaged, hostile, or of a form that is not known; the message names it.

    Example:
        >>> from striate.inspection.onnx_graph import inputs_of
        >>> inputs_of("missing.onnx")
        Traceback (most recent call last):
        ...
        ValueError: missing.onnx cannot be read: No such file or directory
    """
    return read_graph(Path(file), limits or Limits()).inputs
