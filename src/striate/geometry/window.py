"""One axis of an operator: a window of taps placed over a grid."""

from dataclasses import dataclass
from itertools import compress

from striate.geometry import suggestions
from striate.geometry.checks import check_integer, check_size
from striate.geometry.padding import ROUNDING_UP, Padding, check_padding, cropped_places, padded_places
from striate.geometry.suggestions import Fix


@dataclass(frozen=True, slots=True)
class Window:
    """A window over one axis: where it is placed, what it reads, and how many outputs that makes.

    An operator has one window an axis. Every method takes the size ``n`` of the input along that axis, which may be a
    ``torch.SymInt`` where the answer is a size.

    A number or pair pads by that many places. The words, for an extent of ``e`` places:

    - ``valid`` pads nothing.
    - ``same`` pads ``e - 1`` places in all, the odd one high, and gives ``ceil(n / stride)`` outputs (PyTorch's).
    - ``same_upper`` and ``same_lower`` pad the least that gives ``ceil(n / stride)``, the odd one high or low (ONNX's).
    - ``half`` pads ``e // 2`` places on both sides.
    - ``full`` pads ``e - 1`` places on both sides, so that every overlap counts.
    - ``causal`` pads ``e - 1`` places low and gives ``ceil(n / stride)`` outputs.

    A transposed layer crops its output by the padding instead: by numbers, ``valid``, ``same`` or ``causal``.

    Args:
        kernel: number of taps, at least 1.
        stride: places from one placement to the next, at least 1.
        padding: places added to the input: a number for both sides, a pair ``(low, high)`` or a word.
        dilation: places from one tap to the next, at least 1.
        ceil_mode: whether a last window may hang over the end, as in PyTorch's pooling, provided that it starts inside
            the input or its low padding. It changes nothing for the words that give ``ceil(n / stride)``.

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if a setting is out of range, or the word is unknown.

    Example:
        >>> first = Window(kernel=11, stride=4)
        >>> first.output_size(227)
        55
        >>> first.unread(224)
        (223,)
        >>> Window(3, dilation=2).extent
        5
    """

    kernel: int
    stride: int = 1
    padding: Padding = 0
    dilation: int = 1
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        """Refuse settings of the wrong type or out of range.

        Raises:
            TypeError: if `ceil_mode` is not a bool.
        """
        check_integer("kernel", self.kernel, 1)
        check_integer("stride", self.stride, 1)
        check_padding(self.padding)
        check_integer("dilation", self.dilation, 1)
        if not isinstance(self.ceil_mode, bool):
            raise TypeError(f"ceil_mode must be True or False, got {self.ceil_mode!r}")

    @property
    def extent(self) -> int:
        """Places from the first tap to the last, both counted: the effective kernel.

        Returns:
            ``dilation * (kernel - 1) + 1``.

        Example:
            >>> Window(3, dilation=4).extent
            9
        """
        return self.dilation * (self.kernel - 1) + 1

    def pads(self, n: int | None = None) -> tuple[int, int]:
        """The places that padding adds to an input.

        Args:
            n: the input size, needed only for ``same_upper`` and ``same_lower`` with a stride above 1.

        Returns:
            The places added low and high.

        Raises:
            ValueError: if the padding depends on the input size and none is given.

        Example:
            >>> Window(4, padding="same").pads()
            (1, 2)
            >>> Window(3, stride=2, padding="same_upper").pads(224)
            (0, 1)
        """
        return padded_places(self.padding, self.extent, self.stride, n)

    def fits(self, n: int) -> bool:
        """Whether the window has at least one placement on an input.

        Args:
            n: the input size, at least 1.

        Returns:
            True where `output_size` gives a size, False where it raises for a window larger than the padded input.

        Raises:
            ValueError: if the input is empty.

        Example:
            >>> Window(5).fits(4), Window(5, padding=1).fits(4)
            (False, True)
        """
        return self._placed(n) >= 1

    def output_size(self, n: int) -> int:
        """The number of placements.

        Args:
            n: the input size, at least 1.

        Returns:
            ``(low + n + high - extent) // stride + 1``; see `ceil_mode` for rounding up.

        Raises:
            ValueError: if the input is empty, or the window is larger than the padded input.

        Example:
            >>> Window(7, stride=2, padding=3).output_size(224)
            112
            >>> Window(2, stride=2, ceil_mode=True).output_size(5)
            3
        """
        placed = self._placed(n)
        if placed < 1:
            low, high = self.pads(n)
            raise ValueError(
                f"the window is larger than the padded input: kernel {self.kernel} with dilation {self.dilation} "
                f"covers {self.extent} places, input {n} with padding ({low}, {high}) has {low + n + high}"
            )
        return placed

    def _placed(self, n: int) -> int:
        """The number of placements, below 1 where the window does not fit."""
        check_size(n)
        if self.padding in ROUNDING_UP:
            return (n + self.stride - 1) // self.stride
        low, high = self.pads(n)
        room = low + n + high - self.extent
        if not self.ceil_mode:
            return room // self.stride + 1
        last = (room + self.stride - 1) // self.stride
        return last if last * self.stride >= low + n else last + 1

    def crops(self) -> tuple[int, int]:
        """The places that padding takes from the output of a transposed layer.

        Returns:
            The places cropped low and high. A negative number adds zeros: ``same`` and ``causal`` do so where the
            window is smaller than the stride.

        Raises:
            ValueError: if the word is not one for a transposed layer.

        Example:
            >>> Window(4, stride=2, padding="same").crops()
            (1, 1)
            >>> Window(1, stride=2, padding="same").crops()
            (0, -1)
        """
        return cropped_places(self.padding, self.extent, self.stride)

    def transposed_output_size(self, n: int, output_padding: int = 0) -> int:
        """The output size of a transposed layer with this window.

        Args:
            n: the input size, at least 1.
            output_padding: places added to the high end of the output, below the larger of stride and dilation.

        Returns:
            ``(n - 1) * stride + extent - low - high + output_padding`` for the crops low and high, which is
            ``n * stride + output_padding`` for the words ``same`` and ``causal``.

        Raises:
            ValueError: if the input is empty, the word is not one for a transposed layer, the output padding is out of
                range, or nothing is left of the output.

        Example:
            >>> Window(3, stride=2, padding=1).transposed_output_size(4)
            7
            >>> Window(3, stride=2, padding=1).transposed_output_size(4, output_padding=1)
            8
        """
        check_size(n)
        bound = max(self.stride, self.dilation)
        if not 0 <= output_padding < bound:
            raise ValueError(
                f"output_padding must be at least 0 and below the larger of stride {self.stride} and dilation "
                f"{self.dilation}, got {output_padding}"
            )
        low, high = self.crops()
        size = (n - 1) * self.stride + self.extent - low - high + output_padding
        if size < 1:
            raise ValueError(
                f"the transposed output is empty: input {n} with {self} covers {size + low + high} places, "
                f"of which padding crops {low} low and {high} high"
            )
        return size

    def remainder(self, n: int) -> int:
        """The places at the end of the padded grid that no window reaches.

        Args:
            n: the input size, at least 1.

        Returns:
            A number of places, 0 where the last window ends at the end of the grid or hangs over it. They may all lie
            in the padding: `unread` tells which inputs are lost.

        Raises:
            ValueError: if the input is empty, or the window is larger than the padded input.

        Example:
            >>> resnet = Window(7, stride=2, padding=3)
            >>> resnet.remainder(224), resnet.unread(224)
            (1, ())
        """
        low, high = self.pads(n)
        return max(low + n + high - self._reach(n), 0)

    def _reach(self, n: int) -> int:
        """The places of the padded grid from its first to the last that a window reaches."""
        return (self.output_size(n) - 1) * self.stride + self.extent

    def unread(self, n: int) -> tuple[int, ...]:
        """The inputs that no window reads, at the end or in gaps between taps and windows.

        Args:
            n: the input size, at least 1.

        Returns:
            Their indices, in order; padding is not counted.

        Raises:
            ValueError: if the input is empty, or the window is larger than the padded input.

        Example:
            >>> Window(1, stride=2).unread(6)
            (1, 3, 5)
            >>> Window(2, dilation=2).unread(3)
            (1,)
        """
        low, _ = self.pads(n)
        placed, reach = self.output_size(n), self._reach(n)
        unread = bytearray(b"\1") * max(low + n, reach)
        for tap in range(0, self.extent, self.dilation):
            unread[tap : reach - self.extent + tap + 1 : self.stride] = bytes(placed)
        return tuple(compress(range(n), unread[low:]))

    def placements(self, n: int) -> tuple[range, ...]:
        """The inputs under each placement of the window.

        Args:
            n: the input size, at least 1.

        Returns:
            One range an output, with one index a tap. An index below 0 or from ``n`` on lies in the padding or, with
            `ceil_mode`, beyond it.

        Raises:
            ValueError: if the input is empty, or the window is larger than the padded input.

        Example:
            >>> Window(3, stride=2, padding=1).placements(4)
            (range(-1, 2), range(1, 4))
        """
        low, _ = self.pads(n)
        starts = range(-low, self.output_size(n) * self.stride - low, self.stride)
        return tuple(range(start, start + self.extent, self.dilation) for start in starts)

    def fixes(self, n: int) -> tuple[Fix, ...]:
        """The nearest settings that read every input.

        One setting is changed at a time: padding on both sides or on one, stride, kernel, dilation or the input size,
        each to the nearest value above and below that works. Where no setting does it alone, a smaller dilation goes
        with it.

        Args:
            n: the input size, at least 1.

        Returns:
            The fixes, those that change the number of outputs least first, and among equals those that move the
            settings by the fewest steps (`Fix.steps`). Empty if every input is read.

        Raises:
            ValueError: if the input is empty, or the window is larger than the padded input.

        Example:
            >>> for fix in Window(11, stride=4).fixes(224)[:3]:
            ...     print(fix)
            input size 223: 54 outputs
            kernel 12: 54 outputs
            padding (0, 3): 55 outputs
        """
        return suggestions.fixes(self, n)

    def settings_for(self, n: int, wished: int) -> tuple[Fix, ...]:
        """The nearest settings that give a wished output size.

        One setting or two are changed (kernel, stride, padding, or a smaller dilation), each by at most 32 steps. The
        padding goes at most to ``full``, and the stride at most to the extent of the window.

        Args:
            n: the input size, at least 1.
            wished: the output size, at least 1.

        Returns:
            The settings, those that move by the fewest steps first (`Fix.steps`). Only this window itself, with no
            settings changed, if it gives the size already. Empty if nothing near does.

        Raises:
            ValueError: if the input is empty, or the wished size is below 1.

        Example:
            >>> for fix in Window(3).settings_for(224, 112):
            ...     print(fix)
            stride 2 and padding (0, 1): 112 outputs
            kernel 2 and stride 2: 112 outputs
            stride 2 and padding 1: 112 outputs
        """
        return suggestions.settings_for(self, n, wished)
