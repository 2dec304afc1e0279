"""Connection tables: which maps of a layer read which maps below."""

from itertools import product

import torch
from torch import Tensor

from striate.geometry.checks import check_integer
from striate.ops._door import check_tensor


def full(inputs: int, outputs: int) -> Tensor:
    """Make a table in which every map reads every map below, as in an ordinary convolution.

    The links of the first output map come first, each map's in the order of its sources, so that the weight of an
    ordinary layer is the table layer's as `weight.flatten(0, 1)`.

    Args:
        inputs: maps below.
        outputs: maps of the layer.

    Returns:
        `(inputs * outputs, 2)`, int64: (from, to) of each link, both counted from 0.

    Raises:
        TypeError: if a number is no integer.
        ValueError: if it is below 1.

    Source:
        Torch7's nn, `nn.tables.full`, https://github.com/torch/nn/blob/master/doc/convolution.md; there maps are
        counted from 1.

    Example:
        >>> full(2, 2).tolist()
        [[0, 0], [1, 0], [0, 1], [1, 1]]
    """
    check_integer("inputs", inputs, 1)
    check_integer("outputs", outputs, 1)
    return torch.tensor([(source, to) for to, source in product(range(outputs), range(inputs))], device="cpu")


def one_to_one(maps: int) -> Tensor:
    """Make a table in which every map reads the one map below it, as in a depthwise convolution.

    Args:
        maps: of the layer, and below.

    Returns:
        `(maps, 2)`, int64: (from, to) of each link, both counted from 0.

    Raises:
        TypeError: if the number is no integer.
        ValueError: if it is below 1.

    Source:
        Torch7's nn, `nn.tables.oneToOne`, https://github.com/torch/nn/blob/master/doc/convolution.md; there maps are
        counted from 1.

    Example:
        >>> one_to_one(3).tolist()
        [[0, 0], [1, 1], [2, 2]]
    """
    check_integer("maps", maps, 1)
    return torch.tensor([(map, map) for map in range(maps)], device="cpu")


def random(inputs: int, outputs: int, links_per_output: int, *, generator: torch.Generator | None = None) -> Tensor:
    """Make a table in which every map reads as many maps below, drawn at random, none of them twice.

    The sources are dealt from a shuffled deck of all maps below, which is shuffled anew when too few are left: so maps
    below are read about equally often.

    Args:
        inputs: maps below.
        outputs: maps of the layer.
        links_per_output: maps that each of them reads, at most `inputs`.
        generator: of the random numbers, on the CPU; PyTorch's own if None.

    Returns:
        `(outputs * links_per_output, 2)`, int64: (from, to) of each link, both counted from 0, in the order of the
        output maps and of their sources.

    Raises:
        TypeError: if a number is no integer.
        ValueError: if a number is below 1, or a map would have to read a map twice.

    Source:
        Torch7's nn, `nn.tables.random`, https://github.com/torch/nn/blob/master/doc/convolution.md; there maps are
        counted from 1.

    Example:
        >>> table = random(4, 6, 2, generator=torch.Generator().manual_seed(0))
        >>> print(draw(table))
        X.X..X
        X..X.X
        .XX.X.
        .X.XX.
    """
    check_integer("inputs", inputs, 1)
    check_integer("outputs", outputs, 1)
    check_integer("links_per_output", links_per_output, 1)
    if links_per_output > inputs:
        raise ValueError(f"links_per_output must be at most inputs={inputs}, got {links_per_output}")
    deck: list[int] = []
    links = []
    for to in range(outputs):
        if len(deck) < links_per_output:
            deck = torch.randperm(inputs, generator=generator, device="cpu").tolist()
        dealt, deck = deck[:links_per_output], deck[links_per_output:]
        links += [(source, to) for source in sorted(dealt)]
    return torch.tensor(links, device="cpu")


def lenet5_c3() -> Tensor:
    """Make the table of LeNet-5's third layer: 16 maps, each of which reads 3, 4 or all of the 6 maps below.

    The first six maps read three neighbouring maps, the next six four, the next three four with a gap, and the last all
    of them; neighbours go around.

    Returns:
        `(60, 2)`, int64: (from, to) of each link, both counted from 0.

    Source:
        LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proceedings of
        the IEEE 86(11), 1998, table I.

    Example:
        >>> print(draw(lenet5_c3()))
        X...XXX..XXXX.XX
        XX...XXX..XXXX.X
        XXX...XXX..X.XXX
        .XXX..XXXX..X.XX
        ..XXX..XXXX.XX.X
        ...XXX..XXXX.XXX
    """
    sources = [
        *([i, (i + 1) % 6, (i + 2) % 6] for i in range(6)),
        *([i, (i + 1) % 6, (i + 2) % 6, (i + 3) % 6] for i in range(6)),
        *([i, i + 1, (i + 3) % 6, (i + 4) % 6] for i in range(3)),
        [*range(6)],
    ]
    return torch.tensor([(source, to) for to, reads in enumerate(sources) for source in reads], device="cpu")


def draw(table: Tensor, inputs: int | None = None, outputs: int | None = None) -> str:
    """Draw a table as LeNet-5's paper does: a row for each map below, a column for each map of the layer.

    Args:
        table: `(links, 2)`, int64: (from, to) of each link, both counted from 0.
        inputs: maps below; None means one more than the greatest that is read.
        outputs: maps of the layer; None means one more than the greatest that reads.

    Returns:
        A line for each map below: "X" where there is a link, "." where there is none; where a link is repeated how
        often it is there, "+" from ten times on.

    Raises:
        TypeError: if the table is not int64, or a number is no integer.
        ValueError: if the table is not `(links, 2)`, or a link is out of range.

    Source:
        LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proceedings of
        the IEEE 86(11), 1998, table I.

    Example:
        >>> print(draw(torch.tensor([[0, 0], [2, 0], [2, 1], [2, 1]])))
        X.
        ..
        X2
    """
    check_form("draw", table)
    sources, maps = table.T.tolist()
    inputs = max(sources, default=-1) + 1 if inputs is None else inputs
    outputs = max(maps, default=-1) + 1 if outputs is None else outputs
    check_integer("inputs", inputs, 0)
    check_integer("outputs", outputs, 0)
    links = table.tolist()
    check_links("draw", links, inputs, outputs)
    counts = [[0] * outputs for _ in range(inputs)]
    for source, to in links:
        counts[source][to] += 1
    signs = ".X23456789"
    return "\n".join("".join(signs[count] if count < 10 else "+" for count in row) for row in counts)


def check_form(name: str, table: Tensor) -> None:
    """See that a table is one; `name` begins the error.

    Args:
        name: of who takes it.
        table: what came.

    Raises:
        TypeError: if it is no tensor of int64.
        ValueError: if it is not `(links, 2)`.
    """
    check_tensor(name, "table", table)
    if table.dtype != torch.int64:
        raise TypeError(f"{name}: table must be int64, got {table.dtype}")
    if table.ndim != 2 or table.shape[1] != 2:
        raise ValueError(f"{name}: table must be (links, 2), (from, to) of each link, got {tuple(table.shape)}")


def check_links(name: str, links: list[list[int]], inputs: int, outputs: int) -> None:
    """See that links are between maps that there are; `name` begins the error.

    Args:
        name: of who takes them.
        links: (from, to) of each.
        inputs: maps below.
        outputs: maps of the layer.

    Raises:
        ValueError: if one is not.
    """
    for place, (source, to) in enumerate(links):
        if not (0 <= source < inputs and 0 <= to < outputs):
            raise ValueError(
                f"{name}: table must link the {inputs} maps below with the {outputs} of the layer, counted from 0, got "
                f"({source}, {to}) as link {place}"
            )
