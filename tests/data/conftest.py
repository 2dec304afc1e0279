from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def _picture(path: Path, number: int, size: tuple[int, int] = (6, 5)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(number).integers(0, 256, size, dtype=np.uint8)
    Image.fromarray(values).save(path)


@pytest.fixture
def save() -> Callable[..., None]:
    """Write a small grey picture of random values."""
    return _picture


@pytest.fixture
def make(tmp_path: Path) -> Callable[[Sequence[str]], Path]:
    """Write pictures with the given relative names, and return their folder."""

    def write(names: Sequence[str]) -> Path:
        for number, name in enumerate(names):
            _picture(tmp_path / "pictures" / name, number)
        return tmp_path / "pictures"

    return write


@pytest.fixture
def pets(make: Callable[[Sequence[str]], Path]) -> Path:
    """A folder with 12 cats and 11 dogs."""
    return make([f"cats/{i:02}.png" for i in range(12)] + [f"dogs/{i:02}.png" for i in range(11)])
