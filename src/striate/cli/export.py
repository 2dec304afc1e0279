"""`striate export`: a network as ONNX, safetensors or PyTorch code, compared before success is said."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

if TYPE_CHECKING:
    from torch import nn

    from striate.models.loading.preprocessing import Preprocessing
    from striate.training import Trained


def export(
    target: Annotated[str, Argument(help="Run folder, or the name of a network.")],
    onnx: Annotated[Path | None, Option(help="Write an ONNX file, which is run in ONNX Runtime.")] = None,
    safetensors: Annotated[Path | None, Option(help="Write weights with all that builds the network again.")] = None,
    code: Annotated[Path | None, Option(help="Write Python with a function build(), which is run.")] = None,
    weights: Annotated[
        str | None, Option(help="With a name: where its weights come from; random if not given.")
    ] = None,
    input: Annotated[str | None, Option(help="With a name: size of one sample, as 3x224x224.")] = None,
    num_classes: Annotated[int | None, Option(help="With a name: classes to tell apart.")] = None,
    opset: Annotated[int, Option(help="With --onnx: version of its operators, at least 19.")] = 20,
    dynamic_batch: Annotated[
        bool, Option("--dynamic-batch/--fixed-batch", help="With --onnx: take any number of samples, or one.")
    ] = True,
    dynamic_size: Annotated[bool, Option("--dynamic-size", help="With --onnx: take other sizes, too.")] = False,
    tolerance: Annotated[
        float | None, Option(help="Largest difference of the outputs, of their largest; 1e-4 if not given.")
    ] = None,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace a file that exists.")] = False,
) -> None:
    """Write a network for others; each file is loaded again and compared before success is said."""
    from striate.export import to_code, to_safetensors

    _check_files([onnx, safetensors, code], overwrite)
    model, told = _network(target, weights, input, num_classes)
    if onnx is not None:
        settings = {"opset": opset, "dynamic_batch": dynamic_batch, "dynamic_size": dynamic_size}
        _write_onnx(model, onnx, {**settings, "tolerance": tolerance, **told, "overwrite": overwrite})
    if safetensors is not None:
        print(to_safetensors(model, safetensors, **told, overwrite=overwrite))
    if code is not None:
        print(to_code(model, code, tolerance=tolerance, overwrite=overwrite))


def _check_files(named: Sequence[Path | None], overwrite: bool) -> None:
    """See that there is something to write, and that all of it can be written.

    Raises:
        ValueError: if there is nothing, or two are one file.
    """
    from striate.export.files import check_place

    files = [file for file in named if file is not None]
    if not files:
        raise ValueError("nothing to write: give --onnx FILE, --safetensors FILE or --code FILE")
    for file in files:
        if files.count(file) > 1:
            raise ValueError(f"{file} is named twice: every export needs a file of its own")
        check_place(file, overwrite=overwrite)


def _network(
    target: str, weights: str | None, input: str | None, num_classes: int | None
) -> "tuple[nn.Module, dict[str, Any]]":
    """The network of a run or of a name, with its classes and preprocessing where they are known.

    Raises:
        ValueError: if options do not go with a run, or there is no such network.
    """
    # Of a text that is longer than any file's name, `Path.is_dir` fails.
    if os.path.isdir(target):
        given = {"--weights": weights, "--input": input, "--num-classes": num_classes}
        for option, value in given.items():
            if value is not None:
                raise ValueError(f"{option} goes with the name of a network: {target} is a folder, which has its own")
        from striate.training import load_trained

        trained = load_trained(target)
        return trained.model, {"classes": trained.classes, "preprocessing": _preprocessing(trained)}
    import sys

    from striate import models

    options = _options(input, num_classes)
    if weights is not None:
        loaded = models.load(target, weights, **options)
        print(loaded.report, file=sys.stderr)
        return loaded.network, {"preprocessing": loaded.preprocessing}
    model = models.create(target, **options)
    print(f"note: {target} has new, random weights: give --weights, or a run folder", file=sys.stderr)
    return model, {}


def _write_onnx(model: "nn.Module", file: Path, settings: dict[str, Any]) -> None:
    """Write an ONNX file and tell of it.

    Raises:
        ValueError: if it is not what the network is, or what writes it is not installed.
    """
    from striate.export import to_onnx

    try:
        print(to_onnx(model, file, **settings))
    except ImportError as error:
        raise ValueError(str(error)) from error


def _options(input: str | None, num_classes: int | None) -> dict[str, Any]:
    """What was typed, as options of a network.

    Raises:
        ValueError: if the size is none.
    """
    from striate.cli.inspect import parse_input

    options: dict[str, Any] = {} if num_classes is None else {"num_classes": num_classes}
    if input is not None:
        sizes, dtype = parse_input(input)
        if dtype:
            raise ValueError(f"--input must be a size alone, as 3x224x224, got {input!r}")
        options |= {"in_channels": sizes[0], "input_size": sizes[1:]}
    return options


def _preprocessing(trained: "Trained") -> "Preprocessing | None":
    """What a run does with a picture before its network sees it; None where it is no picture of grey or of colours."""
    from striate.models.loading.preprocessing import Preprocessing

    if trained.channels not in (1, 3):
        return None
    return Preprocessing(
        mean=trained.normalization.mean,
        std=trained.normalization.std,
        size=trained.size,
        channels="RGB" if trained.channels == 3 else "L",
    )
