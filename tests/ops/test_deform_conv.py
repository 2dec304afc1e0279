"""Deformable convolution: values, torchvision's formula, gradients, coordinates far and unknown, what others lack."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ops import checks, deformed
from striate.geometry import windows
from striate.ops import dispatch
from striate.ops.deform_conv import deform_conv1d, deform_conv2d, deform_conv3d, reference

DEFORMABLE = (deform_conv1d, deform_conv2d, deform_conv3d)
CONVOLUTIONS = (F.conv1d, F.conv2d, F.conv3d)
# Input channels, filters, input channels a group, offset groups.
KINDS = {"standard": (3, 2, 3, 1), "moved apart": (4, 3, 4, 2), "grouped": (4, 6, 2, 2), "depthwise": (4, 4, 1, 4)}


def tensors(
    axes: int, kind: str, size: int = 5, kernel: int = 3, batch: int = 2, **settings: Any
) -> tuple[Tensor, ...]:
    """Input, offset, mask, weight and bias, float64, for the settings of a call."""
    generator = torch.Generator().manual_seed(axes)
    channels, out, into, moves = KINDS[kind]
    sizes = [size + axis for axis in range(axes)]
    places = deformed.outputs(sizes, kernel, **{"stride": 1, "padding": 0, "dilation": 1, **settings})
    taps = kernel**axes
    return (
        deformed.draw(generator, batch, channels, *sizes),
        deformed.draw_offsets(generator, batch, moves * taps * axes, *places),
        deformed.draw(generator, batch, moves * taps, *places),
        deformed.draw(generator, out, into, *[kernel] * axes),
        deformed.draw(generator, out),
    )


def convolution(axes: int, **settings: Any) -> Callable[..., Tensor]:
    """The operator with its tensors in the order of `tensors`; offset and mask are cut to the batch of the input."""

    def call(input: Tensor, offset: Tensor, mask: Tensor | None, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        taken = 0 if input.ndim == axes + 1 else slice(input.shape[0])
        mask = None if mask is None else mask[taken]
        return DEFORMABLE[axes - 1](input, offset[taken], weight, bias, mask=mask, **settings)

    return call


def defined(axes: int, **settings: Any) -> Callable[..., Tensor]:
    """The definition, called as `convolution`."""

    def call(input: Tensor, offset: Tensor, mask: Tensor | None, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return reference.deform_conv(input, offset, weight, bias, mask, *numbers(axes, input, weight, settings))

    return call


def looped(axes: int, **settings: Any) -> Callable[..., Tensor]:
    """Torchvision's formula in loops, called as `convolution`."""

    def call(input: Tensor, offset: Tensor, mask: Tensor | None, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return deformed.convolved(input, offset, mask, weight, bias, *numbers(axes, input, weight, settings))

    return call


def numbers(axes: int, input: Tensor, weight: Tensor, settings: dict[str, Any]) -> tuple[list[int], ...]:
    """Stride, low padding and dilation by axis."""
    along = windows(axes, tuple(weight.shape[2:]), **settings)
    low = [w.pads(n)[0] for w, n in zip(along, input.shape[2:], strict=True)]
    return [w.stride for w in along], low, [w.dilation for w in along]


def test_values_by_hand() -> None:
    series = torch.tensor([[0.0, 10.0, 30.0]])
    offset = torch.tensor([[0.5, -0.25, 0.0]])
    assert deform_conv1d(series, offset, torch.tensor([[[2.0]]])).tolist() == [[10, 15, 60]]
    assert deform_conv1d(series, offset, torch.ones(1, 1, 1), mask=torch.tensor([[1.0, 2.0, 0.5]])).tolist() == [
        [5, 15, 15]
    ]
    # Channels of the offset: y before x, and the taps in the order of rows.
    picture = torch.tensor([[[0.0, 1.0], [10.0, 11.0]]])
    offset = torch.zeros(8, 1, 1)
    weight = torch.tensor([[[[1.0, 100.0], [0.0, 0.0]]]])
    offset[0], offset[3] = 0.5, -0.25
    assert deform_conv2d(picture, offset, weight).tolist() == [[[5 + 75]]]


@pytest.mark.parametrize("masked", [False, True], ids=["v1", "v2"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("axes", "settings"),
    [
        (1, {"stride": 2, "padding": 2, "dilation": 2}),
        (1, {"padding": "causal"}),
        (2, {"stride": 2, "padding": ((1, 2), 0)}),
        (2, {"padding": "same_upper", "stride": 3, "dilation": 2}),
        (3, {"padding": 1, "stride": 3}),
    ],
    ids=str,
)
def test_equals_the_loops_of_torchvision(axes: int, settings: dict[str, Any], kind: str, masked: bool) -> None:
    size = 4 if axes > 1 else 9
    input, offset, mask, weight, bias = tensors(
        axes, kind, size=size, kernel=2 if axes == 3 else 3, batch=1, **settings
    )
    if masked:
        checks.check_same(convolution(axes, **settings), looped(axes, **settings), input, offset, mask, weight, bias)
    else:
        checks.check_same(
            lambda i, o, w: convolution(axes, **settings)(i, o, None, w),
            lambda i, o, w: looped(axes, **settings)(i, o, None, w),
            input,
            offset,
            weight,
        )


SETTINGS: list[dict[str, Any]] = [
    {},
    {"stride": 2, "padding": 1},
    {"padding": "same", "dilation": 2},
    {"padding": "causal", "stride": 3},
    {"padding": "full"},
    {"padding": "same_lower", "stride": 2},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_equals_its_definition(axes: int, kind: str, settings: dict[str, Any]) -> None:
    inputs = tensors(axes, kind, **settings)
    checks.check_same(convolution(axes, **settings), defined(axes, **settings), *inputs)


@pytest.mark.parametrize(
    ("channels", "out", "groups", "moves"),
    [(1, 1, 1, 1), (17, 5, 1, 17), (64, 33, 1, 1), (48, 48, 48, 3), (34, 6, 2, 2)],
)
@pytest.mark.parametrize("sizes", [(1, 1), (3, 1), (13, 41)], ids=str)
def test_equals_its_definition_for_any_sizes(
    channels: int, out: int, groups: int, moves: int, sizes: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(0)
    input = deformed.draw(generator, 3, channels, *sizes).float()
    offset = deformed.draw_offsets(generator, 3, moves * 6 * 2, *sizes).float()
    mask = deformed.draw(generator, 3, moves * 6, *sizes).float()
    weight = deformed.draw(generator, out, channels // groups, 3, 2).float()
    wide = defined(2, padding="same")
    for layout in (torch.contiguous_format, torch.channels_last):
        own = input.contiguous(memory_format=layout), offset, mask, weight
        double = [tensor.double() for tensor in own]
        checks.assert_close(convolution(2, padding="same")(*own), wide(*double), torch.float32)
        found = checks.gradients_of(convolution(2, padding="same"), *own)
        for gradient, expected in zip(found, checks.gradients_of(wide, *double), strict=True):
            checks.assert_close(gradient, expected, torch.float32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_zero_offsets_are_ordinary_convolution(axes: int, kind: str) -> None:
    settings: dict[str, Any] = {"stride": 2, "padding": 2, "dilation": 2}
    input, offset, mask, weight, bias = tensors(axes, kind, **settings)
    groups = KINDS[kind][0] // KINDS[kind][2]
    checks.check_same(
        lambda i, w, b: convolution(axes, **settings)(i, offset * 0, None, w, b),
        lambda i, w, b: CONVOLUTIONS[axes - 1](i, w, b, **settings, groups=groups),
        input,
        weight,
        bias,
    )


@pytest.mark.parametrize("move", [(1, -2), (-3, 0), (7, 1)], ids=str)
def test_whole_offsets_read_the_picture_moved(move: tuple[int, int]) -> None:
    input, offset, _, weight, bias = tensors(2, "grouped", size=6, padding=1)
    offset = torch.tensor(move, dtype=torch.float64).repeat(18).view(1, -1, 1, 1).expand_as(offset)
    (down, right) = move
    sides = [1 - right, 1 + right, 1 - down, 1 + down]
    checks.check_same(
        lambda i, w, b: deform_conv2d(i, offset, w, b, padding=1),
        lambda i, w, b: F.conv2d(F.pad(i, sides), w, b, groups=2),
        input,
        weight,
        bias,
    )


@pytest.mark.parametrize(("axes", "kind"), [*((1, kind) for kind in KINDS), (2, "grouped"), (3, "standard")])
def test_gradients(axes: int, kind: str) -> None:
    settings: dict[str, Any] = {"stride": axes, "padding": ((1, 2),) + ("causal",) * (axes - 1)}
    inputs = tensors(axes, kind, size=6 - 2 * axes if axes < 3 else 1, kernel=2, batch=1, **settings)
    checks.check_gradients(convolution(axes, **settings), *inputs)


def test_third_order() -> None:
    inputs = checks.leaves(*tensors(2, "grouped", size=3, kernel=2, batch=1))

    def third(function: Callable[..., Tensor]) -> Tensor:
        (first,) = torch.autograd.grad(function(*inputs).pow(4).sum(), inputs[0], create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), inputs[1], create_graph=True)
        return torch.autograd.grad(second.square().sum(), inputs[3])[0]

    checks.assert_close(third(convolution(2)), third(defined(2)))


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (3,), (4,), (0, 3), (1, 2)])
def test_only_the_gradients_asked_for(wanted: tuple[int, ...]) -> None:
    inputs = tensors(2, "grouped")
    own = [tensor.clone().requires_grad_(i in wanted) for i, tensor in enumerate(inputs)]
    found = torch.autograd.grad(convolution(2)(*own).sum(), [own[i] for i in wanted])
    every = checks.leaves(*inputs)
    expected = torch.autograd.grad(defined(2)(*every).sum(), [every[i] for i in wanted])
    for one, other in zip(found, expected, strict=True):
        checks.assert_close(one, other)


class TestHabits:
    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_transforms(self, axes: int) -> None:
        input, offset, mask, weight, _ = tensors(axes, "grouped", size=3 if axes < 3 else 2, kernel=2)
        checks.check_transforms(convolution(axes), input, offset, mask, weight)

    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_dtypes(self, axes: int) -> None:
        checks.check_dtypes(convolution(axes, padding=1), *tensors(axes, "grouped", padding=1))

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_formats(self, axes: int, kind: str) -> None:
        checks.check_formats(convolution(axes, padding=1), *tensors(axes, kind, padding=1))

    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_batches(self, axes: int) -> None:
        checks.check_batches(convolution(axes, padding=1), *tensors(axes, "grouped", padding=1))

    def test_autocast(self) -> None:
        checks.check_autocast(convolution(2), *tensors(2, "grouped"))

    @pytest.mark.parametrize("kind", KINDS)
    def test_whole(self, kind: str) -> None:
        settings: dict[str, Any] = {"stride": 3, "padding": 1}
        checks.check_whole(convolution(2, **settings), *tensors(2, kind, size=11, **settings))

    def test_concurrent(self) -> None:
        checks.check_concurrent(convolution(2, padding=1), *tensors(2, "grouped", size=9, padding=1))

    def test_inductor_keeps_the_kernels(self) -> None:
        torch._dynamo.reset()
        function = convolution(2, padding="same")
        checks.check_same(torch.compile(function, fullgraph=True), function, *tensors(2, "grouped", padding="same"))

    def test_opcheck(self) -> None:
        input, offset, mask, weight, bias = checks.leaves(*tensors(2, "grouped", stride=2, padding=1))
        settings = [2, 2], [1, 1], [1, 1]
        operator = torch.ops.striate.deform_conv.default
        torch.library.opcheck(operator, (input, offset, weight, bias, mask, *settings, [1, 1]))
        torch.library.opcheck(operator, (input, offset, weight, None, None, *settings, [1, 1]))
        grad = torch.ones_like(operator(input, offset, weight, bias, mask, *settings, [1, 1]))
        # Without gradients of its own: to trace the definition's second order with symbolic sizes takes a minute.
        own = [tensor.detach() for tensor in (grad, input, offset, weight, mask)]
        backward = torch.ops.striate.deform_conv_backward.default
        torch.library.opcheck(backward, (*own, *settings, [True] * 4))
        torch.library.opcheck(backward, (*own[:-1], None, *settings, [True, False, True, False]))


class TestWhatOthersLack:
    def test_double_backward_where_torchvision_raises(self) -> None:
        own = checks.leaves(*tensors(2, "moved apart", size=4, kernel=2))
        found, expected = (
            torch.autograd.grad(
                sum(g.square().sum() for g in torch.autograd.grad(f(*own).square().sum(), own, create_graph=True)), own
            )
            for f in (convolution(2), defined(2))
        )
        for one, other in zip(found, expected, strict=True):
            checks.assert_close(one, other)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_bfloat16_with_exact_offsets_which_torchvision_lacks(self, dtype: torch.dtype) -> None:
        """Far from the origin a coordinate of bfloat16 is off by a place; one of float32 beside it is not."""
        input, offset, mask, weight, bias = tensors(2, "grouped", size=5, padding=1)
        offset = offset + 0.01
        low = [tensor.to(dtype) for tensor in (input, weight, bias)]
        exact = offset.float(), mask.float()
        call = convolution(2, padding=1)
        found = call(low[0], *exact, *low[1:])
        assert found.dtype == dtype
        expected = call(low[0].float(), *exact, low[1].float(), low[2].float())
        assert torch.equal(found, expected.to(dtype)) or (found - expected).abs().max() < 0.01 * expected.abs().max()
        grads = checks.gradients_of(call, low[0], *exact, *low[1:])
        assert [grad.dtype for grad in grads] == [dtype, torch.float32, torch.float32, dtype, dtype]
        wide = checks.gradients_of(call, low[0].float(), *exact, low[1].float(), low[2].float())
        for one, other in zip(grads, wide, strict=True):
            checks.assert_close(one, other, dtype)

    @pytest.mark.parametrize("size", [4, 7])
    def test_any_batch_size_which_mmcv_refuses(self, size: int) -> None:
        """mmcv wants a multiple of its `im2col_step` of 32."""
        inputs = tensors(2, "grouped", size=size, batch=33)
        checks.check_same(convolution(2), defined(2), *inputs)

    @pytest.mark.parametrize("kind", KINDS)
    def test_deterministic_gradients_which_no_gpu_kernel_has(self, kind: str) -> None:
        inputs = [tensor.float() for tensor in tensors(2, kind, size=40, padding=1)]
        checks.check_deterministic(convolution(2, padding=1), *inputs, threads=True)

    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_compile_with_dynamic_sizes(self, axes: int) -> None:
        def make(size: int) -> tuple[Tensor, ...]:
            return tensors(axes, "grouped", size=size, kernel=2, batch=size - 1, padding="same")

        checks.check_compiles(convolution(axes, padding="same"), make, sizes=(3, 5))

    def test_compile_keeps_channels_last(self) -> None:
        input, *others = tensors(2, "standard", padding=1)
        torch._dynamo.reset()
        compiled = torch.compile(convolution(2, padding=1), fullgraph=True, dynamic=True, backend="aot_eager")
        output = compiled(input.contiguous(memory_format=torch.channels_last), *others)
        assert output.is_contiguous(memory_format=torch.channels_last)
        checks.assert_close(output, convolution(2, padding=1)(input, *others))


def test_dispatch_is_explained() -> None:
    input, offset, _, weight, _ = tensors(2, "standard")
    assert dispatch.explain_dispatch(deform_conv2d, input, offset, weight).startswith("deform_conv2d: kernels: ")
    with dispatch.routes_taken() as taken:
        torch.func.jvp(lambda x: deform_conv2d(x, offset, weight), (input,), (input,))
        deform_conv2d(input.to("meta"), offset.to("meta"), weight.to("meta"))
    assert [route.name for _, route in taken] == ["reference", "reference"]
    assert "transform" in taken[0][1].reason and "on meta" in taken[1][1].reason


def test_more_than_two_to_the_31_elements() -> None:
    """The end of a view whose places lie beyond the reach of 32 bits; most of it is never touched."""
    row = torch.arange(40_000, dtype=torch.float32) % 7
    input = row.expand(1, 2, 27_000, 40_000)
    assert input.numel() > 2**31
    window = input[..., -3:, -9:]
    output = deform_conv2d(window, torch.zeros(1, 2, 3, 9), torch.ones(1, 2, 1, 1))
    assert torch.equal(output[0, 0], 2 * window[0, 0])
