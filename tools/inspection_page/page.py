"""The page itself."""

from collections.abc import Mapping
from typing import Any

from inspection_page import counters, examples, findings, vgg16

_ABOUT = """\
# Inspection

Written by `make docs` from runs. `striate inspect` reads any network without running it: any `torch.nn.Module`, any
network of Striate by its name, any ONNX file. Nothing is allocated and nothing is changed: the network runs as a copy
whose tensors have sizes and no numbers. At every layer stand its sizes, its cost, and what its units see; at the end,
what is wrong.

```python
>>> import striate, torch
>>> from torch import nn
>>> inspection = striate.inspect("resnet18", (8, 3, 224, 224))
>>> inspection.totals.parameters.value, inspection.totals.macs.value, inspection.totals.flops.value
(11689512, 14512586752, 29025173504)
>>> layer = inspection.layer("layer4")
>>> layer.output_size, layer.receptive_field, layer.jump
((8, 512, 7, 7), (435, 435), (Fraction(32, 1), Fraction(32, 1)))
>>> box = inspection.field_of("layer1", (0, 0))            # the inputs that the first unit reads
>>> box.first, box.last
((0, 0), (21, 21))

```

```text
striate inspect vgg16 --input 3x224x224 --batch 8
striate inspect vgg16 --vs resnet18
striate inspect package.module:factory --input 3x224x224 --json
striate inspect model.onnx --html model.html --svg model.svg
```"""

_STATES = """\
## Every total has a state

A total is complete, a lower bound that names the operators it could not count, or unavailable: never a silent zero.
`strict=True` refuses a network of which something is not counted, and `register_rule` says how to count it. Parameters
are counted by the memory that they lie in, so that tied ones count once. MACs and FLOPs are two numbers, never one for
the other.

```python
>>> class Spectrum(nn.Module):
...     def forward(self, x):
...         return torch.fft.rfft(x).abs()
>>> network = nn.Sequential(nn.Linear(64, 64, bias=False), Spectrum())
>>> striate.inspect(network, (1, 64)).totals.macs
Total(value=4096, state='lower bound', missing=('aten._fft_r2c',))
>>> striate.inspect(network, (1, 64), strict=True)
Traceback (most recent call last):
ValueError: could not count aten._fft_r2c: give a rule with register_rule

```"""


def whole(record: Mapping[str, Any]) -> str:
    """The page.

    Args:
        record: of the answers that other counters gave.
    """
    parts = [
        _ABOUT,
        vgg16.markdown(),
        findings.unread(),
        examples.failure(),
        examples.gridding(),
        findings.compared(),
        _STATES,
        counters.markdown(record),
    ]
    return "\n\n".join(parts) + "\n"
