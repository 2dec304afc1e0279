"""Writing a report: the page and its figures."""

from pathlib import Path

from striate.training.report.curves import panels
from striate.training.report.figures import confusion_png, curves_png, filters_png, mistakes_png
from striate.training.report.page import page
from striate.training.report.pictures import filter_sheet
from striate.training.report.scores import scores, worst_mistakes
from striate.training.report.summary import RunSummary
from striate.whole_files import written_whole


def write_report(folder: Path, summary: RunSummary) -> Path:
    """Write the report of a training run: `report.html`, and its figures as PNG in `figures/`.

    The page is one file that needs no network, no script and no other file. Each file appears whole or not at all, and
    the figures of an earlier report that have nothing to show now are removed. The same summary gives the same bytes.

    Args:
        folder: The run folder; made if it is missing.
        summary: What to show.

    Returns:
        Path of the page.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> summary = RunSummary(
        ...     name="first", model="lenet5", source="digits", classes=("zero", "one"), counts={"test": 1},
        ...     input_size=(1, 8, 8), settings={}, epochs=[], best_epoch=None, seconds=1.5, part="test", names=["a"],
        ...     labels=np.array([1]), probabilities=np.array([[0.1, 0.9]], np.float32),
        ...     pictures=lambda positions: np.zeros((len(positions), 8, 8, 1), np.uint8), filters=None, layers=[],
        ...     environment={},
        ... )
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = write_report(Path(folder), summary)
        ...     "100.00" in path.read_text(encoding="utf-8")
        True
    """
    counted = scores(summary.labels, summary.predicted, len(summary.classes))
    mistakes = worst_mistakes(summary.labels, summary.probabilities)
    pictures = list(summary.pictures(mistakes.tolist())) if len(mistakes) else []
    figures: dict[str, bytes | None] = dict.fromkeys(("curves", "confusion", "worst_mistakes", "filters"))
    if drawn := panels(summary.epochs):
        figures["curves"] = curves_png(drawn, summary.best_epoch)
    if counted.total:
        figures["confusion"] = confusion_png(counted.confusion, summary.classes)
    if pictures:
        figures["worst_mistakes"] = mistakes_png(pictures, [_caption(summary, place) for place in mistakes.tolist()])
    if summary.filters is not None:
        figures["filters"] = filters_png(*filter_sheet(summary.filters))
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    for name, content in figures.items():
        path = folder / "figures" / f"{name}.png"
        if content is None:
            path.unlink(missing_ok=True)
        else:
            _replace(path, content)
    html = page(summary, counted, mistakes, pictures)
    # A file name that is no UTF-8 reaches us as lone surrogates.
    _replace(folder / "report.html", html.encode("utf-8", "backslashreplace"))
    return folder / "report.html"


def _caption(summary: RunSummary, position: int) -> str:
    """Lines below a wrong sample in the PNG file; the classes have lines of their own, whichever way they are read."""
    true, claimed = summary.classes[summary.labels[position]], summary.classes[summary.predicted[position]]
    name = summary.names[position]
    probability = summary.probabilities[position].max()
    return f"true: {true}\npredicted: {claimed}\n{probability:.1%}\n{name if len(name) <= 28 else '…' + name[-27:]}"


def _replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_bytes(content)
