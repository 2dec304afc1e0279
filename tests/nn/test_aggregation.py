"""What DCNv3 and DCNv4 have in common."""

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from nn.published import stirred
from ops.checks import assert_close, check_compiles, check_onnx
from striate.nn import DCNv3, DCNv4

LAYERS = (DCNv3, DCNv4)


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("layer", LAYERS)
def test_state_dict_goes_both_ways(layer: type[nn.Module]):
    one, other = stirred(layer(8)), layer(8)
    other.load_state_dict(one.state_dict())
    input = torch.randn(1, 8, 5, 5)
    assert torch.equal(other(input), one(input))
    assert all(map(torch.equal, other.state_dict().values(), one.state_dict().values()))


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("shares", [False, True])
def test_offsets_are_those_at_the_middle_of_the_window(layer: type[nn.Module], shares: bool):
    settings = {"center_feature_scale": shares, "dtype": torch.float64}
    whole = stirred(layer(4, **settings))
    input = draw(2, 4, 7, 8)
    expected = whole(input)

    def found(stride: object, padding: object) -> Tensor:
        other = layer(4, 3, stride, padding, **settings)
        other.load_state_dict(whole.state_dict())
        return other(input)

    assert_close(found(1, "same"), expected)
    assert_close(found((2, 3), 1), expected[:, :, ::2, ::3])
    assert_close(found(2, ("same", "same_upper")), expected[:, :, ::2, 1::2])
    assert_close(found(1, 0), expected[:, :, 1:-1, 1:-1])
    # Windows whose middle is outside read the offsets next to it.
    assert_close(found(1, "full")[:, :, 1:-1, 1:-1], expected)
    assert_close(found(1, ((2, 0), 1))[:, :, 1:], expected[:, :, :-1])


@pytest.mark.parametrize("layer", LAYERS)
def test_training_lowers_the_loss(layer: type[nn.Module]):
    torch.manual_seed(0)
    one = layer(8, groups=2)
    input = torch.randn(4, 8, 6, 6)
    target = input.roll(1, 3)
    optimizer = torch.optim.Adam(one.parameters(), lr=0.02)
    losses = []
    for _ in range(30):
        loss = (one(input) - target).square().mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.8 * losses[0]
    used = [parameter.grad.abs().amax() > 0 for parameter in one.parameters()]
    assert all(used)


@pytest.mark.parametrize("layer", LAYERS)
def test_batches(layer: type[nn.Module]):
    one, input = stirred(layer(4, dtype=torch.float64)), draw(3, 4, 5, 6)
    assert_close(one(input[0]), one(input)[0])
    assert one(input[0]).is_contiguous()
    assert one(input[:0]).shape == (0, 4, 5, 6)
    assert stirred(DCNv3(4, norm="batch"))(torch.randn(4, 5, 6)).shape == (4, 5, 6)


@pytest.mark.parametrize("layer", LAYERS)
def test_memory_format_stays(layer: type[nn.Module]):
    one, input = stirred(layer(4)), torch.randn(2, 4, 5, 6)
    last = one(input.contiguous(memory_format=torch.channels_last))
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert one(input).is_contiguous()
    assert_close(last, one(input))


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("settings", [{}, {"stride": 2, "center_feature_scale": True}], ids=str)
def test_vmap_and_gradients_of_each_sample(layer: type[nn.Module], settings: dict[str, object]):
    one = stirred(layer(4, dtype=torch.float64, **settings))
    batches = draw(3, 2, 5, 6, 4).movedim(-1, 2)
    assert_close(torch.func.vmap(one)(batches), torch.stack([one(batch) for batch in batches]))

    def loss(parameters: dict[str, Tensor], sample: Tensor) -> Tensor:
        return torch.func.functional_call(one, parameters, (sample,)).square().sum()

    parameters = {name: parameter.detach() for name, parameter in one.named_parameters()}
    each = torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, batches[0])
    for place, sample in enumerate(batches[0]):
        alone = torch.autograd.grad(one(sample).square().sum(), list(one.parameters()), materialize_grads=True)
        for found, expected in zip(each.values(), alone, strict=True):
            assert_close(found[place], expected)


@pytest.mark.parametrize("layer", LAYERS)
def test_offsets_keep_their_precision_under_autocast(layer: type[nn.Module]):
    one, input = stirred(layer(4)), torch.randn(1, 4, 5, 5)
    seen = []
    for name in ("offset", "mask", "offset_mask"):
        if hasattr(one, name):
            getattr(one, name).register_forward_hook(lambda *results: seen.append(results[-1].dtype))
    expected = one(input)
    with torch.autocast("cpu", torch.bfloat16):
        output = one(input)
    assert output.dtype == torch.bfloat16
    assert set(seen) == {torch.float32}
    assert_close(output, expected)


@pytest.mark.parametrize("layer", LAYERS)
def test_lower_precision(layer: type[nn.Module]):
    one = stirred(layer(4, center_feature_scale=True, dtype=torch.float64))
    input = draw(1, 4, 5, 5)
    expected = one(input)
    output = one.bfloat16()(input.bfloat16())
    assert output.dtype == torch.bfloat16
    # Offsets in bfloat16 move the taps: by 1/64 of a place where they move them by 2 places.
    torch.testing.assert_close(output.double(), expected, atol=0.1 * expected.abs().amax().item(), rtol=0)


@pytest.mark.parametrize("layer", LAYERS)
def test_copies_and_pickles(layer: type[nn.Module]):
    one, input = stirred(layer(4, remove_center=True)), torch.randn(1, 4, 5, 5)
    for other in (copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert next(other.parameters()) is not next(one.parameters())
        assert torch.equal(other(input), one(input))


@pytest.mark.parametrize("layer", LAYERS)
def test_made_without_memory(layer: type[nn.Module]):
    one, input = stirred(layer(4, center_feature_scale=True)), torch.randn(1, 4, 5, 5)
    empty = layer(4, center_feature_scale=True, device="meta")
    assert all(tensor.is_meta for tensor in (*empty.parameters(), *empty.buffers()))
    filled = copy.deepcopy(empty).to_empty(device="cpu")
    filled.load_state_dict(one.state_dict())
    assert torch.equal(filled(input), one(input))
    assigned = copy.deepcopy(empty)
    assigned.load_state_dict(one.state_dict(), assign=True)
    assert torch.equal(assigned(input), one(input))
    drawn = empty.to_empty(device="cpu")
    drawn.reset_parameters()
    assert drawn(input).isfinite().all()


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("stride", [1, 2])
def test_compiles_for_two_sizes(layer: type[nn.Module], stride: int):
    one = stirred(layer(4, stride=stride, dtype=torch.float64))
    check_compiles(one, lambda size: (draw(1, 4, size, size + 1),), (6, 9))


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("settings", [{}, {"stride": 2, "offset_scale": 0.5, "remove_center": True}], ids=str)
def test_exports_to_onnx(layer: type[nn.Module], settings: dict[str, object], tmp_path):
    assert "DeformConv" in check_onnx(stirred(layer(4, **settings)), tmp_path, torch.randn(1, 4, 5, 6))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"kernel_size": (3, 5), "stride": (1, 2), "padding": "same", "dilation": 2, "groups": 2},
        {"offset_scale": 2.0, "remove_center": True, "center_feature_scale": True, "padding": ((0, 1), "same")},
        {"dw_kernel_size": 5},
    ],
    ids=str,
)
@pytest.mark.parametrize("layer", LAYERS)
def test_is_shown_with_its_settings(layer: type[nn.Module], settings: dict[str, object]):
    own = {"norm": "batch", "activation": "silu"} if layer is DCNv3 else {"output_bias": False}
    for given in (settings, settings | own):
        one = layer(8, **given)
        again = eval(f"layer({one.extra_repr()})", {"layer": layer})
        assert repr(again) == repr(one)
        assert all(name in one.extra_repr() for name in given)
    assert DCNv3(8).extra_repr() == "8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), groups=4"
    assert "without_pointwise=True" in repr(DCNv4(8, without_pointwise=True))


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"channels": 0}, ValueError, "channels must be an integer of at least 1, got 0"),
        ({"groups": 0}, ValueError, "groups must be an integer of at least 1, got 0"),
        ({"groups": 3}, ValueError, "channels must be a multiple of groups=3, got 8"),
        ({"padding": "smae"}, ValueError, "did you mean 'same'"),
        ({"offset_scale": float("inf")}, ValueError, "DCNv[34]: offset_scale must be a finite number, got inf"),
        ({"remove_center": 1}, TypeError, "DCNv[34]: remove_center must be True or False, got 1"),
        ({"kernel_size": 4, "remove_center": True}, ValueError, r"remove_center wants odd kernel sizes.*\(4, 4\)"),
        ({"center_feature_scale": 1}, TypeError, "center_feature_scale must be True or False, got 1"),
        ({"stride": None}, TypeError, "stride must be an integer of at least 1, got None"),
        ({"dw_kernel_size": 0}, ValueError, "^dw_kernel_size must be an integer of at least 1, got 0"),
        ({"dw_kernel_size": "3"}, ValueError, r"^dw_kernel_size must be one number or one an axis \(2\), got '3'"),
        ({"dw_kernel_size": 1.0}, TypeError, "^dw_kernel_size must be an integer of at least 1, got 1.0"),
    ],
)
def test_refuses(layer: type[nn.Module], settings: dict[str, object], error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        layer(**{"channels": 8, **settings})


@pytest.mark.parametrize("layer", LAYERS)
def test_refuses_inputs(layer: type[nn.Module]):
    name = layer.__name__
    with pytest.raises(ValueError, match=rf"{name}: input must be \(N, 8, H, W\) or \(8, H, W\), got \(1, 7, 7, 8\)"):
        layer(8)(torch.zeros(1, 7, 7, 8))
    with pytest.raises(ValueError, match=rf"{name}: input must be .*got \(1, 49, 8\)"):
        layer(8)(torch.zeros(1, 49, 8))
    with pytest.raises(ValueError, match=rf"{name}: input must be .*got \(49, 8\)"):
        layer(8)(torch.zeros(49, 8))
    with pytest.raises(TypeError, match=f"{name}: input must hold floating-point numbers"):
        layer(8)(torch.zeros(1, 8, 7, 7, dtype=torch.int64))
