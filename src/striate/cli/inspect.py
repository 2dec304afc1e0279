"""`striate inspect`: read a network without running it."""

import contextlib
import math
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Argument, Option

if TYPE_CHECKING:
    import torch

    from striate.inspection.inspection import Inspection
    from striate.inspection.targets import Target

_UNITS = {"": 1} | {f"{letter}{i}": (1024 if i else 1000) ** n for n, letter in enumerate("KMGT", 1) for i in ("", "I")}
_DTYPES = ("float16", "bfloat16", "float32", "float64", "int32", "int64", "uint8", "bool")


def inspect(
    target: Annotated[
        str, Argument(help="A network's name or its text, package.module:factory, or a file model.onnx.")
    ],
    input: Annotated[
        list[str] | None,
        Option(help="Size of one sample, as 3x224x224; 35:int64 for whole numbers; once for each input."),
    ] = None,
    batch: Annotated[int | None, Option(help="Samples; one if not given.")] = None,
    vs: Annotated[str | None, Option(help="Another network, to compare with.")] = None,
    view: Annotated[Literal["tree", "flat", "operator"], Option(help="How layers are listed.")] = "tree",
    layer: Annotated[str | None, Option(help="All about one layer, by its dotted name.")] = None,
    unit: Annotated[str | None, Option(help="With --layer: the inputs that this unit reads, as 3,4 for y,x.")] = None,
    as_json: Annotated[bool, Option("--json", help="Print JSON.")] = False,
    as_markdown: Annotated[bool, Option("--markdown", help="Print Markdown.")] = False,
    html: Annotated[Path | None, Option(help="Write a page to this file.")] = None,
    svg: Annotated[Path | None, Option(help="Write a picture of the network to this file.")] = None,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace a file that exists.")] = False,
    strict: Annotated[bool, Option("--strict", help="Refuse a network with operators that cannot be counted.")] = False,
    run: Annotated[bool, Option("--run", help="Run it for real, on zeros, if its path depends on numbers.")] = False,
    count_like: Annotated[
        Literal["fvcore", "thop", "torch"] | None, Option(help="Count MACs by the rules of another tool.")
    ] = None,
    memory: Annotated[str | None, Option(help="Find the largest batch that trains in this much, as 24GB.")] = None,
    optimizer: Annotated[
        Literal["sgd", "momentum", "adam", "none"], Option(help="With --memory: what trains it; none for inference.")
    ] = "adam",
    train: Annotated[
        bool | None,
        Option(
            "--train/--eval",
            help="Mode; if not given, training for --memory, else evaluation, or as one's own function leaves it.",
        ),
    ] = None,
) -> None:
    """Read a network without running it: sizes, costs, memory, receptive fields, and what is wrong."""
    from striate.export.files import check_place

    for file in (("--html", html), ("--svg", svg)):
        _check_together(("--json", as_json), ("--markdown", as_markdown), file)
        _check_together(("--layer", layer), ("--vs", vs), ("--memory", memory), file)
    _check_together(("--layer", layer), ("--markdown", as_markdown))
    for written in filter(None, (html, svg)):
        check_place(written, overwrite=overwrite)
    sizes = [parse_input(text) for text in input or []]
    available = None if memory is None else parse_memory(memory)
    place = None if unit is None else parse_unit(unit, layer)
    settings = {"strict": strict, "count_like": count_like, "run": run}
    with _results_alone_on_stdout():
        first, *others = _inspected(
            [target] if vs is None else [target, vs],
            sizes,
            batch,
            True if train is None and available is not None and optimizer != "none" else train,
            settings,
            partly=not (as_json or as_markdown),
        )
        if others:
            said = _compared(first, others[0], as_json, as_markdown)
        elif layer is not None:
            said = _about(first, layer, place, as_json)
        elif html is not None or svg is not None:
            said = _written([(html, first.to_html), (svg, first.to_svg)])
        elif as_json or as_markdown:
            said = _plain(first, as_markdown, available, optimizer)
        else:
            said = first.to_text(view, _width())
            if available is not None:
                said += f"\n{_largest(first, available, optimizer)[1]}"
    _show(said, colours=not (as_json or as_markdown))


def _inspected(
    texts: Sequence[str],
    sizes: Sequence[tuple[tuple[int, ...], str]],
    batch: int | None,
    train: bool | None,
    settings: dict[str, Any],
    *,
    partly: bool,
) -> "list[Inspection]":
    """Read each network, on the sizes given, its own or the first's.

    Raises:
        ValueError: if one cannot be read; what could be goes to where errors go, if `partly`.
    """
    from striate.inspection.inspection import InspectionError, inspect
    from striate.inspection.targets import load

    try:
        targets = [load(text, _options(text, sizes)) for text in texts]
    except ImportError as error:
        raise ValueError(str(error)) from error
    known = next((target.input_sizes for target in targets if target.input_sizes), ())
    found = []
    for target in targets:
        if train is not None:
            target.model.train(train)
        given = _inputs(target, sizes, batch, target.input_sizes or known)
        try:
            inspection = inspect(target.model, inputs=given, **settings)
        except InspectionError as error:
            raise ValueError(_failure(error.inspection, target.name, partly)) from error
        inspection.name = target.name
        found.append(inspection)
    return found


def _options(text: str, sizes: Sequence[tuple[tuple[int, ...], str]]) -> dict[str, Any]:
    """A text of the notation is built for the size that is given."""
    from striate.models.notation import is_text

    if not sizes or not is_text(text):
        return {}
    (channels, *sides), _ = sizes[0]
    return {"in_channels": channels, "input_size": tuple(sides)}


def _failure(inspection: "Inspection", name: str, partly: bool) -> str:
    """Why a network does not run, in a line; the table up to there, with what would mend it, stands above it."""
    inspection.name = name
    failure = inspection.failure
    if failure is None:
        return "the network does not run"
    if not partly:
        return "; ".join([failure.text, *failure.fixes])
    print(inspection.to_text(width=_width()), file=sys.stderr)
    return failure.text


def _inputs(
    target: "Target",
    sizes: Sequence[tuple[tuple[int, ...], str]],
    batch: int | None,
    usual: Sequence[tuple[int, ...]],
) -> "list[torch.Tensor]":
    """Tensors without numbers, of the sizes given or of the usual ones.

    Raises:
        ValueError: if no size is known, or one is too large, or the batch is none.
    """
    import torch

    from striate.inspection.tracing.inputs import MOST_NUMBERS, own_dtype

    if batch is not None and batch < 1:
        raise ValueError(f"--batch must be at least 1, got {batch}")
    wished = [((batch or 1, *size), word) for size, word in sizes]
    wished = wished or [((batch or size[0], *size[1:]) if size else size, "") for size in usual]
    if not wished:
        raise ValueError(f"--input is missing: the size of one sample that {target.name} takes, as --input 3x224x224")
    like = own_dtype(target.model)
    tensors = []
    for place, (size, word) in enumerate(wished):
        if math.prod(size) > MOST_NUMBERS:
            raise ValueError(f"an input of {'x'.join(map(str, size))} is too large")
        own = target.dtypes[place] if place < len(target.dtypes) else like
        tensors.append(torch.empty(size, dtype=getattr(torch, word) if word else own, device="meta"))
    return tensors


def _compared(first: "Inspection", second: "Inspection", as_json: bool, as_markdown: bool) -> str:
    from striate.inspection.comparison import compare

    comparison = compare(first, second)
    if as_json:
        return comparison.to_json()
    return comparison.to_markdown() if as_markdown else comparison.to_text(_width())


def _about(inspection: "Inspection", layer: str, unit: tuple[int, ...] | None, as_json: bool) -> str:
    """Everything on one layer."""
    import json

    from striate.inspection.views.details import details, render

    if as_json:
        return json.dumps(details(inspection, layer, unit), indent=1)
    return render(inspection, layer, unit, _width())


def _plain(inspection: "Inspection", as_markdown: bool, available: int | None, optimizer: str) -> str:
    """Markdown or JSON."""
    import json

    if as_markdown:
        told = inspection.to_markdown()
        return told if available is None else f"{told}\n{_largest(inspection, available, optimizer)[1]}"
    content = inspection.to_dict()
    if available is not None:
        content["memory"]["largest_batch"] = _largest(inspection, available, optimizer)[0]
    return json.dumps(content, indent=1)


def _largest(inspection: "Inspection", available: int, optimizer: str) -> tuple[dict[str, Any], str]:
    """The largest batch that fits in a memory: for JSON, and in a sentence."""
    from striate.inspection.views.quantities import short

    held: Any = None if optimizer == "none" else optimizer
    largest = inspection.usage.largest_batch(available, held)
    doing = "runs" if held is None else f"trains by {optimizer}"
    return (
        {"memory_bytes": available, "optimizer": held, "batch": largest},
        f"largest batch that {doing} in {short(available, 'B', 4)}: {largest:,}",
    )


def _written(files: Sequence[tuple[Path | None, Callable[[], str]]]) -> str:
    """Write what is asked for, all of it once all of it is there; tell where."""
    from striate.export.files import placed

    contents = [(file, make()) for file, make in files if file is not None]
    for file, content in contents:
        # That there is none, or that it is to be replaced, was seen before.
        with placed(file, overwrite=True) as temporary:
            temporary.write_bytes(content.encode("utf-8", "backslashreplace"))
    return "".join(f"{file}\n" for file, _ in contents)


def _check_together(*options: tuple[str, object]) -> None:
    """See that at most one of these options is given.

    Raises:
        ValueError: if there are more.
    """
    given = [name for name, value in options if value]
    if len(given) > 1:
        raise ValueError(f"{given[0]} and {given[1]} do not go together")


@contextlib.contextmanager
def _results_alone_on_stdout() -> Iterator[None]:
    """What the code of a network prints goes to where errors go."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def _width() -> int:
    return max(shutil.get_terminal_size().columns, 40)


def _show(text: str, *, colours: bool) -> None:
    """Print a result, in colours on a terminal."""
    text = text.removesuffix("\n")
    if not (colours and sys.stdout.isatty()):
        print(text)
        return
    from rich.console import Console

    from striate.inspection.views.text import coloured

    Console(markup=False, emoji=False, highlight=False, soft_wrap=True).print(coloured(text))


def parse_input(text: str) -> tuple[tuple[int, ...], str]:
    """Read `3x224x224`, `3,224,224` or `35:int64` as a size without the batch, and the name of a dtype.

    Args:
        text: what was typed.

    Returns:
        The size, and the dtype; empty if there is none.

    Raises:
        ValueError: if the text is no size.
    """
    size, _, dtype = text.partition(":")
    sides = re.split("[x×,]", size.strip().lower())
    if not all(re.fullmatch(r" *[0-9]{1,18} *", side) and int(side) > 0 for side in sides):
        raise ValueError(f"--input must be the size of one sample, as 3x224x224 or 3,224,224, got {text!r}")
    if ":" in text and dtype not in _DTYPES:
        raise ValueError(f"--input {text}: the dtype must be one of {', '.join(_DTYPES)}, got {dtype!r}")
    return tuple(map(int, sides)), dtype


def parse_unit(text: str, layer: str | None) -> tuple[int, ...]:
    """Read `3,4` as the place of a unit along each axis.

    Args:
        text: what was typed.
        layer: whose unit it is.

    Returns:
        A number an axis.

    Raises:
        ValueError: if the text is none, or there is no layer.
    """
    if layer is None:
        raise ValueError("--unit goes with --layer")
    places = text.split(",")
    if not all(re.fullmatch(r" *-?[0-9]{1,18} *", place) for place in places):
        raise ValueError(f"--unit must be a place along each axis, as 3,4, got {text!r}")
    return tuple(map(int, places))


def parse_memory(text: str) -> int:
    """Read `24GB`, `512 MiB` or `1.5GiB` as bytes: GB are powers of 1000, GiB of 1024.

    Args:
        text: what was typed.

    Returns:
        The number of bytes.

    Raises:
        ValueError: if the text is no size.
    """
    read = re.fullmatch(r" *([0-9]{1,15}(?:\.[0-9]{1,9})?) *([KMGT]?I?)B? *", text.upper())
    if read is None or read[2] not in _UNITS or float(read[1]) <= 0:
        raise ValueError(f"--memory must be like 24GB, 512MiB or 1.5GiB, got {text!r}")
    return int(float(read[1]) * _UNITS[read[2]])
