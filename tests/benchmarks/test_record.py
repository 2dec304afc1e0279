"""The JSON file: its schema, and the machine in it."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from benchmarks.runner import record
from benchmarks.runner.case import Case, Scaling, Topic, Work
from benchmarks.runner.memory import with_memory
from benchmarks.runner.scaling import Growth, Step
from benchmarks.runner.timing import Times, measure
from tests.benchmarks.conftest import FakeClock

_SPREAD = {"median": float, "low": float, "high": float}
_TIMES = {"seconds": _SPREAD, "seconds_with_backward": (_SPREAD, None), "rounds": int, "memory": (int, None)}
_TARGET = {"ratio": (float, None), "with_backward": (float, None), "extra_seconds": (float, None)}
_PEER = {"name": str, "target": _TARGET, "not_timed": (str, None)}
_MEASURED = {"ratio": _SPREAD, "ratio_with_backward": (_SPREAD, None), "extra_seconds": _SPREAD, "met": dict}
_CASE = {"case": str, "floor": str, "amount": ({"number": int, "of": str}, None), "ours": _TIMES, "peers": list}
_GROWTH = {"scaling": str, "varied": str, "target": str, "steps": list}
_STEP = {"at": str, "factor": int}
_AGAINST = {"against_first": (_SPREAD, None), "against_first_with_backward": (_SPREAD, None), "met": dict}
_MACHINE = {
    **{"cpu": str, "cores": int, "threads": int, "load": float, "platform": str},
    **{"versions": dict, "date": str, "commit": (str, None), "changed": bool},
}


def assert_fits(value: Any, schema: Any) -> None:
    """The value has exactly the keys and types of the schema; a tuple lists what may stand in one place."""
    if isinstance(schema, tuple):
        if value is not None:
            assert_fits(value, schema[0])
    elif isinstance(schema, dict):
        assert value.keys() == schema.keys()
        for key, part in schema.items():
            assert_fits(value[key], part)
    else:
        assert type(value) is schema


def test_a_case_fits_the_schema(clock: FakeClock, make_case: Callable[..., Case]) -> None:
    outcome = with_memory(measure(make_case(needs=("no_such_package",)), clock=clock), [3 * 2**20, None, None])
    described = json.loads(json.dumps(record.describe(outcome)))
    assert_fits(described, _CASE)
    absent, present = described["peers"]
    assert_fits(absent, _PEER)
    assert_fits(present, {**_PEER, **_TIMES, **_MEASURED})
    assert absent["not_timed"] == "not installed: no_such_package"
    assert present["ratio"]["median"] == 3.0
    assert present["extra_seconds"]["median"] == -2.0
    assert present["met"] == {"extra_seconds": True}
    assert described["ours"]["memory"] == 3 * 2**20


def test_a_growth_fits_the_schema() -> None:
    scaling = Scaling(name="a layer", make=lambda *_: Work(run=lambda: None), batch=4, channels=4, side=4)
    first, half = Times(run=[2.0, 2.0], with_backward=[4.0, 4.0]), Times(run=[1.0, 1.0], with_backward=[2.5, 2.5])
    steps = [Step(at=at, factor=int(at), times=times) for at, times in (("1", first), ("2", half), ("3", None))]
    growth = Growth(scaling=scaling, varied="threads", steps=steps)
    described = json.loads(json.dumps(record.describe_growth(growth)))
    assert_fits(described, _GROWTH)
    one, two, impossible = described["steps"]
    assert_fits(one, {**_STEP, **_TIMES, **_AGAINST})
    assert_fits(two, {**_STEP, **_TIMES, **_AGAINST})
    assert_fits(impossible, _STEP)
    assert (one["against_first"], one["met"]) == (None, {})
    assert two["against_first"]["median"] == 2.0
    assert two["met"] == {"run": True, "with_backward": False}


def test_the_machine_fits_the_schema(make_case: Callable[..., Case]) -> None:
    topic = Topic(cases=(make_case(needs=("no_such_package",)),), tests=())
    machine = json.loads(json.dumps(record.machine({"a topic": topic})))
    assert_fits(machine, _MACHINE)
    assert machine["cores"] >= 1
    assert {"python", "striate", "torch", "numpy", "pillow", "no_such_package"} == machine["versions"].keys()
    assert machine["versions"]["no_such_package"] is None
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", machine["date"])
    assert machine["commit"] is None or re.fullmatch(r"[0-9a-f]{40}", machine["commit"])


def test_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    machine = record.machine({})
    assert machine["commit"] is None
    assert machine["changed"] is False


def test_the_file_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "new" / "record.json"
    record.check_writable(file)
    record.write(file, {"old": True})
    record.write(file, {"floor": "28×28"})
    assert json.loads(file.read_text(encoding="utf-8")) == {"floor": "28×28"}
    assert list(file.parent.iterdir()) == [file]


def test_a_file_that_cannot_be_written_is_found_out_first(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        record.check_writable(tmp_path / "file" / "record.json")
    with pytest.raises(OSError, match="is a folder"):
        record.check_writable(tmp_path)
