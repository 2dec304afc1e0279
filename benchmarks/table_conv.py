"""Convolution along the links of a table against the usual way: an ordinary convolution whose weight is masked."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.peers.jax_on_cpu import conv as conv_of_jax
from benchmarks.peers.jax_on_cpu import on_jax
from benchmarks.runner.case import Case, Peer, Scaling, Target, Topic, Work
from benchmarks.runner.contender import on_torch
from striate import tables
from striate.ops.table_conv import table_conv2d


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One layer; padded so that the size stays, unless it is LeNet-5's."""

    name: str
    batch: int
    inputs: int
    side: int
    outputs: int
    kernel: int
    table: Callable[[], Tensor]
    target: Target
    padding: int
    groups: int = 0

    def tensors(self) -> tuple[Tensor, Tensor]:
        """The input, and one filter a link."""
        links = len(self.table())
        return torch.randn(self.batch, self.inputs, self.side, self.side), torch.randn(links, self.kernel, self.kernel)

    def whole(self, weight: Tensor) -> Tensor:
        """The weight of the ordinary convolution, zero where there is no link."""
        whole = torch.zeros(self.outputs, self.inputs, self.kernel, self.kernel)
        sources, maps = self.table().T
        whole[maps, sources] = weight
        return whole


def _ours(row: _Row) -> Work:
    table = row.table()
    return on_torch(
        lambda input, weight: table_conv2d(input, weight, table, row.outputs, padding=row.padding), *row.tensors()
    )


def _masked(row: _Row) -> Work:
    input, weight = row.tensors()
    whole = row.whole(weight)
    mask = row.whole(torch.ones_like(weight))
    work = on_torch(lambda input, whole: F.conv2d(input, whole * mask, padding=row.padding), input, whole)
    return _of_links(row, work)


def _masked_in_jax(row: _Row) -> Work:
    input, weight = row.tensors()
    mask = row.whole(torch.ones_like(weight)).numpy()
    conv = conv_of_jax(stride=(1, 1), padding=(row.padding,) * 2, dilation=(1, 1), groups=1)
    return _of_links(row, on_jax(lambda input, whole: conv(input, whole * mask), input, row.whole(weight)))


def _of_links(row: _Row, work: Work) -> Work:
    """The work, with what its results say of the links alone."""
    sources, maps = row.table().T.numpy()

    def results() -> tuple[Any, ...]:
        assert work.results is not None
        output, grad_input, grad_whole = work.results()
        return output, grad_input, grad_whole[maps, sources]

    return replace(work, results=results)


def _grouped(row: _Row) -> Work:
    input, weight = row.tensors()
    grouped = weight.view(row.outputs, row.inputs // row.groups, row.kernel, row.kernel)
    work = on_torch(lambda i, w: F.conv2d(i, w, padding=row.padding, groups=row.groups), input, grouped)

    def results() -> tuple[Any, ...]:
        assert work.results is not None
        output, grad_input, grad_weight = work.results()
        return output, grad_input, grad_weight.view_as(weight)

    return replace(work, results=results)


def _case(row: _Row) -> Case:
    peers = [
        Peer(name="torch.nn, masked weight", make=lambda: _masked(row), target=row.target),
        Peer(name="JAX, masked weight", make=lambda: _masked_in_jax(row), needs=("jax",)),
    ]
    if row.groups:
        peers.append(Peer(name="torch.nn, groups", make=lambda: _grouped(row)))
    return Case(
        name=row.name,
        ours=lambda: _ours(row),
        peers=tuple(peers),
        floor="the products of the links alone",
    )


def _blocks(groups: int, channels: int) -> Tensor:
    block = tables.full(channels // groups, channels // groups)
    return torch.cat([block + group * channels // groups for group in range(groups)])


def _branches() -> Tensor:
    """Three branches that read a half, a quarter and an eighth of what lies below."""
    branches = [tables.full(64, 32), tables.full(32, 16) + torch.tensor([64, 32])]
    return torch.cat([*branches, tables.full(16, 16) + torch.tensor([112, 48])])


def _random(inputs: int, outputs: int, links: int) -> Tensor:
    return tables.random(inputs, outputs, links, generator=torch.Generator().manual_seed(0))


_ROWS = (
    _Row(
        name="LeNet-5's table, 64×6×14², 5×5",
        batch=64,
        inputs=6,
        side=14,
        outputs=16,
        kernel=5,
        padding=0,
        table=tables.lenet5_c3,
        target=Target(ratio=0.97, with_backward=0.97),
    ),
    _Row(
        name="one to one, 8×64×56², 3×3",
        batch=8,
        inputs=64,
        side=56,
        outputs=64,
        kernel=3,
        padding=1,
        table=lambda: tables.one_to_one(64),
        target=Target(ratio=5, with_backward=3),
        groups=64,
    ),
    _Row(
        name="blocks of 16 maps, 8×64×28², 3×3",
        batch=8,
        inputs=64,
        side=28,
        outputs=64,
        kernel=3,
        padding=1,
        table=lambda: _blocks(4, 64),
        target=Target(ratio=2.5, with_backward=2),
        groups=4,
    ),
    _Row(
        name="three unequal branches, 8×128×28², 3×3",
        batch=8,
        inputs=128,
        side=28,
        outputs=64,
        kernel=3,
        padding=1,
        table=_branches,
        target=Target(ratio=1.5, with_backward=1.5),
    ),
    _Row(
        name="random, 16 links a map, 8×64×28², 3×3",
        batch=8,
        inputs=64,
        side=28,
        outputs=64,
        kernel=3,
        padding=1,
        table=lambda: _random(64, 64, 16),
        target=Target(ratio=0.97, with_backward=0.97),
    ),
)


def _layer(batch: int, channels: int, side: int) -> Work:
    table = _random(channels, 64, channels // 4)
    input, weight = torch.randn(batch, channels, side, side), torch.randn(len(table), 3, 3)
    return on_torch(lambda input, weight: table_conv2d(input, weight, table, 64, padding=1), input, weight)


TOPIC = Topic(
    tests=("tests/ops/test_table_conv.py",),
    cases=tuple(map(_case, _ROWS)),
    scalings=(Scaling(name="random, to 64 maps, 3×3", make=_layer, batch=8, channels=64, side=56),),
)
