"""What is told of machine code, and of tilings, for a GPU that need not be there."""

import dataclasses

import pytest
import torch

pytest.importorskip("triton", reason="Triton is not installed")

import triton
from benchmarks.gpu import command, machine_code, tilings
from benchmarks.gpu.cases import CASES, Kind
from benchmarks.gpu.pretended import Launch

from striate.ops import _rooms

SMALL = {case.name: dataclasses.replace(case, sizes=case.small) for case in CASES}


def launch(*instructions: str) -> Launch:
    made = Launch("_some_kernel", (2, 3, 1), {"BLOCK_M": 16, "num_warps": 4, "num_stages": 2}, 64, b"")
    vars(made)["instructions"] = list(instructions)
    return made


@pytest.mark.parametrize(
    ("instructions", "bytes"),
    [
        (["LDS.128", "LDG.E.U16.CONSTANT"], 2),
        (["LDG.E.64", "LDG.E.U8"], 8),
        (["LDGSTS.E.BYPASS.128", "LDG.E"], 16),
        (["STG.E.128", "LDG.E"], 4),
        (["FFMA"], 0),
    ],
)
def test_widest_load(instructions: list[str], bytes: int) -> None:
    assert machine_code.widest(launch(*instructions)) == bytes


def test_products_by_tensor_cores() -> None:
    assert machine_code.product(launch("FFMA", "HGMMA.64x64x16.F32.BF16")) == "HGMMA"
    assert machine_code.product(launch("HMMA.16816.F32.BF16")) == "HMMA"
    assert machine_code.product(launch("HADD2.BF16")) is None


def test_a_table_of_every_launch(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    kept = triton.knobs.cache.dir
    monkeypatch.setattr(command, "CASES", (SMALL["max_unpool2d of 2, 16×64×56²"],))
    assert command.main(["--code", "80"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == "kernel tiling programs registers spilled shared tensor cores widest load".split()
    assert lines[1] == "max_unpool2d of 2, 16×64×56², bfloat16, sm_80"
    assert {line.split()[0] for line in lines[2:5]} >= {"_max_unpool_forward_kernel", "_max_unpool_backward_kernel"}
    # What was compiled for no GPU is not found by one, and the CPU has its rooms again.
    assert triton.knobs.cache.dir == kept
    assert _rooms.kind(torch.zeros(1)) == "cpu"


def test_the_tiling_that_was_chosen() -> None:
    case = SMALL["deform_aggregate2d 3×3, 16 groups, 8×256×56²"]
    with machine_code.fresh():
        machine_code.launches(case, Kind())
        chosen = tilings.chosen()
    assert chosen["_sums_forward_kernel"].keys() >= {"BLOCK_P", "BLOCK_C", "num_warps", "num_stages"}
    tilings.forget()
    assert tilings.chosen() == {}


def test_small_sizes_make_the_same_code() -> None:
    name = "deform_aggregate2d 3×3, 16 groups, 8×256×56²"
    (large,) = (case for case in CASES if case.name == name)
    with machine_code.fresh():
        whole, small = (machine_code.launches(case, Kind()) for case in (large, SMALL[name]))
    # The second finds the tilings that the first has chosen.
    assert {launch.code for launch in small} <= {launch.code for launch in whole}
