"""The report of a training run: one self-contained page and its figures as PNG."""

from striate.training.report.layers import LayerRow, layer_table
from striate.training.report.summary import RunSummary
from striate.training.report.write import write_report

__all__ = ["LayerRow", "RunSummary", "layer_table", "write_report"]
