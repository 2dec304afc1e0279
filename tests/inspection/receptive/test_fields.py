import random
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import striate
from striate.geometry import Transposed, Window, receptive_field
from striate.inspection.receptive.fields import AxisField, fields
from striate.inspection.tracing.trace import trace


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function, *parts: nn.Module):
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, *x: Tensor):
        return self.function(*x, *self.parts)


def field(model: nn.Module, *size: int) -> tuple[AxisField, ...]:
    run = trace(model, [torch.empty(size)])
    assert run.failure is None
    found = fields(run).of(run.outputs[0])
    assert found is not None
    return found


def sizes(model: nn.Module, *size: int) -> list[int]:
    return [axis.size for axis in field(model, *size)]


def last_map(name: str) -> tuple[AxisField, AxisField]:
    """The field at the last value that has both axes of the picture, and that of the scores."""
    with torch.device("meta"):
        model = striate.models.create(name).eval()
    picture = torch.empty(1, model.config.in_channels, *model.config.input_size, device="meta")
    run = trace(model, [picture])
    found = fields(run)
    maps = [found.of(value) for call in run.calls for value in call.outputs or () if len(value.shape) == 4]
    scores = found.of(run.outputs[0])
    assert scores is not None
    return [axes for axes in maps if axes and all(axis.jump for axis in axes)][-1][0], scores[0]


@pytest.mark.parametrize(
    ("name", "size", "jump", "clipped"),
    [
        ("alexnet", 195, 32, 194),
        ("vgg16", 212, 32, 212),
        ("resnet18", 435, 32, 224),
        ("resnet34", 899, 32, 224),
        ("resnet50", 427, 32, 224),
        ("mobilenet_v2", 491, 32, 224),
    ],
)
def test_published_receptive_fields(name, size, jump, clipped):
    last, scores = last_map(name)
    assert (last.size, last.jump, last.clipped, last.exact) == (size, jump, clipped, True)
    assert (scores.size, scores.jump, scores.clipped) == (224, 0, 224)


def test_resnet50_of_the_paper_strides_on_its_1x1():
    with torch.device("meta"):
        model = striate.models.create("resnet50").eval()
    for stage in (model.layer2, model.layer3, model.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    run = trace(model, [torch.empty(1, 3, 224, 224, device="meta")])
    last = next(call for call in run.calls if call.name == "layer4")
    found = fields(run).of(last.outputs[0])
    assert [(axis.size, axis.shortest) for axis in found] == [(483, 11)] * 2


def test_chains_agree_with_geometry():
    draw = random.Random(1)
    for _ in range(40):
        layers: list[nn.Module] = []
        chain: list[Window | Transposed] = []
        for _ in range(draw.randint(1, 5)):
            kernel, stride, padding = draw.randint(1, 5), draw.randint(1, 3), draw.randint(0, 2)
            dilation = draw.randint(1, 3)
            if draw.random() < 0.3:
                layers.append(nn.ConvTranspose1d(1, 1, kernel, stride, min(padding, kernel // 2), dilation=dilation))
                chain.append(Transposed(Window(kernel, stride, min(padding, kernel // 2), dilation)))
            else:
                layers.append(nn.Conv1d(1, 1, kernel, stride, padding, dilation))
                chain.append(Window(kernel, stride, padding, dilation))
        (found,) = field(nn.Sequential(*layers), 1, 1, 1500)
        expected = receptive_field(chain)
        assert (found.size, found.jump, found.start) == (expected.size, expected.jump, expected.start)
        assert found.shortest == found.size


def test_branches_have_a_longest_and_a_shortest_path():
    wide, narrow = nn.Conv2d(1, 1, 7, padding=3), nn.Conv2d(1, 1, 3, padding=1)
    model = Function(lambda x, a, b: torch.cat([a(x), b(x) + x], 1), wide, narrow)
    assert {(axis.size, axis.shortest) for axis in field(model, 1, 1, 20, 20)} == {(7, 1)}
    run = trace(model, [torch.empty(1, 1, 20, 20)])
    assert fields(run).findings == ()


def test_merge_of_other_centres_is_flagged():
    even = nn.Conv2d(1, 1, 2, padding="same")
    model = nn.Sequential(Function(lambda x, conv: x + conv(x), even))
    run = trace(model, [torch.empty(1, 1, 9, 9)])
    (finding,) = fields(run).findings
    assert (finding.kind, finding.layer) == ("merge", "0")
    assert "1/2 inputs apart" in finding.text
    assert finding.details == {"jumps": [1.0, 1.0], "centres": [0.0, 0.5]}


def test_merge_of_other_jumps_is_flagged():
    model = Function(lambda x, down: down(x) + x[:, :, :5], nn.MaxPool1d(2))
    run = trace(model, [torch.empty(1, 1, 10)])
    (finding,) = fields(run).findings
    assert finding.kind == "merge"
    assert "lie 2 and 1 inputs apart" in finding.text or "lie 1 and 2 inputs apart" in finding.text


def test_dilations_2_4_8_read_15_of_29_positions():
    layers = [nn.Conv2d(1, 1, 3, dilation=d) for d in (2, 4, 8)]
    run = trace(nn.Sequential(*layers, nn.Conv2d(1, 1, 1), nn.ReLU()), [torch.empty(1, 1, 64, 64)])
    found = fields(run)
    axes = found.of(run.outputs[0])
    assert [(axis.size, axis.covered) for axis in axes] == [(29, 15)] * 2
    (finding,) = found.findings
    assert finding.kind == "gridding"
    assert "15 of the 29 positions an axis" in finding.text
    assert finding.details["hull"] == 29


def test_dilations_that_double_leave_no_gaps():
    layers = [nn.Conv2d(1, 1, 3, dilation=d) for d in (1, 2, 4, 8)]
    run = trace(nn.Sequential(*layers), [torch.empty(1, 1, 64, 64)])
    assert fields(run).findings == ()
    assert [axis.covered for axis in fields(run).of(run.outputs[0])] == [31, 31]


def test_gaps_that_later_layers_fill_are_not_reported_there():
    model = nn.Sequential(nn.Conv1d(1, 1, 3, dilation=2), nn.Conv1d(1, 1, 2))
    run = trace(model, [torch.empty(1, 1, 20)])
    (finding,) = fields(run).findings
    assert finding.layer == "0"


@pytest.mark.parametrize(
    ("model", "size", "expected"),
    [
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.PixelShuffle(2), nn.Conv2d(1, 1, 3)), (1, 1, 9, 9), [4, 4]),
        (nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4, 1, 3)), (1, 1, 8, 8), [6, 6]),
        (Function(lambda x: F.pad(x, (1, 1, 1, 1), mode="circular")), (1, 1, 8, 8), [1, 1]),
        (nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular")), (1, 1, 8, 8), [3, 3]),
        (nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")), (1, 1, 8, 8), [3, 3]),
        (nn.Sequential(nn.Conv2d(1, 1, 3), nn.AdaptiveAvgPool2d(1)), (1, 1, 8, 8), [8, 8]),
        (nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(36, 2)), (1, 1, 8, 8), [8, 8]),
        (nn.Upsample(scale_factor=2, mode="bilinear"), (1, 1, 8, 8), [2, 2]),
        (nn.Sequential(nn.Unfold(3), nn.Conv1d(9, 1, 1)), (1, 1, 8, 8), [3, 3]),
        (Function(lambda x: F.fold(F.unfold(x, 3), (8, 8), 3)), (1, 1, 8, 8), [5, 5]),
        (Function(lambda x: x.flatten(2).transpose(1, 2).transpose(1, 2).unflatten(2, (8, 8))), (1, 1, 8, 8), [1, 1]),
        (Function(lambda x: torch.softmax(x.flatten(2), 2).unflatten(2, (8, 8))), (1, 1, 8, 8), [8, 8]),
        (Function(lambda x: F.scaled_dot_product_attention(x, x, x)), (1, 1, 8, 4), [8, 4]),
        (Function(torch.fft.rfft2), (1, 1, 8, 8), [8, 8]),
        (Function(lambda x: torch.stack(x.unbind(2), 2)), (1, 1, 8, 8), [1, 1]),
        (Function(lambda x: x.cumsum(2)), (1, 1, 8, 8), [8, 1]),
        (striate.nn.LocalContrastNorm(5), (1, 1, 20, 20), [9, 9]),
        (nn.LocalResponseNorm(3), (1, 4, 8, 8), [1, 1]),
    ],
)  # fmt: skip
def test_operators(model, size, expected):
    assert sizes(model, *size) == expected


def test_normalisation_over_places_is_the_longest_path_only():
    for norm in (nn.GroupNorm(1, 2), nn.InstanceNorm2d(2), nn.LayerNorm((8, 9))):
        model = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), norm)
        assert [(axis.size, axis.shortest) for axis in field(model, 1, 2, 8, 9)] == [(8, 3), (9, 3)]
    model = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2))
    assert [(axis.size, axis.shortest) for axis in field(model.train(), 2, 2, 8, 9)] == [(3, 3)] * 2


def test_gates_see_everything_and_keep_their_local_path():
    model = Function(lambda x, conv: conv(x) * x.mean((2, 3), keepdim=True).sigmoid(), nn.Conv2d(1, 1, 3, padding=1))
    (axis, _) = field(model, 1, 1, 16, 16)
    assert (axis.size, axis.shortest, axis.jump, axis.clipped, axis.start) == (16, 3, 1, 16, 0)


def test_deformable_is_not_exact_and_reads_its_offsets():
    (axis, _) = field(striate.nn.DeformConv2d(1, 1, 3, padding=1, predict=True), 1, 1, 16, 16)
    assert (axis.size, axis.exact) == (3, False)
    wide = Function(
        lambda x, conv, guide: conv(x, guide(x)),
        striate.nn.DeformConv2d(1, 1, 3, padding=1),
        nn.Conv2d(1, 18, 7, padding=3),
    )
    assert sizes(wide, 1, 1, 16, 16) == [7, 7]


def test_recurrent_layers_see_all_of_the_series():
    for layer in (nn.LSTM(4, 3, batch_first=True), nn.GRU(4, 3, batch_first=True)):
        model = Function(lambda x, rnn: rnn(x)[0], layer).eval()
        run = trace(model, [torch.empty(1, 6, 4)])
        (axis,) = fields(run, axes=(1,)).of(run.outputs[0])
        assert axis.size == 6


def test_unknown_operator_may_read_everything():
    (axis,) = field(Function(lambda x: torch.linalg.solve(x.new_ones(5, 5), x[0, 0])), 1, 1, 5)
    assert (axis.size, axis.exact) == (5, False)


def test_what_is_written_to_a_part_of_another_tensor():
    def shift(x: Tensor) -> Tensor:
        out = torch.zeros_like(x)
        out[:, :1, 1:] = x[:, :1, :-1]
        out[:, 1:] = x[:, 1:]
        return out

    (axis,) = field(nn.Sequential(Function(shift), nn.Conv1d(2, 1, 1)), 1, 2, 12)
    assert (axis.size, axis.jump) == (2, 1)


def test_attention_in_windows_sees_a_window():
    def windows(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        y = x.view(n, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 3, 5, 1).reshape(-1, 16, c)
        y = F.scaled_dot_product_attention(y, y, y)
        return y.view(n, h // 4, w // 4, 4, 4, c).permute(0, 5, 1, 3, 2, 4).reshape(n, c, h, w)

    convolution = nn.Conv2d(8, 8, 3, padding=1)
    assert sizes(Function(windows), 2, 8, 16, 16) == [4, 4]
    assert sizes(nn.Sequential(convolution, Function(windows), convolution), 2, 8, 16, 16) == [10, 10]


def test_a_parameter_has_no_field():
    run = trace(nn.Conv1d(1, 1, 3), [torch.empty(1, 1, 5)])
    assert fields(run).of(run.parameters["weight"]) is None


def test_first_unit_of_a_strided_layer():
    (axis,) = field(nn.Conv1d(1, 1, 4, stride=3, padding=1), 1, 1, 30)
    assert (axis.start, axis.jump) == (Fraction(1, 2), Fraction(3))


def test_series_and_volumes():
    assert sizes(nn.Conv3d(1, 1, (1, 3, 5)), 1, 1, 4, 8, 8) == [1, 3, 5]
    assert sizes(nn.MaxPool1d(3), 1, 1, 9) == [3]
    assert sizes(nn.Conv2d(1, 1, 3), 1, 9, 9) == [3, 3]
