"""What a peer gives is compared with what ours gives."""

import numpy as np
import pytest
import torch
from benchmarks.runner.agreement import disagreement

_OURS = (np.array([[1.0, -100.0]]), np.array([3.0]))


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        ((np.array([[1.0, -100.0]]), np.array([3.0])), None),
        ((torch.tensor([[1.0, -100.0]]), torch.tensor([3.0])), None),
        ((np.array([1.005, -100.0]),), None),
        ((np.array([1.02, -100.0]),), "disagrees: output differs by 2e-04"),
        ((np.array([[1.0, -100.0]]), np.array([-3.0])), "disagrees: gradient 1 differs by 2e+00"),
        ((np.array([1.0, np.nan]),), "disagrees: output differs by nan"),
        ((np.zeros((2, 2)),), r"disagrees: output (2, 2), ours (2,)"),
    ],
)
def test_disagreement_in_words(theirs: tuple[np.ndarray, ...], said: str | None) -> None:
    assert disagreement(_OURS, theirs) == said
