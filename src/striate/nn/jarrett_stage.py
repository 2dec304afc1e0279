"""A stage of the networks of Jarrett and others."""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from striate.geometry.padding import Padding
from striate.nn._windowed import Size
from striate.nn.activation import AbsRectify, ScaledTanh
from striate.nn.avg_pool import AvgPool2d
from striate.nn.conv import Conv2d
from striate.nn.local_contrast_norm import LocalContrastNorm
from striate.nn.max_pool import MaxPool2d
from striate.nn.table_conv import TableConv2d

Tangent: TypeAlias = Literal["gain", "plain"]
Pooling: TypeAlias = Literal["average", "max"]


class JarrettStage(nn.Module):
    """Filter bank, tangent with gain, rectification, contrast normalisation, pooling: one stage of a network.

    `pool(normalize(|gain * tanh(filters(input))|))`, F_CSG - R_abs - N - P_A in the paper's letters. Each part is
    optional; those that there are are the children `filters`, `tanh`, `rectify`, `normalize` and `pool`, and the gains
    are `tanh.gain`. Unless other sizes are given it is the paper's first stage, for pictures along two axes.

    Args:
        in_channels: channels of the input.
        out_channels: filters, and so maps of the output; `in_channels` where there are none.
        kernel_size: taps of the filters; one number or one an axis; None for no filters.
        stride: places from one window of the filters to the next, at least 1.
        padding: of the filters, as in `Conv2d`.
        bias: whether each filter adds a learned number.
        table: `(links, 2)`, int64: which maps each filter reads, as in `TableConv2d`; None for all.
        tanh: "gain" for the tangent times a learned gain for each map, "plain" for the tangent alone, None for neither.
        rectify: whether to take the absolute value.
        normalize: taps of the contrast normalisation along each axis; None for none.
        pool: "average" or "max"; None for no pooling.
        pool_size: taps of the pooling; one number or one an axis.
        pool_stride: places from one of its windows to the next; one number or one an axis.
        device: where the parameters are.
        dtype: their type.

    Raises:
        TypeError: if a setting has the wrong type.
        ValueError: if a setting is out of its range, or there are no filters where only filters could do what is asked.

    Source:
        Jarrett, Kavukcuoglu, Ranzato and LeCun, "What is the best multi-stage architecture for object recognition?",
        ICCV 2009, section 2.1; sizes of section 4.1.

    Example:
        >>> stage = JarrettStage(1, 64, 9)
        >>> stage(torch.zeros(1, 1, 143, 143)).shape
        torch.Size([1, 64, 26, 26])
        >>> [name for name, _ in stage.named_parameters()]
        ['filters.weight', 'filters.bias', 'tanh.gain']
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size | None,
        *,
        stride: Size = 1,
        padding: Padding | Sequence[Padding] = 0,
        bias: bool = True,
        table: Tensor | None = None,
        tanh: Tangent | None = "gain",
        rectify: bool = True,
        normalize: int | None = 9,
        pool: Pooling | None = "average",
        pool_size: Size = 10,
        pool_stride: Size = 5,
        device: torch.types.Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, word, words in (("tanh", tanh, get_args(Tangent)), ("pool", pool, get_args(Pooling))):
            if word is not None and word not in words:
                raise ValueError(f"{name} must be one of {', '.join(words)} or None, got {word!r}")
        if kernel_size is None and (in_channels != out_channels or table is not None):
            raise ValueError(f"without filters {in_channels} channels stay, and there is no table, got {out_channels}")
        if kernel_size is not None:
            settings: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}
            self.filters: nn.Module = (
                Conv2d(in_channels, out_channels, kernel_size, stride, padding, **settings)
                if table is None
                else TableConv2d(table, out_channels, kernel_size, stride, padding, in_channels=in_channels, **settings)
            )
        if tanh is not None:
            self.tanh = ScaledTanh(out_channels, dim=-3, device=device, dtype=dtype) if tanh == "gain" else nn.Tanh()
        if rectify:
            self.rectify = AbsRectify()
        if normalize is not None:
            self.normalize = LocalContrastNorm(normalize)
        if pool is not None:
            self.pool = (AvgPool2d if pool == "average" else MaxPool2d)(pool_size, pool_stride)

    def forward(self, input: Tensor) -> Tensor:
        """Run the parts that there are, in their order.

        Args:
            input: `(N, in_channels, H, W)` or `(in_channels, H, W)`.

        Returns:
            `(N, out_channels, *output sizes)` or `(out_channels, *output sizes)`.

        Raises:
            ValueError: if the input has another rank.
        """
        if input.ndim not in (3, 4):
            raise ValueError(f"input must be (N, C, H, W) or (C, H, W), got {tuple(input.shape)}")
        output = input if input.ndim == 4 else input.unsqueeze(0)
        for part in self.children():
            output = part(output)
        return output if input.ndim == 4 else output.squeeze(0)
