"""The page of a report: one HTML file with everything inside it."""

import shlex
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from html import escape
from importlib.resources import files
from math import isfinite, isnan

import numpy as np
from numpy.typing import NDArray

from striate.training.report.curves import panels, svg
from striate.training.report.pictures import encode_png, encode_sample, filter_sheet, heat_map
from striate.training.report.scores import Scores, confused_pairs, wilson_interval
from striate.training.report.summary import RunSummary

_MANY_CLASSES = 30
_WEAKEST = 10
_OPTIONS = (
    "epochs", "batch_size", "lr", "schedule", "warmup", "momentum", "weight_decay", "label_smoothing", "seed",
    "precision", "threads", "device", "workers",
)  # fmt: skip


def page(
    summary: RunSummary, scores: Scores, mistakes: NDArray[np.int64], pictures: Sequence[NDArray[np.uint8]]
) -> str:
    """Compose the page of a report.

    Args:
        summary: What was trained on what.
        scores: Its scores on the evaluated part.
        mistakes: Positions of the wrong samples to show, worst first.
        pictures: Their pictures, `(H, W, C)` each.

    Returns:
        The HTML.

    Example:
        >>> from striate.training.report.scores import scores
        >>> summary = RunSummary(
        ...     name="<first>", model="lenet5", source="digits", classes=("zero", "one"), counts={"test": 1},
        ...     input_size=(1, 8, 8), settings={}, epochs=[], best_epoch=None, seconds=1.5, part="test", names=["a"],
        ...     labels=np.array([1]), probabilities=np.array([[0.1, 0.9]], np.float32),
        ...     pictures=lambda positions: np.zeros((len(positions), 8, 8, 1), np.uint8), filters=None, layers=[],
        ...     environment={},
        ... )
        >>> "<h1>&lt;first&gt;</h1>" in page(summary, scores(summary.labels, summary.predicted, 2), np.array([]), [])
        True
    """
    sections = (
        ("data", "Data", _data(summary)),
        ("curves", "Curves", _curves(summary)),
        ("confusion", "Confusion matrix", _confusion(summary, scores)),
        ("classes", "Classes", _classes(summary, scores)),
        ("mistakes", "Worst mistakes", _mistakes(summary, scores, mistakes, pictures)),
        ("filters", "First-layer filters", _filters(summary)),
        ("layers", "Layers", _layers(summary)),
        ("settings", "Settings and environment", _settings(summary)),
    )
    links = "".join(f'<a href="#{anchor}">{title}</a>' for anchor, title, _ in sections)
    body = "".join(
        f'<section aria-labelledby="{anchor}"><h2 id="{anchor}">{title}</h2>\n{content}\n</section>\n'
        for anchor, title, content in sections
    )
    style = files("striate.training.report").joinpath("report.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        # Whatever a name may smuggle in, the browser then loads nothing and runs nothing.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(summary.name)} · training report</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f'{_headline(summary, scores)}<nav aria-label="Sections">{links}</nav>\n<main>\n{body}</main>\n'
        "<footer>Made by Striate. The figures are also in the folder <code>figures</code> beside this file, as PNG."
        "</footer>\n</body>\n</html>\n"
    )


def _headline(summary: RunSummary, scores: Scores) -> str:
    """The accuracy, how sure it is, and what it is the accuracy of."""
    total, wrong, part = scores.total, scores.wrong, _part(summary.part)
    if total:
        low, high = wilson_interval(total - wrong, total)
        figure = f"{(total - wrong) / total * 100:.2f}<small> %</small>"
        words = (
            f"{wrong:,} of {total:,} wrong<br>"
            f'<span title="Wilson score interval">95 % interval {low * 100:.1f} to {high * 100:.1f} %</span>'
        )
    else:
        figure = "–"
        words = f"The {part} part has no samples: there is nothing to measure."
    best = ""
    if summary.best_epoch is not None:
        best = _fact("Weights", f"best epoch, {summary.best_epoch} of {len(summary.epochs)}")
    return (
        f'<header><p class="eyebrow">Training report</p><h1>{escape(summary.name)}</h1>\n'
        f'<div class="hero"><p class="figure">{figure}</p>'
        f"<p><strong>{part.capitalize()} accuracy</strong><br>{words}</p></div>\n"
        f'<dl class="facts">{_fact("Network", _name(summary.model))}{_fact("Data", _name(summary.source))}{best}'
        f"{_fact('Training time', _duration(summary.seconds))}</dl></header>\n"
    )


def _data(summary: RunSummary) -> str:
    """What was trained on what."""
    channels, height, width = summary.input_size
    parts = " · ".join(f"{_part(part)} {count:,}" for part, count in summary.counts.items())
    names = f'<p class="names">{", ".join(map(_name, summary.classes))}</p>'
    if len(summary.classes) > _MANY_CLASSES:
        names = f"<details><summary>Names of the {len(summary.classes):,} classes</summary>{names}</details>"
    notes = "".join(f"<li>{escape(note)}</li>" for note in summary.notes)
    colours = {1: "grey", 3: "colour"}.get(channels, f"{channels} channels")
    return (
        f'<dl class="facts">{_fact("Source", _name(summary.source))}'
        f"{_fact('Samples', parts or '–')}{_fact('Input', f'{height} × {width}, {colours}')}"
        f"{_fact('Classes', f'{len(summary.classes):,}')}</dl>{names}{f'<ul>{notes}</ul>' if notes else ''}"
    )


def _curves(summary: RunSummary) -> str:
    drawn = panels(summary.epochs)
    if not drawn:
        return "<p>There are no finite values to draw: no epoch was finished, or the training diverged.</p>"
    charts = []
    for panel in drawn:
        keys = "".join(f'<span class="key {curve.part}">{curve.part}</span>' for curve in panel.curves)
        scale = " <small>log scale</small>" if panel.logarithmic else ""
        charts.append(
            f'<figure class="chart"><figcaption><strong>{panel.title}</strong>{scale}{keys}</figcaption>'
            f"{svg(panel, summary.best_epoch)}</figure>"
        )
    drawn_keys = [f"{part}_{quantity}" for part in ("train", "val") for quantity in ("loss", "accuracy")]
    lost = sum(not isfinite(row[key]) for row in summary.epochs for key in drawn_keys if row.get(key) is not None)
    gap = f"<p>Values that are not finite and so left out: {lost:,}.</p>" if lost else ""
    return (
        f'<div class="charts">{"".join(charts)}</div>{gap}<p class="caption">Training values are means over the epoch '
        "as it ran, with augmentation, dropout and label smoothing; validation is measured after it, without.</p>"
    )


def _confusion(summary: RunSummary, scores: Scores) -> str:
    """A table of counts for few classes; for many, a heat map and the pairs that are confused most."""
    if not scores.total:
        return "<p>There are no samples to count.</p>"
    shares = scores.confusion / np.maximum(scores.support[:, None], 1)
    if len(summary.classes) > _MANY_CLASSES:
        picture = _image("image/png", encode_png(heat_map(shares)), "Heat map of the confusion matrix", "heat")
        pairs = [
            (
                _name(summary.classes[true]),
                _name(summary.classes[claimed]),
                f"{count:,}",
                _percent(shares[true, claimed]),
            )
            for true, claimed, count in confused_pairs(scores.confusion)
        ]
        table = _table(("True", "Predicted", "Samples", "Share"), pairs, "Pairs confused most often")
        return (
            f'<div class="pair"><figure>{picture}<figcaption>One row a true class, one column a predicted class, in '
            "order; blue is right and orange wrong; the stronger the colour, the larger the share of the row."
            f"</figcaption></figure>{table if pairs else '<p>No class is taken for another.</p>'}</div>"
        )
    dense = " dense" if len(summary.classes) > 15 else ""
    upright = "" if max(map(len, summary.classes)) <= 3 else ' class="upright"'
    columns = "".join(f'<th scope="col"{upright}><span>{_name(name)}</span></th>' for name in summary.classes)
    rows = []
    for true, name in enumerate(summary.classes):
        cells = "".join(
            f'<td class="{"right" if true == claimed else "wrong"}" style="--share:{shares[true, claimed]:.3f}" '
            f'title="{escape(name)} → {escape(summary.classes[claimed])}">{count:,}</td>'
            if (count := int(scores.confusion[true, claimed]))
            else "<td></td>"
            for claimed in range(len(summary.classes))
        )
        rows.append(f'<tr><th scope="row" title="{escape(name)}">{_name(name)}</th>{cells}</tr>')
    return (
        '<div class="scroll" role="region" tabindex="0" aria-label="Confusion matrix">'
        f'<table class="confusion{dense}">'
        "<caption>Rows are true classes, columns predicted ones; an empty cell is zero.</caption>"
        f"<thead><tr><td></td>{columns}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _classes(summary: RunSummary, scores: Scores) -> str:
    """Precision, recall, F1 and support of each class."""
    if not scores.total:
        return "<p>There are no samples to count.</p>"
    head = ("Class", "Precision, %", "Recall, %", "F1,\N{NO-BREAK SPACE}%", "Samples")
    rates = (scores.precision, scores.recall, scores.f1)
    rows = [
        (_name(name), *(_number(rate[index]) for rate in rates), f"{scores.support[index]:,}")
        for index, name in enumerate(summary.classes)
    ]
    means = [_number(float(np.nanmean(rate))) if not np.isnan(rate).all() else "–" for rate in rates]
    foot = ("Mean", *means, f"{scores.total:,}")
    undefined = bool(np.isnan(np.concatenate(rates)).any())
    table = partial(_table, head, foot=foot, style="numbers")
    note = "<p>– : not defined, the class was never predicted or has no samples; left out of the mean.</p>"
    if len(rows) <= _MANY_CLASSES:
        return table(rows, "Scores by class") + (note if undefined else "")
    weakest = np.argsort(scores.f1, kind="stable")[:_WEAKEST]
    return (
        table([rows[index] for index in weakest], f"The {_WEAKEST} classes of lowest F1")
        + f"<details><summary>All {len(rows):,} classes</summary>{table(rows, 'Scores by class')}</details>"
        + (note if undefined else "")
    )


def _mistakes(
    summary: RunSummary, scores: Scores, mistakes: NDArray[np.int64], pictures: Sequence[NDArray[np.uint8]]
) -> str:
    """The wrong samples about which the network was most sure."""
    if not scores.total:
        return "<p>There are no samples to look at.</p>"
    if not len(mistakes):
        return f"<p>None: all {scores.total:,} samples are classified correctly.</p>"
    cards = []
    for position, picture in zip(mistakes.tolist(), pictures, strict=True):
        label, claimed = int(summary.labels[position]), int(summary.predicted[position])
        true, taken, name = summary.classes[label], summary.classes[claimed], summary.names[position]
        probability, own = (float(summary.probabilities[position, index]) for index in (claimed, label))
        media, content = encode_sample(picture)
        pixels = "pixels" if media == "image/png" else "smooth"
        image = _image(media, content, f"{name}: {true}, taken for {taken}", pixels)
        cards.append(
            f'<li><figure>{image}<figcaption><span class="verdict">{_name(true)} <span aria-label="taken for">→</span> '
            f"<b>{_name(taken)}</b></span><span>{_percent(probability)}</span>"
            f'<span class="quiet">true class {_percent(own)}</span><span class="quiet">{_name(name)}</span>'
            "</figcaption></figure></li>"
        )
    shown = "all of them" if len(cards) == scores.wrong else f"the first {len(cards)}"
    return (
        f"<p>{scores.wrong:,} of {scores.total:,} samples are wrong; {shown}, by the probability of the wrong class: "
        f'true class → predicted class, its probability.</p><ul class="cards">{"".join(cards)}</ul>'
    )


def _filters(summary: RunSummary) -> str:
    if summary.filters is None:
        return "<p>The network has no convolution.</p>"
    sheet, legend = filter_sheet(summary.filters)
    image = _image("image/png", encode_png(sheet), legend, "sheet")
    return f"<figure>{image}<figcaption>{legend}</figcaption></figure>"


def _layers(summary: RunSummary) -> str:
    if not summary.layers:
        return "<p>The layers are not known.</p>"
    rows = [
        (_name(row.name), escape(row.operator), " × ".join(map(str, row.output_size)) or "–", f"{row.parameters:,}")
        for row in summary.layers
    ]
    total = f"{sum(row.parameters for row in summary.layers):,}"
    return _table(("Layer", "Operator", "Output", "Parameters"), rows, "In order of call", ("Total", "", "", total))


def _settings(summary: RunSummary) -> str:
    words = " ".join(f"<span>{escape(shlex.join(part))}</span>" for part in _command(summary))
    tables = _pairs("Settings", summary.settings) + _pairs("Environment", summary.environment)
    return f'<pre><code>{words}</code></pre><div class="pair">{tables}</div>'


def _command(summary: RunSummary) -> list[list[str]]:
    """The command that repeats the run, in parts that belong together."""
    _, height, width = summary.input_size
    command = [["striate", "train", summary.source], ["--model", summary.model], ["--size", f"{height}x{width}"]]
    for option in _OPTIONS:
        if (value := summary.settings.get(option)) is not None:
            command.append([f"--{option.replace('_', '-')}", str(value)])
    augment = summary.settings.get("augment", True)
    if not augment:
        command.append(["--no-augment"])
    elif isinstance(augment, Mapping) and augment.get("flip"):
        command.append(["--flip"])
    return command


def _pairs(caption: str, values: Mapping[str, object]) -> str:
    rows = [(escape(name), escape(_value(value))) for name, value in values.items()]
    return _table(("Name", "Value"), rows, caption) if rows else ""


def _table(
    head: Sequence[str], rows: Iterable[Sequence[str]], caption: str, foot: Sequence[str] = (), *, style: str = "words"
) -> str:
    """A table whose first column names its rows; the cells are HTML already."""

    def line(cells: Sequence[str]) -> str:
        return f'<tr><th scope="row">{cells[0]}</th>{"".join(f"<td>{cell}</td>" for cell in cells[1:])}</tr>'

    columns = "".join(f'<th scope="col">{title}</th>' for title in head)
    body = "".join(map(line, rows))
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{caption}"><table class="{style}">'
        f"<caption>{caption}</caption><thead><tr>{columns}</tr></thead><tbody>{body}</tbody>"
        f"{f'<tfoot>{line(foot)}</tfoot>' if foot else ''}</table></div>"
    )


def _part(name: str) -> str:
    return "validation" if name == "val" else escape(name)


def _fact(term: str, html: str) -> str:
    return f"<div><dt>{term}</dt><dd>{html}</dd></div>"


def _name(text: str) -> str:
    """A text of the user's; isolated, so that one written from right to left leaves its surroundings alone."""
    return f"<bdi>{escape(text)}</bdi>"


def _image(media: str, content: bytes, description: str, style: str) -> str:
    data = b64encode(content).decode()
    return f'<img class="{style}" alt="{escape(description)}" src="data:{media};base64,{data}">'


def _number(share: float) -> str:
    """A share in per cent, without the sign."""
    return "–" if isnan(share) else f"{share * 100:.1f}"


def _percent(share: float) -> str:
    return f"{_number(share)} %"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_value(part)}" for name, part in value.items())
    return "–" if value is None else str(value)


def _duration(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
