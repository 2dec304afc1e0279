"""What torchinfo, fvcore, ptflops and thop answer about the ten networks: `python -m benchmarks.peers.counters`.

Writes benchmarks/results/inspection_peers.json, which docs/inspection.md is made from. Needs:
pip install --no-deps torchinfo fvcore iopath yacs portalocker termcolor tabulate tqdm ptflops thop
"""

import contextlib
import importlib
import importlib.metadata
import inspect
import io
import logging
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.ten_networks import TEN, Example
from benchmarks.runner import record

ANSWERS = record.RESULTS / "inspection_peers.json"

Answer = tuple[int | None, int | None, list[str]]
"""Parameters, multiply-accumulates, and the operators that the tool says it left out."""


def torchinfo(network: nn.Module, inputs: tuple[Tensor, ...]) -> Answer:
    """Its total_params and total_mult_adds."""
    found = importlib.import_module("torchinfo").summary(network, input_data=inputs, verbose=0)
    return found.total_params, found.total_mult_adds, []


def fvcore(network: nn.Module, inputs: tuple[Tensor, ...]) -> Answer:
    """Its parameter_count and FlopCountAnalysis, whose flops are multiply-accumulates."""
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    package = importlib.import_module("fvcore.nn")
    analysis = package.FlopCountAnalysis(network, inputs)
    macs = int(analysis.total())
    return package.parameter_count(network)[""], macs, sorted(analysis.unsupported_ops())


def ptflops(network: nn.Module, inputs: tuple[Tensor, ...]) -> Answer:
    """Its get_model_complexity_info, as it is by default."""
    # It asks torchvision for its layers when it is imported.
    importlib.import_module("benchmarks.peers.torchvision_on_cpu")
    named = dict(zip(inspect.signature(network.forward).parameters, inputs, strict=True))
    given = named if len(inputs) > 1 else inputs[0]
    macs, parameters = importlib.import_module("ptflops").get_model_complexity_info(
        network, (1,), input_constructor=lambda _: given, as_strings=False, print_per_layer_stat=False
    )
    return parameters, macs, []


def thop(network: nn.Module, inputs: tuple[Tensor, ...]) -> Answer:
    """Its profile."""
    macs, parameters = importlib.import_module("thop").profile(network, inputs, verbose=False)
    return int(parameters), int(macs), []


COUNTERS: dict[str, Callable[[nn.Module, tuple[Tensor, ...]], Answer]] = {
    "torchinfo": torchinfo,
    "fvcore": fvcore,
    "ptflops": ptflops,
    "thop": thop,
}


def answer(tool: str, example: Example) -> dict[str, Any]:
    """What a tool says about a network, in the words of JSON."""
    torch.manual_seed(0)
    with warnings.catch_warnings(), torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        parameters, macs, left_out = COUNTERS[tool](example.make().eval(), example.inputs())
    return {"parameters": parameters, "macs": macs, "left_out": left_out}


def main() -> None:
    """Ask all of them about each network, and write it down."""
    answers = {tool: {example.name: answer(tool, example) for example in TEN} for tool in COUNTERS}
    about = record.machine({})
    about["versions"] |= {tool: importlib.metadata.version(tool) for tool in COUNTERS}
    record.write(ANSWERS, {"machine": about, "tested": False, "topics": {}, "answers": answers})
    print(f"{ANSWERS.relative_to(record.ROOT)} written")


if __name__ == "__main__":
    main()
