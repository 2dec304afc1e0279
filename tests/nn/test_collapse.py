import random

import pytest
import torch
from torch import Tensor, nn

from striate import nn as layers
from striate.geometry import receptive_field
from striate.nn import collapse
from striate.nn.conv import ConvNd

DOUBLE = {"dtype": torch.float64}


def conv(into: int, out: int, kernel: object, *args: object, **settings: object) -> layers.Conv2d:
    return layers.Conv2d(into, out, kernel, *args, **DOUBLE, **settings)


def check(stack: nn.Sequential, sizes: tuple[int, ...] = (19, 20), axes: int = 2) -> ConvNd:
    """The one layer has the outputs of the stack on inputs of several sizes."""
    whole = collapse(stack)
    first = next(stack.parameters())
    for size in sizes:
        input = torch.randn(2, whole.in_channels, *range(size, size + axes), dtype=first.dtype)
        torch.testing.assert_close(whole(input), stack(input), rtol=0, atol=1e-12)
    return whole


def norm(channels: int) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(channels, **DOUBLE).eval()
    with torch.no_grad():
        for tensor in layer.state_dict().values():
            if tensor.is_floating_point():
                tensor.uniform_(0.5, 2)
    return layer


def test_by_hand():
    first, second = layers.Conv1d(1, 1, 2, **DOUBLE), layers.Conv1d(1, 1, 2, stride=2, **DOUBLE)
    for layer, weight, bias in ((first, [1.0, 2.0], 5.0), (second, [3.0, 4.0], 7.0)):
        layer.weight.data.copy_(torch.tensor(weight))
        layer.bias.data.fill_(bias)
    whole = check(nn.Sequential(first, second), axes=1)
    assert whole.weight.flatten().tolist() == [3, 10, 8]
    assert whole.bias.item() == 5 * (3 + 4) + 7


def test_three_layers_of_three_are_one_of_seven():
    whole = check(nn.Sequential(conv(2, 3, 3), conv(3, 4, 3), conv(4, 2, 3)))
    assert (whole.kernel_size, whole.stride) == ((7, 7), (1, 1))
    assert whole.weight.shape == (2, 2, 7, 7)


def test_window_is_that_of_geometry():
    stack = nn.Sequential(conv(1, 2, 3, 2, 1), conv(2, 2, (3, 2), (1, 3), 0, (2, 1)), conv(2, 1, 2, 2))
    whole = check(stack, (40,))
    for axis, window in enumerate(whole.windows):
        field = receptive_field([layer.windows[axis] for layer in stack])
        assert (window.extent, window.stride) == (field.size, field.jump)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_random_stacks(axes: int):
    draw = random.Random(axes)
    torch.manual_seed(axes)
    layer = (layers.Conv1d, layers.Conv2d, layers.Conv3d)[axes - 1]

    def several(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw.randint(low, high) for _ in range(axes))

    for _ in range(12):
        channels = [draw.choice((2, 4, 6)) for _ in range(draw.randint(2, 4))]
        parts = [
            layer(
                into, out, several(1, 3), several(1, 2), several(0, 2) if position == 0 else 0, several(1, 2),
                draw.choice((1, 2)), draw.random() < 0.5, draw.choice(("zeros", "reflect", "circular", "replicate")),
                **DOUBLE,
            )
            for position, (into, out) in enumerate(zip(channels, channels[1:], strict=False))
        ]  # fmt: skip
        check(nn.Sequential(*parts), (26, 31) if axes < 3 else (22,), axes)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_whatever_padding_is_accepted_is_exact(mode: str):
    draw = random.Random(mode)
    torch.manual_seed(0)
    accepted = 0
    for _ in range(400):
        stack = nn.Sequential(*(
            conv(
                2, 2, draw.choice((1, (1, 2), (3, 1), 3)), draw.choice((1, 1, 2, (2, 1))),
                draw.choice((0, 1, "same", (1, 0), (0, (0, 2)))), bias=draw.random() < 0.3, padding_mode=mode,
            )
            for _ in range(draw.randint(2, 3))
        ))  # fmt: skip
        try:
            collapse(stack)
        except ValueError:
            continue
        check(stack, (16, 17))
        accepted += any(any(window.pads()) for layer in list(stack)[1:] for window in layer.windows)
    assert accepted >= 10


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular", "constant", "learned"])
@pytest.mark.parametrize("padding", [2, "same", "causal", ((1, 3), (0, 2))])
def test_first_layer_may_pad(mode: str, padding: object):
    border = 1.5 if mode in ("constant", "learned") else 0.0
    whole = check(nn.Sequential(conv(2, 3, 3, padding=padding, padding_mode=mode, border=border), conv(3, 2, 3, 2)))
    assert whole.padding_mode == mode
    assert all(isinstance(sides, tuple) for sides in whole.padding)


def test_groups_and_dilation_are_kept_where_all_layers_allow():
    depthwise = check(nn.Sequential(conv(4, 4, 3, groups=4), conv(4, 8, 3, groups=4)))
    assert (depthwise.groups, depthwise.weight.shape) == (4, (8, 1, 5, 5))
    mixed = check(nn.Sequential(conv(12, 12, 3, groups=6), conv(12, 8, 3, groups=4)))
    assert mixed.groups == 2
    dilated = check(nn.Sequential(conv(2, 2, 3, dilation=2), conv(2, 2, 1), conv(2, 2, 3, dilation=4)))
    assert (dilated.kernel_size, dilated.dilation) == ((7, 7), (2, 2))
    strided = check(nn.Sequential(conv(2, 2, 1, 2), conv(2, 2, 3)))
    assert (strided.kernel_size, strided.stride, strided.dilation) == ((3, 3), (2, 2), (2, 2))


def test_batch_normalization_identity_and_nested_sequences():
    block = nn.Sequential(conv(3, 4, 3, padding=1, bias=False), norm(4))
    stack = nn.Sequential(norm(3), nn.Identity(), nn.Sequential(conv(3, 3, 1)), conv(3, 2, 3, 2), norm(2))
    check(block)
    check(stack)
    plain = nn.BatchNorm2d(2, affine=False, **DOUBLE).eval()
    check(nn.Sequential(conv(3, 2, 3), plain))


def test_separable_layers():
    check(nn.Sequential(layers.DepthwiseSeparableConv2d(3, 4, 3, padding=1, **DOUBLE), conv(4, 2, 3)))
    whole = check(nn.Sequential(layers.SpatiallySeparableConv2d(3, 4, 3, (2, 1), "same", **DOUBLE)))
    assert whole.padding == ((1, 1), (1, 1))


def test_layers_of_pytorch_and_plain_lists():
    stack = [nn.Conv2d(2, 3, 3, padding="same", padding_mode="reflect"), nn.Conv2d(3, 2, 2)]
    whole = collapse(stack)
    input = torch.randn(1, 2, 8, 8)
    torch.testing.assert_close(whole(input), nn.Sequential(*stack)(input), atol=1e-5, rtol=1e-5)
    assert whole.weight.dtype == torch.float32
    assert collapse(stack[:1]).bias is not stack[0].bias


def test_circular_padding_goes_around_together():
    ring = {"padding_mode": "circular"}
    whole = check(nn.Sequential(
        conv(2, 3, 3, padding="same", **ring), conv(3, 3, 2, padding="causal", **ring), conv(3, 2, 3, 2, 2, **ring),
    ))  # fmt: skip
    assert whole.padding == ((4, 3), (4, 3))
    check(nn.Sequential(conv(2, 3, 1), norm(3), conv(3, 2, 3, padding=1, **ring)))


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_each_axis_may_be_padded_where_the_layers_before_have_one_tap(mode: str):
    stack = nn.Sequential(
        conv(2, 3, (3, 1), padding=(1, 0), padding_mode=mode, bias=False),
        conv(3, 2, (1, 3), 2, padding=((0, 0), (2, 1)), padding_mode=mode),
    )
    assert check(stack).padding == ((1, 1), (2, 1))


def test_zeros_after_a_strided_layer_with_one_tap():
    stack = nn.Sequential(conv(2, 3, 1, 2, padding=(1, 0), bias=False), conv(3, 2, 3, 2, padding=1))
    whole = check(stack, (11, 12, 13, 14))
    assert whole.padding == ((3, 3), (2, 2))


def test_a_bias_of_zeros_is_none():
    first = conv(2, 3, 1)
    nn.init.zeros_(first.bias)
    check(nn.Sequential(first, conv(3, 2, 3, padding=1)))


def test_padding_that_is_refused_would_change_the_borders():
    padded = nn.Sequential(conv(1, 1, 3, padding=1), conv(1, 1, 3, padding=1))
    bare = nn.Sequential(conv(1, 1, 3), conv(1, 1, 3))
    bare.load_state_dict(padded.state_dict())
    whole = conv(1, 1, 5, padding=2)
    whole.load_state_dict(collapse(bare).state_dict())
    input = torch.randn(1, 1, 9, 9, **DOUBLE)
    found, expected = whole(input), padded(input)
    torch.testing.assert_close(found[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])
    assert not torch.isclose(found[..., 0, :], expected[..., 0, :]).any()


ZEROS = {"padding": 1, "bias": False}


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        (
            [conv(1, 1, 3), conv(1, 1, 3, padding=1)],
            r"layer 1 \(Conv2d\) pads axis 0 by \(1, 1\) .* see 3 places at once",
        ),
        ([conv(1, 1, 1), conv(1, 1, 3, padding=1)], "layer 1 .* have a bias"),
        ([norm(1), conv(1, 1, 3, padding=1)], "layer 1 .* have a bias"),
        ([conv(1, 1, (1, 3), bias=False), conv(1, 1, 3, **ZEROS)], r"layer 1 .* pads axis 1 by \(1, 1\)"),
        (
            [conv(1, 1, 3, padding=1, padding_mode="reflect"), conv(1, 1, 3, **ZEROS)],
            "in mode 'zeros'.*they pad in mode 'reflect'",
        ),
        (
            [conv(1, 1, 1, 2), conv(1, 1, 3, padding=1, padding_mode="reflect")],
            "more than one tap, a stride or padding of their own",
        ),
        (
            [conv(1, 1, 3, padding=2, padding_mode="circular"), conv(1, 1, 3, padding=1, padding_mode="circular")],
            "do not keep the size with circular padding and stride 1",
        ),
        (
            [conv(1, 1, 1), conv(1, 1, 3, padding=1, padding_mode="learned")],
            "the values outside stand for their outputs",
        ),
        ([conv(1, 1, 3, 2, "same_upper")], "layer 0 .* padding 'same_upper' with stride 2, which depends on the input"),
        ([conv(1, 2, 3), conv(3, 1, 3)], "layer 1 .* takes 3 channels, the layers before it give 2"),
        ([conv(1, 2, 3), layers.Conv1d(2, 1, 3)], "layer 1 .* has 1 axes, the layers before it have 2"),
        ([conv(1, 2, 3), nn.BatchNorm2d(2)], r"layer 1 \(BatchNorm2d\) must have running statistics"),
        ([nn.BatchNorm2d(2, track_running_stats=False).eval()], "layer 0 .* must have running statistics"),
        ([], "stack must hold at least one convolution"),
        ([nn.Identity()], "stack must hold at least one convolution"),
    ],
)
def test_refuses(stack: list[nn.Module], message: str):
    with pytest.raises(ValueError, match=f"collapse: .*{message}"):
        collapse(stack)


class Halved(nn.Sequential):
    """A sequence that computes something else."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) / 2


@pytest.mark.parametrize(
    "module", [nn.ReLU(), layers.ConvTanhGain2d(1, 1, 3), nn.ConvTranspose2d(1, 1, 3), Halved(nn.Conv2d(1, 1, 3))]
)
def test_refuses_what_is_not_linear_or_not_known(module: nn.Module):
    with pytest.raises(TypeError, match=rf"layer 1.0 \({type(module).__name__}\) must be a convolution"):
        collapse(nn.Sequential(nn.Conv2d(1, 1, 3), nn.Sequential(module)))
