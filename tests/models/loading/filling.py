"""Networks filled from tensors in memory."""

from collections.abc import Mapping

from torch import Tensor

from striate.models import LoadReport, Network
from striate.models.loading.plan import plan


def fit_weights(network: Network, tensors: Mapping[str, Tensor], file: str) -> LoadReport:
    """Put tensors in a network's places, as those of a file; what was loaded."""
    found = plan(network, tensors, file)
    found.fill(network, tensors.__getitem__)
    return found.report
