"""`python -m benchmarks`."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from benchmarks.runner import command, record
from benchmarks.runner.case import Case, Scaling, Topic, Work
from benchmarks.runner.scaling import grow
from benchmarks.runner.timing import measure
from tests.benchmarks.conftest import FakeClock


@pytest.fixture
def gate(
    clock: FakeClock, make_case: Callable[..., Case], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> dict[str, str]:
    """Two topics on a fake clock; what is put in here is the failure of the topic whose tests it names."""
    failures: dict[str, str] = {}
    layer = Scaling(
        name="a layer",
        make=lambda batch, *_: Work(run=clock.run("layer", [float(batch)])),
        batch=4,
        channels=4,
        side=4,
        vary=("batch",),
    )
    topics = {
        "pooling": Topic(cases=(make_case(),), tests=("tests/pooling",)),
        "unfolding": Topic(cases=(make_case(theirs=(3.0, 3.3)),), tests=("tests/unfolding",), scalings=(layer,)),
    }
    monkeypatch.setattr(command, "load_topics", lambda: topics)
    monkeypatch.setattr(command, "measure", partial(measure, clock=clock))
    monkeypatch.setattr(command, "grow", partial(grow, clock=clock))
    monkeypatch.setattr(command, "extra_memory", lambda module, number: [len(module), number, None])
    monkeypatch.setattr(command, "failure", lambda tests: failures.get(tests[0]))
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    return failures


def test_all_topics_without_a_name(gate: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([]) == 0
    output = capsys.readouterr().out
    assert "\npooling\n" in output
    assert "\nunfolding\n" in output
    assert "missed" in output
    assert "not run" not in output


def test_only_the_topic_that_is_named(gate: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["pooling"]) == 0
    assert "unfolding" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("poolin", "no benchmark is called 'poolin': did you mean pooling? there are pooling, unfolding"),
        ("xyz", "no benchmark is called 'xyz': there are pooling, unfolding"),
    ],
)
def test_wrong_name(gate: dict[str, str], capsys: pytest.CaptureFixture[str], name: str, said: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main([name])
    assert said in capsys.readouterr().err


def test_red_tests_refuse_the_timing(
    gate: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path, clock: FakeClock
) -> None:
    gate["tests/pooling"] = "1 failed"
    assert command.main(["pooling", "--json", "red.json"]) == 1
    output = capsys.readouterr().out
    assert "pooling: not timed, for its tests do not pass (tests/pooling):\n1 failed" in output
    assert clock.log == []
    assert json.loads((tmp_path / "red.json").read_text())["topics"] == {"pooling": {"refused": "1 failed"}}


def test_one_red_topic_does_not_stop_the_others(gate: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    gate["tests/pooling"] = "1 failed"
    assert command.main([]) == 1
    assert "\nunfolding\ncase" in capsys.readouterr().out


def test_no_tests_is_said(gate: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    gate["tests/pooling"] = "1 failed"
    assert command.main(["pooling", "--no-tests", "--json", "untested.json"]) == 0
    assert "The tests were not run (--no-tests)" in capsys.readouterr().out
    assert json.loads((tmp_path / "untested.json").read_text())["tested"] is False


def test_json_is_written_under_the_results(gate: dict[str, str], tmp_path: Path) -> None:
    assert command.main(["--json", "0.1/all.json"]) == 0
    written = json.loads((tmp_path / "0.1" / "all.json").read_text(encoding="utf-8"))
    assert written.keys() == {"format", "machine", "tested", "budget", "topics"}
    assert written["topics"].keys() == {"pooling", "unfolding"}
    assert written["topics"]["pooling"]["cases"][0]["peers"][0]["ratio"]["median"] == 3.0
    assert written["topics"]["pooling"]["scalings"] == []
    unfolding = written["topics"]["unfolding"]
    assert unfolding["cases"][0]["ours"]["memory"] == len("benchmarks.unfolding")
    assert [step["factor"] for step in unfolding["scalings"][0]["steps"]] == [1, 4, 16]
    assert written["budget"] is None


def test_growth_has_a_table_of_its_own(gate: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([]) == 0
    output = capsys.readouterr().out
    assert "\nunfolding: how the time grows\nwhat grows" in output
    assert "pooling: how" not in output


def test_budget_holds_for_every_case(gate: dict[str, str], tmp_path: Path) -> None:
    assert command.main(["--json", "own.json"]) == 0
    assert command.main(["--budget", "500", "--json", "given.json"]) == 0
    own, given = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("own", "given"))
    assert (own["budget"], given["budget"]) == (None, 500.0)
    rounds = [written["topics"]["unfolding"]["cases"][0]["ours"]["rounds"] for written in (own, given)]
    assert rounds[0] == 3 < rounds[1]


def test_json_that_cannot_be_written(
    gate: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path, clock: FakeClock
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match="2"):
        command.main(["--json", "file/record.json"])
    assert "--json file/record.json cannot be written" in capsys.readouterr().err
    assert clock.log == []
