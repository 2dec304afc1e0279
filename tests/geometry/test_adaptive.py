from itertools import product

import pytest
import torch
import torch.nn.functional as F

from striate.geometry import adaptive_windows


def test_the_windows_are_those_of_adaptive_pooling() -> None:
    for n, out in product(range(1, 13), range(1, 16)):
        each = torch.eye(n, dtype=torch.float64).unsqueeze(1)
        read = F.adaptive_avg_pool1d(each, out)[:, 0].T
        assert [row.nonzero().flatten().tolist() for row in read] == [list(reads) for reads in adaptive_windows(n, out)]


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="input size must be at least 1, got 0"):
        adaptive_windows(0, 3)
    with pytest.raises(ValueError, match="out must be an integer of at least 1, got 0"):
        adaptive_windows(3, 0)
    with pytest.raises(TypeError, match="out must be an integer of at least 1, got 1.5"):
        adaptive_windows(3, 1.5)  # type: ignore[arg-type]
