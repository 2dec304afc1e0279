"""The measured receptive field of a unit: how much each input moves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from striate.inspection.receptive.propagate import spatial_axes
from striate.inspection.receptive.reach import Box, field_of, layer_value
from striate.inspection.tracing.shadow import Shadow
from striate.inspection.tracing.trace import trace, untouched

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHARES = (20, 50, 99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """The smallest set of inputs that holds a share of all the gradient.

    Args:
        share: in per cent.
        inputs: how many they are.
        side: of a square, cube or row with as many.
    """

    share: float
    inputs: int
    side: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EffectiveField:
    """What `effective_receptive_field` measured.

    Args:
        layer: the layer's name.
        unit: the unit's place along each axis.
        map: average absolute gradient of each input, `(H, W)` or as many axes as the input has.
        areas: the smallest sets of inputs that hold 20, 50 and 99 % of it.
        centre: the mean place of the gradient along each axis, in inputs.
        box: what the unit can see at all.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3), torch.nn.Conv2d(1, 1, 3))
        >>> effective_receptive_field(model, "1", torch.rand(4, 1, 9, 9)).box.shape
        (5, 5)
    """

    layer: str
    unit: tuple[int, ...]
    map: npt.NDArray[np.float64]
    areas: tuple[Area, ...]
    centre: tuple[float, ...]
    box: Box

    def figure(self) -> Figure:
        """The map as a picture, with the box that the unit can see.

        The brightness is the square root of the gradient, so that weak edges show. A series is drawn as a curve, and of
        a volume the plane of its largest gradient.

        Returns:
            A figure of matplotlib.

        Raises:
            ImportError: if matplotlib is not installed.

        Example:
            >>> field = effective_receptive_field(nn.Sequential(nn.Conv2d(1, 1, 3)), "0", torch.ones(1, 1, 5, 5))
            >>> len(field.figure().axes)
            1
        """
        from matplotlib.figure import Figure
        from matplotlib.patches import Rectangle

        figure = Figure(figsize=(4.5, 4.8), layout="constrained")
        axes = figure.add_subplot()
        if self.map.ndim == 1:
            axes.plot(self.map, color="black", linewidth=1)
            axes.axvspan(self.box.first[0] - 0.5, self.box.last[0] + 0.5, color="tab:orange", alpha=0.2)
            axes.set_ylabel("average absolute gradient")
        else:
            plane = self.map
            while plane.ndim > 2:
                plane = plane[int(plane.reshape(len(plane), -1).sum(1).argmax())]
            axes.imshow(np.sqrt(plane), cmap="gray", interpolation="nearest")
            (top, left), (bottom, right) = self.box.first[-2:], self.box.last[-2:]
            corner, width, height = (left - 0.5, top - 0.5), right - left + 1, bottom - top + 1
            axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor="tab:orange", linewidth=1.5))
        sides = ", ".join(f"{area.share:g} %: {area.side:.1f}" for area in self.areas)
        axes.set_title(f"{self.layer}, unit {self.unit}\nside of the area with {sides}", fontsize=9)
        return figure

    def to_png(self, path: str | Path) -> Path:
        """Write the picture of `figure` to a file.

        Args:
            path: of the file.

        Returns:
            The path.

        Raises:
            ImportError: if matplotlib is not installed.

        Example:
            >>> import tempfile
            >>> field = effective_receptive_field(nn.Sequential(nn.Conv2d(1, 1, 3)), "0", torch.ones(1, 1, 5, 5))
            >>> field.to_png(f"{tempfile.mkdtemp()}/field.png").name
            'field.png'
        """
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        figure = self.figure()
        FigureCanvasAgg(figure)
        figure.savefig(path, format="png")
        return Path(path)


def effective_receptive_field(
    model: nn.Module,
    layer: str,
    inputs: Tensor,
    *,
    unit: int | Sequence[int] | None = None,
    batch_size: int = 8,
) -> EffectiveField:
    """The receptive field as measured: how much each input moves a unit of a layer.

    The map is the mean over the inputs of ``sum over c of |d (sum over k of y[k, unit]) / d x[c, i, j]|``, with
    channels ``c`` and maps ``k``. A theoretical field counts every input that can have any influence; that of most of
    them is very small, and falls from the centre about as a Gaussian does. The network runs in evaluation mode on a
    copy, so that it, its gradients, hooks and random states stay as they are.

    Args:
        model: any module; it must be on the device of the inputs.
        layer: the dotted name of one of its modules; of its calls the last is taken.
        inputs: a batch `(N, C, *spatial)` of real inputs, as the network gets them.
        unit: its place along each axis, from 0; None for the one in the middle.
        batch_size: how many inputs run at once.

    Returns:
        The map in float64, the areas with 20, 50 and 99 % of the gradient, and what the unit can see at all.

    Raises:
        TypeError: if the inputs are no floating-point tensor.
        ValueError: if there are none, the layer is not one that is called, the unit lies outside of it, or no input
            moves it.

    Source:
        Luo et al., "Understanding the effective receptive field in deep convolutional neural networks", 2016,
        https://arxiv.org/abs/1701.04128

    Example:
        >>> field = effective_receptive_field(nn.Sequential(nn.AvgPool2d(3)), "0", torch.ones(2, 1, 9, 9))
        >>> [area.inputs for area in field.areas], field.map.shape
        ([2, 5, 9], (9, 9))
    """
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
        kind = inputs.dtype if isinstance(inputs, Tensor) else type(inputs).__name__
        raise TypeError(f"inputs must be a tensor of floating-point numbers, got {kind}")
    if inputs.ndim < 3 or not len(inputs):
        raise ValueError(f"inputs must be (N, C, *spatial) with N at least 1, got {tuple(inputs.shape)}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    run = trace(model, [inputs[:1].detach()])
    if run.failure is not None:
        raise ValueError(f"the network does not run on inputs of {tuple(inputs.shape[1:])}: {run.failure}")
    box = field_of(run, layer, unit)
    rank, axes = len(layer_value(run, layer).shape), spatial_axes(run)
    gradients = _gradients(model, layer, inputs.detach(), box.unit if rank - 2 == len(axes) else (), batch_size)
    others = tuple(place - 1 for place in range(1, inputs.ndim) if place not in axes)
    found = gradients.sum(others) if others else gradients
    if not found.sum() > 0 or not np.isfinite(found).all():
        raise ValueError(f"no input moves unit {box.unit} of layer {layer!r}: the gradient is 0 or not finite")
    return EffectiveField(layer=layer, unit=box.unit, map=found, areas=_areas(found), centre=_centre(found), box=box)


def _gradients(
    model: nn.Module, layer: str, inputs: Tensor, unit: tuple[int, ...], batch_size: int
) -> npt.NDArray[np.float64]:
    """The mean absolute gradient of a unit, `(C, *spatial)`."""
    held: list[Tensor] = []
    with untouched():
        copied = Shadow(model, None, lambda *_: None, lambda *_: None).model.eval().requires_grad_(False)
        copied.get_submodule(layer).register_forward_hook(lambda module, given, output: held.append(_first(output)))
        total = torch.zeros(inputs.shape[1:], dtype=torch.float64)
        with torch.enable_grad():
            for batch in torch.split(inputs, batch_size):
                held.clear()
                given = batch.clone().requires_grad_()
                copied(given)
                output = held[-1]
                for axis, place in enumerate(unit):
                    output = output.narrow(axis + 2, place, 1)
                (gradient,) = torch.autograd.grad(output.sum(), given, allow_unused=True)
                if gradient is not None:
                    total += gradient.abs().double().sum(0).cpu()
    mean: npt.NDArray[np.float64] = (total / len(inputs)).numpy()
    return mean


def _first(output: Any) -> Tensor:
    """The first tensor in what a module returned."""
    while not isinstance(output, Tensor):
        output = next(iter(output.values() if isinstance(output, dict) else output))
    return output


def _areas(found: npt.NDArray[np.float64]) -> tuple[Area, ...]:
    held = np.cumsum(np.sort(found, axis=None)[::-1])
    # The sum of all of them is what it is, whatever was rounded.
    counts = [int(np.searchsorted(held, held[-1] * share / 100 * (1 - 1e-12))) + 1 for share in SHARES]
    return tuple(
        Area(share=share, inputs=count, side=count ** (1 / found.ndim))
        for share, count in zip(SHARES, counts, strict=True)
    )


def _centre(found: npt.NDArray[np.float64]) -> tuple[float, ...]:
    weights = found / found.sum()
    return tuple(
        float((weights.sum(tuple(other for other in range(found.ndim) if other != axis)) * np.arange(n)).sum())
        for axis, n in enumerate(found.shape)
    )
