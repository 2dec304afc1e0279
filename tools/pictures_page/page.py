"""The page and its pictures."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pictures_page.contrast import contrast, response
from pictures_page.kernels import gabor_filters, image_kernels, rectification
from pictures_page.pooling import poolings, pyramid
from pictures_page.section import Section
from pictures_page.shifts import equivariance, invariance

SECTIONS: tuple[Callable[[], Section], ...] = (
    image_kernels, gabor_filters, rectification, contrast, response, poolings, pyramid, invariance, equivariance,
)  # fmt: skip

_HEAD = """# Pictures

What the operators do to a photograph, scikit-learn's china.jpg in grey from 0 (black) to 1 (white), and to a
handwritten digit. Everything here, each number included, comes from a run of `make pictures`, in float64."""


def write(folder: Path, sections: Sequence[Callable[[], Section]] = SECTIONS) -> list[Section]:
    """Write README.md and its pictures into a folder, which is made, and return what is in them.

    Args:
        folder: pictures that lie there and are no longer shown are removed.
        sections: what is shown.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    made = [section() for section in sections]
    for section in made:
        for name, picture in section.pictures.items():
            (folder / f"{name}.png").write_bytes(picture)
    text = "\n\n".join([_HEAD, *(section.markdown() for section in made)])
    (folder / "README.md").write_text(f"{text}\n", encoding="utf-8")
    return made
