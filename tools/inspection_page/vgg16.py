"""VGG-16 as `striate inspect` reads it: its table, its parameters, its field and its memory."""

import math
from collections.abc import Iterable

import torch
from torch import nn

import striate
from operators_page.speeds import table
from striate import models
from striate.inspection.inspection import Inspection
from striate.inspection.report import Layer

_COURSE = "https://cs231n.github.io/convolutional-networks/"
# Values at each layer as the course's notes print them, in thousands; the last is the sum of the three linear layers.
_NOTES = (150, 3200, 3200, 800, 1600, 1600, 400, *[800] * 3, 200, *[400] * 3, 100, *[100] * 3, 25, 9)


def markdown() -> str:
    """All sections."""
    found = striate.inspect("vgg16")
    parts = ["## VGG-16, read", f"```text\n$ striate inspect vgg16\n{str(found).rstrip()}\n```", _shares(found)]
    return "\n\n".join([*parts, "### The 93 MB story, told right", _memory(found)])


def _shares(found: Inspection) -> str:
    """Where the parameters and the products are, and what a unit sees."""
    parameters, macs = found.totals.parameters.value, found.totals.macs.value
    fc6 = found.layer("classifier.0").parameters
    convolutions = [layer for layer in found.layers if layer.operator == "Conv2d"]
    features = sum(layer.parameters for layer in convolutions)
    last = found.layer("features.30")
    field, jump = last.receptive_field, last.jump
    return f"""\
- **Parameters**: fc6 alone (`classifier.0`) has {fc6:,} of the {parameters:,}, {fc6 / parameters:.1%}; the three
  fully connected layers together {1 - features / parameters:.1%}.
- **MACs**: the convolutions do {sum(layer.macs for layer in convolutions) / macs:.1%} of them, with
  {features / parameters:.1%} of the parameters.
- **Receptive field**: a unit of the last map sees {field[0]}×{field[1]} of the 224×224 pixels, and its neighbour the
  same {jump[0]} pixels further on."""


def _memory(found: Inspection) -> str:
    made = [layer for layer in found.layers if layer.operator in {"Conv2d", "MaxPool2d", "Linear"}]
    given, outputs = math.prod(found.input_sizes[0]), values(made)
    apart = values(layer for layer in found.layers if layer.operator == "ReLU")
    rows = [
        ("input and outputs of all layers, ReLU in place", given + outputs),
        ("the same, outputs of ReLU apart", given + outputs + apart),
        ('the course\'s notes: "24M * 4 bytes ~= 93MB"', 24_000_000),
        ("the column of the notes that this sums up, added again", 1000 * sum(_NOTES)),
    ]
    cells = [(what, f"{count:,}", f"{4 * count / 1e6:.2f} MB") for what, count in rows]
    with torch.device("meta"):
        network = models.vgg16()
    modes = {"training": network.train, "evaluation": network.eval}
    read = {}
    for mode, change in modes.items():
        read[mode] = striate.inspect(change(), (1, 3, 224, 224)).totals.saved_for_backward_bytes.value
    # Without numbers drawn: what is kept does not hang on them.
    network = network.to_empty(device="cpu")
    picture = torch.zeros(1, 3, 224, 224)
    both = [
        (mode, f"{read[mode]:,} bytes", f"{saved_by_a_run(change(), picture):,} bytes")
        for mode, change in modes.items()
    ]
    growth = [_growth(name) for name in ("vgg16", "resnet18")]
    return f"""\
How much memory does one picture of 224×224 need on its way through VGG-16, in float32? Lectures and slides repeat the
93 MB "only forward" of [the course's notes]({_COURSE}), which fits neither way of counting (MB are millions of bytes):

{table(("what is counted", "values", "memory"), cells)}

"Most of the memory usage is due to the first layers" is right: the first two convolutions make
{values(made[:2]) / outputs:.1%} of all outputs.

None of these is what training holds, which is what the operators keep for the backward pass. A convolution keeps its
input, ReLU in place its output, which is the same memory as the next layer's input, and max pooling beside its
input the int64 places of the maxima:

{table(("VGG-16, batch 1", "read", "kept by a real run"), both)}

In evaluation, what several layers keep counted at the first: {_reasons(found)}.

The lecture's "roughly the double" for the backward pass shows in what one picture more adds to the peak in a large
batch, where the gradients of the weights do not count. A forward pass in inference lets go of what was read;
with a backward pass to come it is kept, and goes as the gradients come:

{table(("one picture more", "inference", "forward and backward", "ratio", "all modules' outputs"), growth)}"""


def _reasons(found: Inspection) -> str:
    """What is kept for the backward pass, by reason."""
    kept: dict[str, int] = {}
    for layer in found.layers:
        for item in layer.kept:
            kept[item.reason] = kept.get(item.reason, 0) + item.nbytes
    order = sorted(kept, key=lambda reason: -kept[reason])
    return ", ".join(f"{reason} ({kept[reason] / 1e6:.2f} MB)" for reason in order if kept[reason])


def _growth(name: str) -> tuple[str, ...]:
    """What one more picture adds to the peaks of inference and of training."""
    usage = striate.inspect(name).usage
    inference, training = (
        max(each for _, each in peak.lines) for peak in (usage.peak_forward_of_batch, usage.training_of_batch)
    )
    megabytes = [f"{number / 1e6:.1f} MB" for number in (inference, training, usage.outputs_bytes)]
    return f"`{name}`", *megabytes[:2], f"{training / inference:.1f}×", megabytes[2]


def values(layers: Iterable[Layer]) -> int:
    """How many numbers the layers give."""
    return sum(math.prod(layer.output_size or (0,)) for layer in layers)


def saved_by_a_run(network: nn.Module, input: torch.Tensor) -> int:
    """The bytes that a run keeps for its backward pass, beside parameters, buffers and the input."""
    own = {tensor.untyped_storage().data_ptr() for tensor in (input, *network.parameters(), *network.buffers())}
    kept: list[torch.UntypedStorage] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.untyped_storage())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = network(input)
    sizes = {storage.data_ptr(): storage.nbytes() for storage in kept}
    del output
    return sum(size for place, size in sizes.items() if place not in own)
