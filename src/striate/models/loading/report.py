"""What became of the tensors of a file."""

from collections.abc import Iterable
from dataclasses import dataclass

from striate.models.loading.preprocessing import Preprocessing


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """What became of the tensors of a file.

    Args:
        file: the file.
        loaded: names of the tensors that the network has now.
        changed: what was changed to fit, a sentence each.
        missing: names of the network that the file lacks.
        unexpected: names of the file that the network lacks.
        wrongly_sized: name in the network, sizes in the file and in the network.
        wrongly_typed: name in the network, type in the file and in the network.
        preprocessing: what pictures the weights want; None if nothing tells.

    Example:
        >>> report = LoadReport(file="weights.safetensors", loaded=("fc.weight",), missing=("fc.bias",))
        >>> print(report)
        weights.safetensors: 1 tensor loaded
        missing: fc.bias
        preprocessing: unknown
    """

    file: str
    loaded: tuple[str, ...]
    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    wrongly_sized: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()
    wrongly_typed: tuple[tuple[str, str, str], ...] = ()
    preprocessing: Preprocessing | None = None

    @property
    def complete(self) -> bool:
        """Whether every tensor of the file and of the network has found its place, or was changed to fit."""
        return not (self.missing or self.unexpected or self.wrongly_sized or self.wrongly_typed)

    def __str__(self) -> str:
        """The report in a few lines."""
        lines = [f"{self.file}: {len(self.loaded)} tensor{'s' if len(self.loaded) != 1 else ''} loaded"]
        lines += [f"changed: {change}" for change in self.changed]
        for word, names in (
            ("missing", self.missing),
            ("unexpected", self.unexpected),
            ("wrongly sized", _differences(self.wrongly_sized)),
            ("wrongly typed", _differences(self.wrongly_typed)),
        ):
            if names:
                more = f" and {len(names) - 8} more" if len(names) > 8 else ""
                # A name in a file of others may be as long as the file.
                lines.append(f"{word}: {', '.join(_short(name) for name in names[:8])}{more}")
        lines.append(f"preprocessing: {self.preprocessing or 'unknown'}")
        return "\n".join(lines)


def _differences(found: Iterable[tuple[str, object, object]]) -> tuple[str, ...]:
    """What a tensor is in the file and in the network."""
    return tuple(f"{name}: {theirs} in the file, {ours} in the network" for name, theirs, ours in found)


def _short(text: str) -> str:
    """A text without control characters that fits into a message."""
    shown = text if text.isprintable() else repr(text)
    return shown if len(shown) <= 200 else f"{shown[:200]}..."
