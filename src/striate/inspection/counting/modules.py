"""Multiply-accumulates of modules whose operators differ from one device to the next: recurrent layers.

Of a recurrent layer PyTorch makes matrix products, or one opaque operator for all of its steps.
"""

from collections.abc import Mapping
from math import prod
from typing import Any

from torch import nn

from striate.inspection.counting.rules import CallRule
from striate.inspection.tracing.trace import Call

GATES = {"RNN": 1, "RNNCell": 1, "GRU": 3, "GRUCell": 3, "LSTM": 4, "LSTMCell": 4}


def _recurrent(call: Call) -> dict[str, int] | None:
    """Every layer and direction at every step of every sequence: its input, its state, and the state's projection."""
    layer: Any = call.module
    if not call.inputs:
        return None
    # A packed sequence comes as all steps of all sequences in a row.
    steps = prod(call.inputs[0].shape[:-1])
    gates = GATES[layer.mode.split("_")[0]]
    state = layer.proj_size or layer.hidden_size
    directions = 1 + layer.bidirectional
    widths = layer.input_size + (layer.num_layers - 1) * directions * state
    lines = {
        "input": steps * directions * gates * layer.hidden_size * widths,
        "state": steps * directions * gates * layer.hidden_size * state * layer.num_layers,
    }
    if layer.proj_size:
        lines["projection"] = steps * directions * layer.hidden_size * state * layer.num_layers
    return lines


def _cell(gates: int) -> CallRule:
    def rule(call: Call) -> dict[str, int] | None:
        """One step."""
        cell: Any = call.module
        if not call.inputs:
            return None
        each = prod(call.inputs[0].shape[:-1]) * gates * cell.hidden_size
        return {"input": each * cell.input_size, "state": each * cell.hidden_size}

    return rule


MODULES: Mapping[type[nn.Module], CallRule] = {
    nn.RNN: _recurrent,
    nn.GRU: _recurrent,
    nn.LSTM: _recurrent,
    nn.RNNCell: _cell(1),
    nn.GRUCell: _cell(3),
    nn.LSTMCell: _cell(4),
}
"""By their classes."""
