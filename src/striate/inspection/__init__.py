"""Reading a network without running it: sizes, costs, memory, receptive fields, and what is wrong."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from striate.inspection.comparison import Compared, Comparison, compare
    from striate.inspection.counting.counts import CONVENTION
    from striate.inspection.counting.rules import forget_rule, register_rule
    from striate.inspection.finding import Finding
    from striate.inspection.inspection import Inspection, InspectionError, inspect
    from striate.inspection.layers import OperatorTotal
    from striate.inspection.memory.usage import Usage
    from striate.inspection.receptive.effective import EffectiveField, effective_receptive_field
    from striate.inspection.receptive.reach import Box
    from striate.inspection.report import Kept, Layer, Part, Total, Totals, UnreadInputs

# The file that each name is in, loaded at its first use.
_HOMES = {
    "Box": "receptive.reach",
    "CONVENTION": "counting.counts",
    "Compared": "comparison",
    "Comparison": "comparison",
    "EffectiveField": "receptive.effective",
    "Finding": "finding",
    "Inspection": "inspection",
    "InspectionError": "inspection",
    "Kept": "report",
    "Layer": "report",
    "OperatorTotal": "layers",
    "Part": "report",
    "Total": "report",
    "Totals": "report",
    "UnreadInputs": "report",
    "Usage": "memory.usage",
    "compare": "comparison",
    "effective_receptive_field": "receptive.effective",
    "inspect": "inspection",
    "forget_rule": "counting.rules",
    "register_rule": "counting.rules",
}

__all__ = [
    "CONVENTION",
    "Box",
    "Compared",
    "Comparison",
    "EffectiveField",
    "Finding",
    "Inspection",
    "InspectionError",
    "Kept",
    "Layer",
    "OperatorTotal",
    "Part",
    "Total",
    "Totals",
    "UnreadInputs",
    "Usage",
    "compare",
    "effective_receptive_field",
    "forget_rule",
    "inspect",
    "register_rule",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"striate.inspection.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'striate.inspection' has no attribute {name!r}")
