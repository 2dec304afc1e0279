"""What can be inspected by a word: a network of ours, a function of one's own, an ONNX file."""

import contextlib
import difflib
import importlib
import inspect
import pkgutil
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors
from typing_extensions import override

from striate import models
from striate.models import notation

_FACTORY = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_WEIGHTS = frozenset({".pt", ".pth", ".bin", ".ckpt", ".pkl", ".npz", ".h5", ".keras", ".safetensors", ".tflite"})
_FILLS = frozenset(
    getattr(Tensor, name)
    for name in "bernoulli_ cauchy_ exponential_ fill_ geometric_ log_normal_ normal_ random_ uniform_ zero_".split()
) | frozenset(value for name, value in vars(nn.init).items() if name.endswith("_") and inspect.isfunction(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A network to inspect.

    Args:
        model: the network.
        name: what it was called by.
        input_sizes: that it is made for, with a batch of one; empty where they are not known.
        dtypes: of its inputs, where they are known.

    Example:
        >>> load("lenet5").input_sizes
        ((1, 1, 28, 28),)
    """

    model: nn.Module
    name: str
    input_sizes: tuple[tuple[int, ...], ...] = ()
    dtypes: tuple[torch.dtype, ...] = ()

    @property
    def input_size(self) -> tuple[int, ...] | tuple[tuple[int, ...], ...] | None:
        """The size of the only input; sizes of all where there are several; None where they are not known."""
        return self.input_sizes[0] if len(self.input_sizes) == 1 else self.input_sizes or None


def load(text: str, options: Mapping[str, Any] | None = None) -> Target:
    """The network that a word names.

    Code is imported and run only for an explicit ``package.module:factory``; no file is ever run by its path.

    Args:
        text: a name of `striate.models`, which is built without numbers and in evaluation mode; a file ``*.onnx``; or
            ``package.module:factory``, a module or a function without arguments that returns one, imported from the
            current folder or the installed packages.
        options: of a network of ours, as `num_classes`.

    Returns:
        The network.

    Raises:
        ValueError: if there is no such network, or the code that should make it fails.
        TypeError: if the network has no such option, or there is none where options are given.
        OSError: if the file cannot be read.

    Example:
        >>> load("lenet5", {"num_classes": 3}).model.config.num_classes
        3
    """
    for read in (_onnx_file, _factory, _network):
        found = read(text, options or {})
        if found is not None:
            return found
    raise ValueError(_hint(text))


@contextlib.contextmanager
def without_numbers() -> Iterator[None]:
    """Make tensors on the device that holds no numbers, and draw none: modules are built at once, whatever their size.

    Example:
        >>> with without_numbers():
        ...     layer = nn.Linear(10**6, 10**6)
        >>> layer.weight.is_meta
        True
    """
    with _WithoutNumbers():
        yield


class _WithoutNumbers(TorchFunctionMode):
    """`torch.device("meta")`, but what fills a tensor there is left out: PyTorch works out its steps in Python."""

    @override
    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _FILLS:
            filled = args[0] if args else kwargs["tensor"]
            if filled.is_meta:
                return filled
        elif kwargs.get("device") is None and func in _device_constructors():
            kwargs = {**kwargs, "device": "meta"}
        return func(*args, **kwargs)


def _network(text: str, options: Mapping[str, Any]) -> Target | None:
    """A network of ours, by its name or written in the notation; near matches where the word could be a name."""
    if not notation.is_text(text) and not re.fullmatch(r"[\w -]+", text):
        return None
    models.builder_of(text)
    with without_numbers():
        network = models.create(text, **options)
    # As it is used: in training, some need more than a batch of one.
    network.eval()
    config = network.config
    return Target(model=network, name=text, input_sizes=((1, config.in_channels, *config.input_size),))


def _onnx_file(text: str, options: Mapping[str, Any]) -> Target | None:
    if not text.lower().endswith(".onnx"):
        return None
    _take_no_options(text, options)
    from striate.inspection.onnx_graph import open_onnx

    network = open_onnx(text)
    sizes = [_fixed(one.shape) for one in network.inputs]
    known = tuple(size for size in sizes if size is not None)
    return Target(
        model=network,
        name=Path(text).name,
        input_sizes=known if len(known) == len(sizes) else (),
        dtypes=tuple(one.dtype for one in network.inputs),
    )


def _fixed(shape: tuple[int | str | None, ...] | None) -> tuple[int, ...] | None:
    """The size with a batch of one where that is open; None if more is."""
    sides = [1 if place == 0 and not isinstance(side, int) else side for place, side in enumerate(shape or ())]
    known = tuple(side for side in sides if isinstance(side, int))
    return known if shape is not None and len(known) == len(sides) else None


def _factory(text: str, options: Mapping[str, Any]) -> Target | None:
    if not _FACTORY.fullmatch(text) or text.partition(":")[0].endswith(".py"):
        return None
    _take_no_options(text, options)
    home, _, attribute = text.partition(":")
    with _current_folder():
        found = _attribute(_import(home), home, attribute)
        if not isinstance(found, nn.Module):
            found = _made(found, text)
    return Target(model=found, name=text)


def _take_no_options(text: str, options: Mapping[str, Any]) -> None:
    if options:
        raise TypeError(f"{text} takes no options, got {', '.join(options)}")


@contextlib.contextmanager
def _current_folder() -> Iterator[None]:
    """Import from the current folder first, as `python -m` does; random states stay as they were."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(folder)


def _import(home: str) -> Any:
    try:
        return importlib.import_module(home)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{home}.".startswith(f"{error.name}."):
            raise _failed(f"importing {home}", error) from error
        lacking, parent = error.name, error.name.rpartition(".")[0]
    except (Exception, SystemExit) as error:
        raise _failed(f"importing {home}", error) from error
    searched = list(getattr(sys.modules[parent], "__path__", ())) if parent else [str(Path.cwd())]
    if not searched:
        raise ValueError(f"there is no module {lacking}: {parent} is a module, not a package")
    names = [f"{parent}.{module.name}".lstrip(".") for module in pkgutil.iter_modules(searched)]
    near = difflib.get_close_matches(lacking, names)
    hint = f"did you mean {' or '.join(near)}?" if near else f"looked in {searched[0]} and the installed packages"
    raise ValueError(f"there is no module {lacking}: {hint}")


def _attribute(module: Any, home: str, attribute: str) -> Any:
    found, path = module, home
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            names = [name for name in dir(found) if not name.startswith("_")]
            near = difflib.get_close_matches(part, names) or [name for name in names if _makes(found, name)]
            hint = f"did you mean {' or '.join(near[:3])}?" if near else "it has no function"
            raise ValueError(f"{path} has no {part}: {hint}") from None
        path = f"{path}.{part}"
    return found


def _makes(owner: Any, name: str) -> bool:
    """Whether an attribute may be a function of the user's own that makes a network."""
    value = vars(owner).get(name)
    return inspect.isfunction(value) and value.__module__ == getattr(owner, "__name__", None)


def _made(factory: Any, text: str) -> nn.Module:
    if not callable(factory):
        raise ValueError(f"{text} must be a module or a function that returns one, got {type(factory).__name__}")
    with contextlib.suppress(ValueError):
        needed = [
            name
            for name, parameter in inspect.signature(factory).parameters.items()
            if parameter.default is parameter.empty and parameter.kind not in (2, 4)
        ]
        if needed:
            raise TypeError(
                f"{text} must take no arguments, but needs {', '.join(needed)}: write a function that gives them"
            )
    try:
        made = factory()
    except (Exception, SystemExit) as error:
        raise _failed(text, error) from error
    if not isinstance(made, nn.Module):
        raise ValueError(f"{text} must return a torch.nn.Module, got {type(made).__name__}")
    return made


def _failed(doing: str, error: BaseException) -> ValueError:
    """What the user's own code raised, in a line, with the line of theirs."""
    return ValueError(f"{doing} failed{_place(error)}: {_said(error)}")


def _said(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg}"
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _place(error: BaseException) -> str:
    """Where an error comes from: the last line below the current folder, or the last of all."""
    if isinstance(error, SyntaxError) and error.filename:
        return _line(error.filename, error.lineno, (error.text or "").strip())
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    folder = f"{Path.cwd()}/"
    own = [f for f in frames if f.filename.startswith(folder) and "site-packages" not in f.filename]
    frame = (own or frames)[-1]
    return _line(frame.filename, frame.lineno, frame.line or "")


def _line(file: str, number: int | None, code: str) -> str:
    with contextlib.suppress(ValueError):
        file = str(Path(file).relative_to(Path.cwd()))
    return f" in {file}, line {number}" + (f": `{code}`" if code else "")


def _hint(text: str) -> str:
    """What to write instead of a word that names no network."""
    path, attribute = (text, "") if ":" not in text else text.rsplit(":", 1)
    suffix = Path(path).suffix.lower()
    if suffix == ".py":
        parts = Path(path).with_suffix("").parts
        module = Path(path).stem if Path(path).is_absolute() or ".." in parts else ".".join(parts)
        return f"a file is not run by its path: name a function in it, as {module}:{attribute or 'factory'}"
    if suffix in _WEIGHTS:
        return (
            f"{path} holds weights, and perhaps code, but is not opened: "
            "name a function that builds the network, as package.module:factory"
        )
    if re.fullmatch(r"\w+(\.\w+)+", text):
        return f"there is no network {text!r}: to name a function in a module, write package.module:factory"
    return (
        f"there is no network {text!r}: expected a name that `striate models` lists, "
        "package.module:factory or a file model.onnx"
    )
