"""One operator of ONNX in ONNX Runtime, in float32, on as many threads as PyTorch uses."""

from collections.abc import Collection
from functools import cache
from typing import Any

import torch
from torch import Tensor

from benchmarks.runner.case import Work

_OPSET = 22
_IR_VERSION = 10


def on_onnx_runtime(
    op_type: str, *inputs: Tensor | None, constant: Collection[int] = (), **attributes: int | str | list[int]
) -> Work:
    """A model of one node, forward only; its inputs lie in ONNX Runtime's own tensors.

    Args:
        op_type: the operator's name.
        inputs: in its order, None for one that is left out.
        constant: the places of those that belong to the model, as weights do: it may pack them ahead of the timing.
        attributes: the operator's.
    """
    import onnx
    import onnxruntime
    from onnx import helper, numpy_helper

    arrays = [None if tensor is None else tensor.detach().contiguous().numpy() for tensor in inputs]
    named = {f"input{place}": array for place, array in enumerate(arrays) if array is not None}
    names = ["" if array is None else f"input{place}" for place, array in enumerate(arrays)]
    fed = {name: array for name, array in named.items() if int(name.removeprefix("input")) not in constant}
    graph = helper.make_graph(
        [helper.make_node(op_type, names, ["output"], **attributes)],
        op_type,
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in fed.items()],
        [helper.make_tensor_value_info("output", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in named.items() if name not in fed],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    values = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in fed.items()}

    @cache
    def session(*, arena: bool) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = options.enable_mem_pattern = arena
        # Threads that go on spinning after a repeat would do so in the next contender's time.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    timed = session(arena=True)

    def run() -> None:
        timed.run_with_ort_values(["output"], values)

    def results() -> tuple[Any, ...]:
        # An arena keeps what it has allocated, so that no later run would seem to need more memory.
        return (session(arena=False).run_with_ort_values(["output"], values)[0].numpy(),)

    return Work(run=run, results=results)
