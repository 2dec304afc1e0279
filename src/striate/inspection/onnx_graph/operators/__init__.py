"""What each operator of ONNX does, in PyTorch."""

from striate.inspection.onnx_graph.operators import (  # noqa: F401
    norms,
    pointwise,
    products,
    recurrent,
    reductions,
    resize,
    shapes,
    windows,
)
from striate.inspection.onnx_graph.operators.registry import OPERATORS, Node, Operator

__all__ = ["OPERATORS", "Node", "Operator"]
