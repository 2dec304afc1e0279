"""What can be chosen in a training run."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args, get_type_hints

from striate.data import Augmentation

Schedule = Literal["cosine", "step", "constant"]
Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of a training run: stochastic gradient descent with momentum on the cross-entropy.

    Args:
        epochs: passes over the training part.
        batch_size: samples a step.
        lr: the learning rate at its highest, after the warm-up.
        schedule: how the learning rate falls: "cosine" to zero, "step" by ten at 1/2 and 3/4 of the run, or "constant".
        warmup: epochs over which the learning rate rises linearly from nearly zero; at most half the run is used.
        momentum: of the gradient descent, in [0, 1).
        weight_decay: the L2 penalty on weights; biases and normalisation parameters have none.
        label_smoothing: probability mass spread evenly over all classes, in [0, 1).
        augment: random affine changes of the training pictures, or None.
        seed: of the split, the initial weights, the order of samples, the augmentation and dropout; below 2**64.
        precision: of the products; "auto" takes bfloat16 only if a short measurement shows it to be faster here.
        threads: of PyTorch; None means as many as PyTorch uses now.
        device: "cpu", "cuda", or "auto": the GPU if there is one.
        workers: processes that decode pictures where the data do not fit in memory; None means one a core, eight at
            most. The result is the same for any.
        checkpoint_seconds: a checkpoint is written at least this often, in seconds, besides the one of every epoch.

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if a setting is out of its range.

    Example:
        >>> Config(epochs=3, lr=0.05).schedule
        'cosine'
    """

    epochs: int = 60
    batch_size: int = 64
    lr: float = 0.1
    schedule: Schedule = "cosine"
    warmup: float = 2.0
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    augment: Augmentation | None = Augmentation()
    seed: int = 0
    precision: Precision = "auto"
    threads: int | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: int | None = None
    checkpoint_seconds: float = 60.0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "seed", "workers", "threads"):
            value = getattr(self, name)
            if name in ("workers", "threads") and value is None:
                continue
            least = 0 if name in ("seed", "workers") else 1
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name} must be a whole number, got {value!r}")
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        if self.seed >= 2**64:
            raise ValueError(f"seed must be below 2**64, got {self.seed}")
        for name, low, high in (
            ("lr", 0.0, math.inf),
            ("warmup", 0.0, math.inf),
            ("momentum", 0.0, 1.0),
            ("weight_decay", 0.0, math.inf),
            ("label_smoothing", 0.0, 1.0),
            ("checkpoint_seconds", 0.0, math.inf),
        ):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or isinstance(value, bool):
                raise TypeError(f"{name} must be a number, got {value!r}")
            if not low <= value < high:
                raise ValueError(f"{name} must be at least {low:g} and below {high:g}, got {value:g}")
        hints = get_type_hints(type(self))
        for name in ("schedule", "precision", "device"):
            words = get_args(hints[name])
            if getattr(self, name) not in words:
                raise ValueError(f"{name} must be one of {', '.join(words)}, got {getattr(self, name)!r}")

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain numbers, words and dictionaries, ready for JSON.

        Returns:
            A dictionary from which `from_dict` makes an equal `Config`.
        """
        return asdict(self)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> "Config":
        """The inverse of `to_dict`.

        Args:
            settings: what `to_dict` returned.

        Returns:
            The settings.

        Raises:
            ValueError: if a setting is unknown.
        """
        unknown = settings.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"unknown training settings: {', '.join(sorted(unknown))}")
        augment = settings.get("augment")
        return cls(**{**settings, "augment": None if augment is None else Augmentation(**augment)})


def learning_rate(config: Config, step: int, steps_an_epoch: int) -> float:
    """The learning rate of a step: a pure function, so that there is no schedule to store.

    Args:
        config: the settings.
        step: number of the step, from 0.
        steps_an_epoch: steps in one epoch.

    Returns:
        The learning rate.

    Example:
        >>> config = Config(epochs=4, lr=1.0, warmup=0, schedule="step")
        >>> [round(learning_rate(config, epoch, 1), 4) for epoch in range(4)]
        [1.0, 1.0, 0.1, 0.01]
    """
    total = config.epochs * steps_an_epoch
    warmup = min(round(config.warmup * steps_an_epoch), total // 2)
    if step < warmup:
        return config.lr * (step + 1) / (warmup + 1)
    if config.schedule == "constant":
        return config.lr
    if config.schedule == "step":
        return config.lr * 0.1 ** ((2 * step >= total) + (4 * step >= 3 * total))
    return config.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1)))
