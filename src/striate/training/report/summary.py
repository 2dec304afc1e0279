"""What a report is made from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from striate.training.report.layers import LayerRow


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """Everything that the report of a training run shows.

    Args:
        name: Name of the run.
        model: Name of the network.
        source: Where the data came from: a name or a path.
        classes: Names of the classes, in the order of the labels.
        counts: Number of samples by part of the data, as `{"train": 1437, "val": 180, "test": 180}`.
        input_size: Size of one picture as the network takes it: channels, height, width.
        settings: Settings of the training by name.
        epochs: One row an epoch with `epoch` and any of `step`, `lr`, `train_loss`, `train_accuracy`, `val_loss`,
            `val_accuracy`; accuracies are shares from 0 to 1.
        best_epoch: The epoch whose weights were evaluated, or None.
        seconds: Time of the training in seconds.
        part: The part that was evaluated: "test", or "val" where there is no test part.
        names: Name of each evaluated sample, `(samples,)`.
        labels: Class of each evaluated sample, `(samples,)`.
        probabilities: Probability of each class for each evaluated sample, `(samples, classes)`.
        pictures: From positions in the evaluated part to pictures `(len(positions), H, W, C)` of uint8, with C 1 or 3,
            as the network saw them before normalisation.
        filters: Weight of the first convolution `(out, in, kernel height, kernel width)`, or None.
        layers: The layers of the network.
        notes: Sentences about the data.
        environment: Versions, threads, precision and the like, by name.

    Raises:
        ValueError: If names, labels, probabilities, classes or filters do not fit together.

    Example:
        >>> summary = RunSummary(
        ...     name="first", model="lenet5", source="digits", classes=("zero", "one"), counts={"test": 1},
        ...     input_size=(1, 8, 8), settings={}, epochs=[], best_epoch=None, seconds=1.5, part="test", names=["a"],
        ...     labels=np.array([1]), probabilities=np.array([[0.9, 0.1]], np.float32),
        ...     pictures=lambda positions: np.zeros((len(positions), 8, 8, 1), np.uint8), filters=None, layers=[],
        ...     environment={},
        ... )
        >>> summary.predicted
        array([0])
    """

    name: str
    model: str
    source: str
    classes: tuple[str, ...]
    counts: Mapping[str, int]
    input_size: tuple[int, int, int]
    settings: Mapping[str, object]
    epochs: Sequence[Mapping[str, float]]
    best_epoch: int | None
    seconds: float
    part: str
    names: Sequence[str]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    pictures: Callable[[Sequence[int]], NDArray[np.uint8]]
    filters: NDArray[np.float32] | None
    layers: Sequence[LayerRow]
    notes: Sequence[str] = ()
    environment: Mapping[str, str]

    def __post_init__(self) -> None:
        """Check that the arrays fit together.

        Raises:
            ValueError: If they do not.
        """
        samples, classes = len(self.names), len(self.classes)
        if classes == 0:
            raise ValueError("classes must name at least one class, got none")
        if self.labels.shape != (samples,):
            raise ValueError(f"labels must be ({samples},), one for each name, got {self.labels.shape}")
        if self.probabilities.shape != (samples, classes):
            raise ValueError(
                f"probabilities must be (samples, classes) = ({samples}, {classes}), got {self.probabilities.shape}"
            )
        if samples and not (0 <= self.labels.min() and self.labels.max() < classes):
            raise ValueError(f"labels must lie in 0 ... {classes - 1}, got {self.labels.min()} ... {self.labels.max()}")
        if self.filters is not None and self.filters.ndim != 4:
            raise ValueError(f"filters must be (out, in, kernel height, kernel width), got {self.filters.shape}")

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The class of largest probability of each evaluated sample, `(samples,)`."""
        predicted: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return predicted
