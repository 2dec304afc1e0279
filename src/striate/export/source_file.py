"""A network as a file of Python."""

import ast
import dataclasses
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from striate.export.comparison import (
    answers,
    check,
    dtype_of,
    error_of,
    sample,
    sizes_of,
    still,
    tolerance_of,
)
from striate.export.exported import Exported
from striate.export.files import check_place, placed
from striate.export.metadata import VERSION
from striate.export.safetensors_file import save, tensors_of
from striate.models import Network, config_of, create, name_of
from striate.models.notation import CLASSICS, Written, code_of

_SECONDS = 600
# Runs the file, and nothing else of the current folder, where it says so without Striate.
_CHILD = """
import importlib.machinery, importlib.util, sys
source, tensors, outputs, alone, threads = sys.argv[1:]
if alone == "alone":
    sys.modules["striate"] = None
import torch
from safetensors.torch import load_file, save_file
from torch.utils import _pytree as pytree
torch.set_num_threads(int(threads))
loader = importlib.machinery.SourceFileLoader("exported", source)
module = importlib.util.module_from_spec(importlib.util.spec_from_loader("exported", loader))
loader.exec_module(module)
found = load_file(tensors)
input = found.pop("input of the comparison")
model = module.build()
model.load_state_dict(module.renamed(found) if hasattr(module, "renamed") else found)
model = model.to(input.dtype).eval()
with torch.no_grad():
    given = pytree.tree_leaves(model(input))
save_file({str(place): tensor.contiguous() for place, tensor in enumerate(given)}, outputs)
"""


def to_code(
    model: nn.Module,
    path: str | os.PathLike[str],
    input_size: Sequence[int] | None = None,
    *,
    tolerance: float | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write a network as a file of Python, run it in a process of its own and compare.

    The file has a function `build()` that returns the network with new weights. `load_state_dict` gives it those that
    `to_safetensors` writes; where tensors have other names in the file, its function `renamed` gives them these first.

    What PyTorch has the layers for is written with these, and needs no Striate: networks of the notation, stacks of
    layers that it has words for, and those of `striate.models` that are plain stacks, with their usual options. Other
    layers are imported from `striate.nn`; other networks of `striate.models` are the call that builds them.

    Args:
        model: a network of `striate.models`, or an `nn.Sequential`; it is left as it is, in its mode and on its device.
        path: the file to write.
        input_size: channels and sizes of one sample, as `(3, 224, 224)`; a network of `striate.models` knows its own.
        tolerance: the largest error `max|Δ| / max|y|` of the outputs to accept; None is 1e-4 in float32 and 1e-2 in
            float16.
        overwrite: whether a file that exists is replaced.

    Returns:
        The file, what it needs, and how near its outputs are.

    Raises:
        ValueError: if the file does not run or gives something else; nothing is written.
        TypeError: if the network is neither of `striate.models` nor a stack of layers that have a word.
        OSError: if the file is there already or cannot be written.

    Example:
        >>> import tempfile
        >>> from striate import models
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     exported = to_code(models.create("mlp"), f"{folder}/mlp.py")
        >>> exported.contents, exported.error < 1e-5
        ('code that needs PyTorch alone', True)
    """
    file = Path(path)
    check_place(file, overwrite=overwrite)
    dtype, sizes = dtype_of(model), sizes_of(model, input_size)
    source = _source(model, sizes)
    accepted = tolerance_of(tolerance, dtype)
    input = sample(2, sizes, dtype)
    expected = answers(still(model), input)
    with placed(file, overwrite=overwrite) as temporary:
        temporary.write_text(source.text, encoding="utf-8")
        found = _run(temporary, model, input, source.needs_striate)
        error = error_of(found, expected)
        check(error, accepted, str(file))
    needs = "PyTorch and Striate" if source.needs_striate else "PyTorch alone"
    return Exported(file=file, contents=f"code that needs {needs}", error=error, tolerance=accepted)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """A file's text, and whether it needs Striate."""

    text: str
    needs_striate: bool


def _source(model: nn.Module, sizes: tuple[int, ...]) -> _Source:
    """The network as code.

    Raises:
        TypeError: if the network is neither of `striate.models` nor a stack of layers that have a word.
    """
    name = name_of(model)
    own = {key: key for key in model.state_dict()}
    if isinstance(model, Written):
        return _finished(code_of(model, sizes), own)
    if name is None or not isinstance(model, Network):
        return _finished(_stack(model, sizes), {f"layers.{key}": key for key in own})
    classic = _classic(name, model, sizes)
    if classic is not None:
        return classic
    options = {field.name: getattr(model.config, field.name) for field in dataclasses.fields(model.config)}
    return _Source(text=_call(name, options), needs_striate=True)


def _stack(model: nn.Module, sizes: tuple[int, ...]) -> str:
    """The code of an `nn.Sequential`.

    Raises:
        TypeError: if it is none, or has a layer without a word.
    """
    try:
        return code_of(model, sizes)
    except TypeError as error:
        raise TypeError(
            f"model must be a network of striate.models or an nn.Sequential of layers that its notation knows: {error}"
        ) from error


def _classic(name: str, model: Network, sizes: tuple[int, ...]) -> _Source | None:
    """A network of ours that is a plain stack, where PyTorch has all of its layers and its options are the usual."""
    config = model.config
    sized = {"in_channels": sizes[0], "num_classes": config.num_classes, "input_size": sizes[1:]}
    if name not in CLASSICS or config != dataclasses.replace(config_of(name), **sized):  # type: ignore[type-var]
        return None
    try:
        with torch.device("meta"):
            stack = create(CLASSICS[name], **sized)
    except ValueError:
        # The layers of the text do not adapt to the sizes, as those of the class may.
        return None
    state, theirs = stack.state_dict(), model.state_dict()
    if [tensor.shape for tensor in state.values()] != [tensor.shape for tensor in theirs.values()]:
        return None
    source = _finished(code_of(stack), dict(zip(state, theirs, strict=True)))
    return None if source.needs_striate else source


def _finished(text: str, names: Mapping[str, str]) -> _Source:
    """The code of a class `Network` with a function that builds it, and one that renames tensors where that is due."""
    text += '\n\ndef build() -> Network:\n    """The network, with new weights."""\n    return Network()\n'
    if any(key != value for key, value in names.items()):
        lines = "".join(f'    "{key}": "{value}",\n' for key, value in names.items())
        text += (
            "\n\n# The names of the tensors here, and in the network that this was written from.\n"
            f"_NAMES = {{\n{lines}}}\n"
            "\n\ndef renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:\n"
            '    """That network\'s state dict under the names here."""\n'
            "    return {name: state[old] for name, old in _NAMES.items()}\n"
        )
    return _Source(text=text, needs_striate=_imports_striate(text))


def _imports_striate(text: str) -> bool:
    """Whether code imports Striate or a part of it."""
    imported = []
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.Import):
            imported += [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            imported.append(statement.module or "")
    return any(name.partition(".")[0] == "striate" for name in imported)


def _call(name: str, options: Mapping[str, object]) -> str:
    """The call that builds a network.

    Raises:
        TypeError: if an option is no plain number, word or tuple of such.
    """
    lines = []
    for option, value in options.items():
        try:
            plain = ast.literal_eval(repr(value)) == value
        except (ValueError, SyntaxError):
            plain = False
        if not plain:
            raise TypeError(f"{name} cannot be written as code: its option {option} is {value!r}")
        lines.append(f"        {option}={value!r},\n")
    return (
        f'"""{name}, written by Striate {VERSION}."""\n\n'
        "from striate import models\n\n\n"
        "def build():\n"
        '    """The network, with new weights."""\n'
        f"    return models.create(\n        {name!r},\n{''.join(lines)}    )\n"
    )


def _run(source: Path, model: nn.Module, input: Tensor, needs_striate: bool) -> Sequence[Tensor]:
    """The outputs of the file's network, given the network's tensors.

    Raises:
        ValueError: if it fails.
    """
    with TemporaryDirectory() as folder:
        tensors, outputs = Path(folder, "tensors"), Path(folder, "outputs")
        save({**tensors_of(model), "input of the comparison": input}, tensors)
        alone = "with striate" if needs_striate else "alone"
        arguments = [source.absolute(), tensors, outputs, alone, torch.get_num_threads()]
        command = [sys.executable, "-B", "-P", "-c", _CHILD, *map(str, arguments)]
        try:
            ended = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_SECONDS, cwd=folder
            )
        except subprocess.TimeoutExpired as error:
            raise ValueError(f"the exported code does not end within {_SECONDS} seconds") from error
        if ended.returncode != 0:
            said = ended.stderr.decode("utf-8", "replace").strip().splitlines() or [f"status {ended.returncode}"]
            raise ValueError(f"the exported code does not run: {said[-1]}")
        found = load_file(outputs)
    return [found[str(place)] for place in range(len(found))]
