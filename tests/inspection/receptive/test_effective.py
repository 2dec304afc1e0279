import math

import numpy as np
import pytest
import torch
from torch import nn

from striate.inspection.receptive.effective import effective_receptive_field


def stack(depth: int, form=nn.Conv2d) -> nn.Sequential:
    """Convolutions of equal weights."""
    model = nn.Sequential(*(form(1, 1, 3, padding=1, bias=False) for _ in range(depth)))
    for parameter in model.parameters():
        nn.init.ones_(parameter)
    return model.double()


def test_equal_weights_give_a_binomial_kernel():
    field = effective_receptive_field(stack(2), "1", torch.rand(3, 1, 11, 11, dtype=torch.float64))
    row = np.array([1, 2, 3, 2, 1])
    assert field.unit == (5, 5)
    np.testing.assert_allclose(field.map[3:8, 3:8], np.outer(row, row))
    assert field.map.sum() == 81
    assert field.centre == pytest.approx((5, 5))
    assert (field.box.first, field.box.last) == ((3, 3), (7, 7))


def test_areas_hold_their_shares():
    field = effective_receptive_field(stack(2), "1", torch.rand(1, 1, 11, 11, dtype=torch.float64))
    # In order: 9, four of 6, four of 4, four of 3, eight of 2, four of 1.
    assert [(area.share, area.inputs) for area in field.areas] == [(20, 3), (50, 7), (99, 25)]
    assert [area.side for area in field.areas] == pytest.approx([math.sqrt(3), math.sqrt(7), 5])


def test_deep_fields_are_smaller_than_they_could_be():
    field = effective_receptive_field(stack(10), "9", torch.rand(1, 1, 31, 31, dtype=torch.float64))
    assert field.box.shape == (21, 21)
    assert field.areas[1].side < 10 < field.areas[2].side < 21


@pytest.mark.parametrize(("form", "size"), [(nn.Conv1d, (9,)), (nn.Conv3d, (5, 6, 7))])
def test_series_and_volumes(form, size, tmp_path):
    field = effective_receptive_field(stack(1, form), "0", torch.rand(2, 1, *size, dtype=torch.float64))
    assert field.map.shape == size
    assert field.map.sum() == pytest.approx(3 ** len(size))
    assert field.to_png(tmp_path / "field.png").read_bytes().startswith(b"\x89PNG")


def test_scores_take_all_units_of_the_layer():
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(3 * 16, 4))
    field = effective_receptive_field(model, "3", torch.rand(5, 2, 6, 6), batch_size=2)
    assert field.map.shape == (6, 6)
    assert field.box.shape == (6, 6)


def test_the_unit_may_be_chosen():
    field = effective_receptive_field(stack(1), "0", torch.rand(1, 1, 8, 8, dtype=torch.float64), unit=(0, 2))
    assert np.flatnonzero(field.map.sum(1)).tolist() == [0, 1]
    assert np.flatnonzero(field.map.sum(0)).tolist() == [1, 2, 3]


def test_nothing_is_touched():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(), nn.Tanh()).train()
    called = []
    model[0].register_forward_hook(lambda *_: called.append(1))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    inputs = torch.rand(2, 1, 8, 8, requires_grad=True)
    drawn = torch.random.get_rng_state()
    effective_receptive_field(model, "3", inputs)
    assert torch.equal(drawn, torch.random.get_rng_state())
    assert model.training and all(module.training for module in model.modules())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert inputs.grad is None
    assert called == []
    assert len(model[0]._forward_hooks) == 1 and not model[3]._forward_hooks


def test_refuses():
    model, inputs = stack(1), torch.rand(1, 1, 8, 8, dtype=torch.float64)
    with pytest.raises(TypeError, match="floating-point numbers, got torch.int64"):
        effective_receptive_field(model, "0", torch.zeros(1, 1, 8, 8, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"inputs must be \(N, C, \*spatial\) with N at least 1, got \(0, 1, 8, 8\)"):
        effective_receptive_field(model, "0", inputs[:0])
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        effective_receptive_field(model, "0", inputs, batch_size=0)
    with pytest.raises(ValueError, match="no layer 'x' was called"):
        effective_receptive_field(model, "x", inputs)
    with pytest.raises(ValueError, match="does not run on inputs of"):
        effective_receptive_field(model, "0", inputs.expand(1, 2, 8, 8))
    nn.init.zeros_(model[0].weight)
    with pytest.raises(ValueError, match="no input moves unit"):
        effective_receptive_field(model, "0", inputs)


def test_a_network_whose_weights_are_worked_out_is_left_alone() -> None:
    model = nn.Sequential(nn.utils.spectral_norm(nn.Conv2d(1, 1, 3)))
    model(torch.ones(1, 1, 5, 5))
    before = model[0].weight_u.clone()
    field = effective_receptive_field(model, "0", torch.randn(1, 1, 5, 5))
    assert field.box.shape == (3, 3) and torch.equal(model[0].weight_u, before)
