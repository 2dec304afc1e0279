"""What an export says when it has succeeded."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A file that was loaded again and gives what the network gives.

    Args:
        file: the file.
        contents: what it holds, in a few words.
        error: of its outputs on random inputs, `max|Δ| / max|y|`.
        tolerance: the largest error that would have been accepted.

    Example:
        >>> print(Exported(file=Path("a.onnx"), contents="ONNX, opset 20", error=2e-7, tolerance=1e-4))
        a.onnx: ONNX, opset 20; its outputs differ by 2e-07 of the largest, 0.0001 is accepted
    """

    file: Path
    contents: str
    error: float
    tolerance: float

    def __str__(self) -> str:
        """The file, what it holds and how near it is, in a line."""
        near = "gives the same again"
        if self.error > 0:
            near = f"its outputs differ by {self.error:.1g} of the largest, {self.tolerance:g} is accepted"
        return f"{self.file}: {self.contents}; {near}"
