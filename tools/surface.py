"""Print every public name with its signature: `python tools/surface.py > tests/api_surface.txt` accepts a change."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import striate
from striate.ops import OPERATORS


def packages() -> Iterator[str]:
    """The public packages: those right under `striate` that state an `__all__`."""
    for module in pkgutil.iter_modules(striate.__path__, "striate."):
        if module.name != "striate.cli" and hasattr(importlib.import_module(module.name), "__all__"):
            yield module.name


def public_names() -> Iterator[tuple[str, object]]:
    """Operators by their path in `striate`, everything else by its path in its package."""
    for name in sorted(OPERATORS):
        yield f"striate.{name}", getattr(striate, name)
    for package in packages():
        module = importlib.import_module(package)
        for name in sorted(module.__all__):
            yield f"{package}.{name}", getattr(module, name)


def public_methods(cls: type) -> Iterator[tuple[str, object]]:
    """The methods and properties that a class defines itself."""
    for name, member in sorted(vars(cls).items()):
        if not name.startswith("_") and (callable(member) or isinstance(member, classmethod | property)):
            yield name, member.__func__ if isinstance(member, classmethod) else member


def signature(value: object) -> str:
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return ""
    return f"({', '.join(str(p.replace(annotation=p.empty)) for p in parameters)})"


def surface() -> str:
    lines = []
    for name, value in public_names():
        lines.append(name + (signature(value) if callable(value) else ""))
        if inspect.isclass(value):
            lines += [f"{name}.{method}{signature(member)}" for method, member in public_methods(value)]
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    print(surface(), end="")
