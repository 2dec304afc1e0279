"""How numbers and lists of names are put into sentences."""

from collections.abc import Iterable


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return "1 picture" or "2 pictures"."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def listed(names: Iterable[str], *, limit: int = 5) -> str:
    """Return the first names and how many more there are."""
    names = list(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
