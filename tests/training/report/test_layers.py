import copy

import pytest
import torch
from torch import nn

from striate.training.report import LayerRow, layer_table


def lenet() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip


def unique_parameters(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


def test_a_lenet_counted_by_hand():
    rows = layer_table(lenet(), (1, 32, 32))
    assert [row.operator for row in rows][:4] == ["Conv2d", "Tanh", "AvgPool2d", "Conv2d"]
    assert [row.output_size for row in rows if row.parameters] == [(6, 28, 28), (16, 10, 10), (120,), (84,), (10,)]
    assert [row.parameters for row in rows if row.parameters] == [156, 2416, 48120, 10164, 850]
    assert rows[2] == LayerRow(name="2", operator="AvgPool2d", output_size=(6, 14, 14), parameters=0)


def test_the_network_is_left_as_it_was():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 2))
    model(torch.randn(2, 3, 8, 8)).sum().backward()
    model[1].eval()
    hook = model[0].register_forward_hook(lambda module, args, output: None)
    state, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    gradients = [weight.grad.clone() for weight in model.parameters()]
    rows = layer_table(model, (3, 8, 8))
    assert sum(row.parameters for row in rows) == unique_parameters(model)
    assert rows[1].parameters == 8
    assert [module.training for module in model] == [True, False, True, True, True] and model.training
    assert list(model[0]._forward_hooks) == [hook.id] and not model[1]._forward_hooks
    assert all(torch.equal(weight.grad, old) for weight, old in zip(model.parameters(), gradients, strict=True))
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(type(weight) is nn.Parameter for weight in model.parameters())
    assert torch.equal(torch.get_rng_state(), random)


class TwoHeads(nn.Module):
    """Tied weights, a module called twice, one never called, parameters beside children, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = nn.Linear(9, 9)
        self.first, self.second = nn.Linear(9, 9, bias=False), nn.Linear(9, 9)
        self.second.weight = self.first.weight
        self.spare = nn.Linear(2, 2)
        self.scale = nn.Parameter(torch.ones(9))

    def forward(self, x):
        self.seen = x
        turned = self.turn(self.turn(x.flatten(1)))
        return {"first": self.first(turned) * self.scale, "second": self.second(turned)}


def test_shared_unused_and_own_parameters_count_once():
    model = TwoHeads()
    rows = layer_table(model, (1, 3, 3))
    assert [(row.name, row.parameters) for row in rows] == [
        ("turn", 90), ("turn", 0), ("first", 81), ("second", 9), ("model", 9), ("spare", 6),
    ]  # fmt: skip
    assert rows[4].output_size == (9,) and rows[5].output_size == ()
    assert sum(row.parameters for row in rows) == unique_parameters(model)
    assert not hasattr(model, "seen")


class Branching(nn.Module):
    """Depends on values, counts its calls in a buffer and draws random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 2)])
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        x = x.flatten(1) + torch.rand(())
        return self.layers[0](x) if x.sum().item() < -1 else self.layers[1](x)


def test_a_network_that_needs_values_runs_on_zeros():
    model, random = Branching(), torch.get_rng_state()
    rows = layer_table(model, (1, 2, 2))
    assert [(row.name, row.output_size, row.parameters) for row in rows] == [
        ("layers.1", (2,), 10),
        ("layers.0", (), 20),
    ]
    assert model.calls == 0 and model.training and not model.layers[1]._forward_hooks
    assert torch.equal(torch.get_rng_state(), random)


def test_nothing_is_allocated():
    model = nn.Sequential(nn.Conv2d(3, 64, 1), nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(64))
    rows = layer_table(model, (3, 2**17, 2**17))
    assert rows[0].output_size == (64, 2**17, 2**17) and rows[2].output_size == (64, 1, 1)


def test_a_half_precision_network_without_parameters_in_its_root():
    assert layer_table(lenet().bfloat16(), (1, 32, 32))[-1].output_size == (10,)
    assert layer_table(nn.ReLU(), (1, 2, 3)) == [
        LayerRow(name="model", operator="ReLU", output_size=(1, 2, 3), parameters=0)
    ]


def test_a_network_that_does_not_fit_the_picture_says_so():
    model = lenet()
    with pytest.raises(ValueError, match=r"must run on a picture of size \(1, 9, 9\), got: "):
        layer_table(model, (1, 9, 9))
    assert model.training and not any(module._forward_hooks for module in model)
