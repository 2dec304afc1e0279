import random

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.inspection.receptive.fields import fields
from striate.inspection.receptive.reach import Box, Reach, field_of
from striate.inspection.tracing.trace import trace


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Branches(nn.Module):
    """Branches whose outputs, cut to the smallest, are added or put together."""

    def __init__(self, branches, add: bool):
        super().__init__()
        self.branches, self.add = nn.ModuleList(branches), add

    def forward(self, x: Tensor) -> Tensor:
        found = [branch(x) for branch in self.branches]
        units = min(y.shape[2] for y in found)
        found = [y[:, :, :units] for y in found]
        if self.add:
            return sum(found[1:], found[0])
        return torch.cat([y[:, :1] for y in found], 1)


def shuffled(x: Tensor) -> Tensor:
    """Twice the units, from half of the channels."""
    return x.view(len(x), 2, 2, -1).transpose(2, 3).reshape(len(x), 2, -1)


def measured(model: nn.Module, size: tuple[int, ...], smooth: bool) -> list[npt.NDArray[np.bool_]]:
    """Which outputs change, along each axis, with each input: what is not a number spreads to all that read it."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(0.5, 1)
        x = torch.rand(1, 2, *size, dtype=torch.float64)
        before = model(x)
        found = []
        for axis, n in enumerate(size):
            columns = []
            for place in range(n):
                changed = x.clone()
                changed.select(axis + 2, place)[:] = float("nan") if not smooth else 3.0
                after = model(changed)
                moved = (after.isnan() if not smooth else (after - before).abs() > 1e-12).any(0).any(0)
                others = [other for other in range(len(size)) if other != axis]
                columns.append(moved.any(others[0]) if others else moved)
            found.append(torch.stack(columns, 1).numpy())
    return found


def layer(draw: random.Random, smooth: bool, axes: int, wraps: bool) -> nn.Module:
    kind = draw.choice(["conv", "conv", "pool", "transposed", "pad", "adaptive", "shuffle", "up", "slice", "flip"])
    kernel, stride = draw.randint(1, 4), draw.randint(1, 3)
    if kind == "conv":
        dilation, low, high = draw.randint(1, 3), draw.randint(0, 3), draw.randint(0, 3)
        mode = draw.choice(["constant", "constant", "reflect", "replicate", "circular"] if wraps else ["constant"])
        form = nn.Conv2d if axes == 2 else nn.Conv1d
        conv = form(2, 2, kernel, stride, dilation=dilation).double()
        return nn.Sequential(Function(lambda x: F.pad(x, (low, high) * axes, mode=mode)), conv)
    if kind == "pool":
        settings = {"stride": stride, "padding": kernel // 2, "ceil_mode": draw.random() < 0.5}
        return getattr(nn, f"{'Avg' if smooth else 'Max'}Pool{axes}d")(kernel, **settings)
    if kind == "transposed":
        form = nn.ConvTranspose2d if axes == 2 else nn.ConvTranspose1d
        output_padding, padding, dilation = draw.randint(0, stride - 1), draw.randint(0, kernel - 1), draw.randint(1, 2)
        return form(2, 2, kernel, stride, padding, output_padding, dilation=dilation).double()
    if kind == "adaptive":
        size = tuple(draw.randint(1, 9) for _ in range(axes))
        return getattr(nn, f"Adaptive{'Avg' if smooth else 'Max'}Pool{axes}d")(size)
    if kind == "shuffle":
        form, units = (nn.Conv2d, nn.PixelShuffle(2)) if axes == 2 else (nn.Conv1d, Function(shuffled))
        return nn.Sequential(form(2, 2 * 2**axes if axes == 2 else 4, 1).double(), units)
    if kind == "up" and smooth:
        corners = draw.random() < 0.5
        size = tuple(draw.randint(2, 12) for _ in range(axes))
        return nn.Upsample(size=size, mode="bilinear" if axes == 2 else "linear", align_corners=corners)
    if kind == "up":
        return nn.Upsample(scale_factor=draw.choice([1.5, 2.0, 3.0]), mode=draw.choice(["nearest", "nearest-exact"]))
    if kind == "slice":
        return Function(lambda x: x[..., kernel - 1 :: stride])
    if kind == "flip":
        return Function(lambda x: x.flip(2).roll(stride if wraps else 0, 2))
    return Function(lambda x: F.pad(x, (kernel, stride - 1) * axes))


def network(draw: random.Random, smooth: bool, axes: int, wraps: bool) -> nn.Module:
    layers = [layer(draw, smooth, axes, wraps) for _ in range(draw.randint(1, 4))]
    if axes == 1 and draw.random() < 0.7:
        branches = [
            nn.Sequential(*(layer(draw, smooth, 1, wraps) for _ in range(draw.randint(0, 2)))) for _ in range(2)
        ]
        layers.insert(draw.randint(0, len(layers)), Branches(branches, draw.random() < 0.5))
    return nn.Sequential(*layers, (nn.Conv2d if axes == 2 else nn.Conv1d)(2, 1, 1).double())


def cases(seed: int, wraps: bool = True):
    """Random networks that run, with their traces and what was measured of them."""
    draw, smooth = random.Random(seed), bool(seed % 2)
    size = (61,) if not wraps else (13, 11) if seed % 4 < 2 else (17,)
    torch.manual_seed(seed)
    for _ in range(5):
        model = network(draw, smooth, len(size), wraps)
        try:
            model(torch.rand(1, 2, *size, dtype=torch.float64))
        except RuntimeError:
            continue
        run = trace(model, [torch.empty(1, 2, *size, dtype=torch.float64)])
        assert run.failure is None
        yield model, run, measured(model, size, smooth)


@pytest.mark.parametrize("seed", range(48))
def test_reach_is_what_changes_in_random_networks(seed):
    for model, run, changed in cases(seed):
        reached = Reach(run).of(run.outputs[0])
        assert reached is not None
        for found, expected in zip(reached, changed, strict=True):
            if len(found) == 1:
                found = found.repeat(len(expected), 0)
            assert (found == expected).all(), (model, found.astype(int), expected.astype(int))


@pytest.mark.parametrize("seed", range(48))
def test_hull_of_a_unit_in_the_middle_is_what_changes_there(seed):
    for model, run, changed in cases(seed, wraps=False):
        spans = fields(run).spans(run.outputs[0])
        assert spans is not None
        for span, expected in zip(spans, changed, strict=True):
            unit = len(expected) // 2
            first, last = span.hull(min(unit, span.count - 1))
            seen = np.flatnonzero(expected[unit])
            # Nearer to the border, padding and what a slice left out are between the unit and the input.
            if 12 <= first <= last < expected.shape[1] - 12 and len(seen):
                assert (first, last) == (seen[0], seen[-1]), (model, first, last, expected[unit])


def test_reach_has_gaps():
    run = trace(nn.Sequential(*(nn.Conv1d(1, 1, 3, dilation=d) for d in (2, 4, 8))), [torch.empty(1, 1, 40)])
    (rows,) = Reach(run).of(run.outputs[0])
    assert rows.shape == (12, 40)
    assert (rows.sum(1) == 15).all()


def test_reach_of_a_parameter_is_none():
    run = trace(nn.Conv1d(1, 1, 3), [torch.empty(1, 1, 5)])
    assert Reach(run).of(run.parameters["weight"]) is None


def test_field_of_units_at_the_border_and_in_the_middle():
    model = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(1, 1, (3, 1), dilation=2))
    run = trace(model, [torch.empty(1, 1, 16, 12)])
    box = field_of(run, "2", (0, 0))
    assert (box.first, box.last, box.hull) == ((0, 0), (10, 2), ((-1, 10), (-1, 2)))
    assert (box.shape, box.covered, box.exact) == ((11, 3), (11, 3), True)
    middle = field_of(run, "2")
    assert middle.unit == (2, 3)
    assert middle.hull == ((3, 14), (5, 8))


def test_field_of_what_has_no_places_left():
    model = nn.Sequential(nn.Conv1d(1, 2, 3, stride=3), nn.Flatten(), nn.Linear(6, 4))
    box = field_of(trace(model, [torch.empty(1, 1, 11)]), "2", 0)
    assert isinstance(box, Box)
    assert (box.first, box.last, box.unit) == ((0,), (8,), (0,))


def test_field_of_refuses_what_is_not_there():
    run = trace(nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU()), [torch.empty(1, 1, 8, 8)])
    with pytest.raises(ValueError, match="no layer '7' was called; there are '', '0', '1'"):
        field_of(run, "7")
    with pytest.raises(ValueError, match=r"unit \(0, 6\) lies outside of layer '1', which has 6 x 6 units"):
        field_of(run, "1", (0, 6))
    with pytest.raises(ValueError, match="unit must have one place for each of 2 axes"):
        field_of(run, "1", (0, 1, 2))
    with pytest.raises(TypeError, match="unit must be of integers"):
        field_of(run, "1", (0.5, 1))


def test_field_of_refuses_what_sees_nothing_of_the_input():
    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.zeros_like(x)

    run = trace(nn.Sequential(Constant()), [torch.empty(1, 1, 8)])
    with pytest.raises(ValueError, match="depends on no axis"):
        field_of(run, "0")
