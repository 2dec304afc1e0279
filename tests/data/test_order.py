import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from striate.data import batch_count, epoch_order, uniforms
from striate.data.order import batch_plan, hashed

ORDER = [0, 1, 9, 4, 2, 3, 6, 8, 7, 5]
UNIFORMS = [[0.10033357580486157, 0.3244156413983027], [0.4401612031482881, 0.06663854895844823]]


def test_the_hash_is_splitmix64():
    # The first output of splitmix64 seeded with 0, as in Vigna's C program.
    assert hashed(0).tolist() == [0xE220A8397B1DCDAF]


def test_the_order_is_fixed_for_all_time():
    assert epoch_order(10, seed=0, epoch=0).tolist() == ORDER
    assert uniforms(torch.tensor([0, 1]), 2, seed=1, epoch=2).tolist() == UNIFORMS


@given(samples=st.integers(0, 200), seed=st.integers(-(2**70), 2**70), epoch=st.integers(0, 1000))
def test_the_order_is_a_permutation(samples, seed, epoch):
    order = epoch_order(samples, seed=seed, epoch=epoch)
    assert order.dtype == torch.int64
    assert sorted(order.tolist()) == list(range(samples))
    assert torch.equal(order, epoch_order(samples, seed=seed, epoch=epoch))


def test_orders_differ_by_seed_and_epoch():
    orders = {tuple(epoch_order(50, seed=s, epoch=e).tolist()) for s in range(10) for e in range(10)}
    assert len(orders) == 100


def test_uniforms_are_uniform_and_independent():
    draws = uniforms(torch.arange(100_000), 3, seed=3, epoch=1)
    assert draws.shape == (100_000, 3)
    assert draws.min() >= 0 and draws.max() < 1
    counts = torch.histc(draws[:, 0].float(), 100, 0, 1)
    # Chi-squared with 99 degrees of freedom: 200 lies seven standard deviations out.
    assert ((counts - 1000) ** 2 / 1000).sum() < 200
    everything = torch.cat([draws, uniforms(torch.arange(100_000), 3, seed=3, epoch=2)], dim=1)
    assert (torch.corrcoef(everything.T) - torch.eye(6)).abs().max() < 0.02


def test_uniforms_depend_on_the_sample_not_on_the_batch():
    samples = torch.tensor([5, 900, 5])
    draws = uniforms(samples, 4, seed=0, epoch=7)
    assert torch.equal(draws[0], draws[2])
    assert torch.equal(draws[1:2], uniforms(samples[1:2], 4, seed=0, epoch=7))
    assert torch.equal(draws[:, :2], uniforms(samples, 2, seed=0, epoch=7))


@given(samples=st.integers(0, 60), batch_size=st.integers(1, 20))
def test_the_plan_has_every_sample_once_and_no_lone_one(samples, batch_size):
    plan = batch_plan(torch.arange(samples), batch_size)
    assert len(plan) == batch_count(samples, batch_size)
    assert [index for batch in plan for index in batch.tolist()] == list(range(samples))
    if batch_size > 1 and samples > 1:
        assert all(2 <= len(batch) <= batch_size + 1 for batch in plan)
    assert all(len(batch) == batch_size for batch in plan[:-1])


def test_a_batch_has_a_sample():
    with pytest.raises(ValueError, match="batch_size must be 1 or more, got 0"):
        batch_count(10, 0)
