"""Networks that do not run: what is said of them, and that the edits mend them."""

import logging
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import striate
from striate.inspection.faults.failures import explain, message
from striate.inspection.finding import Finding
from striate.inspection.tracing.trace import trace


def failing(network: nn.Module, *inputs: Sequence[int] | Tensor) -> Finding:
    """The explanation of a network that fails."""
    given = [input if isinstance(input, Tensor) else torch.empty(*input) for input in inputs]
    found = trace(network, given)
    assert found.failure is not None
    calls = list(found.calls)
    explained = explain(found, network)
    assert found.calls == calls
    assert explained.kind == "failure"
    return explained


def runs(network: nn.Module, *inputs: Sequence[int] | Tensor) -> bool:
    """Whether a network runs."""
    given = [input if isinstance(input, Tensor) else torch.empty(*input) for input in inputs]
    return trace(network, given).failure is None


class Function(nn.Module):
    """A network that is one function behind a layer."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.layer = nn.Conv2d(3, 8, 3)

    def forward(self, input: Tensor) -> Tensor:
        """Call it."""
        return self.function(self.layer(input))


def lenet(features: int = 400) -> nn.Sequential:
    """Two stages and a classifier."""
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 6, 5), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.MaxPool2d(2)),
        nn.Flatten(),
        nn.Linear(features, 10),
    )


def test_features_of_a_classifier() -> None:
    """The issue's own: both sizes, the layer that gives the maps, and edits of layer, input and pooling."""
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(100, 10))
    found = failing(network, (1, 3, 32, 32))
    assert (found.layer, found.details["expected"], found.details["got"]) == ("3", 100, 1800)
    assert found.text == "`3` (Linear) expects 100 features, `1` gives 8×15×15 = 1800"
    assert found.fixes == (
        "set in_features=1800 of `3`",
        "pool to 1×1 before the flattening, nn.AdaptiveAvgPool2d(1), and set in_features=8 of `3`",
    )
    assert runs(nn.Sequential(*network[:3], nn.Linear(1800, 10)), (1, 3, 32, 32))
    pooled = nn.Sequential(*network[:2], nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
    assert runs(pooled, (1, 3, 32, 32))


def test_the_input_that_a_classifier_was_made_for() -> None:
    """LeNet-5 is made for 32×32, where 28×28 is given; and may pool where more is given."""
    found = failing(lenet(), (1, 1, 28, 28))
    assert found.text == "`2` (Linear) expects 400 features, `0` gives 16×4×4 = 256"
    assert found.fixes[:2] == ("set in_features=256 of `2`", "give an input of (1, 1, 32, 32)")
    assert runs(lenet(), (1, 1, 32, 32))
    assert runs(lenet(256), (1, 1, 28, 28))
    found = failing(lenet(), (1, 1, 64, 64))
    assert found.fixes[1:] == (
        "give an input of (1, 1, 32, 32)", "pool to 5×5 before the flattening: nn.AdaptiveAvgPool2d(5)",
    )  # fmt: skip
    pooled = nn.Sequential(lenet()[0], nn.AdaptiveAvgPool2d(5), *lenet()[1:])
    assert runs(pooled, (1, 1, 64, 64))


def test_features_that_are_not_flattened() -> None:
    """Maps given to a fully connected layer, and steps of a series."""
    found = failing(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Linear(8 * 30 * 30, 10)), (1, 3, 32, 32))
    assert found.text == "`1` (Linear) expects 7200 features, `0` gives 30: (1, 8, 30, 30)"
    assert found.fixes[0] == "put nn.Flatten() before it"
    assert runs(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(7200, 10)), (1, 3, 32, 32))
    found = failing(nn.Sequential(nn.Linear(5, 7), nn.Linear(6, 2)), (1, 4, 5))
    assert found.fixes[0] == "set in_features=7 of `1`"
    assert runs(nn.Sequential(nn.Linear(5, 7), nn.Linear(7, 2)), (1, 4, 5))
    found = failing(nn.Sequential(nn.Linear(5, 7), nn.Linear(6, 2)), (1, 5))
    assert found.fixes == ("set in_features=7 of `1`", "set out_features=6 of `0`")
    found = failing(nn.Linear(5, 7), (1, 6))
    assert found.text == "the network (Linear) expects 5 features, the input has 6: (1, 6)"
    assert found.fixes == ("set in_features=6", "give an input of 5 features: input_size=(1, 5)")


def test_channels() -> None:
    """Between layers, and of the network's own input."""
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(16, 4, 3))
    found = failing(network, (1, 3, 32, 32))
    assert found.text == "`2` (Conv2d) expects 16 channels, `1` gives 8: (1, 8, 30, 30)"
    assert found.fixes == ("set in_channels=8 of `2`", "set out_channels=16 of `0`")
    assert runs(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3)), (1, 3, 32, 32))
    assert runs(nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 4, 3)), (1, 3, 32, 32))
    network = striate.models.create("resnet18")
    found = failing(network, (1, 1, 224, 224))
    assert found.text == "`conv1` (Conv2d) expects 3 channels, the input has 1: (1, 1, 224, 224)"
    assert found.fixes == (
        "give an input of 3 channels: input_size=(1, 3, 224, 224)", "set in_channels=1 of `conv1`",
    )  # fmt: skip
    assert runs(network, (1, 3, 224, 224))
    found = failing(nn.Sequential(nn.ConvTranspose2d(4, 8, 2), nn.ReLU()), (1, 3, 8, 8))
    assert found.text == "`0` (ConvTranspose2d) expects 4 channels, the input has 3: (1, 3, 8, 8)"


def test_groups() -> None:
    """A depthwise layer changes as a whole; groups must divide."""
    found = failing(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(16, 32, 3, groups=16)), (1, 3, 9, 9))
    assert found.fixes[0] == "set in_channels=8, out_channels=16, groups=8 of `1`"
    assert runs(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 16, 3, groups=8)), (1, 3, 9, 9))
    found = failing(nn.Sequential(nn.Conv2d(3, 9, 3), nn.Conv2d(16, 12, 3, groups=4)), (1, 3, 9, 9))
    assert found.fixes[0] == "set in_channels=9 of `1` and groups=1, as 4 groups do not divide 9"
    assert runs(nn.Sequential(nn.Conv2d(3, 9, 3), nn.Conv2d(9, 12, 3)), (1, 3, 9, 9))
    found = failing(nn.Sequential(nn.Conv2d(3, 9, 3), nn.GroupNorm(4, 8)), (1, 3, 9, 9))
    assert found.fixes[0] == "set num_channels=9 of `1` and num_groups=1, as 4 groups do not divide 9"
    assert runs(nn.Sequential(nn.Conv2d(3, 9, 3), nn.GroupNorm(1, 9)), (1, 3, 9, 9))


@pytest.mark.parametrize(
    ("layer", "text", "edit"),
    [
        (nn.BatchNorm2d(4), r"BatchNorm2d\) expects 4 channels, `0` gives 8", "set num_features=8 of `1`"),
        (nn.BatchNorm2d(4).eval(), r"BatchNorm2d\) expects 4 channels, `0` gives 8", "set num_features=8 of `1`"),
        (nn.InstanceNorm2d(4, affine=True), r"expects 4 channels, `0` gives 8", "set num_features=8 of `1`"),
        (nn.LayerNorm(16), r"expects a last size of 16, `0` gives \(1, 8, 30, 30\)", "set normalized_shape=30 of `1`"),
        (nn.PReLU(4), r"holds 4 slopes, one a channel, `0` gives 8", "set num_parameters=8 of `1`"),
        (nn.PixelShuffle(3), r"makes one channel of 9, .*: 8 is no multiple", "set out_channels=9 of `0`"),
        (striate.nn.Conv2d(4, 2, 3), r"Conv2d\) expects 4 channels, `0` gives 8", "set in_channels=8 of `1`"),
        (striate.nn.LocalConv2d(8, 2, 3, input_size=28), r"weights for the places of 28×28", "set input_size=(30, 30)"),
        (nn.ReflectionPad2d(30), r"reflects 30 places of an axis of 30, .*: at most 29", "set padding=29 or less"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_other_layers(layer: nn.Module, text: str, edit: str) -> None:
    """What they expect, what came, and the edit of the layer."""
    found = failing(nn.Sequential(nn.Conv2d(3, 8, 3), layer), (1, 3, 32, 32))
    assert found.layer == "1"
    assert pytest.raises(ValueError, _raise, found.text).match(text)
    assert any(fix.startswith(edit) for fix in found.fixes), found.fixes


def _raise(text: str) -> None:
    raise ValueError(text)


def test_edits_of_other_layers_mend() -> None:
    """The networks above, edited."""
    for layer in (
        nn.BatchNorm2d(8), nn.InstanceNorm2d(8, affine=True), nn.LayerNorm(30), nn.PReLU(8), nn.ReflectionPad2d(29),
        striate.nn.Conv2d(8, 2, 3), striate.nn.LocalConv2d(8, 2, 3, input_size=(30, 30)),
    ):  # fmt: skip
        assert runs(nn.Sequential(nn.Conv2d(3, 8, 3), layer), (1, 3, 32, 32))
    assert runs(nn.Sequential(nn.Conv2d(3, 9, 3), nn.PixelShuffle(3)), (1, 3, 32, 32))


def test_ranks() -> None:
    """An input with too few or too many sizes, and a layer behind the flattening."""
    network = nn.Sequential(nn.Conv2d(3, 8, 3))
    found = failing(network, (32, 32))
    assert found.text == "`0` (Conv2d) expects (N, C, H, W), or that without N; the input is (32, 32)"
    assert found.fixes == ("give input_size=(1, 3, 32, 32)",)
    assert runs(network, (1, 3, 32, 32))
    assert failing(network, (3, 224)).fixes[0] == "give input_size=(1, 3, 224, 224)"
    assert failing(network, (1, 3, 8, 32, 32)).fixes[1] == "use Conv3d in place of Conv2d"
    assert runs(nn.Sequential(nn.Conv3d(3, 8, 3)), (1, 3, 8, 32, 32))
    found = failing(nn.Sequential(nn.Flatten(), nn.BatchNorm2d(4)), (2, 4, 3, 3))
    assert found.text == "`1` (BatchNorm2d) expects (N, C, H, W); `0` gives (2, 36)"
    assert found.fixes == ("use BatchNorm1d(36) in place of BatchNorm2d, or put it before the flattening",)
    assert runs(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(36)), (2, 4, 3, 3))
    found = failing(striate.nn.Conv1d(3, 8, 3), (1, 3, 8, 8))
    assert found.fixes[1] == "use Conv2d in place of Conv1d"


@pytest.mark.parametrize("layers", [nn, striate.nn], ids=["torch", "striate"])
def test_windows_larger_than_their_input(layers: object) -> None:
    """The smallest input that does is found, and is the smallest."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.MaxPool2d(2), layers.Conv2d(4, 2, 7))  # type: ignore[attr-defined]
    found = failing(network, (1, 3, 20, 20))
    assert found.text == "the window of `2` (Conv2d) covers 7×7, `1` gives 4×4"
    assert found.fixes[0] == "give an input of at least (1, 3, 29, 29)"
    assert found.fixes[1:] == ("set kernel_size=4 or less", "set padding=2 or more")
    assert runs(network, (1, 3, 29, 29))
    assert not runs(network, (1, 3, 28, 28))
    for edited in (layers.Conv2d(4, 2, 4), layers.Conv2d(4, 2, 7, padding=2)):  # type: ignore[attr-defined]
        assert runs(nn.Sequential(*network[:2], edited), (1, 3, 20, 20))


def test_networks_that_need_a_larger_picture() -> None:
    """AlexNet runs on 63×63 and no less."""
    network = striate.models.create("alexnet")
    found = failing(network, (1, 3, 32, 32))
    assert found.text == "the window of `features.12` (MaxPool2d) covers 3×3, `features.10` gives 1×1"
    assert found.fixes[0] == "give an input of at least (1, 3, 63, 63)"
    assert runs(network, (1, 3, 63, 63))
    assert not runs(network, (1, 3, 62, 62))


class Branches(nn.Module):
    """Two branches that meet."""

    def __init__(self, meet: Callable[[Tensor, Tensor], Tensor], padding: int = 0) -> None:
        super().__init__()
        self.left, self.right, self.meet = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(3, 8, 3, padding=padding), meet

    def forward(self, input: Tensor) -> Tensor:
        """Let them meet."""
        return self.meet(self.left(input), self.right(input))


@pytest.mark.parametrize(
    ("meet", "verb"),
    [(torch.add, "adds"), (torch.mul, "multiplies"), (lambda a, b: torch.cat([a, b], 1), "concatenates"),
     (lambda a, b: torch.stack([a, b]), "stacks")],
    ids=["add", "mul", "cat", "stack"],
)  # fmt: skip
def test_branches_of_different_sizes(meet: Callable[[Tensor, Tensor], Tensor], verb: str) -> None:
    """Which branch gives what; crop, pad or resize."""
    found = failing(Branches(meet), (1, 3, 9, 9))
    assert found.text == (
        f"the network (Branches) {verb} tensors whose sizes do not go together: `left` gives (1, 8, 9, 9), "
        "`right` gives (1, 8, 7, 7)"
    )
    assert found.fixes == (
        "crop the larger to 7×7: x[:, :, 1:8, 1:8]",
        "pad the smaller to 9×9: F.pad(x, (1, 1, 1, 1))",
        "resize one: F.interpolate(x, size=(9, 9))",
    )
    assert runs(Branches(lambda a, b: meet(a[:, :, 1:8, 1:8], b)), (1, 3, 9, 9))
    assert runs(Branches(lambda a, b: meet(a, F.pad(b, (1, 1, 1, 1)))), (1, 3, 9, 9))
    assert runs(Branches(lambda a, b: meet(a, F.interpolate(b, size=(9, 9)))), (1, 3, 9, 9))


def test_operations_of_a_forward() -> None:
    """Channels that cannot be added, products, weights by hand, and numbers that do not fill a shape."""
    found = failing(Function(lambda x: x + x[:, :5]), (1, 3, 9, 9))
    assert found.fixes == ("make the channels equal, 8 and 5, with a 1×1 convolution on one branch",)
    found = failing(Function(lambda x: x[0] @ x[0, :, :5]), (1, 3, 9, 9))
    assert "multiplies tensors whose sizes do not go together: (8, 7, 7), (8, 5, 7)" in found.text
    found = failing(Function(lambda x: F.conv2d(x, torch.ones(4, 6, 3, 3))), (1, 3, 9, 9))
    assert "convolves (1, 8, 7, 7) with weights (4, 6, 3, 3)" in found.text
    assert found.fixes == ("for 8 channels, give weights (4, 8, 3, 3)",)
    found = failing(Function(lambda x: x.view(1, 100)), (1, 3, 9, 9))
    assert found.text == "the network (Function) reshapes 392 numbers to [1, 100], which does not hold them"
    assert found.fixes[0].startswith("flatten all but the batch with x.flatten(1)")
    assert runs(Function(lambda x: x.flatten(1)), (1, 3, 9, 9))


def test_dtypes() -> None:
    """Indices that are no whole numbers, and numbers in another precision."""
    found = failing(nn.Sequential(nn.Embedding(10, 4)), (1, 7))
    assert found.text == "`0` (Embedding) expects whole numbers, indices below 10, gets float32"
    assert found.fixes[0] == "give inputs=[torch.zeros((1, 7), dtype=torch.long)]"
    assert runs(nn.Sequential(nn.Embedding(10, 4)), torch.zeros((1, 7), dtype=torch.long))
    found = failing(nn.Sequential(nn.Conv2d(3, 8, 3).double()), (1, 3, 9, 9))
    assert found.text == "`0` (Conv2d) holds float64 numbers, gets float32"
    assert found.fixes[0] == "give inputs=[torch.zeros((1, 3, 9, 9), dtype=torch.float64)]"
    assert runs(nn.Sequential(nn.Conv2d(3, 8, 3).double()), torch.zeros((1, 3, 9, 9), dtype=torch.float64))


def test_last_sizes_of_series() -> None:
    """Recurrent layers."""
    found = failing(nn.Sequential(nn.LSTM(10, 4)), (5, 2, 11))
    assert found.text == "`0` (LSTM) expects a last size of 10, the input is (5, 2, 11)"
    assert found.fixes == ("set input_size=11 of `0`", "give input_size=(5, 2, 10)")
    assert runs(nn.Sequential(nn.LSTM(11, 4)), (5, 2, 11))
    assert runs(nn.Sequential(nn.LSTM(10, 4)), (5, 2, 10))


def test_batches_of_one() -> None:
    """Normalisation over a batch needs more than one number."""
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3))
    found = failing(network, (1, 3, 9, 9))
    assert found.text.startswith("`1` (BatchNorm2d) normalises over one value a channel, `0` gives (1, 3, 1, 1)")
    assert found.fixes[0] == "give a batch of 2 or more: input_size=(2, 3, 9, 9)"
    assert runs(network, (2, 3, 9, 9))
    assert runs(network.eval(), (1, 3, 9, 9))


class Two(nn.Module):
    """A network of two inputs."""

    def forward(self, input: Tensor, mask: Tensor) -> Tensor:
        """Their product."""
        return input * mask


def test_arguments() -> None:
    """Those that are missing by name, at the network and inside; and those that are too many."""
    found = failing(Two(), (1, 4))
    assert found.text == "the network (Two) needs `mask` besides the 1 input that it got"
    assert found.fixes == (
        "give a size for each: input_size=[(1, 4), <size of mask>]", "or by name: settings={'mask': ...}",
    )  # fmt: skip
    assert found.details["missing"] == ["mask"]
    assert runs(Two(), (1, 4), (1, 4))
    assert trace(Two(), [torch.empty(1, 4)], {"mask": 2}).failure is None
    found = failing(nn.Sequential(nn.Identity(), Two()), (1, 4))
    assert (found.layer, found.fixes) == ("1", ("give it mask where it is called",))
    found = failing(Two(), (1, 4), (1, 4), (1, 4))
    assert "the network (Two) takes (input, mask): " in found.text


class Head(nn.Module):
    """A layer that goes by numbers."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, input: Tensor) -> Tensor:
        """Call it."""
        return self.function(input)


@pytest.mark.parametrize(
    ("function", "operator"),
    [
        (lambda x: x if x.sum() > 0 else -x, "aten._local_scalar_dense, called by .item(), float(), bool() or an `if`"),
        (lambda x: x * x.mean().item(), "aten._local_scalar_dense"),
        (lambda x: x[x > 0].reshape(2, -1), "aten.nonzero, called by x[mask] or torch.where(mask)"),
        (torch.unique, "aten._unique2"),
        (lambda x: torch.from_numpy(x.detach().numpy()), "numpy"),
    ],
    ids=["if", "item", "mask", "unique", "numpy"],
)
def test_control_flow_by_numbers(function: Callable[[Tensor], Tensor], operator: str) -> None:
    """The operator, the module and the line; and one real forward is offered."""
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Sequential(Head(function)))
    found = failing(network, (1, 3, 9, 9))
    assert found.layer == "1.0"
    assert found.text.startswith("`1.0` (Head) goes by the numbers in a tensor, and here there are none: " + operator)
    assert "test_failures.py, line " in found.details["line"] or function is torch.unique
    assert found.details["needs_numbers"] is True
    assert "run=True, or --run on the command line" in found.fixes[0]


def test_what_nothing_is_known_of() -> None:
    """The path, the sizes, the error and the line."""

    def divided(maps: Tensor) -> Tensor:
        return maps * (1 / 0)

    found = failing(nn.Sequential(Head(divided)), (1, 4))
    assert found.text.startswith("`0` (Head) fails on (1, 4): ZeroDivisionError: division by zero (test_failures.py, ")
    assert found.fixes == ()
    assert found.details["error"] == "ZeroDivisionError: division by zero"
    assert found.details["needs_numbers"] is False
    found = failing(nn.Module(), (1, 4))
    assert "NotImplementedError" in found.text


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    """PyTorch logs the stack of an operation that fails: an explanation runs the network again, and adds none."""
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(9, 2))
    found = trace(network, [torch.empty(1, 3, 9, 9)])
    caplog.clear()
    capfd.readouterr()
    explain(found, network)
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
    assert not logging.getLogger("torch._subclasses.fake_tensor").disabled


def test_message_and_what_did_not_fail() -> None:
    """An error's text has every edit; what runs has no explanation."""
    found = failing(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(16, 4, 3)), (1, 3, 32, 32))
    assert message(found).splitlines() == [found.text, *(f"  - {fix}" for fix in found.fixes)]
    network = nn.Conv2d(3, 8, 3)
    with pytest.raises(ValueError, match="the network did not fail"):
        explain(trace(network, [torch.empty(1, 3, 9, 9)]), network)


def test_the_network_is_left_alone() -> None:
    """Its parameters, buffers, mode and hooks, and the random state."""
    network = lenet()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    random = torch.get_rng_state()
    failing(network, (1, 1, 28, 28))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())
    assert network.training
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in network.modules())


def test_a_larger_picture_is_large_enough_for_all_layers() -> None:
    """Not only for the layer that fails first."""
    network = nn.Sequential(nn.MaxPool2d(2), nn.MaxPool2d(2), nn.Conv2d(1, 1, 5))
    found = failing(network, (1, 1, 3, 3))
    assert found.layer == "1"
    assert found.fixes[0] == "give an input of at least (1, 1, 20, 20)"
    assert runs(network, (1, 1, 20, 20))
    assert not runs(network, (1, 1, 19, 19))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.max_pool1d(x[0], 9), lambda x: F.max_pool2d(x, 9), lambda x: F.avg_pool2d(x, 9),
        lambda x: F.avg_pool3d(x[:, None].expand(-1, -1, 9, -1, -1), 9), lambda x: F.unfold(x, 9),
        lambda x: x.unfold(2, 9, 1), lambda x: F.conv2d(x, torch.ones(1, 1, 9, 9)),
        lambda x: F.pad(x, (8, 8, 8, 8), mode="reflect"), lambda x: striate.avg_pool2d(x, 9),
    ],
)  # fmt: skip
def test_functions_that_need_a_larger_picture(function: Callable[[Tensor], Tensor]) -> None:
    """Whatever PyTorch calls it."""
    found = failing(Head(function), (1, 1, 8, 8))
    assert found.text.startswith("the network (Head) gets (")
    assert found.fixes == ("give an input of at least (1, 1, 9, 9)",)
    assert runs(Head(function), (1, 1, 9, 9))


def test_a_batch_and_channels_with_an_axis_too_few() -> None:
    found = explain(trace(nn.Conv2d(3, 4, 3), [torch.empty(1, 3, 9)]), nn.Conv2d(3, 4, 3))
    assert found.text == "the network (Conv2d) expects (N, C, H, W), or that without N; the input is (1, 3, 9)"
    assert found.fixes[0] == "give input_size=(1, 3, 9, 9)"


@torch.library.custom_op("striate_tests::unsized", mutates_args=())
def unsized(x: Tensor) -> Tensor:
    return x.clone()


def test_an_operator_that_does_not_say_its_sizes() -> None:
    model = Function(unsized)
    found = explain(trace(model, [torch.empty(1, 3, 9, 9)]), model)
    assert "calls striate_tests::unsized, which does not say what sizes it gives" in found.text
    assert "torch.library.register_fake('striate_tests::unsized')" in found.fixes[0]
    assert found.details["needs_numbers"]
    assert striate.inspect(model, (1, 3, 9, 9), run=True).totals.macs.state == "lower bound"


def test_hooks_that_did_not_run_are_named_where_they_may_matter() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(8, 1, 1))
    model[0].register_forward_hook(lambda module, given, output: torch.cat([output, output], 1))
    found = explain(trace(model, [torch.empty(1, 3, 9, 9)]), model)
    assert found.fixes[-1] == "if hooks change what layers give, do that in a forward: those of `0` did not run"
