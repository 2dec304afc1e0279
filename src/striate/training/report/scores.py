"""How good a classifier is, counted from its predictions."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

_NORMAL_95 = 1.959963984540054


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Counts and rates of a set of predictions.

    Args:
        confusion: Number of samples by true class (row) and predicted class (column), `(classes, classes)`.
        support: Number of samples of each class, `(classes,)`.
        precision: Share of the predictions of a class that are right, `(classes,)`; NaN for one never predicted.
        recall: Share of the samples of a class that are found, `(classes,)`; NaN for one without samples.
        f1: Harmonic mean of precision and recall, `(classes,)`; NaN for a class neither predicted nor present.

    Example:
        >>> scores(np.array([0, 1]), np.array([0, 0]), 2).precision
        array([0.5, nan])
    """

    confusion: NDArray[np.int64]
    support: NDArray[np.int64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]

    @property
    def total(self) -> int:
        """Number of samples."""
        return int(self.support.sum())

    @property
    def wrong(self) -> int:
        """Number of samples whose predicted class is not the true one."""
        return self.total - int(np.trace(self.confusion))


def scores(labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> Scores:
    """Count a set of predictions.

    Args:
        labels: True class of each sample, `(samples,)`.
        predicted: Predicted class of each sample, `(samples,)`.
        classes: Number of classes.

    Returns:
        The counts and rates, as scikit-learn defines them with `zero_division=nan`.

    Source:
        https://scikit-learn.org/stable/modules/model_evaluation.html#precision-recall-and-f-measures

    Example:
        >>> scores(np.array([0, 1, 1]), np.array([0, 1, 0]), 2).confusion.tolist()
        [[1, 0], [1, 1]]
    """
    confusion = np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)
    right, support, claimed = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    with np.errstate(invalid="ignore"):
        return Scores(
            confusion=confusion,
            support=support,
            precision=right / claimed,
            recall=right / support,
            f1=2 * right / (claimed + support),
        )


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """Bound a share by the 95 % score interval of Wilson, which stays within 0 and 1 and is honest for few samples.

    Args:
        right: Number of successes.
        total: Number of trials, at least 1.

    Returns:
        The lower and the upper bound.

    Raises:
        ValueError: If `right` is not within 0 and `total`, or `total` is not positive.

    Source:
        E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).

    Example:
        >>> [round(bound, 4) for bound in wilson_interval(179, 180)]
        [0.9692, 0.999]
    """
    if not 0 <= right <= total or total < 1:
        raise ValueError(f"right must lie in 0 ... total, and total be positive, got {right} of {total}")
    share, spread = right / total, _NORMAL_95**2 / total
    centre = share + spread / 2
    reach = _NORMAL_95 * sqrt(share * (1 - share) / total + spread / (4 * total))
    return max(0.0, (centre - reach) / (1 + spread)), min(1.0, (centre + reach) / (1 + spread))


def worst_mistakes(
    labels: NDArray[np.int64], probabilities: NDArray[np.float32], *, limit: int = 24
) -> NDArray[np.int64]:
    """Find the wrong predictions that were made with the largest probability.

    Args:
        labels: True class of each sample, `(samples,)`.
        probabilities: Probability of each class, `(samples, classes)`.
        limit: The largest number to find.

    Returns:
        Positions of the samples, worst first.

    Example:
        >>> worst_mistakes(np.array([0, 0, 0]), np.array([[0.4, 0.6], [0.9, 0.1], [0.2, 0.8]], np.float32))
        array([2, 0])
    """
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    confidence = np.nan_to_num(probabilities[wrong].max(axis=1, initial=0), nan=-1)
    return wrong[np.argsort(-confidence, kind="stable")][:limit]


def confused_pairs(confusion: NDArray[np.int64], *, limit: int = 20) -> list[tuple[int, int, int]]:
    """Find the pairs of classes that are confused most often.

    Args:
        confusion: Number of samples by true class (row) and predicted class (column), `(classes, classes)`.
        limit: The largest number of pairs to find.

    Returns:
        Triples of true class, predicted class and number of samples, most frequent first.

    Example:
        >>> confused_pairs(np.array([[5, 1], [3, 7]]))
        [(1, 0, 3), (0, 1, 1)]
    """
    errors = confusion - np.diag(np.diag(confusion))
    order = np.argsort(-errors, axis=None, kind="stable")[:limit]
    pairs = [(int(place) // len(errors), int(place) % len(errors)) for place in order]
    return [(true, claimed, int(errors[true, claimed])) for true, claimed in pairs if errors[true, claimed]]
