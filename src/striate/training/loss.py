"""The loss of a classifier, with its auxiliary heads where it has them."""

from torch import Tensor
from torch.nn import functional as F

from striate.models import Outputs


def classification_loss(found: Tensor | Outputs, labels: Tensor, label_smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    """The cross-entropy of scores, and of auxiliary ones with their weight.

    Args:
        found: what the network gave in training: scores `(N, classes)`, or `Outputs`.
        labels: `(N,)`.
        label_smoothing: probability spread over all classes.

    Returns:
        The loss, a number, and the scores, both in float32.
    """
    scores, others, weight = (found, (), 0.0) if isinstance(found, Tensor) else found
    loss = F.cross_entropy(scores.float(), labels, label_smoothing=label_smoothing)
    for other in others:
        loss = loss + weight * F.cross_entropy(other.float(), labels, label_smoothing=label_smoothing)
    return loss, scores.float()
