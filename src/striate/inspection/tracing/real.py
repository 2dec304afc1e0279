"""Running a copy of a network for real, where its path depends on numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from striate.inspection.tracing.record import Trace
from striate.inspection.tracing.recorder import Recorder
from striate.inspection.tracing.shadow import Shadow
from striate.inspection.tracing.trace import observe


def run_for_real(model: nn.Module, inputs: Sequence[Tensor], settings: Mapping[str, Any] | None = None) -> Trace:
    """Run a copy of a network on zeros, and write down what happens.

    Args:
        model: any module with numbers; it is not touched.
        inputs: tensors of the sizes and dtypes to run on; their numbers are not read.
        settings: further arguments of the network's forward by name.

    Returns:
        The run; if the network failed, up to where it did.

    Raises:
        ValueError: if the network has no numbers to run with.
    """
    if any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers())):
        raise ValueError("the network has no numbers to run with: it was built on the meta device")
    recorder = Recorder()
    with torch.inference_mode(False):
        shadow = Shadow(model, None, recorder.enter, recorder.leave)
        device = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
        given = [torch.zeros(x.shape, dtype=x.dtype, device=device) for x in inputs]
    return observe(shadow, recorder, given, settings)
