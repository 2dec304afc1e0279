"""Running a copy of a network for real, where its path depends on numbers."""

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from striate.inspection.tracing.record import Memory, Trace
from striate.inspection.tracing.recorder import Recorder
from striate.inspection.tracing.shadow import is_trusted
from striate.inspection.tracing.trace import untouched
from striate.ops import _door


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
    copied = _Copy(model)
    recorder = Recorder()
    copied.tell(recorder)
    recorder.begin(copied)
    device = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
    given = [torch.zeros(x.shape, dtype=x.dtype, device=device) for x in inputs]
    found = recorder.trace
    found.given, found.settings = tuple(given), dict(settings or {})
    found.inputs = tuple(recorder.hold(x, Memory(x.untyped_storage().nbytes(), given=True)) for x in given)
    with (
        untouched(),
        torch.compiler.set_stance("force_eager"),
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autograd.graph.saved_tensors_hooks(recorder.keep, recorder.give_back),
        recorder,
        _door.watched(recorder.announced),
    ):
        try:
            output = copied.model(*given, **found.settings)
            recorder.returned(output)
        except Exception as error:
            found.failure = error
        else:
            del output
    found.held = recorder.bytes
    return found


class _Copy:
    """A network with all its numbers, and without the hooks of others."""

    def __init__(self, model: nn.Module) -> None:
        self.model = copy.deepcopy(model)
        modules = dict(self.model.named_modules())
        self.names = {id(module): name for name, module in modules.items()}
        self.parameters: dict[str, Tensor] = {
            **dict(self.model.named_parameters(remove_duplicate=False)),
            **dict(self.model.named_buffers(remove_duplicate=False)),
        }
        self.hooks_left_out = []
        for name, module in modules.items():
            for kind in ("_forward_pre_hooks", "_forward_hooks"):
                hooks = vars(module)[kind]
                kept = OrderedDict((key, hook) for key, hook in hooks.items() if is_trusted(hook))
                if len(kept) < len(hooks):
                    self.hooks_left_out.append(name)
                module.__dict__[kind] = kept

    def tell(self, recorder: Recorder) -> None:
        """Tell a recorder of every call."""
        for module in self.model.modules():
            module.register_forward_pre_hook(recorder.enter, prepend=True)
            module.register_forward_hook(recorder.leave)
