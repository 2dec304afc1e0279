"""Rows and columns that no window reads: against gradients, and edits that read them."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import striate
from striate.inspection.faults.unread import Unread, unread, unread_inputs
from striate.inspection.finding import Finding
from striate.inspection.tracing.trace import Trace, trace


class Function(nn.Module):
    """A network that is one function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, input: Tensor) -> Tensor:
        """Call it."""
        return self.function(input)


def traced(network: nn.Module, *size: int) -> Trace:
    """A run on one input."""
    found = trace(network, [torch.empty(*size)])
    assert found.failure is None
    return found


def lost(network: nn.Module, *size: int) -> dict[int, tuple[int, ...]]:
    """What the only operation with windows leaves unread, by axis."""
    found = unread_inputs(traced(network, *size))
    assert len(found) <= 1
    return {axis.axis: axis.indices for axes in found.values() for axis in axes if axis.indices}


def by_gradient(network: nn.Module, *size: int) -> dict[int, tuple[int, ...]]:
    """Along each axis the places without a gradient, when every weight is positive."""
    network = network.double()
    for parameter in network.parameters():
        torch.nn.init.uniform_(parameter, 0.5, 1.0)
    input = torch.rand(*size, dtype=torch.float64).add_(0.5).requires_grad_()
    network(input).sum().backward()
    assert input.grad is not None
    read = input.grad.abs().sum((0, 1)) > 0
    found = {}
    for axis in range(read.ndim):
        others = [other for other in range(read.ndim) if other != axis]
        along = (read.any(others) if others else read).logical_not()
        if along.any():
            found[axis] = tuple(along.nonzero().flatten().tolist())
    return found


def windows() -> Iterator[nn.Module]:
    """Layers with windows that leave something, and some that do not."""
    nn_ = striate.nn
    yield nn.Conv2d(2, 3, (3, 2), stride=(2, 3), padding=(1, 0))
    yield nn.Conv2d(2, 3, 3, stride=2, dilation=3)
    yield nn.Conv2d(2, 3, 1, stride=3)
    yield nn.Conv2d(2, 3, 5, stride=7, padding=2)
    yield nn.Conv2d(2, 3, 2, stride=3, padding=1, padding_mode="circular")
    yield nn.Conv2d(2, 3, 2, stride=5, padding=2, padding_mode="reflect")
    yield nn.Conv2d(2, 3, 2, stride=5, padding=2, padding_mode="replicate")
    yield nn.Conv2d(2, 3, 4, stride=5, padding="valid", dilation=2)
    yield nn.AvgPool2d(2)
    yield nn.AvgPool2d(3, ceil_mode=True)
    yield nn.AvgPool2d(2, stride=3, padding=1)
    yield nn.LPPool2d(2, 4)
    yield nn.Unfold(2, dilation=2, stride=5, padding=1)
    yield Function(lambda x: F.avg_pool2d(F.pad(x, (1, 2, 3, 0)), 4))
    yield Function(lambda x: F.avg_pool2d(F.pad(x, (0, 3, 3, 0), mode="reflect"), 4))
    yield Function(lambda x: F.avg_pool2d(F.pad(x, (0, 3, 2, 2), mode="circular"), 3, stride=7))
    yield Function(lambda x: F.avg_pool2d(F.pad(F.pad(x, (1, 0, 0, 1)), (2, 0, 0, 0), mode="replicate"), 5))
    yield Function(lambda x: F.avg_pool2d(F.pad(x, (-1, 0, 0, -2)), 2))
    yield Function(lambda x: x.unfold(2, 2, 3))
    yield nn_.Conv2d(2, 3, 3, stride=4, padding=((0, 1), (1, 0)))
    yield nn_.Conv2d(2, 3, 2, stride=3, padding=1, padding_mode="circular")
    yield nn_.AvgPool2d(2, dilation=3, stride=5)
    yield nn_.LPPool2d(2, 3, ceil_mode=True)
    yield nn_.BlurPool2d(2, 3, padding="valid")
    yield nn_.GaussianPool2d(3, stride=4)
    yield nn_.LocalConv2d(2, 3, 2, stride=3, input_size=(11, 13))
    yield nn.ConvTranspose2d(2, 3, 2, stride=3)
    yield nn.AdaptiveAvgPool2d(4)
    yield nn_.AdaptiveAvgPool2d(4)


@pytest.mark.parametrize("layer", list(windows()), ids=str)
def test_what_has_no_gradient_is_what_is_unread(layer: nn.Module) -> None:
    """Of every layer, at both ends and in gaps, with padding inside the layer and before it."""
    assert lost(layer, 1, 2, 11, 13) == by_gradient(layer, 1, 2, 11, 13)


@pytest.mark.parametrize("layer", [nn.AvgPool1d(3), nn.Conv1d(2, 2, 2, stride=5), striate.nn.AvgPool1d(3)], ids=str)
def test_series_have_one_axis(layer: nn.Module) -> None:
    """Also where PyTorch pools them as pictures of one row."""
    (axes,) = unread_inputs(traced(layer, 1, 2, 11)).values()
    assert [(axis.axis, axis.axes) for axis in axes] == [(0, 1)]
    assert {0: axes[0].indices} == by_gradient(layer, 1, 2, 11)


def test_other_windows() -> None:
    """Maxima, deformable windows before they move, tables, four axes and pictures without a batch."""
    assert lost(nn.MaxPool3d(2), 1, 2, 4, 5, 6) == {1: (4,)}
    assert lost(nn.MaxPool2d(2), 2, 5, 6) == {0: (4,)}
    assert lost(striate.nn.MaxPool2d(2), 1, 2, 5, 6) == {0: (4,)}
    links = torch.tensor([[0, 0], [1, 1], [1, 2]])
    table = Function(lambda x: striate.table_conv2d(x, torch.ones(len(links), 2, 2), links, 3, stride=2))
    assert lost(table, 1, 2, 5, 6) == {0: (4,)}
    four = Function(lambda x: striate.conv4d(x, torch.ones(1, 1, 2, 2, 2, 2), stride=2))
    assert lost(four, 1, 1, 3, 4, 5, 6) == {0: (2,), 2: (4,)}
    flat = Function(lambda x: striate.correlate(x, torch.ones(2, 2), stride=2))
    assert lost(flat, 5, 6) == {0: (4,)}
    deform = Function(
        lambda x: striate.deform_conv2d(x, torch.zeros(1, 8, 2, 3), torch.ones(3, 2, 2, 2), None, stride=2)
    )
    assert lost(deform, 1, 2, 5, 6) == {0: (4,)}


def test_a_remainder_in_the_padding_is_no_loss() -> None:
    """It is shown with the windows, and is no finding."""
    for network in (
        nn.Conv2d(3, 8, 7, stride=2, padding=3),
        nn.Sequential(nn.ZeroPad2d(3), nn.Conv2d(3, 8, 7, stride=2)),
        nn.Conv2d(3, 8, 7, stride=2, padding=3, padding_mode="reflect"),
    ):
        run = traced(network, 1, 3, 32, 32)
        (axes,) = unread_inputs(run).values()
        assert [(axis.size, axis.indices, axis.padding) for axis in axes] == [(32, (), 1)] * 2
        assert unread(run) == ()


def test_sides_and_gaps() -> None:
    """The ends are told from what lies between."""
    window = striate.geometry.Window(2, 3)
    left = Unread(axis=0, axes=1, size=9, window=window, placed_on=9, indices=(0, 1, 4, 8), padding=0)
    assert (left.low, left.gaps, left.high) == (2, 1, 1)
    run = traced(nn.Sequential(nn.Conv2d(1, 1, 3, stride=2, dilation=2)), 1, 1, 32, 32)
    (axes,) = unread_inputs(run).values()
    assert [(axis.low, axis.gaps, axis.high) for axis in axes] == [(0, 15, 1)] * 2


def only(network: nn.Module, *size: int) -> Finding:
    """The only finding."""
    (found,) = unread(traced(network, *size))
    return found


def test_edits_keep_the_output_or_say_what_follows() -> None:
    """Each edit named, applied, leaves nothing unread and gives what it says."""
    head = nn.Linear(8 * 14 * 14, 10)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, stride=2), nn.ReLU(), nn.Flatten(), head)
    found = only(network, 1, 3, 32, 32)
    assert found.layer == "1"
    assert found.text == (
        "`1` (Conv2d) never reads the last row and the last column of its input, 30×30: kernel 3, stride 2"
    )
    follows = "output 15×15 instead of 14×14; then `4` (Linear) expects 1568 features, `2` gives 8×15×15 = 1800"
    assert found.fixes == (
        "set kernel_size=4 (1.78 times the weights): output 14×14 as before",
        f"pad the end before it, F.pad(x, (0, 1, 0, 1)): {follows}",
        f"set kernel_size=2 (0.444 times the weights): {follows}",
    )
    network[1] = nn.Conv2d(8, 8, 4, stride=2)
    assert not unread(traced(network, 1, 3, 32, 32))
    network[1] = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(8, 8, 3, stride=2))
    network[4] = nn.Linear(1800, 10)
    assert not unread(traced(network, 1, 3, 32, 32))


def test_the_input_is_an_edit_of_the_first_layer() -> None:
    """AlexNet's arithmetic: 224 leaves a row and a column that 223 does not have."""
    network = nn.Sequential(nn.Conv2d(3, 96, 11, stride=4), nn.ReLU())
    found = only(network, 1, 3, 224, 224)
    assert found.fixes[0] == "give an input of 223×223: output 54×54 as before"
    assert not unread(traced(network, 1, 3, 223, 223))
    assert not unread(traced(network, 1, 3, 227, 227))


def test_pooling_rounds_up() -> None:
    """A last window may hang over the end."""
    network = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(2, 2, 1))
    found = only(network, 1, 1, 7, 7)
    assert "`1` (MaxPool2d) never reads the last row and the last column" in found.text
    assert found.fixes[1] == (
        "set ceil_mode=True: output 4×4 instead of 3×3; the network gives (1, 2, 4, 4) instead of (1, 2, 3, 3)"
    )
    network[1] = nn.MaxPool2d(2, ceil_mode=True)
    assert not unread(traced(network, 1, 1, 7, 7))
    assert traced(network, 1, 1, 7, 7).outputs[0].shape == (1, 2, 4, 4)


def test_sizes_that_are_as_before_further_on() -> None:
    """Adaptive pooling takes any size."""
    network = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(1, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2))
    found = only(network, 1, 1, 7, 7)
    assert found.fixes[2] == (
        "set ceil_mode=True: output 4×4 instead of 3×3; `1` gives (1, 2, 4, 4), sizes are as before from `2` on"
    )


def test_axes_that_differ_have_edits_of_their_own() -> None:
    """Frames, rows and columns by name."""
    found = only(nn.AvgPool3d(2), 1, 1, 7, 8, 10)
    assert "never reads the last frame of its input, 7×8×10" in found.text
    found = only(nn.AvgPool3d((2, 2, 3)), 1, 1, 7, 8, 10)
    assert "the last frame and the last column" in found.text
    assert "set kernel_size=3 for axis 0: output 3×4×3 as before" in found.fixes
    assert "set kernel_size=4 for axis 2: output 3×4×3 as before" in found.fixes


def test_shortcuts_leave_what_the_other_branch_reads() -> None:
    """A residual network's 1×1 with stride 2 reads a quarter of its input."""
    run = traced(striate.models.create("resnet18"), 1, 3, 224, 224)
    found = unread(run)
    assert [finding.layer for finding in found] == [f"layer{stage}.0.downsample.0" for stage in (2, 3, 4)]
    assert found[0].text == (
        "`layer2.0.downsample.0` (Conv2d) never reads 28 of 56 rows and 28 of 56 columns of its input, 56×56: "
        "kernel 1, stride 2; it reads 25% of the positions; `layer2.0.conv1` reads them"
    )
    assert found[0].fixes == (
        "average pooling of 2 with stride 2 before it, and stride=1 in it: output 28×28 as before",
        "set kernel_size=2 (4 times the weights): output 28×28 as before",
    )
    mended = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(64, 128, 1))
    assert not unread(traced(mended, 1, 64, 56, 56))
    assert traced(mended, 1, 64, 56, 56).outputs[0].shape == (1, 128, 28, 28)


def test_functions_in_a_forward_are_named() -> None:
    """What is no layer has the name of its row; a finding stands once, however often the layer runs."""
    found = only(Function(lambda x: F.max_pool2d(x, 2)), 1, 1, 5, 4)
    assert found.layer == "max_pool2d"
    assert found.text.startswith("`max_pool2d` never reads the last row of its input, 5×4")
    pool = nn.MaxPool2d(2, stride=1, dilation=2)
    network = nn.Sequential(nn.Conv2d(1, 1, 1, stride=2), nn.ConvTranspose2d(1, 1, 2, stride=2))
    assert len(unread(traced(nn.Sequential(network, network), 1, 1, 8, 8))) == 1
    assert len(unread(traced(nn.Sequential(pool, nn.Identity()), 1, 1, 4, 4))) == 0


def test_details_and_the_trace_is_left_alone() -> None:
    """The numbers of the text; following a change further on adds nothing to the run."""
    network = nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(9, 2))
    run = traced(network, 1, 1, 7, 7)
    calls, operations, random = list(run.calls), list(run.operations), torch.get_rng_state()
    (found,) = unread(run)
    assert run.calls == calls
    assert run.operations == operations
    assert torch.equal(random, torch.get_rng_state())
    assert found.details["axes"][0] == {
        "axis": 0, "size": 7, "low": 0, "high": 1, "gaps": 0, "indices": [6], "padding": 0,
    }  # fmt: skip


def test_networks_of_the_lectures_that_lose_nothing() -> None:
    """VGG-16 and LeNet-5 read all of their inputs, and torchvision's AlexNet leaves a row of padding only."""
    for name in ("vgg16", "lenet5", "alexnet"):
        network = striate.models.create(name)
        size = (1, network.config.in_channels, *network.config.input_size)
        assert unread(traced(network, *size)) == ()
