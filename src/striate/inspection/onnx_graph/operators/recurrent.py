"""Recurrent layers, written from ONNX's formulas: one step after another."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from striate.inspection.onnx_graph.operators.registry import Node, operator

_Activation = Callable[[Tensor], Tensor]
_ACTIVATIONS: dict[str, _Activation] = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu}
_DEFAULTS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
_ROLES = ("", "weight", "recurrence", "bias", "", "hidden")


def _activations(node: Node, direction: int) -> list[_Activation]:
    default = _DEFAULTS[node.op]
    names = node.get("activations") or default * 2
    chosen = [name.lower() for name in names[direction * len(default) : (direction + 1) * len(default)]]
    unknown = [name for name in chosen if name not in _ACTIVATIONS]
    if unknown:
        raise ValueError(f"{node.label} ({node.op}): the activation {unknown[0]!r} is not known here")
    return [_ACTIVATIONS[name] for name in chosen]


@operator("LSTM", roles=(*_ROLES, "cell", "peephole"), buffers=("hidden", "cell"), layer=True)
def _lstm(
    node: Node, input: Tensor, weight: Tensor, recurrence: Tensor, bias: Tensor | None = None, lengths: Any = None,
    hidden: Tensor | None = None, cell: Tensor | None = None, peephole: Tensor | None = None,
) -> tuple[Tensor, ...]:  # fmt: skip
    return _layer(node, input, weight, recurrence, bias, lengths, hidden, cell, peephole)


@operator("GRU", "RNN", roles=_ROLES, buffers=("hidden",), layer=True)
def _plain(
    node: Node, input: Tensor, weight: Tensor, recurrence: Tensor, bias: Tensor | None = None, lengths: Any = None,
    hidden: Tensor | None = None,
) -> tuple[Tensor, ...]:  # fmt: skip
    return _layer(node, input, weight, recurrence, bias, lengths, hidden, None, None)


def _layer(
    node: Node, input: Tensor, weight: Tensor, recurrence: Tensor, bias: Tensor | None, lengths: Any,
    hidden: Tensor | None, cell: Tensor | None, peephole: Tensor | None,
) -> tuple[Tensor, ...]:  # fmt: skip
    if lengths is not None:
        raise ValueError(f"{node.label} ({node.op}): sequences of different lengths are not known here")
    if node.get("clip") or node.get("input_forget", 0):
        raise ValueError(f"{node.label} ({node.op}): clip and input_forget are not known here")
    swapped = bool(node.get("layout", 0))
    steps = input.transpose(0, 1) if swapped else input
    directions, size = weight.shape[0], recurrence.shape[-1]
    outputs, hiddens, cells = [], [], []
    for direction in range(directions):
        backward = node.get("direction", "forward") == "reverse" or direction == 1
        states = [
            steps.new_zeros(steps.shape[1], size)
            if each is None
            else (each[:, direction] if swapped else each[direction])
            for each in (hidden, cell)
        ]
        pick = [None if each is None else each[direction] for each in (bias, peephole)]
        found, last, kept = _run(
            node, steps.flip(0) if backward else steps, weight[direction], recurrence[direction], pick[0], pick[1],
            states[0], states[1], _activations(node, direction),
        )  # fmt: skip
        outputs.append(found.flip(0) if backward else found)
        hiddens.append(last)
        cells.append(kept)
    if swapped:
        results = torch.stack(outputs, 1).permute(2, 0, 1, 3), torch.stack(hiddens, 1), torch.stack(cells, 1)
    else:
        results = torch.stack(outputs, 1), torch.stack(hiddens), torch.stack(cells)
    return results if node.op == "LSTM" else results[:2]


def _run(
    node: Node, steps: Tensor, weight: Tensor, recurrence: Tensor, bias: Tensor | None, peephole: Tensor | None,
    hidden: Tensor, cell: Tensor, activations: list[_Activation],
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """One direction: hidden states of all steps, the last, and the last cell."""
    given, fed = (None, None) if bias is None else bias.chunk(2)
    inputs = torch.nn.functional.linear(steps, weight, given)
    found = []
    for step in range(steps.shape[0]):
        if node.op == "GRU":
            hidden = _gru(node, inputs[step], hidden, recurrence, fed, activations)
        else:
            gates = inputs[step] + torch.nn.functional.linear(hidden, recurrence, fed)
            if node.op == "RNN":
                hidden = activations[0](gates)
            else:
                hidden, cell = _lstm_step(gates, cell, peephole, activations)
        found.append(hidden)
    return torch.stack(found), hidden, cell


def _lstm_step(
    gates: Tensor, cell: Tensor, peephole: Tensor | None, activations: list[_Activation]
) -> tuple[Tensor, Tensor]:
    first, second, third = activations
    enter, leave, forget, new = gates.chunk(4, -1)
    if peephole is not None:
        one, _, two = peephole.chunk(3)
        enter, forget = enter + one * cell, forget + two * cell
    cell = first(forget) * cell + first(enter) * second(new)
    if peephole is not None:
        leave = leave + peephole.chunk(3)[1] * cell
    return first(leave) * third(cell), cell


def _gru(
    node: Node, input: Tensor, hidden: Tensor, recurrence: Tensor, bias: Tensor | None, activations: list[_Activation]
) -> Tensor:
    linear = torch.nn.functional.linear
    size = hidden.shape[-1]
    first, second = activations
    into, at = input[..., : 2 * size], input[..., 2 * size :]
    if node.get("linear_before_reset", 0):
        fed = linear(hidden, recurrence, bias)
        update, reset = first(into + fed[..., : 2 * size]).chunk(2, -1)
        new = second(at + reset * fed[..., 2 * size :])
    else:
        biases = (None, None) if bias is None else (bias[: 2 * size], bias[2 * size :])
        update, reset = first(into + linear(hidden, recurrence[: 2 * size], biases[0])).chunk(2, -1)
        new = second(at + linear(reset * hidden, recurrence[2 * size :], biases[1]))
    return (1 - update) * new + update * hidden
