"""Why a network does not run, and what would let it."""

import inspect
import re
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from striate.inspection.faults.case import Case, Reason
from striate.inspection.faults.mismatch import by_layer
from striate.inspection.faults.searches import SMALL, least_input
from striate.inspection.finding import Finding
from striate.inspection.tracing.rerun import Run, rerun
from striate.inspection.tracing.trace import Trace

_CALLED = {
    "aten._local_scalar_dense": ".item(), float(), bool() or an `if` on a tensor",
    "aten.nonzero": "x[mask] or torch.where(mask)",
    "aten._unique2": "torch.unique",
}


def explain(trace: Trace, model: nn.Module) -> Finding:
    """Why a network does not run on an input.

    Args:
        trace: of a network that failed.
        model: the network.

    Returns:
        The layer, what came and what it expects; the edits that mend it, those of the layer first; and in ``details``
        the sizes, the error as PyTorch has it, and ``needs_numbers``: whether a run with numbers would go on.

    Raises:
        ValueError: if the network did not fail.

    Example:
        >>> import torch
        >>> from striate.inspection.tracing.trace import trace
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(16, 8, 3))
        >>> print(explain(trace(network, [torch.empty(1, 3, 9, 9)]), network).text)
        `1` (Conv2d) expects 16 channels, `0` gives 8: (1, 8, 7, 7)
    """
    if trace.failure is None:
        raise ValueError("the network did not fail: there is nothing to explain")
    if not trace.calls:
        text = f"{type(model).__name__} could not begin: {_words(trace.failure)}"
        return Finding(kind="failure", layer="", text=text, details={"error": str(trace.failure)})
    again = rerun(trace)
    # The layer that fails is the same unless the network changes from run to run.
    run = again if str(again.failure) == str(trace.failure) else Run(trace.calls, trace.failure)
    return explained(Case(trace, run))


def explained(case: Case) -> Finding:
    """The explanation of a run that failed.

    Args:
        case: the run.

    Returns:
        The finding.
    """
    reason = (
        _numbers(case)
        or _unregistered(case)
        or _arguments(case)
        or by_layer(case)
        or _least(case)
        or _operation(case)
        or _unknown(case)
    )
    details: dict[str, Any] = {
        "operator": case.call.kind,
        "input_size": [list(value.shape) for value in case.call.inputs],
        "error": f"{type(case.failure).__name__}: {_words(case.failure)}",
        "needs_numbers": False,
    }
    details.update(reason.details)
    fixes = (*reason.fixes, *_hooks(case))
    return Finding(kind="failure", layer=case.call.name, text=reason.text, fixes=fixes, details=details)


def message(finding: Finding) -> str:
    """A failure and its edits as the text of an error.

    Args:
        finding: of kind "failure".

    Returns:
        One line for what went wrong, one for each edit.

    Example:
        >>> print(message(Finding(kind="failure", layer="0", text="`0` fails", fixes=("set bias=False",))))
        `0` fails
          - set bias=False
    """
    return "\n  - ".join((finding.text, *finding.fixes))


def _words(error: BaseException) -> str:
    """The first line of an error's text."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _numbers(case: Case) -> Reason | None:
    """Control flow or sizes that depend on numbers."""
    kind = type(case.failure).__name__
    function = getattr(case.failure, "func", None)
    if kind in ("DataDependentOutputException", "DynamicOutputShapeException") and function is not None:
        name = ".".join(str(function).split(".")[:2])
    elif ".numpy() is not supported" in str(case.failure):
        name = "numpy"
    elif kind == "GuardOnDataDependentSymNode":
        name = "a size"
    else:
        return None
    line, called = _line(case.failure), _CALLED.get(name, "")
    text = f"{case.name} goes by the numbers in a tensor, and here there are none: {name}"
    text += f", called by {called}" if called else ""
    return Reason(
        text + (f" ({line})" if line else ""),
        (
            "run it once for real, on zeros: run=True, or --run on the command line",
            "choose with torch.where in place of an `if`, so that sizes do not depend on numbers",
        ),
        {"needs_numbers": True, "function": name, "line": line},
    )


def _unregistered(case: Case) -> Reason | None:
    """An operator that does not say what sizes it gives."""
    found = re.search(r"no fake impl registered for <CustomOpDef\((.+?)\)>", str(case.failure))
    if found is not None:
        name = found[1]
    elif type(case.failure).__name__ == "UnsupportedOperatorException":
        name = str(getattr(case.failure, "func", case.failure))
    else:
        return None
    return Reason(
        f"{case.name} calls {name}, which does not say what sizes it gives",
        (
            f"say it with torch.library.register_fake({name!r})",
            "run it once for real, on zeros: run=True, or --run on the command line",
        ),
        {"needs_numbers": True, "function": name, "line": _line(case.failure)},
    )


def _hooks(case: Case) -> tuple[str, ...]:
    """What hooks that did not run might have changed."""
    names = ", ".join(f"`{name}`" if name else "the network" for name in case.trace.hooks_left_out)
    return (f"if hooks change what layers give, do that in a forward: those of {names} did not run",) if names else ()


def _line(error: BaseException) -> str:
    """Where a network's own code failed, as ``net.py, line 12: if x.sum() > 0:``; empty if that is not known."""
    foreign = ("/torch/", "/striate/")
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = frame.filename.replace("\\", "/")
        if not any(part in path for part in foreign) and not path.startswith("<frozen"):
            name = path.rpartition("/")[2]
            return f"{name}, line {frame.lineno}" + (f": {frame.line}" if frame.line and len(frame.line) < 70 else "")
    return ""


def _arguments(case: Case) -> Reason | None:
    """A forward that takes other arguments than it got."""
    text = str(case.failure)
    if not isinstance(case.failure, TypeError) or ".forward()" not in text:
        return None
    got = len(case.call.inputs)
    missing = re.search(r"missing \d+ required (?:positional|keyword-only) arguments?: (.+)$", text)
    if missing is None:
        if not re.search(r"positional arguments? but|unexpected keyword argument", text):
            return None
        takes = ", ".join(inspect.signature(case.call.module.forward).parameters)
        return Reason(f"{case.name} takes ({takes}): {_words(case.failure)}", (f"give it ({takes}) and no more",))
    names = re.findall(r"'(\w+)'", missing[1])
    wanted = " and ".join(f"`{name}`" for name in names)
    reason = f"{case.name} needs {wanted} besides the {got} input{'' if got == 1 else 's'} that it got"
    if case.place:
        return Reason(reason, (f"give it {' and '.join(names)} where it is called",), {"missing": names})
    given = ", ".join(str(value.shape) for value in case.call.inputs)
    sizes = ", ".join(f"<size of {name}>" for name in names)
    settings = ", ".join(f"{name!r}: ..." for name in names)
    return Reason(
        reason,
        (f"give a size for each: input_size=[{given}, {sizes}]", f"or by name: settings={{{settings}}}"),
        {"missing": names},
    )


def _least(case: Case) -> Reason | None:
    """A map that is smaller than what is laid over it, of an operation that is no layer."""
    if not SMALL.search(str(case.failure)):
        return None
    size = _shape(case)
    least = least_input(case)
    fixes = (f"give an input of at least {least}",) if least else ()
    return Reason(f"{case.name} gets {size}, which is too small: {_words(case.failure)}", fixes)


def _shape(case: Case) -> str:
    shapes = case.run.failed.shapes if case.run.failed else [value.shape for value in case.call.inputs]
    return str(tuple(shapes[0])) if shapes else "nothing"


_VERBS = {
    "add": "adds", "sub": "subtracts", "mul": "multiplies", "div": "divides", "cat": "concatenates", "stack": "stacks",
    "mm": "multiplies", "bmm": "multiplies", "addmm": "multiplies", "mv": "multiplies",
}  # fmt: skip


def _operation(case: Case) -> Reason | None:
    """An operation of a forward whose tensors do not go together."""
    failed = case.run.failed
    reshaped = re.search(r"shape '(\[[-\d, ]*\])' is invalid for input of size (\d+)", str(case.failure))
    if reshaped is not None:
        return Reason(
            f"{case.name} reshapes {int(reshaped[2]):,} numbers to {reshaped[1]}, which does not hold them",
            ("flatten all but the batch with x.flatten(1), and give the next layer as many features as that makes",),
        )
    if failed is None or len(failed.shapes) < 2:
        return None
    if failed.name == "aten.convolution":
        size, weight = failed.shapes[:2]
        text = f"{case.name} convolves {size} with weights {weight}, which do not go together: {_words(case.failure)}"
        return Reason(text, (f"for {size[1]} channels, give weights {(weight[0], size[1], *weight[2:])}",))
    parts = [
        f"`{maker}` gives {shape}" if maker and maker != case.call.name else f"{shape}"
        for shape, maker in zip(failed.shapes, failed.makers, strict=True)
    ]
    name = failed.name.rpartition(".")[2].strip("_")
    verb = _VERBS.get(name, f"calls {failed.name} on")
    text = f"{case.name} {verb} tensors whose sizes do not go together: {', '.join(parts)}"
    return Reason(text, _together(name, failed.shapes), {"operation": failed.name, "sizes": failed.shapes})


def _together(name: str, shapes: Sequence[tuple[int, ...]]) -> tuple[str, ...]:
    """Edits for tensors that do not go together."""
    if name in ("mm", "bmm", "addmm", "baddbmm", "mv", "dot"):
        return ("make the last size of the first the second last of the second: transpose one, or change a layer",)
    first, *others = (shape for shape in shapes if len(shape) == max(map(len, shapes)))
    if len(first) < 3 or not others:
        return ("make the sizes equal, or 1 where one is to be repeated",)
    other = next((shape for shape in others if shape[2:] != first[2:]), None)
    if other is None:
        return (f"make the channels equal, {first[1]} and {others[0][1]}, with a 1×1 convolution on one branch",)
    small, large = sorted((first[2:], other[2:]))
    sides = [(b - a) // 2 for a, b in zip(small, large, strict=True)]
    cut = ", ".join(f"{side}:{side + a}" for side, a in zip(sides, small, strict=True))
    pads = [p for a, b, side in reversed(list(zip(small, large, sides, strict=True))) for p in (side, b - a - side)]
    return (
        f"crop the larger to {_by(small)}: x[:, :, {cut}]",
        f"pad the smaller to {_by(large)}: F.pad(x, {tuple(pads)})",
        f"resize one: F.interpolate(x, size={tuple(large)})",
    )


def _by(sizes: Sequence[int]) -> str:
    return "×".join(map(str, sizes))


def _unknown(case: Case) -> Reason:
    """What nothing more is known of."""
    line = _line(case.failure)
    sizes = ", ".join(str(value.shape) for value in case.call.inputs) or "no tensor"
    details: Mapping[str, Any] = {"line": line}
    text = f"{case.name} fails on {sizes}: {type(case.failure).__name__}: {_words(case.failure)}"
    return Reason(text + (f" ({line})" if line else ""), (), details)
