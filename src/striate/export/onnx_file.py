"""A network as an ONNX file that ONNX Runtime runs."""

import contextlib
import importlib
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from striate.export.averages import open_averages
from striate.export.comparison import (
    answers,
    check,
    dtype_of,
    error_of,
    first_line,
    sample,
    sizes_of,
    still,
    tolerance_of,
)
from striate.export.exported import Exported
from striate.export.files import check_place, placed
from striate.export.metadata import metadata
from striate.models.loading.preprocessing import Preprocessing

_FIRST_OPSET = 19
# What one message of protobuf can hold, and some room for the graph.
_MOST_BYTES = 2**31 - 2**24
_AXES = {1: ("length",), 2: ("height", "width"), 3: ("frames", "height", "width")}


def to_onnx(
    model: nn.Module,
    path: str | os.PathLike[str],
    input_size: Sequence[int] | None = None,
    *,
    opset: int = 20,
    dynamic_batch: bool = True,
    dynamic_size: bool = False,
    tolerance: float | None = None,
    classes: Sequence[str] = (),
    preprocessing: Preprocessing | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write a network as an ONNX file, run it in ONNX Runtime and compare.

    The network is exported as it is in evaluation: batch normalisation by its running statistics, no dropout. Random
    inputs go through the network and through the file; the file is kept if `max|Δ| / max|y|` is at most `tolerance`,
    with a dynamic batch for two batches that the exporter has not seen, with a dynamic size for another size, too.
    `classes` and `preprocessing` become entries of `metadata_props`, as `to_safetensors` writes them.

    Args:
        model: any module of one input; it is left as it is, in its mode and on its device.
        path: the file to write.
        input_size: channels and sizes of one sample, as `(3, 224, 224)`; a network of `striate.models` knows its own.
        opset: version of ONNX's operators, at least 19: ONNX Runtime reads deformable convolution only from there on,
            and deformable volumes from 20 on.
        dynamic_batch: whether the file takes any number of samples; otherwise one.
        dynamic_size: whether it takes inputs of other sides, too.
        tolerance: the largest error to accept; None is 1e-4 in float32 and 1e-2 in float16.
        classes: the names of the classes, one an output.
        preprocessing: what is done with a picture before the network sees it.
        overwrite: whether a file that exists is replaced.

    Returns:
        The file, its opset, and how near its outputs are.

    Raises:
        ImportError: if the extra `export` is not installed.
        ValueError: if the opset is too low, PyTorch cannot export the network, ONNX Runtime cannot run the file, or the
            outputs differ; nothing is written.
        TypeError: if the model is neither of float32 nor float16, or the preprocessing is something else.
        OSError: if the file is there already or cannot be written.

    Source:
        ONNX, "Open Neural Network Exchange Intermediate Representation", https://onnx.ai/onnx/repo-docs/IR.html.

    Example:
        >>> import tempfile
        >>> from striate import models
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     exported = to_onnx(models.create("lenet5"), f"{folder}/lenet5.onnx")
        >>> exported.contents, exported.error < 1e-5
        ('ONNX, opset 20', True)
    """
    if opset < _FIRST_OPSET:
        raise ValueError(
            f"opset must be at least {_FIRST_OPSET}, the first in which ONNX Runtime reads deformable convolution, "
            f"got {opset}"
        )
    file, dtype = Path(path), dtype_of(model)
    check_place(file, overwrite=overwrite)
    runtime = _imported()
    accepted = tolerance_of(tolerance, dtype)
    words = metadata(model, classes, preprocessing)
    _check_bytes(model)
    sizes = sizes_of(model, input_size)
    network = still(model)
    tried = _tried(network, sizes, dtype, dynamic_batch, dynamic_size)
    if dynamic_size:
        open_averages(network)
    with placed(file, overwrite=overwrite) as temporary:
        # On the least input that a network takes, its maps may be one wide, and PyTorch would take that for granted.
        first = sample(2 if dynamic_batch else 1, _grown(sizes, 2.0) if dynamic_size else sizes, dtype)
        program = _exported(network, first, opset, _axes(len(sizes), dynamic_batch, dynamic_size))
        program.model.metadata_props.update(words)
        program.save(temporary, external_data=False)
        del program
        error = _error(runtime, temporary, tried)
        check(error, accepted, str(file))
    return Exported(file=file, contents=f"ONNX, opset {opset}", error=error, tolerance=accepted)


def _imported() -> Any:
    """ONNX Runtime, once all that writes a file is there.

    Raises:
        ImportError: if the extra is not installed.
    """
    try:
        for name in ("onnx", "onnxscript"):
            importlib.import_module(name)
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise ImportError(f"{error.name} is not installed: pip install 'striate[export]'") from error


def _check_bytes(model: nn.Module) -> None:
    """See that the numbers fit in one file.

    Raises:
        ValueError: if they do not.
    """
    held = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    if held > _MOST_BYTES:
        raise ValueError(f"model must fit in the 2 GiB of one ONNX file, got {held / 2**30:.1f} GiB of numbers")


def _axes(dims: int, dynamic_batch: bool, dynamic_size: bool) -> dict[int, str]:
    """The names of the axes of the input that are open."""
    sides = _AXES.get(dims - 1, tuple(f"side{axis}" for axis in range(dims - 1)))
    named = dict(enumerate(sides, 2)) if dynamic_size else {}
    return {0: "batch", **named} if dynamic_batch else named


def _tried(
    network: nn.Module, sizes: tuple[int, ...], dtype: torch.dtype, dynamic_batch: bool, dynamic_size: bool
) -> list[tuple[Tensor, list[Tensor]]]:
    """Inputs that the file must take, and what the network makes of them.

    Raises:
        ValueError: if the network does not take them.
    """
    batches = (1, 3) if dynamic_batch else (1,)
    inputs = [sample(batch, sizes, dtype) for batch in batches]
    tried = [(input, answers(network, input)) for input in inputs]
    if dynamic_size:
        others = [sample(batches[-1], _grown(sizes, 1.25), dtype), sample(1, _grown(sizes, 2.5), dtype)]
        try:
            tried += [(other, answers(network, other)) for other in others]
        except ValueError as error:
            raise ValueError(f"dynamic_size needs a network that takes inputs of any size: {error}") from error
    return tried


def _grown(sizes: tuple[int, ...], factor: float) -> tuple[int, ...]:
    """Larger sides, another each."""
    return sizes[0], *(int(factor * side) + axis for axis, side in enumerate(sizes[1:], 1))


def _exported(network: nn.Module, input: Tensor, opset: int, axes: dict[int, str]) -> Any:
    """The network as PyTorch's exporter writes it.

    Raises:
        ValueError: if it cannot, or not for this opset.
    """
    try:
        with _quiet():
            program = torch.onnx.export(
                network,
                (input,),
                dynamo=True,
                verbose=False,
                opset_version=opset,
                input_names=["input"],
                dynamic_shapes=(axes,),
            )
    except Exception as error:
        raise ValueError(f"PyTorch cannot export this network to ONNX: {_innermost(error)}") from error
    written = None if program is None else program.model.opset_imports.get("")
    # Where PyTorch cannot convert, it leaves the graph as it was, and only logs that.
    if program is None or written != opset:
        raise ValueError(f"PyTorch cannot write this network for opset {opset}, but for {written}")
    return program


def _innermost(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what PyTorch's exporter says of its own calls and of a conversion that is checked afterwards."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _error(runtime: Any, file: Path, tried: Sequence[tuple[Tensor, list[Tensor]]]) -> float:
    """The largest error of the file's outputs in ONNX Runtime.

    Raises:
        ValueError: if it does not run.
    """
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = torch.get_num_threads()
    largest = 0.0
    try:
        session = runtime.InferenceSession(os.fspath(file), options, providers=["CPUExecutionProvider"])
        (taken,) = session.get_inputs()
        for input, expected in tried:
            found = session.run(None, {taken.name: input.numpy()})
            largest = max(largest, error_of([torch.from_numpy(np.asarray(one)) for one in found], expected))
    except Exception as error:
        raise ValueError(f"ONNX Runtime cannot run the exported file: {first_line(error)}") from error
    return largest
