"""Pieces of SVG: boxes seen from the side, lines and words."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

# How far a box goes to the right and up for a length of 1 into the picture.
_RIGHT, _UP = 0.3, 0.2
_NO_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Shape:
    """A box: thickness to the right, height, and depth into the picture.

    Args:
        thickness: in pixels.
        height: in pixels.
        depth: in pixels; 0 for a flat bar.
        slices: into how many it is cut along its thickness.
        echoes: how many more edges of boxes stand behind it.
    """

    thickness: float
    height: float
    depth: float
    slices: int = 1
    echoes: int = 0

    @property
    def width(self) -> float:
        """What its front takes, with the boxes behind it."""
        return self.thickness + 6 * self.echoes

    @property
    def overhang(self) -> float:
        """How far it leans beyond its width at either side."""
        return self.depth * _RIGHT / 2

    @property
    def top(self) -> float:
        """How far it reaches above its middle."""
        return self.height / 2 + self.depth * _UP / 2

    @property
    def bottom(self) -> float:
        """How far it reaches below its middle."""
        return self.height / 2 + self.depth * _UP / 2

    def draw(self, x: float, middle: float, kind: str) -> Iterator[str]:
        """Its faces, the farthest first.

        Args:
            x: the left end of its width.
            middle: the height of its middle.
            kind: the class of its colour.

        Returns:
            Elements.
        """
        for echo in range(self.echoes):
            yield from self._faces(x + 6 * echo, 4, middle, kind)
        yield from self._faces(x + 6 * self.echoes, self.thickness, middle, kind)

    def _faces(self, x: float, width: float, middle: float, kind: str) -> Iterator[str]:
        right, up = self.depth * _RIGHT, self.depth * _UP
        left, top = x - right / 2, middle - self.height / 2 + up / 2
        front = f"M{left:.1f} {top:.1f}h{width:.1f}v{self.height:.1f}h{-width:.1f}z"
        yield f'<path class="{kind} edge" d="{front}"/>'
        if not self.depth:
            return
        roof = f"M{left:.1f} {top:.1f}l{right:.1f} {-up:.1f}h{width:.1f}l{-right:.1f} {up:.1f}z"
        side = f"M{left + width:.1f} {top:.1f}l{right:.1f} {-up:.1f}v{self.height:.1f}l{-right:.1f} {up:.1f}z"
        # The colour again, with light from above and shade from the left.
        yield f'<path class="{kind}" d="{roof}"/><path class="edge" fill="#fff" fill-opacity=".38" d="{roof}"/>'
        yield f'<path class="{kind}" d="{side}"/><path class="edge" fill="#000" fill-opacity=".22" d="{side}"/>'
        for cut in range(1, self.slices if width == self.thickness else 1):
            at = left + width * cut / self.slices
            yield (
                f'<path class="edge" fill="none" d="M{at + right:.1f} {top - up:.1f}l{-right:.1f} {up:.1f}'
                f'v{self.height:.1f}"/>'
            )


def path(strokes: str, style: str) -> str:
    """A line.

    Args:
        strokes: as SVG has them.
        style: its class.

    Returns:
        An element.
    """
    return f'<path class="{style}" d="{strokes}"/>'


def text(
    x: float, y: float, words: str, *, size: float, style: str = "quiet", anchor: str = "start", weight: int = 400
) -> str:
    """Words at a place.

    Args:
        x: of their start, middle or end.
        y: of the line they stand on.
        words: any; they are escaped.
        size: of the letters, in pixels.
        style: their class.
        anchor: "start", "middle" or "end".
        weight: 400, or 600 for bold.

    Returns:
        An element.
    """
    place = "" if anchor == "start" else f' text-anchor="{anchor}"'
    bold = "" if weight == 400 else f' font-weight="{weight}"'
    # A style of its own, so that no style sheet of a page around the picture changes the size.
    at = f'x="{x:.1f}" y="{y:.1f}" style="font-size:{size}px"'
    return f'<text class="{style}" {at}{place}{bold}>{escaped(words)}</text>'


def text_width(words: str, size: float) -> float:
    """About how wide words are.

    Args:
        words: any.
        size: of the letters, in pixels.

    Returns:
        Pixels; rather too many than too few.
    """
    return size * sum(0.36 if letter in "ijlftrI.,:;|' " else 0.95 if letter in "mwMW×" else 0.63 for letter in words)


def escaped(words: str) -> str:
    """Words for XML, without the characters that XML has not.

    Args:
        words: any.

    Returns:
        The words, escaped.
    """
    return escape(_NO_XML.sub("\ufffd", words))
