"""ONNX files as modules of PyTorch, which run on tensors with and without numbers."""

from striate.inspection.onnx_graph.module import OnnxNetwork, inputs_of, open_onnx
from striate.inspection.onnx_graph.reader import GraphInput, Limits

__all__ = ["GraphInput", "Limits", "OnnxNetwork", "inputs_of", "open_onnx"]
