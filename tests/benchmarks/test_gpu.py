"""The benchmark for GPUs, without one: its cases hold together, and it says that there is nothing to measure."""

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.gpu import command, measure
from benchmarks.gpu.cases import CASES, Case, Kind, Peer, every_kind
from torch import Tensor

RIGHT = Case(
    name="right",
    sizes=[(2, 3)],
    small=[(2, 3)],
    ours=lambda input: 2 * input,
    peers={"other": Peer(lambda input: input + input)},
    operations=12,
    kinds=(Kind(),),
)
WRONG = dataclasses.replace(RIGHT, name="wrong", ours=lambda input: input * (2 if input.dtype == torch.float64 else 3))
Run = Callable[..., tuple[int, list[dict[str, Any]]]]
TIMES = {"seconds": 1e-3, "with_backward": 2e-3, "seconds_in_graph": 5e-4, "with_backward_in_graph": 1e-3}


def fails(input: Tensor) -> Tensor:
    raise RuntimeError("out of everything\nand more")


FAILS = dataclasses.replace(RIGHT, name="fails", ours=fails)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command as if the CPU were a GPU on which all takes as long; its exit code and what it has written."""
    for name, value in (("is_available", True), ("synchronize", None)):
        monkeypatch.setattr(torch.cuda, name, lambda value=value: value)
    monkeypatch.setattr(command, "_DEVICE", "cpu")
    monkeypatch.setattr(command, "_gpu", lambda: {"gpu": "none"})
    monkeypatch.setattr(command, "_usable", lambda: True)
    monkeypatch.setattr(measure, "bandwidth", lambda: 1e12)
    monkeypatch.setattr(measure, "rate", lambda kind: 1e12)
    monkeypatch.setattr(measure, "times", lambda function, tensors: (function(*tensors), dict(TIMES))[1])

    def call(cases: tuple[Case, ...], *arguments: str) -> tuple[int, list[dict[str, Any]]]:
        monkeypatch.setattr(command, "CASES", cases)
        file = tmp_path / "gpu.json"
        code = command.main(["--out", str(file), *arguments])
        return code, json.loads(file.read_text("utf-8"))["cases"] if file.exists() else []

    return call


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here, and it would be measured")
def test_without_a_gpu_it_measures_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert command.main(["--out", str(tmp_path / "gpu.json")]) == 2
    assert "there is no GPU that PyTorch can use here, and nothing was measured" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", [Kind(torch.float32), Kind(last=True)], ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_cases_agree_with_float64(case: Case, kind: Kind) -> None:
    assert measure.disagreement(case, kind, "cpu") is None


def test_a_disagreement_in_words() -> None:
    told = measure.disagreement(WRONG, Kind(torch.float32), "cpu")
    assert told == "output differs from float64 by 5.0e-01 of the largest number"


@pytest.mark.parametrize("case", [case for case in CASES if case.peers], ids=str)
def test_peers_compute_the_same(case: Case) -> None:
    tensors = case.tensors(case.small, Kind(torch.float32), "cpu")
    for name, peer in case.peers.items():
        own = peer.prepared(*tensors) if peer.prepared else tensors
        # Their packages have operators of their own, which are not everywhere.
        if name not in ("DCNv4", "torchvision"):
            expected, found = case.ours(*tensors), peer.function(*own)
            assert found.shape == expected.shape
            assert not peer.alike or (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_names_tell_entries_apart() -> None:
    names = [command.identity(command.begun(case, kind)) for case, kind in every_kind()]
    assert len(set(names)) == len(names)


def test_a_case_that_is_wrong_or_fails_withholds_its_own_times_only(run: Run) -> None:
    code, (wrong, failed, right) = run((WRONG, FAILS, RIGHT))
    assert code == 1
    assert wrong["wrong"].startswith("output differs from float64") and "seconds" not in wrong
    assert failed["error"] == "RuntimeError: out of everything" and "in fails" in failed["trace"]
    assert right.items() >= TIMES.items()
    assert right["floor"] == {"bytes": 2 * 6 * 2 / 1e12, "operations": 12 / 1e12}
    assert right["tilings"] == {}
    (peer,) = right["peers"]
    assert peer["name"] == "other" and peer["dtype"] == "bfloat16" and peer["ratio_of_seconds_in_graph"] == 1


def test_what_runs_stands_in_the_file(run: Run, tmp_path: Path) -> None:
    seen = []

    def looks(input: Tensor) -> Tensor:
        seen.append(json.loads((tmp_path / "gpu.json").read_text("utf-8"))["cases"])
        return 2 * input

    code, _ = run((RIGHT, dataclasses.replace(RIGHT, name="looks", ours=looks)))
    assert code == 0
    assert [entry["case"] for entry in seen[0]] == ["right", "looks"]
    assert seen[0][1]["error"] == "it had not ended when this was written"


def test_going_on_keeps_what_was_measured_and_does_the_rest(run: Run) -> None:
    assert run((FAILS, RIGHT), "--seconds", "0")[1][1]["not_timed"] == "the time was over"
    assert run((FAILS,))[0] == 1
    code, (failed, right) = run((FAILS, RIGHT), "--go-on")
    assert code == 1 and failed["error"] and right["seconds"]
    mended = dataclasses.replace(FAILS, ours=RIGHT.ours)
    assert run((mended, RIGHT), "--go-on")[1][0]["error"]
    code, (right, mended_entry) = run((mended, RIGHT), "--only", "fail")
    assert code == 0 and mended_entry["case"] == "fails" and mended_entry["seconds"] and right["seconds"]


def test_a_part_of_no_name(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run((RIGHT,), "--only", "left") == (2, [])
    assert "no case has left in its name; there are:\nright" in capsys.readouterr().err


def test_a_gpu_that_is_lost_begins_anew(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    begun: list[list[str]] = []
    monkeypatch.setattr(command, "_usable", lambda: False)
    monkeypatch.setattr(command.os, "execv", lambda program, arguments: begun.append(arguments))
    run((FAILS,), "--seconds", "100")
    (arguments,) = begun
    assert arguments[:3] == [sys.executable, "-m", "benchmarks.gpu"]
    assert arguments[3:8] == ["--out", str(tmp_path / "gpu.json"), "--seconds", "100", "--go-on"]
    assert 0 < float(arguments[-1]) < 100


def test_a_peer_that_refuses_bfloat16_is_timed_in_others(run: Run) -> None:
    def refuses(input: Tensor) -> Tensor:
        if input.dtype == torch.bfloat16 and not torch.is_autocast_enabled("cpu"):
            raise NotImplementedError("not implemented for 'BFloat16'")
        return 2 * input

    _, (entry,) = run((dataclasses.replace(RIGHT, peers={"other": Peer(refuses)}),))
    assert [peer["dtype"] for peer in entry["peers"]] == ["bfloat16", "float16", "float32 by autocast"]
    assert entry["peers"][0]["not_timed"] == "NotImplementedError: not implemented for 'BFloat16'"
    assert entry["peers"][1]["seconds"] == entry["peers"][2]["seconds"] == 1e-3


def test_a_case_in_one_line() -> None:
    found = {"case": "a", "kind": "b", "floor": {"bytes": 5e-4, "operations": 1e-4}, **TIMES}
    peers: list[dict[str, Any]] = [
        {"name": "c", "dtype": "d", "ratio_of_seconds": 2.0, "ratio_of_with_backward": 3.0},
        {"name": "e", "dtype": "f", "not_timed": "none here"},
    ]
    assert command.line(found | {"peers": peers}) == (
        "a, b: 1.000 and 2.000 ms, in a graph 0.500 and 1.000 ms, floor 0.500 ms; "
        "c in d: 2.00, 3.00, -, -; e in f: none here"
    )
    assert command.line({"case": "a", "kind": "b", "error": "none"}) == "a, b: none"


def test_products_are_set_for_all_and_restored() -> None:
    settings = torch.backends.cuda.matmul, torch.backends.cudnn.conv
    before = [each.fp32_precision for each in settings]
    for tf32, name in ((True, "tf32"), (False, "ieee")):
        with measure.products(tf32):
            assert [each.fp32_precision for each in settings] == [name] * 2
        assert [each.fp32_precision for each in settings] == before
