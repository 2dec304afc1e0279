"""Deformable aggregation: values, the formula of DCNv3 and DCNv4, gradients, what others lack."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ops import checks, deformed
from striate.geometry import windows
from striate.ops import dispatch
from striate.ops.deform_aggregate import deform_aggregate1d, deform_aggregate2d, deform_aggregate3d, reference
from striate.ops.deform_conv import deform_conv2d

AGGREGATIONS = (deform_aggregate1d, deform_aggregate2d, deform_aggregate3d)
WINDOW = {"stride", "padding", "dilation"}


def tensors(
    axes: int, size: int = 5, kernel: int = 3, batch: int = 2, channels: int = 4, **settings: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """Input, offset and mask, float64, for the settings of a call."""
    generator = torch.Generator().manual_seed(axes)
    sizes = [size + axis for axis in range(axes)]
    window = {"stride": 1, "padding": 0, "dilation": 1, **{name: settings[name] for name in WINDOW & set(settings)}}
    places = deformed.outputs(sizes, kernel, **window)
    moves = settings.get("groups", 1) * (kernel**axes - settings.get("remove_center", False))
    return (
        deformed.draw(generator, batch, channels, *sizes),
        deformed.draw_offsets(generator, batch, moves * axes, *places, scale=settings.get("offset_scale", 1.0)),
        deformed.draw(generator, batch, moves, *places),
    )


def aggregation(axes: int, kernel: int = 3, **settings: Any) -> Callable[..., Tensor]:
    """The operator; offset and mask are cut to the batch of the input."""

    def call(input: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        taken = 0 if input.ndim == axes + 1 else slice(input.shape[0])
        return AGGREGATIONS[axes - 1](input, offset[taken], mask[taken], kernel, **settings)

    return call


def by(definition: Callable[..., Tensor], axes: int, kernel: int = 3, **settings: Any) -> Callable[..., Tensor]:
    """A definition, called as `aggregation`."""
    groups, scale = settings.pop("groups", 1), settings.pop("offset_scale", 1.0)
    remove_center = settings.pop("remove_center", False)

    def call(input: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        along = windows(axes, kernel, **settings)
        low = [w.pads(n)[0] for w, n in zip(along, input.shape[2:], strict=True)]
        window = [kernel] * axes, [w.stride for w in along], low, [w.dilation for w in along]
        return definition(input, offset, mask, *window, groups, scale, remove_center)

    return call


def test_values_by_hand() -> None:
    series = torch.tensor([[0.0, 10.0, 20.0, 40.0]])
    offset, mask = torch.tensor([[0.0], [0.5], [-0.25]]), torch.tensor([[1.0], [2.0], [4.0]])
    # Around place 1 with taps at 0, 1 and 2, of the last four places.
    call = lambda **settings: deform_aggregate1d(series[:, :3], offset, mask, 3, **settings).item()  # noqa: E731
    assert call() == 0 + 2 * 15 + 4 * 17.5
    assert call(offset_scale=0.5) == 5 + 2 * 12.5 + 4 * 13.75
    # The taps stand 2 apart from the place 1 of the middle; the last one leads to 1 + 2 * (1 - 0.25) = 2.5.
    longer = deform_aggregate1d(series, F.pad(offset, (0, 1)), F.pad(mask, (0, 1)), 3, offset_scale=2.0)
    assert longer[0, 0].item() == 0 + 2 * 20 + 4 * 30


SETTINGS: list[dict[str, Any]] = [
    {},
    {"stride": 2, "padding": 1, "groups": 2},
    {"padding": "same", "dilation": 2, "offset_scale": 2.0},
    {"padding": 1, "remove_center": True, "groups": 4, "offset_scale": 0.5},
    {"padding": "causal", "stride": 3, "remove_center": True},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("axes", [1, 2])
def test_equals_the_loops_of_dcn(axes: int, settings: dict[str, Any]) -> None:
    inputs = tensors(axes, batch=1, **settings)
    checks.check_same(aggregation(axes, **settings), by(deformed.aggregated, axes, **settings), *inputs)


def test_an_even_window_has_its_middle_at_the_lower_place() -> None:
    settings: dict[str, Any] = {"offset_scale": 2.0, "dilation": 3, "padding": 2}
    inputs = tensors(2, kernel=2, batch=1, **settings)
    checks.check_same(aggregation(2, 2, **settings), by(deformed.aggregated, 2, 2, **settings), *inputs)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_equals_its_definition(axes: int, settings: dict[str, Any]) -> None:
    inputs = tensors(axes, **settings)
    checks.check_same(aggregation(axes, **settings), by(reference.deform_aggregate, axes, **settings), *inputs)


@pytest.mark.parametrize(("channels", "groups"), [(1, 1), (17, 17), (34, 2), (64, 4), (48, 3)])
@pytest.mark.parametrize("size", [1, 13])
def test_equals_its_definition_for_any_sizes(channels: int, groups: int, size: int) -> None:
    settings: dict[str, Any] = {"padding": "same", "groups": groups}
    for layout in (torch.contiguous_format, torch.channels_last):
        own = [tensor.float() for tensor in tensors(2, size=size, channels=channels, batch=3, **settings)]
        own[0] = own[0].contiguous(memory_format=layout)
        wide = [tensor.double() for tensor in own]
        call, definition = aggregation(2, **settings), by(reference.deform_aggregate, 2, **settings)
        checks.assert_close(call(*own), definition(*wide))
        for found, expected in zip(
            checks.gradients_of(call, *own), checks.gradients_of(definition, *wide), strict=True
        ):
            checks.assert_close(found, expected)


def test_is_a_depthwise_convolution_with_weights_of_one() -> None:
    settings: dict[str, Any] = {"stride": 2, "padding": 1, "groups": 2}
    inputs = tensors(2, **settings)
    ones = torch.ones(4, 1, 3, 3, dtype=torch.float64)
    checks.check_same(
        aggregation(2, **settings),
        lambda i, o, m: deform_conv2d(i, o, ones, None, 2, 1, 1, m),
        *inputs,
    )


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_zero_offsets_and_equal_factors_are_average_pooling(axes: int) -> None:
    input, offset, mask = tensors(axes, stride=2, padding=1)
    pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[axes - 1]
    checks.check_same(
        lambda i: aggregation(axes, stride=2, padding=1)(i, offset * 0, torch.full_like(mask, 1 / 3**axes)),
        lambda i: pool(i, 3, 2, 1),
        input,
    )


@pytest.mark.parametrize(
    ("axes", "settings"),
    [(1, {"groups": 2, "stride": 2}), (2, {"remove_center": True, "offset_scale": 2.0, "padding": 1, "stride": 2})],
)
def test_gradients(axes: int, settings: dict[str, Any]) -> None:
    inputs = tensors(axes, size=3, batch=1, channels=2, **settings)
    checks.check_gradients(aggregation(axes, **settings), *inputs)


def test_gradients_of_volumes() -> None:
    settings: dict[str, Any] = {"padding": "causal", "stride": 3, "groups": 2}
    inputs = tensors(3, size=1, kernel=2, batch=1, channels=2, **settings)
    checks.check_gradients(aggregation(3, 2, **settings), *inputs)


class TestHabits:
    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_transforms(self, axes: int) -> None:
        settings: dict[str, Any] = {"groups": 2, "offset_scale": 2.0}
        inputs = tensors(axes, size=3 if axes < 3 else 2, kernel=2, **settings)
        checks.check_transforms(aggregation(axes, 2, **settings), *inputs)

    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_dtypes(self, axes: int) -> None:
        settings: dict[str, Any] = {"groups": 2, "padding": 1}
        checks.check_dtypes(aggregation(axes, **settings), *tensors(axes, **settings))

    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_formats(self, axes: int) -> None:
        settings: dict[str, Any] = {"groups": 2, "padding": 1, "remove_center": True}
        checks.check_formats(aggregation(axes, **settings), *tensors(axes, **settings))

    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_batches(self, axes: int) -> None:
        checks.check_batches(aggregation(axes, padding=1), *tensors(axes, padding=1))

    def test_autocast(self) -> None:
        checks.check_autocast(aggregation(2), *tensors(2))

    def test_whole(self) -> None:
        settings: dict[str, Any] = {"groups": 2, "stride": 3, "padding": 1}
        checks.check_whole(aggregation(2, **settings), *tensors(2, size=11, **settings))

    def test_concurrent(self) -> None:
        checks.check_concurrent(aggregation(2, padding=1), *tensors(2, size=9, padding=1))

    def test_inductor_keeps_the_kernels(self) -> None:
        torch._dynamo.reset()
        function = aggregation(2, padding="same")
        checks.check_same(torch.compile(function, fullgraph=True), function, *tensors(2, padding="same"))

    def test_opcheck(self) -> None:
        own = checks.leaves(*tensors(2, stride=2, padding=1, groups=2))
        window, rest = ([3, 3], [2, 2], [1, 1]), ([1, 1], 2, 1.5, False)
        operator = torch.ops.striate.deform_aggregate.default
        torch.library.opcheck(operator, (*own, *window, [1, 1], *rest))
        output = operator(*own, *window, [1, 1], *rest)
        # Without gradients of its own: to trace the definition's second order with symbolic sizes takes a minute.
        plain = [tensor.detach() for tensor in (torch.ones_like(output), *own)]
        backward = torch.ops.striate.deform_aggregate_backward.default
        for needs in ([True] * 3, [False, True, False]):
            torch.library.opcheck(backward, (*plain, *window, *rest, needs))


class TestWhatOthersLack:
    """DCNv3 and DCNv4 have CUDA kernels in two dimensions: no CPU, no second order, float32 atomics."""

    def test_double_backward_where_dcn_raises(self) -> None:
        settings: dict[str, Any] = {"groups": 2, "offset_scale": 2.0}
        own = checks.leaves(*tensors(2, size=4, **settings))
        found, expected = (
            torch.autograd.grad(
                sum(g.square().sum() for g in torch.autograd.grad(f(*own).square().sum(), own, create_graph=True)), own
            )
            for f in (aggregation(2, **settings), by(reference.deform_aggregate, 2, **settings))
        )
        for one, other in zip(found, expected, strict=True):
            checks.assert_close(one, other)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_bfloat16_with_exact_offsets(self, dtype: torch.dtype) -> None:
        input, offset, mask = tensors(2, padding=1)
        low, exact = input.to(dtype), (offset.float(), mask.float())
        grads = checks.gradients_of(aggregation(2, padding=1), low, *exact)
        assert [grad.dtype for grad in grads] == [dtype, torch.float32, torch.float32]
        wide = checks.gradients_of(aggregation(2, padding=1), low.float(), *exact)
        for one, other in zip(grads, wide, strict=True):
            checks.assert_close(one, other, dtype)
        found = aggregation(2, padding=1)(low, *exact)
        assert found.dtype == dtype
        checks.assert_close(found, aggregation(2, padding=1)(low.float(), *exact), dtype)

    def test_any_batch_size(self) -> None:
        """DCNv3 wants a multiple of its `im2col_step`."""
        checks.check_same(aggregation(2), by(reference.deform_aggregate, 2), *tensors(2, batch=33))

    def test_any_number_of_channels(self) -> None:
        """DCNv4 wants a multiple of 16 a group."""
        inputs = tensors(2, channels=10, groups=2)
        checks.check_same(aggregation(2, groups=2), by(reference.deform_aggregate, 2, groups=2), *inputs)

    @pytest.mark.parametrize("channels", [4, 40])
    def test_deterministic_gradients(self, channels: int) -> None:
        settings: dict[str, Any] = {"groups": 2, "padding": 1}
        inputs = [tensor.float() for tensor in tensors(2, size=40, channels=channels, **settings)]
        checks.check_deterministic(aggregation(2, **settings), *inputs, threads=True)

    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_compile_with_dynamic_sizes(self, axes: int) -> None:
        settings: dict[str, Any] = {"padding": "same", "groups": 2, "offset_scale": 2.0}

        def make(size: int) -> tuple[Tensor, ...]:
            return tensors(axes, size=size, kernel=2, batch=size - 1, **settings)

        checks.check_compiles(aggregation(axes, 2, **settings), make, sizes=(3, 5))


def test_dispatch_is_explained() -> None:
    own = tensors(2)
    assert dispatch.explain_dispatch(deform_aggregate2d, *own, 3).startswith("deform_aggregate2d: kernels: ")
    with dispatch.routes_taken() as taken:
        torch.func.jvp(lambda x: deform_aggregate2d(x, *own[1:], 3), own[:1], own[:1])
        deform_aggregate2d(*(tensor.to("meta") for tensor in own), 3)
    assert [route.name for _, route in taken] == ["reference", "reference"]
