"""What a run will do: the data, the network and the settings, brought together."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from striate import data as sources
from striate import models
from striate.data import Dataset
from striate.models import notation
from striate.training.config import Config


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run will do, before it does it.

    Args:
        model: the network, with its first weights.
        model_name: its name in `striate.models`, or its class.
        model_options: the options that rebuild it, None for a network of the user's own.
        data: the data.
        config: the settings, with nothing left open but the precision.

    Example:
        >>> plan("lenet5", "digits").steps
        1380
    """

    model: nn.Module
    model_name: str
    model_options: dict[str, Any] | None
    data: Dataset
    config: Config

    @property
    def steps_an_epoch(self) -> int:
        """Steps of one pass over the training part."""
        return sources.batch_count(len(self.data.parts["train"]), self.config.batch_size)

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.config.epochs * self.steps_an_epoch

    @property
    def parameters(self) -> int:
        """Numbers that training changes."""
        return sum(parameter.numel() for parameter in self.model.parameters() if parameter.requires_grad)

    def describe(self) -> str:
        """The plan in a few lines of text.

        Returns:
            Lines for data, classes, network, steps and settings.
        """
        data, config = self.data, self.config
        counts = ", ".join(f"{part} {len(indices):,}" for part, indices in data.parts.items())
        classes = ", ".join(data.classes[:12]) + (", ..." if len(data.classes) > 12 else "")
        size = "x".join(str(side) for side in (data.channels, *data.size))
        held = "held in memory" if data.in_memory else "read from disk as needed"
        lines = [
            f"data:     {data.source}: {counts}; {held}",
            f"classes:  {len(data.classes)}: {classes}",
            f"network:  {self.model_name}: {self.parameters:,} parameters, input {size}",
            f"training: {config.epochs} epochs of {self.steps_an_epoch} steps, {self.steps:,} in all; "
            f"batch {config.batch_size}, lr {config.lr:g} {config.schedule}, momentum {config.momentum:g}, "
            f"weight decay {config.weight_decay:g}",
            f"          augmentation {'on' if config.augment else 'off'}, seed {config.seed}, "
            f"precision {config.precision}, {config.threads} threads, {config.device}",
        ]
        return "\n".join(lines + [f"note:     {note}" for note in data.notes])


def plan(
    model: str | nn.Module,
    data: str | os.PathLike[str] | Dataset,
    config: Config | None = None,
    *,
    size: int | tuple[int, int] | None = None,
) -> Plan:
    """Load the data and build the network, but train nothing and write nothing.

    Args:
        model: a name in `striate.models`, a text of the notation, or any module that takes `(N, C, H, W)` and returns
            `(N, classes)`.
        data: a source that `striate.data.load` takes, or loaded data.
        config: the settings.
        size: height and width to which pictures are resampled; the network's own if None.

    Returns:
        The plan.

    Raises:
        ValueError: if the network's name is unknown, there is nothing to train on, or the device is not there.

    Example:
        >>> plan("lenet5", "digits").parameters
        60806
    """
    config = config or Config()
    if isinstance(model, str):
        _check_classifies(model)
    if not isinstance(data, Dataset):
        data = sources.load(data, size=_own_size(model) if size is None else size, seed=config.seed)
    if isinstance(model, str):
        with seeded(config.seed):
            model = models.create(
                model, in_channels=data.channels, num_classes=len(data.classes), input_size=tuple(data.size)
            )
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is cuda, but PyTorch finds no such GPU here")
    device = config.device if config.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    threads = config.threads or torch.get_num_threads()
    name, options = _describe_model(model)
    return Plan(
        model=model.to(device=torch.device(device), memory_format=torch.channels_last),  # type: ignore[call-overload]
        model_name=name,
        model_options=options,
        data=data,
        config=dataclasses.replace(config, device=device, threads=threads),
    )


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from a random state of one's own, and leave the caller's as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def check_scores(planned: Plan) -> None:
    """See that a network gives one score a class.

    Raises:
        ValueError: if it does not, or cannot take the pictures.
    """
    data, model = planned.data, planned.model
    shape, expected, training = (2, data.channels, *data.size), (2, len(data.classes)), model.training
    try:
        with seeded(planned.config.seed), torch.inference_mode():
            scores = model.eval()(torch.zeros(shape, device=torch.device(planned.config.device)))
    except RuntimeError as error:
        raise ValueError(f"the network cannot take pictures of shape {shape}: {error}") from error
    finally:
        model.train(training)
    if scores.shape != expected:
        raise ValueError(
            f"the network must give one score a class, {expected} for 2 pictures, got {tuple(scores.shape)}"
        )


def decoders(workers: int | None) -> int:
    """The number of processes that decode pictures: as asked for, else one a core, eight at most."""
    return min(len(os.sched_getaffinity(0)), 8) if workers is None else workers


def _describe_model(model: nn.Module) -> tuple[str, dict[str, Any] | None]:
    """A network's name, and the options that rebuild it if it is one of `striate.models`."""
    name = models.name_of(model)
    if name is None:
        return type(model).__name__, None
    options: Any = model.config
    return name, dataclasses.asdict(options)


def _check_classifies(name: str) -> None:
    """See that a network of ours takes pictures, and gives scores of classes.

    Raises:
        ValueError: if it does not, or there is none of this name.
    """
    network = models.builder_of(name).network
    if (network.TAKES, network.GIVES) != ("pictures", "classes"):
        raise ValueError(
            f"{name} takes {network.TAKES} and gives {network.GIVES}: training takes networks of pictures and classes"
        )


def _own_size(model: str | nn.Module) -> tuple[int, int] | None:
    """The picture size that a network of `striate.models` takes; None for a network of the user's own."""
    if isinstance(model, str) and notation.is_text(model):
        # Other channels and classes may come, and it is built for them: not for what it would have without any.
        height, width = notation.stated_size(model)
        return height, width
    config: Any = models.config_of(model) if isinstance(model, str) else None
    if isinstance(model, nn.Module) and models.name_of(model):
        config = model.config
    return config.input_size if config else None
