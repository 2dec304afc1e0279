"""The nearest settings that read every input, or give a wished size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from striate.geometry.checks import check_integer, check_size

if TYPE_CHECKING:
    from striate.geometry.window import Window

Setting: TypeAlias = Literal["kernel", "stride", "dilation", "size", "padding"]
Use: TypeAlias = "tuple[Window, int]"
"""A window and the size of the input it is used on."""

_REACH = 32
"""How many steps a setting is moved where nothing else bounds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """Settings suggested in place of others, and what they give; as a string, one phrase for a reader.

    Args:
        window: the window to use.
        size: the input size to use it on.
        output_size: the number of outputs.
        settings: what changed: kernel, stride, dilation, size (of the input) or padding; empty if nothing had to.
        steps: how far the settings moved in all: taps, places of stride, padding and dilation, and inputs.

    Example:
        >>> from striate.geometry import Window
        >>> fix = Window(3, stride=2).fixes(6)[0]
        >>> fix.settings, fix.size, fix.output_size
        (('size',), 5, 2)
        >>> str(fix)
        'input size 5: 2 outputs'
    """

    window: Window
    size: int
    output_size: int
    settings: tuple[Setting, ...]
    steps: int

    def __str__(self) -> str:
        """The change and what it gives, as ``padding (0, 3): 55 outputs``."""
        changes = [
            f"input size {self.size}" if setting == "size" else f"{setting} {getattr(self.window, setting)}"
            for setting in self.settings
        ]
        outputs = "1 output" if self.output_size == 1 else f"{self.output_size} outputs"
        return f"{' and '.join(changes) or 'no change'}: {outputs}"


def fixes(window: Window, n: int) -> tuple[Fix, ...]:
    """The definition of `Window.fixes`.

    Args:
        window: the window to change.
        n: the input size.

    Returns:
        The fixes, the least change first.
    """
    if not window.unread(n):
        return ()
    before = window.output_size(n)
    found: dict[Use, Fix] = {}
    # At dilation 1 something always works: the input ends sooner, or the stride comes down to the kernel.
    for dilation in range(window.dilation, 0, -1):
        start = replace(window, dilation=dilation)
        for _, uses in _directions(start, n):
            if use := _first(uses, _reads_all):
                found.setdefault(use, _fix(window, n, use))
        if found:
            break
    return tuple(sorted(found.values(), key=lambda fix: (abs(fix.output_size - before), fix.steps)))


def settings_for(window: Window, n: int, wished: int) -> tuple[Fix, ...]:
    """The definition of `Window.settings_for`.

    Args:
        window: the window to change.
        n: the input size.
        wished: the output size.

    Returns:
        The settings, the least change first.
    """
    check_size(n)
    check_integer("wished", wished, 1)

    def gives(use: Use) -> bool:
        return use[0].fits(n) and use[0].output_size(n) == wished

    if gives((window, n)):
        return (_fix(window, n, (window, n)),)
    nearest: dict[tuple[tuple[Setting, ...], bool], Fix] = {}
    for start, settings in _starts(window, n):
        for setting, uses in _directions(start, n):
            if setting in settings and (use := _first(islice(uses, _REACH), gives)):
                fix = _fix(window, n, use)
                kind = fix.settings, isinstance(use[0].padding, tuple)
                if kind not in nearest or fix.steps < nearest[kind].steps:
                    nearest[kind] = fix
    found = sorted(nearest.values(), key=lambda fix: (fix.steps, len(fix.settings)))
    return tuple(
        fix
        for place, fix in enumerate(found)
        if not any(set(less.settings) < set(fix.settings) for less in found[:place])
    )


def _starts(window: Window, n: int) -> Iterator[tuple[Window, tuple[Setting, ...]]]:
    """The window itself and those with one setting changed, each with the settings that may change next."""
    order: tuple[Setting, ...] = ("kernel", "dilation", "stride", "padding")
    yield window, order
    for setting, uses in _directions(window, n):
        if setting in order:
            rest = order[order.index(setting) + 1 :]
            yield from ((start, rest) for start, _ in islice(uses, _REACH))


def _directions(window: Window, n: int) -> Iterator[tuple[Setting, Iterator[Use]]]:
    """Each way in which one setting can move, nearest first."""
    low, high = window.pads(n)
    full = window.extent - 1
    stride, kernel = window.stride, window.kernel

    def along(setting: Setting, values: Iterable[Any]) -> tuple[Setting, Iterator[Use]]:
        return setting, ((replace(window, **{setting: value}), n) for value in values)

    yield along("padding", range((low + high) // 2 + 1, max(low, high, full) + 1))
    yield along("padding", range((low + high) // 2 - (low == high), -1, -1))
    yield along("padding", (_pair(low, more) for more in range(high + 1, full + 1)))
    yield along("padding", (_pair(low, less) for less in range(high - 1, -1, -1)))
    yield along("padding", (_pair(more, high) for more in range(low + 1, full + 1)))
    yield along("padding", (_pair(less, high) for less in range(low - 1, -1, -1)))
    # What is read repeats after as many places as these, so that no farther size does better.
    period = stride * window.dilation
    yield "size", ((window, size) for size in range(n - 1, max(n - period, 1) - 1, -1))
    yield "size", ((window, size) for size in range(n + 1, n + period + 1))
    yield along("stride", range(stride - 1, 0, -1))
    yield along("stride", range(stride + 1, window.extent + 1))
    yield along("kernel", range(kernel + 1, kernel + stride + _REACH + 1))
    yield along("kernel", range(kernel - 1, 0, -1))
    yield along("dilation", range(window.dilation - 1, 0, -1))


def _pair(low: int, high: int) -> int | tuple[int, int]:
    """The padding, as one number where the sides are equal."""
    return low if low == high else (low, high)


def _first(uses: Iterable[Use], accepts: Callable[[Use], bool]) -> Use | None:
    """The first use that is accepted."""
    return next(filter(accepts, uses), None)


def _reads_all(use: Use) -> bool:
    """Whether every input is read."""
    window, n = use
    # Whole strides taken out of the middle of a long input change nothing at either end.
    ends = 2 * (window.extent + window.stride)
    n -= max(n - ends, 0) // window.stride * window.stride
    return window.fits(n) and not window.unread(n)


def _fix(window: Window, n: int, use: Use) -> Fix:
    """The use, described as a change of the window on ``n`` inputs."""
    new, size = use
    numbers: dict[Setting, tuple[int, int]] = {
        "kernel": (window.kernel, new.kernel),
        "stride": (window.stride, new.stride),
        "dilation": (window.dilation, new.dilation),
        "size": (n, size),
    }
    moved = {setting: abs(after - before) for setting, (before, after) in numbers.items() if after != before}
    # A word pads anew where the kernel changes: only its replacement is a change of the padding.
    if new.padding != window.padding:
        moved["padding"] = sum(
            abs(after - before) for after, before in zip(new.pads(size), window.pads(n), strict=True)
        )
    return Fix(
        window=new,
        size=size,
        output_size=new.output_size(size),
        settings=tuple(moved),
        steps=sum(moved.values()),
    )
