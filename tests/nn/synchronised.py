"""What each of the processes of the tests of synchronised batch normalisation does."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn

from striate.nn import SyncBatchNorm

PROCESSES = 3
CHANNELS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A few steps of one layer.

    Args:
        batches: samples of each process, for each step; as many processes take part.
        sizes: of a sample's maps.
        settings: of the layer.
        dtype: of input and layer.
        mean: of the input.
        layout: of the input.
    """

    batches: tuple[tuple[int, ...], ...] = ((2, 1, 3), (1, 2, 1))
    sizes: tuple[int, ...] = (2, 3)
    settings: dict[str, Any] = field(default_factory=dict)
    dtype: torch.dtype = torch.float64
    mean: float = 0.0
    layout: torch.memory_format = torch.contiguous_format

    def inputs(self) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
        """For each step the inputs of the processes, and the gradients of their outputs."""
        for step, batches in enumerate(self.batches):
            generator = torch.Generator().manual_seed(step)
            shape = (sum(batches), CHANNELS, *self.sizes)
            input = self.mean + torch.randn(shape, generator=generator, dtype=torch.float64)
            grad = torch.randn(shape, generator=generator, dtype=torch.float64)
            whole = input.to(self.dtype).contiguous(memory_format=self.layout), grad.to(self.dtype)
            yield tuple(list(tensor.split(list(batches))) for tensor in whole)


CASES = {
    "one": Case(batches=((3,), (2,))),
    "two": Case(batches=((3, 2), (1, 4))),
    "three": Case(),
    "series": Case(sizes=(4,)),
    "volumes": Case(sizes=(2, 1, 2)),
    "features": Case(sizes=(), batches=((2, 1, 3), (1, 0, 1))),
    "an empty batch": Case(batches=((2, 0, 3), (0, 4, 0), (0, 1, 2))),
    "all empty": Case(batches=((2, 1, 1), (0, 0, 0))),
    "cumulative": Case(settings={"momentum": None}),
    "not affine": Case(settings={"affine": False}),
    "no bias": Case(settings={"bias": False}),
    "not tracked": Case(settings={"track_running_stats": False}),
    "other numbers": Case(settings={"eps": 0.1, "momentum": 0.3}),
    "channels last": Case(layout=torch.channels_last),
    "single precision": Case(dtype=torch.float32),
    "bfloat16": Case(dtype=torch.bfloat16),
    "far from zero": Case(dtype=torch.float32, mean=1e4, batches=((60, 40, 50),)),
}


def layer(case: Case, kind: type[nn.Module]) -> Any:
    """A layer whose parameters are not those it begins with."""
    made: Any = kind(CHANNELS, dtype=case.dtype, **case.settings)
    for parameter in made.parameters():
        with torch.no_grad():
            parameter.copy_(torch.linspace(0.5, 2, CHANNELS) - 0.25)
    return made


def step(norm: Any, input: Tensor, grad: Tensor) -> dict[str, Tensor]:
    """The output, the gradients, and the running statistics after a step."""
    leaf = input.clone().requires_grad_()
    parameters = dict(norm.named_parameters())
    output = norm(leaf)
    gradients = torch.autograd.grad(output, [leaf, *parameters.values()], grad)
    named = zip(("input", *parameters), gradients, strict=True)
    buffers = {name: buffer.clone() for name, buffer in norm.named_buffers()}
    return {"output": output.detach(), **{f"gradient of {name}": tensor for name, tensor in named}, **buffers}


def run(rank: int, folder: Path) -> None:
    """One process: every case that it takes part in, then the rest; what it finds is left in a file."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder / 'meeting'}",
        rank=rank,
        world_size=PROCESSES,
        timeout=datetime.timedelta(seconds=60),
    )
    groups = {size: distributed.new_group(list(range(size))) for size in range(1, PROCESSES)}
    found: dict[str, Any] = {}
    for name, case in CASES.items():
        processes = len(case.batches[0])
        if rank < processes:
            norm = layer(case, SyncBatchNorm)
            norm.process_group = groups.get(processes)
            found[name] = [step(norm, inputs[rank], grads[rank]) for inputs, grads in case.inputs()]
            norm.eval()
            found[f"{name}, evaluated"] = norm(next(case.inputs())[0][rank]).detach()
    outside = layer(CASES["one"], SyncBatchNorm)
    outside.process_group = groups[2]
    if rank == 2:
        inputs, grads = next(CASES["one"].inputs())
        found["outside"] = [step(outside, inputs[0], grads[0])]
    found["second order"] = second_order(rank)
    found["data parallel"] = data_parallel(rank)
    found["too few"] = refused(rank)
    torch.save(found, folder / f"{rank}.pt")
    distributed.destroy_process_group()


def penalty(output: Tensor, grad: Tensor, input: Tensor) -> Tensor:
    """The gradient of an input, as something to differentiate; summed over the processes it is that of all."""
    (first,) = torch.autograd.grad(output, input, grad, create_graph=True)
    return (first * torch.arange(first.numel()).view(first.shape).cos()).sum()


def second_order(rank: int) -> Tensor:
    """The gradient of the first process's gradient, which all of them take part in."""
    case = CASES["three"]
    inputs, grads = next(case.inputs())
    leaf = inputs[rank].clone().requires_grad_()
    value = penalty(layer(case, SyncBatchNorm)(leaf), grads[rank], leaf) * (rank == 0)
    (found,) = torch.autograd.grad(value, leaf)
    return found


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Conv2d(CHANNELS, 4, 2, bias=False), nn.BatchNorm2d(4), nn.Tanh(), nn.Conv2d(4, 2, 1, bias=False)
    return nn.Sequential(*layers, nn.BatchNorm2d(2)).double()


def data_parallel(rank: int) -> dict[str, Tensor]:
    """The state of a network after two steps, each with the loss of its own samples."""
    parallel = nn.parallel.DistributedDataParallel(SyncBatchNorm.convert_sync_batchnorm(network()))
    optimizer = torch.optim.SGD(parallel.parameters(), lr=0.1)
    for inputs, _ in CASES["three"].inputs():
        optimizer.zero_grad()
        parallel(inputs[rank]).pow(3).sum().backward()
        optimizer.step()
    return {name: tensor.clone() for name, tensor in parallel.module.state_dict().items()}


def refused(rank: int) -> str:
    """What is said of one number a channel in all."""
    try:
        SyncBatchNorm(CHANNELS)(torch.zeros(int(rank == 1), CHANNELS))
    except ValueError as error:
        return str(error)
    return "nothing"
