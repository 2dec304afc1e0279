"""Networks for others: ONNX, safetensors and PyTorch code, each loaded again and compared before success is said."""

from striate.export.exported import Exported
from striate.export.onnx_file import to_onnx
from striate.export.safetensors_file import to_safetensors
from striate.export.source_file import to_code

__all__ = ["Exported", "to_code", "to_onnx", "to_safetensors"]
