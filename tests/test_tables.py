"""Connection tables: who reads whom, in which order, and drawn as in the paper."""

from collections import Counter

import pytest
import torch

from striate import tables


def test_full_links_in_the_order_of_an_ordinary_weight() -> None:
    weight = torch.arange(12).view(4, 3)
    table = tables.full(3, 4)
    assert table.dtype == torch.int64
    assert torch.equal(weight[table[:, 1], table[:, 0]], weight.flatten())


def test_one_to_one() -> None:
    assert tables.one_to_one(3).tolist() == [[0, 0], [1, 1], [2, 2]]


@pytest.mark.parametrize(("inputs", "outputs", "links"), [(6, 16, 3), (5, 7, 5), (7, 3, 2), (4, 1, 1)])
def test_random_reads_each_map_once_and_all_about_equally_often(inputs: int, outputs: int, links: int) -> None:
    table = tables.random(inputs, outputs, links, generator=torch.Generator().manual_seed(1))
    assert table.shape == (outputs * links, 2)
    assert len(set(map(tuple, table.tolist()))) == len(table)
    assert table[:, 1].tolist() == [to for to in range(outputs) for _ in range(links)]
    sources = table[:, 0].view(outputs, links)
    assert torch.equal(sources, sources.sort(1).values)
    assert 0 <= sources.min() and sources.max() < inputs
    decks = -(-outputs // (inputs // links))
    assert max(Counter(sources.flatten().tolist()).values()) <= decks


def test_random_follows_the_generator() -> None:
    first, same, other = (tables.random(8, 8, 3, generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    torch.manual_seed(3)
    drawn = tables.random(8, 8, 3)
    torch.manual_seed(3)
    assert torch.equal(drawn, tables.random(8, 8, 3))


def test_lenet5_has_the_links_of_the_paper() -> None:
    table = tables.lenet5_c3()
    assert table.shape == (60, 2)
    assert torch.bincount(table[:, 1]).tolist() == [3] * 6 + [4] * 9 + [6]
    assert torch.bincount(table[:, 0]).tolist() == [10] * 6
    drawn = tables.draw(table)
    assert drawn.split() == [
        "X...XXX..XXXX.XX",
        "XX...XXX..XXXX.X",
        "XXX...XXX..X.XXX",
        ".XXX..XXXX..X.XX",
        "..XXX..XXXX.XX.X",
        "...XXX..XXXX.XXX",
    ]


def test_drawn_with_all_maps_and_repeated_links() -> None:
    table = torch.tensor([[0, 0]] + [[1, 1]] * 9 + [[1, 2]] * 10)
    assert tables.draw(table) == "X..\n.9+"
    assert tables.draw(table, 3, 4) == "X...\n.9+.\n...."
    assert tables.draw(torch.empty(0, 2, dtype=torch.int64), 2, 1) == ".\n."


def test_made_on_the_cpu_whatever_the_usual_device() -> None:
    with torch.device("meta"):
        made = [tables.full(2, 2), tables.one_to_one(2), tables.random(2, 2, 1), tables.lenet5_c3()]
    assert all(table.device.type == "cpu" for table in made)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: tables.full(0, 1), ValueError, "inputs must be an integer of at least 1, got 0"),
        (lambda: tables.full(1, 0), ValueError, "outputs must be an integer of at least 1, got 0"),
        (lambda: tables.one_to_one(2.0), TypeError, "maps must be an integer of at least 1, got 2.0"),
        (lambda: tables.random(3, 2, 4), ValueError, "links_per_output must be at most inputs=3, got 4"),
        (lambda: tables.random(3, 2, 0), ValueError, "links_per_output must be an integer of at least 1, got 0"),
        (lambda: tables.random(0, 2, 1), ValueError, "inputs must be an integer of at least 1, got 0"),
        (lambda: tables.random(3, True, 1), TypeError, "outputs must be an integer of at least 1, got True"),
        (lambda: tables.draw(torch.zeros(3, 2)), TypeError, "draw: table must be int64, got torch.float32"),
        (lambda: tables.draw([[0, 0]]), TypeError, "draw: table must be a tensor, got list"),
        (lambda: tables.draw(torch.zeros(3, dtype=torch.int64)), ValueError, r"\(links, 2\), .* got \(3,\)"),
        (lambda: tables.draw(tables.one_to_one(3), 2), ValueError, r"the 2 maps below .* got \(2, 2\) as link 2"),
        (lambda: tables.draw(tables.one_to_one(3), 3, -1), ValueError, "outputs must be an integer of at least 0"),
    ],
)
def test_errors(make, error, message) -> None:
    with pytest.raises(error, match=message):
        make()
