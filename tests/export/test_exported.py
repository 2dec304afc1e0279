from pathlib import Path

import pytest

from striate.export import Exported


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (0.0, "net.onnx: ONNX; gives the same again"),
        (3e-7, "net.onnx: ONNX; its outputs differ by 3e-07 of the largest, 0.0001 is accepted"),
    ],
)
def test_what_it_says(error: float, said: str):
    assert str(Exported(file=Path("net.onnx"), contents="ONNX", error=error, tolerance=1e-4)) == said
