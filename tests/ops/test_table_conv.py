"""Connection tables: values, the definition, gradients, every route."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from ops import checks
from striate import tables
from striate.geometry import windows
from striate.ops import dispatch
from striate.ops.conv import conv1d, conv2d, conv3d
from striate.ops.table_conv import reference, table_conv1d, table_conv2d, table_conv3d

FUNCTIONS = (table_conv1d, table_conv2d, table_conv3d)
CONVOLUTIONS = (conv1d, conv2d, conv3d)

# Links that repeat, a map that nothing reads (3), a map without a link (2).
UNEVEN = torch.tensor([[0, 0], [2, 0], [1, 1], [0, 3], [2, 3], [2, 3], [4, 4]])
# By route: table, maps below, maps of the layer.
TABLES = {
    "dense": (UNEVEN, 5, 5),
    "groups": (tables.one_to_one(12).flip(0), 12, 12),
    "parts": (
        torch.cat([tables.full(4, 16), torch.tensor([[5, 16], [140, 17], [140, 17], [7, 19], [140, 19]])]), 141, 20,
    ),
}  # fmt: skip
SETTINGS: list[dict[str, Any]] = [
    {},
    {"stride": 2, "padding": 1},
    {"dilation": 2, "padding": "same"},
    {"padding": "causal", "stride": 3},
    {"padding": "full", "dilation": 2},
    {"padding": "same_lower", "stride": 2},
    {"padding": "same_upper", "stride": 3},
    {"padding": "half", "stride": 2},
]


def tensors(axes: int, route: str, size: int = 5, kernel: int = 2, batch: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Input, weight and bias, float64."""
    table, inputs, outputs = TABLES[route]
    generator = torch.Generator().manual_seed(axes)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return (
        draw(batch, inputs, *[size + axis for axis in range(axes)]),
        draw(len(table), *[kernel] * axes),
        draw(outputs),
    )


def convolution(axes: int, route: str, **settings: Any) -> Callable[..., Tensor]:
    table, _, outputs = TABLES[route]

    def call(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return FUNCTIONS[axes - 1](input, weight, table, outputs, bias, **settings)

    return call


def defined(axes: int, route: str, **settings: Any) -> Callable[..., Tensor]:
    table, _, outputs = TABLES[route]

    def call(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        arguments = {"stride": 1, "padding": 0, "dilation": 1, **settings}
        along = windows(axes, tuple(weight.shape[1:]), **arguments)
        low, high = zip(*(w.pads(n) for w, n in zip(along, input.shape[2:], strict=True)), strict=True)
        strides, dilations = [w.stride for w in along], [w.dilation for w in along]
        return reference.table_conv(input, weight, table, outputs, bias, strides, low, high, dilations)

    return call


@pytest.mark.parametrize("route", TABLES)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_tables_take_the_routes_of_their_names(axes: int, route: str) -> None:
    with dispatch.routes_taken() as taken:
        convolution(axes, route)(*tensors(axes, route))
    assert taken[0][1].name == route


def test_links_add_up() -> None:
    maps = torch.tensor([1.0, 10, 100, 1000, 10000]).view(5, 1)
    weight = torch.arange(1.0, 8).view(7, 1)
    found = table_conv1d(maps, weight, UNEVEN, 5, torch.full((5,), 0.5))
    assert found.flatten().tolist() == [1 + 200.5, 30.5, 0.5, 4 + 1100.5, 70000.5]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("route", TABLES)
@pytest.mark.parametrize("axes", [1, 2])
def test_equals_its_definition(axes: int, route: str, settings: dict[str, Any]) -> None:
    checks.check_same(convolution(axes, route, **settings), defined(axes, route, **settings), *tensors(axes, route))


@pytest.mark.parametrize("route", TABLES)
def test_volumes_equal_their_definition(route: str) -> None:
    settings: dict[str, Any] = {"padding": ("causal", (1, 0), 1), "stride": (2, 1, 1), "dilation": (1, 2, 1)}
    inputs = tensors(3, route, size=3)
    checks.check_same(convolution(3, route, **settings), defined(3, route, **settings), *inputs)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_full_table_is_an_ordinary_convolution(axes: int) -> None:
    input, weight = torch.randn(2, 3, *[5] * axes), torch.randn(4, 3, *[2] * axes)
    checks.check_same(
        lambda x, w: FUNCTIONS[axes - 1](x, w.flatten(0, 1), tables.full(3, 4), 4, stride=2, padding="same"),
        lambda x, w: CONVOLUTIONS[axes - 1](x, w, stride=2, padding="same"),
        input,
        weight,
    )


@pytest.mark.parametrize("maps", [3, 12])
def test_one_to_one_is_a_depthwise_convolution(maps: int) -> None:
    input, weight = torch.randn(2, maps, 6, 5), torch.randn(maps, 3, 3)
    checks.check_same(
        lambda x, w: table_conv2d(x, w, tables.one_to_one(maps), maps, padding=1),
        lambda x, w: F.conv2d(x, w.unsqueeze(1), padding=1, groups=maps),
        input,
        weight,
    )


def test_grouped_convolution_is_taken_for_one() -> None:
    table = torch.cat([tables.full(8, 8), tables.full(8, 8) + 8])
    input, weight = torch.randn(1, 16, 6, 6), torch.randn(16, 8, 3, 3)
    with dispatch.routes_taken() as taken:
        found = table_conv2d(input, weight.flatten(0, 1), table, 16)
    assert [route.name for _, route in taken] == ["groups", "torch"]
    checks.assert_close(found, F.conv2d(input, weight, groups=2))


def test_gradients_of_the_weight_are_those_of_the_masked_one() -> None:
    table, input = tables.lenet5_c3(), torch.randn(2, 6, 9, 8)
    weight, whole = torch.randn(60, 5, 5), torch.zeros(16, 6, 5, 5)
    whole[table[:, 1], table[:, 0]] = weight
    (of_links,) = checks.gradients_of(lambda w: table_conv2d(input, w, table, 16), weight)
    (of_whole,) = checks.gradients_of(lambda w: F.conv2d(input, w), whole)
    checks.assert_close(of_links, of_whole[table[:, 1], table[:, 0]])


@pytest.mark.parametrize("route", TABLES)
def test_no_gradient_without_a_link(route: str) -> None:
    table, inputs, outputs = TABLES[route]
    input, weight, _ = tensors(1, route)
    read = [
        checks.gradients_of(lambda x, to=to: convolution(1, route)(x, weight)[:, to], input)[0].abs().sum((0, 2)) > 0
        for to in range(outputs)
    ]
    linked = torch.zeros(outputs, inputs, dtype=torch.bool)
    linked[table[:, 1], table[:, 0]] = True
    assert torch.equal(torch.stack(read), linked)


@pytest.mark.parametrize("route", ["dense", "groups"])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_gradients(axes: int, route: str) -> None:
    input, weight, bias = tensors(axes, route, size=2, batch=1)
    settings: dict[str, Any] = {"stride": 2, "padding": ((1, 2),) + ("causal",) * (axes - 1)}
    checks.check_gradients(convolution(axes, route, **settings), input, weight, bias)


def test_gradients_of_parts() -> None:
    checks.check_gradients(convolution(1, "parts", padding="causal"), *tensors(1, "parts", size=2, batch=1))


def test_third_order() -> None:
    input, weight, _ = checks.leaves(*tensors(2, "groups", size=3, batch=1))

    def third(function: Callable[..., Tensor]) -> Tensor:
        (first,) = torch.autograd.grad(function(input, weight).pow(4).sum(), input, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), weight, create_graph=True)
        return torch.autograd.grad(second.square().sum(), input)[0]

    checks.assert_close(third(convolution(2, "groups")), third(defined(2, "groups")))


@pytest.mark.parametrize("route", TABLES)
class TestHabits:
    def test_transforms(self, route: str) -> None:
        input, weight, _ = tensors(1, route, size=3)
        checks.check_transforms(convolution(1, route, padding=1), input, weight)

    def test_compiles(self, route: str) -> None:
        checks.check_compiles(
            convolution(2, route, padding="same"), lambda size: tensors(2, route, size=size), sizes=(6, 9)
        )

    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_exports_to_onnx(self, route: str, axes: int, tmp_path: Path) -> None:
        inputs = [tensor.float() for tensor in tensors(axes, route)]
        settings: dict[str, Any] = {"stride": 2, "padding": ((1, 2),) + ("same",) * (axes - 1)}
        assert "Conv" in checks.check_onnx(convolution(axes, route, **settings), tmp_path, *inputs)

    def test_autocast(self, route: str) -> None:
        checks.check_autocast(convolution(2, route), *tensors(2, route))

    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_dtypes(self, route: str, axes: int) -> None:
        checks.check_dtypes(convolution(axes, route, padding=1), *tensors(axes, route))

    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_formats(self, route: str, axes: int) -> None:
        checks.check_formats(convolution(axes, route, padding=1), *tensors(axes, route))

    def test_batches(self, route: str) -> None:
        checks.check_batches(convolution(2, route, padding=1), *tensors(2, route))

    def test_deterministic(self, route: str) -> None:
        inputs = [tensor.float() for tensor in tensors(2, route, size=20)]
        checks.check_deterministic(convolution(2, route, padding=1), *inputs, threads=False)

    def test_whole(self, route: str) -> None:
        checks.check_whole(convolution(2, route, stride=3, padding=1), *tensors(2, route, size=11))

    def test_concurrent(self, route: str) -> None:
        checks.check_concurrent(convolution(2, route, padding=1), *tensors(2, route))


def test_inductor() -> None:
    torch._dynamo.reset()
    function = convolution(2, "dense", padding="same")
    checks.check_same(torch.compile(function, fullgraph=True), function, *tensors(2, "dense"))


def test_a_table_is_read_anew_when_it_has_changed() -> None:
    table = torch.tensor([[0, 0]])
    maps, weight = torch.tensor([[1.0], [2.0]]), torch.ones(1, 1)
    for source in (0, 1):
        table.numpy()[0, 0] = source
        assert table_conv1d(maps, weight, table, 1).item() == source + 1


def test_a_table_may_be_a_view() -> None:
    maps, weight = torch.randn(3, 7), torch.randn(2, 2)
    table = torch.tensor([[2, 1], [0, 1]])
    spread = table.T.contiguous().T
    assert not spread.is_contiguous()
    assert torch.equal(table_conv1d(maps, weight, spread, 2), table_conv1d(maps, weight, table, 2))


def test_a_table_without_links_gives_the_bias() -> None:
    table, weight = torch.empty(0, 2, dtype=torch.int64), torch.empty(0, 3, 3)
    bias = torch.tensor([1.0, 2.0])
    for inputs in (1, 64):
        found = table_conv2d(torch.randn(2, inputs, 5, 5), weight, table, 2, bias)
        assert torch.equal(found, bias.view(2, 1, 1).expand(2, 2, 3, 3))


def test_many_tables_at_once() -> None:
    """`vmap` over the table cannot read it, and computes with zeros where there is no link."""
    maps, weight = torch.randn(3, 5), torch.randn(2, 2)
    several = torch.stack([torch.tensor([[0, 0], [1, 1]]), torch.tensor([[2, 1], [2, 1]])])
    found = torch.func.vmap(lambda table: table_conv1d(maps, weight, table, 2))(several)
    for one, table in zip(found, several, strict=True):
        checks.assert_close(one, table_conv1d(maps, weight, table, 2))


def test_made_in_inference_mode_and_trained_with_later() -> None:
    table = tables.one_to_one(10).flip(0)
    with torch.inference_mode():
        table_conv1d(torch.randn(10, 4), torch.randn(10, 2), table, 10)
    (gradient,) = checks.gradients_of(lambda w: table_conv1d(torch.ones(10, 4), w, table, 10), torch.randn(10, 2))
    assert gradient.isfinite().all()


def test_dispatch_is_explained() -> None:
    explained = [
        dispatch.explain_dispatch(lambda *some, name=name: convolution(2, name)(*some), *tensors(2, name))
        for name in TABLES
    ]
    assert explained[0] == (
        "table_conv2d: dense: one convolution with zeros where there is no link costs least\n"
        "conv2d: torch: PyTorch's own convolution is at the limit"
    )
    assert explained[1].startswith("table_conv2d: groups: maps with the same sources are the groups of a convolution")
    assert explained[2].startswith("table_conv2d: parts: maps with the same sources are convolutions that cost less")


class Named(Tensor):
    """A subclass that PyTorch asks before it reads the numbers."""

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert getattr(function, "__name__", "") not in ("numpy", "tolist")
        return super().__torch_function__(function, types, args, kwargs or {})


@pytest.mark.parametrize(
    "kind", [lambda table: torch.nn.Parameter(table, requires_grad=False), Named], ids=["parameter", "subclass"]
)
def test_a_subclass_is_read_like_any_table(kind: Callable[[Tensor], Tensor]) -> None:
    input, weight, bias = tensors(1, "groups")
    table = TABLES["groups"][0]
    with dispatch.routes_taken() as taken:
        found = table_conv1d(input, weight, kind(table), 12, bias)
    assert taken[0][1].name == "groups"
    checks.assert_close(found, table_conv1d(input, weight, table, 12, bias))
    with pytest.raises(ValueError, match=r"the 6 maps below .* got \(-1, -1\) as link 0"):
        table_conv1d(torch.ones(6, 5), torch.ones(60, 2), kind(tables.lenet5_c3() - 1), 16)


def test_a_table_without_numbers_is_not_read() -> None:
    mode = FakeTensorMode()
    input, weight, _ = tensors(1, "groups")
    with mode, dispatch.routes_taken() as taken:
        fakes = [mode.from_tensor(tensor) for tensor in (input, weight, TABLES["groups"][0])]
        assert table_conv1d(*fakes, 12).shape == (2, 12, 4)
    assert taken[0][1].name == "dense"
    assert "do not read" in taken[0][1].reason


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"input": torch.zeros(6, 9)}, ValueError, r"input must be \(N, C, H, W\) or \(C, H, W\), got \(6, 9\)"),
        ({"input": torch.zeros(1, 6, 9, 9, dtype=torch.int64)}, TypeError, "floating-point numbers, got torch.int64"),
        ({"weight": torch.zeros(60, 5, 5, dtype=torch.float64)}, TypeError, "weight must have the dtype of input"),
        ({"weight": torch.zeros(60, 5, 5, device="meta")}, ValueError, "weight must be on the device of input"),
        ({"weight": None}, TypeError, "table_conv2d: weight must be a tensor, got NoneType"),
        ({"weight": torch.zeros(60, 5)}, ValueError, r"weight must be \(60, k1, k2\), one filter .* got \(60, 5\)"),
        ({"weight": torch.zeros(60, 0, 5)}, ValueError, r"k at least 1, got \(60, 0, 5\)"),
        ({"weight": torch.zeros(59, 5, 5)}, ValueError, r"weight must be \(60, k1, k2\), .* got \(59, 5, 5\)"),
        ({"table": tables.lenet5_c3().int()}, TypeError, "table must be int64, got torch.int32"),
        ({"table": [[0, 0]]}, TypeError, "table_conv2d: table must be a tensor, got list"),
        ({"table": tables.lenet5_c3().T}, ValueError, r"table must be \(links, 2\), .* got \(2, 60\)"),
        ({"table": tables.lenet5_c3().to("meta")}, ValueError, "table must be on the device of input, cpu, got meta"),
        ({"table": tables.lenet5_c3() - 1}, ValueError, r"the 6 maps below with the 16 .* got \(-1, -1\) as link 0"),
        ({"out_channels": 15}, ValueError, r"the 6 maps below with the 15 of the layer.* got \(0, 15\) as link 54"),
        ({"input": torch.zeros(1, 5, 9, 9)}, ValueError, r"the 5 maps below .* got \(5, 3\) as link 11"),
        ({"out_channels": 16.0}, TypeError, "out_channels must be an integer of at least 1, got 16.0"),
        ({"out_channels": 0}, ValueError, "out_channels must be an integer of at least 1, got 0"),
        ({"bias": torch.zeros(15)}, ValueError, r"bias must be \(16,\), one number a map, got \(15,\)"),
        ({"weight": torch.zeros(60, 5, 12)}, ValueError, "table_conv2d: axis 1: the window is larger than the padded"),
        ({"stride": 0}, ValueError, "stride"),
        ({"dilation": (1, 0)}, ValueError, "dilation"),
        ({"padding": -1}, ValueError, "padding"),
        ({"padding": "sam"}, ValueError, "did you mean 'same'"),
    ],
)
def test_errors(change: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments: dict[str, Any] = {
        "input": torch.zeros(1, 6, 9, 9),
        "weight": torch.zeros(60, 5, 5),
        "table": tables.lenet5_c3(),
        "out_channels": 16,
    }
    with pytest.raises(error, match=message):
        table_conv2d(**arguments | change)


def test_a_wrong_link_never_reads_beyond_the_maps_in_compiled_code() -> None:
    torch._dynamo.reset()
    compiled = torch.compile(table_conv1d, fullgraph=True, backend="aot_eager")
    with pytest.raises((IndexError, RuntimeError), match="out of bounds"):
        compiled(torch.zeros(2, 5), torch.zeros(1, 2), torch.tensor([[2, 0]]), 1)
