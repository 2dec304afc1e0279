import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from striate.data import Dataset
from striate.inspection.views.quantities import short
from striate.training import Config, Plan, plan
from striate.training.memory import _of_container, describe_memory, free_bytes
from striate.training.mode import in_mode

Toy = Callable[[], nn.Module]


def real_kept(planned: Plan) -> str:
    """What a real forward pass keeps, without parameters, buffers and input."""
    model, data = planned.model.train(), planned.data
    pictures = torch.zeros(planned.config.batch_size, data.channels, *data.size)
    apart = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers(), pictures)}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        # What is kept must not be freed, lest another comes to lie there.
        scores = model(pictures)
    assert scores.requires_grad
    return short(sum(t.untyped_storage().nbytes() for address, t in kept.items() if address not in apart), "B", 4)


@pytest.mark.parametrize("training", [True, False])
def test_memory_of_a_plan(toy_network: Toy, toy_data: Dataset, training: bool):
    planned = plan(toy_network().train(training), toy_data, Config(batch_size=6))
    random = torch.get_rng_state()
    text = describe_memory(planned, free=10**9)
    assert torch.equal(torch.get_rng_state(), random)
    assert planned.model.training == training
    assert all(parameter.grad is None for parameter in planned.model.parameters())
    weights = short(4 * planned.parameters, "B", 4)
    assert text.startswith(f"memory:   weights {weights}, gradients {weights}, optimizer {weights} (momentum)\n")
    assert f"kept for the backward pass {real_kept(planned)}, a step at its peak " in text
    assert text.splitlines()[-1].strip() == "1.000 GB are free on cpu: it fits"
    assert max(map(len, text.splitlines())) <= 120


def test_lower_precision(toy_data: Dataset):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    planned = plan(model, toy_data, Config(batch_size=6, precision="bfloat16"))
    with torch.autocast("cpu", torch.bfloat16):
        kept = real_kept(planned)
    assert kept != real_kept(planned)
    assert f"kept for the backward pass {kept}, " in describe_memory(planned)


def test_the_optimizer_counts(toy_network: Toy, toy_data: Dataset):
    with_momentum, without = (
        describe_memory(plan(toy_network(), toy_data, Config(momentum=momentum)), free=10**9) for momentum in (0.9, 0.0)
    )
    assert "(momentum)" in with_momentum and "optimizer 0 B (sgd)" in without


def test_what_does_not_fit():
    planned = plan("lenet5", "digits", Config(batch_size=64, augment=None))
    text = describe_memory(planned, free=4_000_000)
    found = re.search(r"4.000 MB are free on cpu: it does not fit: the largest batch that does is (\d+)$", text)
    assert found and 1 <= int(found[1]) < 64
    smaller = plan("lenet5", "digits", Config(batch_size=int(found[1])))
    assert describe_memory(smaller, free=4_000_000).endswith("it fits")
    assert describe_memory(planned, free=1000).endswith("are free on cpu: it does not fit")


class Branching(nn.Module):
    """Depends on numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(192, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.flatten(1)) * (1 if x.sum().item() > 0 else 2)


def test_memory_that_is_not_known(toy_data: Dataset):
    assert describe_memory(plan(Branching(), toy_data)).startswith("memory:   not known: ")
    assert describe_memory(plan(nn.Conv2d(1, 3, 8), toy_data)).startswith("memory:   not known: ")


def test_free_memory(tmp_path: Path):
    free = free_bytes("cpu")
    assert free is None or free > 2**20
    assert _of_container(tmp_path) is None
    (tmp_path / "memory.max").write_text("max\n")
    assert _of_container(tmp_path) is None
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 400\ninactive_file 200\n")
    assert _of_container(tmp_path) == 500


def test_modes_are_given_back():
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2))
    model[1].eval()
    with pytest.raises(KeyError), in_mode(model, training=False):
        assert not any(module.training for module in model.modules())
        raise KeyError
    assert [module.training for module in model.modules()] == [True, True, False]
