"""What another size of one layer leads to, further on."""

from collections.abc import Sequence

from striate.inspection.faults.case import Case
from striate.inspection.faults.failures import explained
from striate.inspection.tracing.rerun import Change, rerun
from striate.inspection.tracing.trace import Call, Trace


def consequence(trace: Trace, change: Change | None = None, sizes: Sequence[Sequence[int]] | None = None) -> str:
    """What becomes of a network when one operation gives another size, or its inputs have other sizes.

    Args:
        trace: of the network.
        change: another output size of one operation.
        sizes: others of the inputs.

    Returns:
        A phrase: the layer that does not run then, the network's new output, or from where on the sizes are as before.
    """
    run = rerun(trace, sizes, change)
    if not run.calls:
        return ""
    if run.failure is not None:
        if trace.failure is not None and str(trace.failure) == str(run.failure):
            return "the network fails as before"
        return f"then {explained(Case(trace, run, searching=False)).text}"
    before, after = _output(trace.calls[0]), _output(run.calls[0])
    if before != after:
        return f"the network gives {after} instead of {before}"
    # Calls of both runs go together as long as they are of the same modules.
    pairs = [(old, new) for old, new in zip(trace.calls, run.calls, strict=False) if old.name == new.name]
    changed = [place for place, (old, new) in enumerate(pairs) if place and _output(old) != _output(new)]
    if not changed:
        return "all later sizes as before"
    last = changed[-1]
    later = next((old.name for old, new in pairs[last + 1 :] if _output(old) == _output(new)), "")
    new = pairs[last][1]
    return f"`{new.name}` gives {_output(new)}" + (f", sizes are as before from `{later}` on" if later else "")


def _output(call: Call) -> tuple[int, ...] | None:
    return call.outputs[0].shape if call.outputs else None
