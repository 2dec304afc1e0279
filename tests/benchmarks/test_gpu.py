"""The benchmark for GPUs, without one: its cases hold together, and it says that there is nothing to measure."""

from pathlib import Path

import pytest
import torch
from benchmarks.gpu import command, measure
from benchmarks.gpu.cases import CASES, Case


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here, and it would be measured")
def test_without_a_gpu_it_measures_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert command.main(["--out", str(tmp_path / "gpu.json")]) == 2
    assert "there is no GPU that PyTorch can use here, and nothing was measured" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_all_cases_agree_with_float64() -> None:
    assert command.compare("cpu") == []


def test_a_wrong_case_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    right = CASES[-1]
    wrong = Case(
        name="wrong",
        sizes=right.sizes,
        small=right.small,
        ours=lambda input: input * (2 if input.dtype == torch.float64 else 3),
        dtypes=(torch.float32,),
    )
    monkeypatch.setattr(command, "CASES", (wrong,))
    (told,) = command.compare("cpu")
    assert told.startswith("wrong, torch.float32: output differs from float64 by 5.0e-01")


@pytest.mark.parametrize("case", [case for case in CASES if case.peers], ids=lambda case: case.name)
def test_peers_compute_the_same(case: Case) -> None:
    tensors = case.tensors(case.small, torch.float32, "cpu")
    for name, peer in case.peers.items():
        # Their packages have operators of their own, which are not everywhere.
        if name in ("DCNv4", "torchvision"):
            continue
        expected, found = case.ours(*tensors), peer(*tensors)
        assert found.shape == expected.shape
        if not name.startswith("plain"):
            assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_the_last_cases_give_way_to_the_clock() -> None:
    told = command.record(CASES[0], torch.float32, 1.0, 1.0, deadline=0.0)
    assert told["not_timed"] == "the time was over"


def test_a_case_in_one_line() -> None:
    found = {"case": "a", "dtype": "b", "seconds": 1e-3, "with_backward": 2e-3, "floor": 5e-4}
    peers = [{"name": "c", "ratio": 2.0, "ratio_with_backward": 3.0}, {"name": "d", "not_timed": "none here"}]
    assert command.line(found | {"peers": peers}) == (
        "a, b: 1.000 ms, 2.000 ms with gradients, floor 0.500 ms; c: 2.00 times as long, 3.00; d: none here"
    )


def test_the_floor_is_the_larger_of_two() -> None:
    case = CASES[0]
    tensor = torch.zeros(1000)
    assert measure.floor(case, [tensor], tensor, 8000.0, 1e30) == 1.0
    assert measure.floor(case, [tensor], tensor, 1e30, case.operations / 2) == 2.0
