import copy
import itertools
import pickle

import pytest
import torch
from torch import nn

from ops.checks import assert_close, check_compiles, check_gradients, check_onnx
from striate import abs_rectify, avg_pool2d, conv2d, local_contrast_norm, max_pool2d, scaled_tanh, table_conv2d, tables
from striate.nn import ConvTanhGain2d, JarrettStage

SMALL = {"normalize": 3, "pool_size": 4, "pool_stride": 2}


def maps(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_is_its_parts_in_the_order_of_the_paper():
    stage = JarrettStage(2, 4, 3, **SMALL, dtype=torch.float64)
    with torch.no_grad():
        stage.tanh.gain.copy_(torch.tensor([0.5, -1, 2, 3]))
    input = maps(2, 2, 11, 9)
    filtered = conv2d(input, stage.filters.weight, stage.filters.bias)
    expected = abs_rectify(scaled_tanh(filtered, stage.tanh.gain))
    expected = avg_pool2d(local_contrast_norm(expected, 3), 4, 2)
    assert_close(stage(input), expected)
    assert_close(stage(input[0]), expected[0])


def test_the_first_stage_of_the_paper():
    stage = JarrettStage(1, 64, 9)
    assert [name for name, _ in stage.named_children()] == ["filters", "tanh", "rectify", "normalize", "pool"]
    assert stage(torch.randn(1, 1, 143, 143)).shape == (1, 64, 26, 26)
    assert sum(parameter.numel() for parameter in stage.parameters()) == 64 * (81 + 1 + 1)


@pytest.mark.parametrize(
    ("tanh", "rectify", "normalize", "pool"),
    list(itertools.product(["gain", "plain", None], [True, False], [3, None], ["average", "max", None])),
)
def test_each_part_is_optional(tanh, rectify, normalize, pool):
    settings = {"tanh": tanh, "rectify": rectify, "normalize": normalize, "pool": pool}
    stage = JarrettStage(2, 3, 3, **settings, pool_size=3, pool_stride=2, dtype=torch.float64)
    input = maps(2, 2, 9, 9)
    expected = stage.filters(input)
    if tanh:
        expected = expected.tanh()
    if rectify:
        expected = expected.abs()
    if normalize:
        expected = local_contrast_norm(expected, 3)
    if pool:
        expected = (avg_pool2d if pool == "average" else max_pool2d)(expected, 3, 2)
    assert_close(stage(input), expected)


def test_without_filters():
    stage = JarrettStage(3, 3, None, tanh=None, rectify=False, **SMALL)
    assert not list(stage.parameters())
    input = maps(2, 3, 8, 8).float()
    assert_close(stage(input), avg_pool2d(local_contrast_norm(input, 3), 4, 2))
    nothing = JarrettStage(3, 3, None, tanh=None, rectify=False, normalize=None, pool=None)
    assert torch.equal(nothing(input), input)


def test_along_a_table():
    table = tables.lenet5_c3()
    stage = JarrettStage(6, 16, 3, table=table, stride=2, padding="same", normalize=None, pool=None, bias=False)
    input = maps(2, 6, 7, 7).float()
    filtered = table_conv2d(input, stage.filters.weight, table, 16, None, 2, "same")
    assert_close(stage(input), filtered.tanh().abs())
    assert list(stage.state_dict()) == ["filters.weight", "filters.table", "tanh.gain"]


def test_two_stages_as_in_the_paper():
    table = tables.random(64, 256, 16, generator=torch.Generator().manual_seed(0))
    first = JarrettStage(1, 64, 9)
    second = JarrettStage(64, 256, 9, table=table, pool_size=6, pool_stride=4)
    with torch.no_grad():
        assert nn.Sequential(first, second)(torch.randn(1, 1, 143, 143)).shape == (1, 256, 4, 4)


def test_filters_and_gain_load_from_their_layer():
    layer = ConvTanhGain2d(2, 3, 3)
    stage = JarrettStage(2, 3, 3, rectify=False, normalize=None, pool=None)
    stage.filters.load_state_dict(layer.conv.state_dict())
    stage.tanh.load_state_dict({"gain": layer.gain.detach() * 2})
    input = torch.randn(1, 2, 6, 6)
    assert_close(stage(input), 2 * layer(input))


def test_gradients():
    stage = JarrettStage(1, 2, 2, normalize=3, pool_size=2, pool_stride=1, dtype=torch.float64)

    def call(input, weight, gain):
        changed = {"filters.weight": weight, "tanh.gain": gain}
        return torch.func.functional_call(stage, changed, (input,))

    check_gradients(call, maps(1, 1, 4, 4), maps(2, 1, 2, 2), maps(2))


def test_copies_pickles_compiles_and_exports(tmp_path):
    stage = JarrettStage(2, 3, 3, **SMALL)
    input = torch.randn(1, 2, 10, 10)
    for other in (copy.deepcopy(stage), pickle.loads(pickle.dumps(stage))):
        assert torch.equal(other(input), stage(input))
    check_compiles(stage, lambda size: (torch.randn(1, 2, size, size + 1),), (10, 13))
    check_onnx(stage, tmp_path, input)


def test_made_without_memory_then_initialised():
    stage = JarrettStage(2, 3, 3, **SMALL, device="meta").to_empty(device="cpu")
    for module in stage.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    assert stage.tanh.gain.tolist() == [1, 1, 1]
    assert stage.filters.weight.abs().max() <= 1 / 18**0.5


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"tanh": "scaled"}, ValueError, "tanh must be one of gain, plain or None, got 'scaled'"),
        ({"pool": "mean"}, ValueError, "pool must be one of average, max or None, got 'mean'"),
        ({"kernel_size": None}, ValueError, "without filters 2 channels stay, and there is no table, got 3"),
        ({"kernel_size": 0}, ValueError, "kernel_size must be an integer of at least 1"),
        ({"pool_size": 0}, ValueError, "kernel_size must be an integer of at least 1"),
        ({"normalize": 0}, ValueError, "kernel_size must be an integer of at least 1"),
    ],
)
def test_refuses(change, error, message):
    with pytest.raises(error, match=message):
        JarrettStage(**{"in_channels": 2, "out_channels": 3, "kernel_size": 3, **change})


def test_refuses_other_ranks():
    with pytest.raises(ValueError, match=r"input must be \(N, C, H, W\) or \(C, H, W\), got \(9, 9\)"):
        JarrettStage(2, 3, 3)(torch.zeros(9, 9))
