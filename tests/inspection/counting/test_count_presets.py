"""Other tools' numbers, as recorded from them; those of PyTorch's own counter as it gives them."""

from collections.abc import Callable

import pytest
import torch
from tests.inspection.counting.networks import counted, named, of, ones
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import striate.nn
from striate.inspection.counting.counts import CONVENTION, CONVENTIONS


# fvcore 0.1.5.post20221221 and thop 0.1.1.post2209072238, run on torchvision's networks and on the stacks below, in
# evaluation; thop knows nothing but modules.
def transposed() -> nn.Module:
    return nn.Sequential(
        nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, groups=2), nn.BatchNorm2d(6, affine=False), nn.PReLU(),
        nn.Upsample(scale_factor=2, mode="bilinear"), nn.InstanceNorm2d(6), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(24, 5), nn.Softmax(1),
    )  # fmt: skip


def grouped() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(8, 12, 3, padding=1, groups=4), nn.GroupNorm(3, 12), nn.LeakyReLU(), nn.AvgPool2d(2),
        nn.Conv2d(12, 12, 3, groups=12), nn.LayerNorm([12, 6, 6]), nn.Upsample(scale_factor=2), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(12, 5, bias=False),
    )  # fmt: skip


OTHERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int, int]] = {
    "vgg16": (lambda: named("vgg16"), (1, 3, 224, 224), 15_470_289_408, 15_470_314_496),
    "resnet18": (lambda: named("resnet18"), (1, 3, 224, 224), 1_819_065_856, 1_824_033_792),
    "transposed": (transposed, (2, 4, 8, 8), 113_964, 208_216),
    "grouped": (grouped, (2, 8, 16, 16), 160_440, 130_416),
    "lstm": (lambda: nn.LSTM(3, 5, 2, bidirectional=True, batch_first=True), (2, 7, 3), 0, 17_360),
    "gru": (lambda: nn.GRU(3, 5, 2), (7, 2, 3), 0, 5_600),
    "rnn": (lambda: nn.RNN(3, 5, bias=False), (7, 2, 3), 0, 630),
    "cell": (lambda: nn.LSTMCell(3, 5), (2, 3), 320, 480),
    "encoder": (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (2, 5, 8), 5_920, 3_200),
}


@pytest.mark.parametrize("name", OTHERS)
def test_like_fvcore_and_thop(name: str) -> None:
    make, size, fvcore, thop = OTHERS[name]
    network = make().eval()
    assert counted(network, torch.empty(size), like="fvcore").macs == fvcore
    assert counted(network, torch.empty(size), like="thop").macs == thop


def test_like_fvcore_batch_normalisation_in_training() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    assert counted(network, ones(2, 3, 6, 6), like="fvcore").macs == 2 * 16 * 4 * (27 + 5)


# torchvision's network takes its average by `adaptive_avg_pool2d`, ours by `mean`; its thop and torch agree with ours.
def test_like_others_on_mobilenet() -> None:
    assert of("mobilenet_v2", "fvcore").macs == 314_193_216 - 1280 * 7 * 7
    assert of("mobilenet_v2", "thop").macs == 327_486_720
    assert of("resnet50", "torch").flops == 2 * 4_089_184_256


@pytest.mark.parametrize(
    ("network", "inputs"),
    [
        (transposed(), [ones(2, 4, 8, 8)]),
        (grouped(), [ones(2, 8, 16, 16)]),
        (striate.nn.DeformConv2d(4, 6, 3, predict=True), [ones(2, 4, 8, 8)]),
        (striate.nn.DCNv4(16, groups=4), [ones(1, 16, 7, 7)]),
        (striate.nn.ConvTranspose2d(2, 4, 3, stride=2, groups=2), [ones(1, 2, 4, 4)]),
        (nn.GRU(3, 5, 2), [ones(7, 2, 3)]),
        (nn.TransformerEncoderLayer(8, 2, 16), [ones(2, 5, 8)]),
        (nn.Bilinear(3, 4, 5), [ones(2, 3), ones(2, 4)]),
    ],
    ids=lambda given: type(given).__name__,
)
def test_like_torch_is_its_flop_counter(network: nn.Module, inputs: list[Tensor]) -> None:
    with FlopCounterMode(display=False) as theirs:
        network(*inputs)
    assert counted(network, *inputs, like="torch").flops == theirs.get_total_flops()


def test_presets_tell_what_they_pass_over() -> None:
    layer, read = striate.nn.LocalConv2d(3, 4, 3, input_size=(8, 8)), ones(1, 3, 8, 8)
    for like in ("fvcore", "thop", "torch"):
        found = counted(layer, read, like=like)
        assert (found.macs, found.missing) == (0, ("striate.local_conv2d()",))


def test_presets_do_not_miss_what_costs_nothing() -> None:
    bags = nn.EmbeddingBag(5, 4)
    assert counted(bags, torch.zeros(2, 3, dtype=torch.long), like="torch").missing == ()


def test_conventions() -> None:
    assert "FLOPs = 2 * MACs" in CONVENTION
    assert CONVENTIONS.keys() == {None, "fvcore", "thop", "torch"}
    with pytest.raises(ValueError, match="count_like must be one of fvcore, thop, torch or None, got 'ptflops'"):
        counted(nn.Identity(), ones(1), like="ptflops")
