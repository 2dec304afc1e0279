"""The memory of a step of training, part by part, and what optimizers hold."""

from dataclasses import dataclass
from typing import Literal

Optimizer = Literal["sgd", "momentum", "adam"]

# Numbers that an optimizer holds for each trainable one.
_STATES = {"sgd": 0, "momentum": 1, "adam": 2}
# Adam counts its steps in one float32 a parameter.
_STEP_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingBytes:
    """What one step of training needs.

    Args:
        parameters: the weights.
        buffers: running statistics and the like.
        gradients: of the trainable weights.
        optimizer: what the optimizer holds.
        input: the network's.
        saved: kept from the forward to the backward pass, without parameters, buffers and input.
        total: the sum of these.

    Example:
        >>> import striate
        >>> step = striate.inspect("lenet5").usage.training("momentum")
        >>> step.gradients == step.optimizer
        True
    """

    parameters: int
    buffers: int
    gradients: int
    optimizer: int
    input: int
    saved: int
    total: int


def state_bytes(optimizer: Optimizer, gradients_bytes: int, parameters: int) -> int:
    """What an optimizer holds between steps.

    Args:
        optimizer: "sgd" holds nothing, "momentum" one number a trainable weight, "adam" two, and its step count.
        gradients_bytes: the size of the gradients.
        parameters: how many tensors are trained.

    Returns:
        Bytes.

    Raises:
        ValueError: if there is no such optimizer.

    Example:
        >>> state_bytes("adam", 100, 2)
        208
    """
    if optimizer not in _STATES:
        raise ValueError(f"optimizer must be one of {', '.join(_STATES)}, got {optimizer!r}")
    return _STATES[optimizer] * gradients_bytes + (_STEP_BYTES * parameters if optimizer == "adam" else 0)
