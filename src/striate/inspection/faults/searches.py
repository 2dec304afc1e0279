"""The input size that a network needs, found by running its copy on others."""

import re
from collections.abc import Callable

from striate.inspection.faults.case import Case
from striate.inspection.tracing.rerun import Run, rerun

_LARGEST = 4096
SMALL = re.compile(
    r"larger than the padded input|Output size is too small|can't be greater than actual input|"
    r"Padding size should be less than|Invalid computed output size|maximum size for tensor at dimension|"
    r"of the array of sliding blocks is|smaller than kernel size"
)
"""What PyTorch and Striate say of a map that is too small."""


def least_input(case: Case) -> str:
    """The smallest input on which no window is too large, all spatial axes enlarged alike.

    Args:
        case: a run that failed on a map that is too small.

    Returns:
        The size, as ``(1, 3, 63, 63)``; empty if none was found.
    """

    def runs(run: Run) -> bool:
        if run.failure is None:
            return True
        passed = case.place < len(run.calls) and run.calls[case.place].outputs is not None
        return passed and not SMALL.search(str(run.failure))

    return _least(case, runs)


def input_for_features(case: Case, features: int) -> str:
    """The input on which the layer that failed is given so many features.

    Args:
        case: a run that failed for their number.
        features: the last size of what it takes.

    Returns:
        The size, as ``(1, 3, 64, 64)``; empty if none was found.
    """

    def given(run: Run) -> int:
        reached = case.place < len(run.calls) and run.calls[case.place].inputs
        return reached[0].shape[-1] if reached else 0

    found = _least(case, lambda run: given(run) >= features, shrink=True)
    return found if found and given(rerun(case.trace, [_tuple(found)])) == features else ""


def _tuple(size: str) -> tuple[int, ...]:
    return tuple(int(side) for side in size.strip("()").split(","))


def _least(case: Case, accepts: Callable[[Run], bool], shrink: bool = False) -> str:
    if not case.searching or len(case.trace.inputs) != 1 or len(case.trace.inputs[0].shape) < 3:
        return ""
    shape = case.trace.inputs[0].shape
    # Without a batch the channels come first; a series of three sizes has its own batch.
    lead = case.lead

    def sized(side: int) -> tuple[int, ...]:
        return (*shape[:lead], *(side if shrink else max(side, given) for given in shape[lead:]))

    def good(side: int) -> bool:
        return accepts(rerun(case.trace, [sized(side)]))

    high = min(shape[lead:])
    if shrink:
        low = 0
    else:
        low = high
        high *= 2
    while not good(high):
        low, high = high, high * 2
        if high > _LARGEST:
            return ""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if good(middle) else (middle, high)
    return str(sized(high))
