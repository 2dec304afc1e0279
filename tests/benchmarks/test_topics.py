"""What the benchmark files declare."""

import pytest
from benchmarks.runner.case import Target, Topic
from benchmarks.runner.gate import ROOT
from benchmarks.runner.topics import load_topics

_TOPICS = load_topics()


def test_every_file_beside_the_runner_is_a_topic() -> None:
    files = {file.stem for file in (ROOT / "benchmarks").glob("*.py")} - {"__init__", "__main__"}
    assert _TOPICS.keys() == files
    assert {"training", "import_time"} <= files


@pytest.mark.parametrize("topic", _TOPICS.values(), ids=_TOPICS.keys())
def test_every_topic_declares_cases_with_targets(topic: Topic) -> None:
    assert topic.cases
    assert len({case.name for case in topic.cases}) == len(topic.cases)
    for case in topic.cases:
        assert case.floor
        assert any(peer.target != Target() for peer in case.peers), case.name
        assert len({peer.name for peer in case.peers}) == len(case.peers)


@pytest.mark.parametrize("topic", _TOPICS.values(), ids=_TOPICS.keys())
def test_every_topic_names_tests_that_exist(topic: Topic) -> None:
    assert topic.tests
    assert [name for name in topic.tests if not (ROOT / name).exists()] == []


def test_scalings_vary_all_that_is_wished() -> None:
    for name in ("conv", "conv_transpose", "im2col", "correlate"):
        for scaling in _TOPICS[name].scalings:
            assert scaling.vary == ("area", "channels", "batch", "threads")
        assert _TOPICS[name].scalings
    assert [scaling.name for scaling in _TOPICS["conv"].scalings] == ["standard 3×3, to 64 channels", "depthwise 7×7"]


def test_targets_are_those_that_were_set() -> None:
    augmented, plain = _TOPICS["training"].cases
    assert (augmented.peers[0].target.ratio, plain.peers[0].target.ratio) == (3.0, 1.1)
    assert _TOPICS["import_time"].cases[0].peers[0].target.extra_seconds == 0.06
    assert [case.peers[0].target.ratio for case in _TOPICS["inspection"].cases] == [20.0, 2.5]
