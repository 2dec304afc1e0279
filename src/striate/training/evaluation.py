"""Measuring a network on a part of the data."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.data import Dataset, Normalization, Part, batches
from striate.training.precision import Decided


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a network answers on a part of the data.

    Args:
        part: the part's name.
        labels: the true classes `(N,)`.
        probabilities: of every class `(N, classes)`, float32.
        loss: the mean cross-entropy in nats.

    Example:
        >>> answers = torch.tensor([[0.9, 0.1], [0.8, 0.2]])
        >>> Evaluation(part="test", labels=torch.tensor([0, 1]), probabilities=answers, loss=0.86).accuracy
        0.5
    """

    part: Part
    labels: Tensor
    probabilities: Tensor
    loss: float

    @property
    def predictions(self) -> Tensor:
        """The most probable class of each sample `(N,)`."""
        return self.probabilities.argmax(1)

    @property
    def wrong(self) -> int:
        """How many samples were taken for another class."""
        return int((self.predictions != self.labels).sum())

    @property
    def accuracy(self) -> float:
        """The share of samples classified rightly, from 0 to 1."""
        return 1 - self.wrong / len(self.labels)


def evaluate_part(
    model: nn.Module,
    data: Dataset,
    part: Part,
    normalization: Normalization,
    *,
    precision: Decided = "float32",
    batch_size: int = 256,
    workers: int = 0,
) -> Evaluation:
    """Run a network over a part of the data, in evaluation mode and in stored order.

    Args:
        model: the network; its mode is restored afterwards.
        data: the data.
        part: "train", "val" or "test".
        normalization: what the network was trained with.
        precision: of the products.
        batch_size: samples at a time.
        workers: processes that decode pictures where the data do not fit in memory.

    Returns:
        Labels, probabilities and loss.

    Raises:
        ValueError: if the part is empty, or the loss on it is not finite.

    Example:
        >>> from striate.data import load
        >>> from striate.models import lenet5
        >>> digits = load("digits", size=28)
        >>> evaluate_part(lenet5(), digits, "test", Normalization.of(digits)).probabilities.shape
        torch.Size([179, 10])
    """
    if not len(data.parts[part]):
        raise ValueError(f"{data.source} has no samples in its {part} part")
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    all_scores, all_labels = [], []
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        for batch in batches(data, part, batch_size=batch_size, workers=workers):
            all_scores.append(model(normalization(batch.pictures.to(device))).float().cpu())
            all_labels.append(batch.labels)
    model.train(training)
    scores, labels = torch.cat(all_scores), torch.cat(all_labels)
    loss = F.cross_entropy(scores.double(), labels).item()
    if not math.isfinite(loss):
        raise ValueError(f"the loss on the {part} part of {data.source} is {loss}: a lower lr may train better")
    return Evaluation(
        part=part,
        labels=labels,
        probabilities=scores.softmax(1),
        loss=loss,
    )
