"""The pickle of a checkpoint, followed word by word: containers, plain values and places of tensors, nothing else.

`torch.load(weights_only=True)` runs no foreign code, but builds what it is told: a few bytes can ask for gigabytes
(`bytearray(10**10)`) or for hours (the hash of a tuple of pairs of pairs). So this reading comes first; what it accepts
costs torch no more than it has cost here.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from reprlib import repr as brief
from typing import Any, BinaryIO

import torch

from striate.models.files.weight_file import Entry, checked_shape

# A few seconds' work; a tensor takes 35 words.
_MAX_STEPS = 1_000_000
_MAX_NUMBERS = 2**48

_STORAGES = {
    "torch.DoubleStorage": torch.float64,
    "torch.FloatStorage": torch.float32,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
    "torch.ComplexFloatStorage": torch.complex64,
    "torch.ComplexDoubleStorage": torch.complex128,
}
_KNOWN = {
    *_STORAGES,
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    # Of files from 2017, as some that torchvision publishes.
    "torch._utils._rebuild_tensor",
    "torch.nn.parameter.Parameter",
}

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING"}
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}


@dataclass(frozen=True, slots=True)
class Global:
    """A name that the pickle mentions.

    Args:
        name: with its module.
    """

    name: str


@dataclass(frozen=True, slots=True)
class Storage:
    """A run of numbers that lies elsewhere in the file.

    Args:
        key: under which it lies.
        dtype: of its numbers.
        numbers: how many.
    """

    key: str
    dtype: torch.dtype
    numbers: int


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor that looks at a storage.

    Args:
        storage: the storage.
        entry: its shape and type.
    """

    storage: Storage
    entry: Entry


class PickleReader:
    """Follows pickles, and keeps the storages that they name.

    Example:
        >>> import io, pickle
        >>> PickleReader().read(io.BytesIO(pickle.dumps({"epoch": 3}, 2)))
        {'epoch': 3}
    """

    def __init__(self) -> None:
        self.storages: dict[str, Storage] = {}
        self._steps = 0
        self._stack: list[Any] = []
        self._marked: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def read(self, stream: BinaryIO) -> Any:
        """Follow one pickle; the stream stands behind it then.

        Args:
            stream: bytes.

        Returns:
            Its value: dicts, lists, tuples, plain values, and `StoredTensor`, `Storage` and `Global` for the rest.

        Raises:
            ValueError: if it is damaged, takes too many steps, or has what weights need not.
        """
        self._stack, self._marked, self._memo = [], [], {}
        try:
            for opcode, argument, _ in pickletools.genops(stream):
                self._count(1)
                if opcode.name == "STOP":
                    if len(self._stack) != 1 or self._marked:
                        raise ValueError("the pickle is damaged: it ends with other than one value")
                    return self._stack[0]
                self._step(opcode.name, argument)
        except (IndexError, KeyError) as error:
            raise ValueError("the pickle is damaged: it takes what it has not put there") from error
        raise ValueError("the pickle is damaged: it does not end")

    def _count(self, steps: int) -> None:
        """Count what torch will have to do.

        Raises:
            ValueError: if that is too much.
        """
        self._steps += steps
        if self._steps > _MAX_STEPS:
            raise ValueError(f"the pickle takes more than {_MAX_STEPS:,} steps")

    def _step(self, word: str, argument: Any) -> None:
        """One word of the pickle."""
        stack = self._stack
        if word in _LITERALS:
            stack.append(argument)
        elif word in _CONSTANTS:
            stack.append(_CONSTANTS[word])
        elif word in _EMPTY:
            stack.append(_EMPTY[word]())
        elif word in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif word in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif word == "MARK":
            self._marked.append(stack)
            self._stack = []
        elif word in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(word[-1])
            stack.append(tuple(stack.pop() for _ in range(count))[::-1])
        elif word == "TUPLE":
            items = self._items()
            self._stack.append(tuple(items))
        elif word in ("APPEND", "APPENDS"):
            items = [stack.pop()] if word == "APPEND" else self._items()
            _expect(self._stack[-1], list).extend(items)
        elif word in ("SETITEM", "SETITEMS"):
            items = [stack.pop(), stack.pop()][::-1] if word == "SETITEM" else self._items()
            _put(_expect(self._stack[-1], dict), items)
        else:
            self._call(word, argument)

    def _items(self) -> list[Any]:
        """What was put on the stack since the last mark."""
        items, self._stack = self._stack, self._marked.pop()
        return items

    def _call(self, word: str, argument: Any) -> None:
        """The words that name, build or fetch something.

        Raises:
            ValueError: if weights do not need it.
        """
        stack = self._stack
        if word == "PROTO":
            if argument != 2:
                raise ValueError(f"the pickle has protocol {argument}: expected 2, which torch.save writes")
        elif word == "GLOBAL":
            name = ".".join(argument.split(" ", 1))
            if name not in _KNOWN:
                raise ValueError(
                    f"the pickle names {name}: only tensors of the usual types and plain values are read, and no code "
                    "is run; save the state_dict alone"
                )
            stack.append(Global(name))
        elif word == "BINPERSID":
            stack.append(self._storage(stack.pop()))
        elif word in ("REDUCE", "NEWOBJ"):
            arguments = _expect(stack.pop(), tuple)
            stack[-1] = self._built(_expect(stack[-1], Global).name, arguments)
        elif word == "BUILD":
            self._state(stack.pop())
        else:
            raise ValueError(f"the pickle has the word {word}, which weights do not need: only tensors are read")

    def _built(self, name: str, arguments: tuple[Any, ...]) -> Any:
        """What a known function makes.

        Raises:
            ValueError: if it is called in a way that torch.save does not.
        """
        match name.rpartition(".")[2], arguments:
            case "OrderedDict", ():
                return {}
            case "OrderedDict", (list(pairs),) if all(type(pair) is list and len(pair) == 2 for pair in pairs):
                # As Python 2 wrote it.
                self._count(len(pairs))
                return _put({}, [item for pair in pairs for item in pair])
            case "_rebuild_parameter", (StoredTensor() as tensor, bool(), dict()):
                return tensor
            case "Parameter", (StoredTensor() as tensor,):
                return tensor
            case "_rebuild_tensor", (Storage() as storage, offset, tuple(shape), tuple(stride)):
                return _tensor(storage, offset, shape, stride)
            case "_rebuild_tensor_v2", (Storage() as storage, offset, tuple(shape), tuple(stride), bool(), *rest):
                if all(item in ({}, None) for item in rest) and len(rest) <= 2:
                    return _tensor(storage, offset, shape, stride)
        raise ValueError(f"the pickle calls {name} in a way that torch.save does not")

    def _state(self, state: Any) -> None:
        """The attributes of what is on top: an ordered dict's, versions of its modules, or a parameter's of 2017.

        Raises:
            ValueError: if they are others.
        """
        match self._stack[-1], state:
            case dict(), dict():
                self._count(len(state))
            case StoredTensor(), (bool(), bool(), hooks) if hooks in ({}, None):
                pass
            case _:
                raise ValueError("the pickle gives attributes to what has none")

    def _storage(self, about: Any) -> Storage:
        """The storage that a tuple names: a word, type, key, device, count of numbers and, formerly, a view.

        Raises:
            ValueError: if it names none.
        """
        match about:
            case ("storage", Global(name), str(key), str(), int(numbers), *view) if (
                name in _STORAGES and type(numbers) is int and 0 <= numbers < _MAX_NUMBERS and view in ([], [None])
            ):
                storage = Storage(key, _STORAGES[name], numbers)
                if self.storages.setdefault(key, storage) != storage:
                    raise ValueError(f"the pickle gives the storage {key!r} two types or sizes")
                return storage
        raise ValueError("the pickle asks for something that is no storage of a tensor")


def _expect(value: Any, kind: type[Any]) -> Any:
    """The value.

    Raises:
        ValueError: if it is of another kind.
    """
    if type(value) is not kind:
        raise ValueError(f"the pickle is damaged: {kind.__name__} was expected, {type(value).__name__} came")
    return value


def _put(target: dict[str | int, Any], items: list[Any]) -> dict[str | int, Any]:
    """A dict with names and values put into it.

    Raises:
        ValueError: if a name is neither text nor an integer, or lacks its value.
    """
    if len(items) % 2:
        raise ValueError("the pickle is damaged: a name lacks its value")
    for name, value in zip(items[::2], items[1::2], strict=True):
        # The hash of a tuple may take for ever.
        if type(name) not in (str, int):
            raise ValueError(f"the pickle has a dict with {type(name).__name__} for a name: expected text or integers")
        target[name] = value
    return target


def _tensor(storage: Storage, offset: Any, shape: tuple[Any, ...], stride: tuple[Any, ...]) -> StoredTensor:
    """A view of a storage.

    Raises:
        ValueError: if it reaches past it.
    """
    what = f"a tensor of the storage {storage.key!r}"
    checked_shape(shape, what)
    if len(stride) != len(shape) or any(
        type(step) is not int or not 0 <= step < _MAX_NUMBERS for step in (offset, *stride)
    ):
        raise ValueError(
            f"{what} has the offset {brief(offset)} and the strides {brief(stride)}: expected integers from 0 on"
        )
    entry = Entry(shape, storage.dtype)
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    if 0 not in shape and last >= storage.numbers:
        raise ValueError(f"{what} reaches to number {last:,} of {storage.numbers:,}")
    if entry.nbytes > storage.numbers * storage.dtype.itemsize:
        raise ValueError(f"{what} is {entry.nbytes:,} bytes spread over fewer")
    return StoredTensor(storage, entry)
