"""The command line: `python -m benchmarks [TOPIC ...] [--json PATH] [--budget SECONDS] [--no-tests]`."""

import argparse
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.runner import record
from benchmarks.runner.case import Topic
from benchmarks.runner.gate import failure
from benchmarks.runner.memory import extra_memory, with_memory
from benchmarks.runner.scaling import grow
from benchmarks.runner.table import print_growths, print_table
from benchmarks.runner.timing import measure
from benchmarks.runner.topics import load_topics


def main(arguments: Sequence[str] | None = None) -> int:
    """Time the topics that are named, all if none is; 1 if the tests of one fail, 2 for a mistake in the arguments."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Print the speed tables.")
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help="an operator or a subject; all if none is named")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write a file, relative to benchmarks/results")
    parser.add_argument(
        "--budget", type=float, metavar="SECONDS", help="for each case instead of its own; 0 is a first look, and noisy"
    )
    parser.add_argument("--no-tests", action="store_true", help="do not run the tests of a topic first")
    options = parser.parse_args(arguments)
    topics = load_topics()
    for name in options.topics:
        if name not in topics:
            near = difflib.get_close_matches(name, topics, n=3)
            meant = f"did you mean {' or '.join(near)}? " if near else ""
            parser.error(f"no benchmark is called {name!r}: {meant}there are {', '.join(topics)}")
    file = None if options.json is None else record.RESULTS / options.json
    if file is not None:
        try:
            record.check_writable(file)
        except OSError as error:
            parser.error(f"--json {options.json} cannot be written: {error}")
    chosen = {name: topics[name] for name in options.topics or topics}
    return _run(chosen, file=file, tests=not options.no_tests, budget=options.budget)


def _run(topics: dict[str, Topic], *, file: Path | None, tests: bool, budget: float | None) -> int:
    results: dict[str, Any] = {
        "format": record.FORMAT,
        "machine": record.machine(topics),
        "tested": tests,
        "budget": budget,
        "topics": {},
    }
    about = results["machine"]
    print(f"{about['cpu']}, {about['cores']} cores, {about['threads']} threads, torch {about['versions']['torch']}")
    if about["load"] > 0.5:
        print(f"The machine is busy (load {about['load']:.1f}): numbers may be far off, the more so with many threads.")
    if not tests:
        print("The tests were not run (--no-tests): these numbers prove nothing about what is right.")
    red = False
    for name, topic in topics.items():
        failed = failure(topic.tests) if tests else None
        if failed is None:
            results["topics"][name] = _timed(name, topic, budget)
        else:
            red = True
            print(f"\n{name}: not timed, for its tests do not pass ({' '.join(topic.tests)}):\n{failed}")
            results["topics"][name] = {"refused": failed}
        if file is not None:
            record.write(file, results)
    return int(red)


def _timed(name: str, topic: Topic, budget: float | None) -> dict[str, Any]:
    """Time a topic, print its tables, and return its record."""
    outcomes = [
        with_memory(measure(case, budget=budget), extra_memory(f"benchmarks.{name}", number))
        for number, case in enumerate(topic.cases)
    ]
    print_table(name, outcomes, sys.stdout)
    growths = [grow(scaling, varied, budget=budget) for scaling in topic.scalings for varied in scaling.vary]
    if growths:
        print_growths(f"{name}: how the time grows", growths, sys.stdout)
    return {
        "cases": [record.describe(outcome) for outcome in outcomes],
        "scalings": [record.describe_growth(growth) for growth in growths],
    }
