"""The benchmarks by name: every file beside this package is one, and holds a `TOPIC`."""

import importlib
import pkgutil

import benchmarks
from benchmarks.runner.case import Topic


def load_topics() -> dict[str, Topic]:
    """All topics by the names of their files."""
    found = pkgutil.iter_modules(benchmarks.__path__)
    names = sorted(file.name for file in found if not file.ispkg and file.name != "__main__")
    return {name: importlib.import_module(f"benchmarks.{name}").TOPIC for name in names}
