"""Costs of operators and modules, each against a count of its products."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.inspection.counting.networks import counted, lines, named, of, ones
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import striate
import striate.nn
from striate.inspection.counting.counts import count, count_parameters
from striate.inspection.counting.free import FREE
from striate.inspection.counting.modules import MODULES
from striate.inspection.counting.operators import RULES
from striate.inspection.counting.rules import Line
from striate.inspection.tracing.trace import Call, Memory, Operation, Trace, Value, trace
from striate.ops import OPERATORS


class Attention(nn.MultiheadAttention):
    """One that reads its values where it reads its keys."""

    def forward(self, query: Tensor, key: Tensor, need_weights: bool) -> Tensor:  # type: ignore[override]
        """Attend."""
        output: Tensor = super().forward(query, key, key, need_weights=need_weights)[0]
        return output


def from_the_left(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """A product of three matrices in the order that opt_einsum, where it is installed, would change."""
    with torch.backends.opt_einsum.flags(enabled=False):
        return torch.einsum("ab,bc,cd->ad", a, b, c)


PRODUCTS: list[Any] = [
    pytest.param(function, inputs, id=name)
    for name, function, inputs in [
        ("conv1d", F.conv1d, [ones(2, 3, 9), ones(4, 3, 3)]),
        ("conv2d", lambda x, w: F.conv2d(x, w, stride=2), [ones(2, 3, 9, 8), ones(4, 3, 3, 2)]),
        ("dilated", lambda x, w: F.conv2d(x, w, dilation=(2, 3)), [ones(2, 3, 9, 8), ones(4, 3, 3, 2)]),
        ("grouped", lambda x, w: F.conv2d(x, w, groups=3), [ones(2, 6, 5, 5), ones(9, 2, 3, 3)]),
        ("depthwise", lambda x, w: F.conv2d(x, w, groups=6), [ones(2, 6, 5, 5), ones(6, 1, 3, 3)]),
        ("conv3d", F.conv3d, [ones(1, 2, 4, 5, 6), ones(3, 2, 2, 3, 2)]),
        ("one picture", F.conv2d, [ones(3, 9, 8), ones(4, 3, 3, 2)]),
        ("transposed 1d", lambda x, w: F.conv_transpose1d(x, w, stride=3), [ones(2, 3, 9), ones(3, 4, 2)]),
        ("transposed", lambda x, w: F.conv_transpose2d(x, w, stride=2), [ones(2, 3, 4, 5), ones(3, 4, 3, 3)]),
        ("transposed, grouped", lambda x, w: F.conv_transpose2d(x, w, groups=2), [ones(2, 4, 4, 5), ones(4, 3, 2, 2)]),
        ("linear", F.linear, [ones(2, 5, 3), ones(4, 3)]),
        ("mm", torch.mm, [ones(2, 3), ones(3, 4)]),
        ("bmm", torch.bmm, [ones(5, 2, 3), ones(5, 3, 4)]),
        ("addmm", lambda a, b: torch.addmm(torch.zeros(4), a, b), [ones(2, 3), ones(3, 4)]),
        ("baddbmm", lambda a, b: torch.baddbmm(torch.zeros(4), a, b), [ones(5, 2, 3), ones(5, 3, 4)]),
        ("addbmm", lambda a, b: torch.addbmm(torch.zeros(4), a, b), [ones(5, 2, 3), ones(5, 3, 4)]),
        ("matmul, broadcast", torch.matmul, [ones(6, 1, 2, 3), ones(5, 3, 4)]),
        ("dot", torch.matmul, [ones(7), ones(7)]),
        ("mv", torch.matmul, [ones(2, 7), ones(7)]),
        ("addmv", lambda a, b: torch.addmv(torch.zeros(2), a, b), [ones(2, 7), ones(7)]),
        ("einsum", lambda a, b: torch.einsum("nhld,nhsd->nhls", a, b), [ones(2, 3, 4, 5), ones(2, 3, 6, 5)]),
        ("three operands", from_the_left, [ones(2, 1), ones(1, 4), ones(4, 1)]),
        ("striate conv2d", striate.conv2d, [ones(2, 3, 9, 8), ones(4, 3, 3, 2)]),
        ("conv4d", striate.conv4d, [ones(1, 2, 4, 4, 4, 4), ones(3, 2, 2, 3, 2, 3)]),
        ("by name", lambda x, w: striate.conv1d(input=x, weight=w), [ones(2, 3, 9), ones(4, 3, 3)]),
        ("conv_transpose1d", striate.conv_transpose1d, [ones(3, 9), ones(3, 4, 3)]),
        ("conv_transpose3d", striate.conv_transpose3d, [ones(2, 3, 2, 2, 2), ones(3, 4, 3, 3, 3)]),
        ("local_conv2d", striate.local_conv2d, [ones(2, 4, 5, 6), ones(3, 5, 6, 4, 3, 2)]),
        ("local_conv1d", lambda x, w: striate.local_conv1d(x, w, groups=2), [ones(2, 4, 5), ones(3, 6, 2, 3)]),
        ("local_conv_transpose2d", striate.local_conv_transpose2d, [ones(2, 4, 3, 2), ones(3, 2, 4, 5, 2, 2)]),
        ("table_conv2d", lambda x, w: striate.table_conv2d(x, w, torch.tensor([[0, 0], [1, 0], [1, 1]]), 2),
         [ones(2, 3, 5, 5), ones(3, 3, 3)]),
        ("correlate", striate.correlate, [ones(2, 9, 8), ones(3, 2)]),
        ("convolve", striate.convolve, [ones(9), ones(3)]),
    ]
]  # fmt: skip


@pytest.mark.parametrize(("function", "inputs"), PRODUCTS)
def test_macs_are_the_products(function: Callable[..., Tensor], inputs: list[Tensor]) -> None:
    found = counted(function, *inputs)
    assert found.macs == function(*inputs).sum().item()
    assert found.flops == 2 * found.macs
    assert found.missing == ()


def test_depthwise_kernels_count_as_grouped_convolutions() -> None:
    read, weight = ones(4, 9, 8), ones(8, 1, 3, 2)
    assert counted(lambda x, w: striate.conv2d(x, w, groups=4), read, weight).macs == 8 * 7 * 7 * 6
    assert counted(lambda x, w: F.conv2d(x, w, groups=4), read, weight).macs == 8 * 7 * 7 * 6


def test_taps_in_the_padding_count() -> None:
    assert counted(nn.Conv2d(3, 8, 3, padding=1), ones(1, 3, 10, 10)).macs == 8 * 3 * 9 * 100


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_deformable_by_product_and_sampling(axes: int) -> None:
    function, sizes, places = getattr(striate, f"deform_conv{axes}d"), [5] * axes, 3**axes
    read, weight = ones(2, 4, *sizes), ones(6, 2, *[3] * axes)
    offset = torch.zeros(2, 2 * 3**axes * axes, *[3] * axes)
    found = lines(counted(lambda x, o, w: function(x, o, w), read, offset, weight))
    assert found["product"] == function(read, offset, weight).sum().item()
    assert found["sampling"] == 2**axes * 2 * 4 * 3**axes * places


def test_deformable_layer_with_its_offset_branch() -> None:
    layer = striate.nn.DeformConv2d(64, 64, 3, padding=1, predict=True, mask=False)
    found = counted(nn.Sequential(nn.Conv2d(3, 64, 1), layer), ones(1, 3, 8, 8))
    assert lines(found) == {"product": 64 * 36_864, "sampling": 64 * 4 * 9 * 64, "offset branch": 64 * 9 * 64 * 18}
    assert found.macs == sum(lines(found).values()) + 64 * 3 * 64


def test_offset_branch_is_what_only_the_offsets_need() -> None:
    found = counted(striate.nn.DCNv3(16, groups=4), ones(1, 16, 7, 7))
    # The depthwise convolution, and two linear maps for 4 groups of 9 taps.
    assert lines(found)["offset branch"] == 49 * (9 * 16 + 16 * 4 * 9 * 3)
    assert lines(found)["sampling"] == 4 * lines(found)["product"] == 4 * 49 * 16 * 9
    assert found.macs == sum(lines(found).values()) + 2 * 49 * 16 * 16


def test_torchvision_has_the_offset_behind_the_weight() -> None:
    def value(*shape: int) -> Value:
        return Value(shape, torch.float32, Memory(0))

    read, offset, weight, mask = value(2, 4, 8, 8), value(2, 18, 6, 6), value(6, 2, 3, 3), value(2, 9, 6, 6)
    by = value(18, 4, 3, 3)
    branch = Operation("aten.convolution", (read, by, None, [1, 1], [0, 0], [1, 1], False), {}, (offset,), 0)
    given = read, weight, offset, mask, value(6)
    found = count(
        Trace(operations=[branch, Operation("torchvision.deform_conv2d", given, {}, (value(2, 6, 6, 6),), 0)])
    )
    assert lines(found) == {
        "offset branch": 2 * 36 * 18 * 4 * 9, "product": 2 * 36 * 6 * 2 * 9, "sampling": 4 * 2 * 36 * 4 * 9
    }  # fmt: skip


def test_aggregation_without_its_middle() -> None:
    offset, mask = torch.zeros(1, 2 * 8 * 2, 5, 5), torch.ones(1, 2 * 8, 5, 5)
    settings: dict[str, Any] = {"padding": 1, "groups": 2, "remove_center": True}
    found = counted(lambda x, o, m: striate.deform_aggregate2d(x, o, m, 3, **settings), ones(1, 4, 5, 5), offset, mask)
    assert lines(found) == {"product": 25 * 4 * 8, "sampling": 4 * 25 * 4 * 8}


def test_weighted_pooling_is_a_depthwise_convolution() -> None:
    read, weight = ones(2, 3, 9, 8), ones(3, 1, 3, 2)
    products = F.conv2d(read, weight, stride=2, groups=3).sum().item()
    assert counted(lambda x: striate.gaussian_pool2d(x, (3, 2), 2), read).macs == products
    assert counted(lambda x: striate.blur_pool2d(x, (3, 2), padding=0), read).macs == products
    assert counted(striate.blur_pool1d, ones(2, 3, 8)).macs == 2 * 3 * 4 * 3


def test_contrast_normalisation_is_a_filter_over_all_channels_twice() -> None:
    read = ones(2, 3, 9, 8)
    around = F.pad(read, (2, 2, 2, 2), mode="circular")
    products = F.conv2d(around, ones(1, 3, 5, 5)).sum().item()
    both = counted(lambda x: striate.local_contrast_norm(x, 5), read)
    assert lines(both) == {"mean": products, "deviation": products}
    assert counted(lambda x: striate.subtractive_norm(x, 5), read).macs == products
    assert counted(lambda x: striate.divisive_norm(x, (5, 5)), read).macs == products


def test_bilinear_layer() -> None:
    assert counted(nn.Bilinear(3, 4, 5), ones(2, 3), ones(2, 4)).macs == 2 * 5 * (3 * 4 + 3)


@pytest.mark.parametrize(
    ("mode", "sizes", "each"),
    [("nearest", (6, 6), 0), ("linear", (6,), 2), ("bilinear", (6, 6), 4), ("bicubic", (6, 6), 16),
     ("trilinear", (6, 6, 6), 8)],
)  # fmt: skip
def test_interpolation(mode: str, sizes: tuple[int, ...], each: int) -> None:
    found = counted(lambda x: F.interpolate(x, scale_factor=2, mode=mode), ones(1, 3, *sizes))
    assert (found.macs, found.missing) == (each * 3 * 12 ** len(sizes), ())


@pytest.mark.parametrize(("mode", "each"), [("nearest", 0), ("bilinear", 4), ("bicubic", 16)])
def test_grid_sample(mode: str, each: int) -> None:
    grid = torch.zeros(2, 5, 4, 2)
    found = counted(lambda x, g: F.grid_sample(x, g, mode=mode, align_corners=False), ones(2, 3, 8, 8), grid)
    assert found.macs == each * 2 * 3 * 20


ATTENTION = 2 * (5 * 8 * 8 + 2 * 7 * 8 * 8 + 2 * 5 * 7 * 8 + 5 * 8 * 8)


@pytest.mark.parametrize("weights", [True, False])
@pytest.mark.parametrize("learning", [True, False])
def test_multi_head_attention_with_its_projections(weights: bool, learning: bool) -> None:
    layer = Attention(8, 2, batch_first=True).train(learning).requires_grad_(learning)
    found = trace(layer, [ones(2, 5, 8), ones(2, 7, 8)], {"need_weights": weights})
    assert found.failure is None
    assert count(found).macs == ATTENTION


def test_attention_with_fewer_keys_than_heads() -> None:
    found = counted(lambda q, k: F.scaled_dot_product_attention(q, k, k, enable_gqa=True), ones(2, 4, 5, 8),
                    ones(2, 2, 7, 8))  # fmt: skip
    assert found.macs == 2 * 2 * 4 * 5 * 7 * 8
    assert found.missing == ()


@pytest.mark.parametrize("learning", [True, False])
def test_encoder_layer_on_the_fast_path_and_not(learning: bool) -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True).train(learning)
    found = counted(layer.requires_grad_(learning), ones(2, 5, 8))
    assert found.macs == 2 * (4 * 5 * 8 * 8 + 2 * 5 * 5 * 8 + 2 * 5 * 8 * 16)
    assert found.missing == ()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "layer",
    [nn.RNN(3, 5), nn.GRU(3, 5, 3, bidirectional=True), nn.LSTM(3, 5, 2, bias=False),
     nn.LSTM(3, 5, 2, bidirectional=True, proj_size=4)],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
def test_recurrent_layers_are_their_matrix_products(layer: nn.RNNBase, training: bool) -> None:
    read = ones(7, 2, 3)
    # In float32 there may be one opaque operator for all steps.
    with FlopCounterMode(display=False) as products:
        copy.deepcopy(layer).double()(read.double())
    found = counted(layer.train(training), read)
    assert found.flops == products.get_total_flops()
    assert (list(found.calls), found.operations, found.missing) == ([0], {}, ())


def test_recurrent_layer_by_hand() -> None:
    found = counted(nn.LSTM(3, 5, proj_size=2), ones(7, 2, 3))
    assert lines(found) == {"input": 14 * 20 * 3, "state": 14 * 20 * 2, "projection": 14 * 5 * 2}


@pytest.mark.parametrize(("cell", "gates"), [(nn.RNNCell(3, 5), 1), (nn.GRUCell(3, 5), 3), (nn.LSTMCell(3, 5), 4)])
def test_cells(cell: nn.RNNCellBase, gates: int) -> None:
    assert lines(counted(cell, ones(2, 3))) == {"input": 2 * gates * 5 * 3, "state": 2 * gates * 5 * 5}


def test_packed_sequences_count_what_is_there() -> None:
    packed = trace(nn.Identity(), [ones(6, 3)]).inputs
    rule = MODULES[nn.GRU]
    assert rule(Call("", nn.GRU(3, 5), None, packed, packed)) == {"input": 6 * 3 * 5 * 3, "state": 6 * 3 * 5 * 5}
    assert rule(Call("", nn.GRU(3, 5), None, (), packed)) is None


def test_weights_that_a_recurrent_layer_works_out_count_beside_it() -> None:
    layer = nn.utils.parametrizations.orthogonal(nn.LSTM(3, 5), "weight_hh_l0", orthogonal_map="cayley")
    found = counted(layer, ones(7, 2, 3))
    assert found.macs > sum(cost.macs for cost in found.calls.values()) == 14 * 20 * (3 + 5)
    assert found.missing == ("aten._linalg_solve_ex",)


def test_rarer_operators() -> None:
    indices = torch.zeros(2, 3, dtype=torch.long)
    assert counted(lambda w: F.embedding_bag(indices, w, mode="sum"), ones(5, 4)).macs == 0
    weighted = counted(
        lambda w, f: F.embedding_bag(indices, w, per_sample_weights=f, mode="sum"), ones(5, 4), ones(2, 3)
    )
    assert weighted.macs == 6 * 4
    assert counted(lambda t: F.affine_grid(t, [2, 3, 4, 5], align_corners=False), ones(2, 2, 3)).macs == 2 * 20 * 6
    assert counted(torch.conv_tbc, ones(7, 2, 3), ones(3, 3, 4), torch.zeros(4)).macs == 5 * 2 * 4 * 9


def test_embeddings_and_normalisation_are_free() -> None:
    network = nn.Sequential(nn.Embedding(9, 4), nn.LayerNorm(4), nn.GELU(), nn.Dropout(), nn.Softmax(1))
    found = counted(network, torch.zeros(2, 3, dtype=torch.long))
    assert (found.macs, found.operations, found.missing) == (0, {}, ())


def test_inside_of_inference_mode() -> None:
    layers = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    )
    found = counted(torch.inference_mode()(layers.forward), ones(2, 3, 8, 8))
    assert (found.macs, found.missing) == (2 * (36 * 4 * 27 + 20), ())


@pytest.mark.parametrize("function", [torch.linalg.inv, torch.fft.fft2])
def test_what_has_no_rule_is_missing(function: Callable[[Tensor], Tensor]) -> None:
    found = counted(lambda x: function(F.linear(x, x)), ones(4, 4))
    assert found.macs == 64
    assert len(found.missing) == 1 and found.missing[0].startswith(("aten.linalg_", "aten._fft"))


def test_einsum_of_three_in_inference_mode_is_missing() -> None:
    found = counted(torch.inference_mode()(lambda a: torch.einsum("ab,bc,cd->ad", a, a, a)), ones(4, 4))
    assert found.missing == ("aten.einsum",)


def test_unknown_operator_is_missing() -> None:
    @torch.library.custom_op("striate_tests::unknown", mutates_args=())
    def unknown(input: Tensor) -> Tensor:
        return input.clone()

    unknown.register_fake(torch.empty_like)
    assert counted(lambda x: unknown(unknown(x)), ones(2)).missing == ("striate_tests.unknown",)


def test_every_public_function_is_counted_or_free() -> None:
    names = {f"striate.{name}()" for name in OPERATORS}
    assert names <= RULES.keys() | FREE
    assert not RULES.keys() & FREE


def test_free_operators_exist() -> None:
    known = {name.removeprefix("aten::").split(".")[0] for name in torch._C._dispatch_get_all_op_names()}
    named = {name.removeprefix("aten.") for name in FREE | RULES.keys() if name.startswith("aten.")}
    roots = {name.removesuffix("_copy").removesuffix("_") for name in named}
    assert {
        root for root in roots if root not in known and f"{root}_" not in known and f"{root}_copy" not in known
    } == (set())


NETWORKS = {
    "vgg16": (15_470_264_320, 138_357_544),
    "resnet50": (4_089_184_256, 25_557_032),
    "mobilenet_v2": (300_774_272, 3_504_872),
    "alexnet": (714_188_480, 61_100_840),
    "alexnet_2012": (724_406_816, 60_965_224),
    "googlenet": (1_498_376_192, 13_004_888),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_published_networks(name: str) -> None:
    found = of(name)
    assert (found.macs, found.missing) == (NETWORKS[name][0], ())
    assert count_parameters(named(name)).total == NETWORKS[name][1]


@pytest.mark.parametrize("name", striate.models.names())
def test_every_network_is_counted_completely(name: str) -> None:
    assert of(name).missing == ()


def test_failed_run_counts_what_ran() -> None:
    found = count(trace(nn.Sequential(nn.Linear(3, 4), nn.LSTM(5, 6)), [ones(7, 2, 3)]))
    assert found.macs == 14 * 3 * 4


def test_lines_name_their_parts() -> None:
    found = counted(striate.nn.DeformConv1d(4, 6, 3, predict=True, mask=False), ones(2, 4, 8))
    first, second = found.operations.values()
    assert first.lines == (Line("offset branch", 2 * 6 * 3 * 4 * 3),)
    assert [line.what for line in second.lines] == ["product", "sampling"]
    assert second.macs == sum(line.macs for line in second.lines)
