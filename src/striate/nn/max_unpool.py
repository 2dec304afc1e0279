"""Numbers put back where a maximum has taken them from, as layers."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from striate import geometry
from striate.geometry import Window
from striate.geometry.padding import Padding
from striate.nn._windowed import Size
from striate.ops._docs import documented_like
from striate.ops.max_unpool.op import max_unpool1d, max_unpool2d, max_unpool3d

_FUNCTIONS = (max_unpool1d, max_unpool2d, max_unpool3d)


class MaxUnpoolNd(nn.Module):
    """Numbers put back along any number of axes."""

    _axes: ClassVar[int]

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding | Sequence[Padding] = 0) -> None:
        super().__init__()
        along = geometry.windows(self._axes, kernel_size, kernel_size if stride is None else stride, padding)
        for window in along:
            window.crops()
        self.kernel_size = tuple(window.kernel for window in along)
        self.stride = tuple(window.stride for window in along)
        self.padding = padding if isinstance(padding, str) else tuple(window.padding for window in along)

    @property
    def windows(self) -> tuple[Window, ...]:
        """The windows that have pooled, one an axis."""
        return geometry.windows(self._axes, self.kernel_size, self.stride, self.padding)

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Put numbers back.

        Args:
            input: `(N, C, *sizes)` or `(C, *sizes)`.
            indices: of the input's shape, int64, as the layer returns them that has pooled.
            output_size: the sizes of what was pooled, or all of its shape; None for the smallest.

        Returns:
            `(N, C, *output_size)` or `(C, *output_size)`.
        """
        return _FUNCTIONS[self._axes - 1](input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        """The settings as PyTorch's layers show them."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding!r}"


class MaxUnpool2d(MaxUnpoolNd):
    """Numbers put back where `MaxPool2d` has taken them from, zeros elsewhere: `striate.max_unpool2d` as a layer.

    Args:
        kernel_size: taps of the window that has pooled; one number or one an axis.
        stride: places from one window to the next, at least 1; one number or one an axis; None for the kernel size.
        padding: places that were added around, in the forms that `striate.max_unpool2d` takes.

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if a setting is out of its range, or a word of padding has no meaning here.

    Example:
        >>> import torch
        >>> from striate.nn import MaxPool2d
        >>> largest, indices = MaxPool2d(2, return_indices=True)(torch.arange(4.0).view(1, 2, 2))
        >>> MaxUnpool2d(2)(largest, indices)
        tensor([[[0., 0.],
                 [0., 3.]]])
    """

    _axes = 2


@documented_like(MaxUnpool2d)
class MaxUnpool1d(MaxUnpoolNd):
    """Numbers put back where `MaxPool1d` has taken them from: `striate.max_unpool1d` as a layer.

    Example:
        >>> import torch
        >>> MaxUnpool1d(2)(torch.tensor([[7.0, 8.0]]), torch.tensor([[1, 2]]))
        tensor([[0., 7., 8., 0.]])
    """

    _axes = 1


@documented_like(MaxUnpool2d)
class MaxUnpool3d(MaxUnpoolNd):
    """Numbers put back where `MaxPool3d` has taken them from: `striate.max_unpool3d` as a layer.

    Example:
        >>> import torch
        >>> MaxUnpool3d(2)(torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1, dtype=torch.int64)).shape
        torch.Size([1, 2, 2, 2])
    """

    _axes = 3
