"""A part of the page."""

import textwrap
from dataclasses import dataclass

_WIDTH = 120


@dataclass(frozen=True, slots=True)
class Section:
    """Text with its pictures.

    Args:
        title: its heading.
        text: Markdown, with `{name}` where a picture belongs.
        pictures: PNG files by their names, without the ending.
        numbers: what was measured.
    """

    title: str
    text: str
    pictures: dict[str, bytes]
    numbers: dict[str, float]

    def markdown(self) -> str:
        """The heading and the text in lines of equal length, with its pictures in it."""
        links = {name: f"![{self.title}]({name}.png)" for name in self.pictures}
        parts = self.text.strip().format(**links).split("\n\n")
        return "\n\n".join([f"## {self.title}", *map(_filled, parts)])


def rounding(difference: float) -> str:
    """A difference that should be none, in words."""
    return "0, equal in every bit" if difference == 0 else f"{difference:.1e}, which is rounding"


def _filled(part: str) -> str:
    """A paragraph or a list, filled anew; tables and pictures as they are."""
    if part.startswith(("|", "!")):
        return part
    if not part.startswith("- "):
        return textwrap.fill(part, _WIDTH, break_long_words=False, break_on_hyphens=False)
    items = f"\n{part}".split("\n- ")[1:]
    return "\n".join(
        textwrap.fill(
            " ".join(item.split()), _WIDTH, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False
        )
        for item in items
    )
