"""Examples whose outcome is written down as it comes: a network that does not run, and a field with gaps."""

from collections import OrderedDict

from torch import nn

import striate
from striate.inspection.inspection import InspectionError

_FAILURE = """\
## A network that does not run

Not "mat1 and mat2 shapes cannot be multiplied", but where, what came, what was expected, and edits that mend it; the
layers up to there can be read.

```python
>>> from collections import OrderedDict
>>> features = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2))
>>> classifier = nn.Sequential(nn.Flatten(), nn.Linear(100, 10))
>>> network = nn.Sequential(OrderedDict(features=features, classifier=classifier))
>>> try:
...     striate.inspect(network, (1, 3, 32, 32))
... except ValueError as error:
...     print(error)
...     print(error.inspection.layer("features").output_size)
{}
(1, 8, 15, 15)

```"""
_GRIDDING = """\
## Fields with gaps

3×3 convolutions with dilations 2, 4 and 8 have a field of 29 positions along each axis, of which they read 15:

```python
>>> layers = [nn.Conv2d(1, 1, 3, padding=d, dilation=d) for d in (2, 4, 8)]
>>> inspection = striate.inspect(nn.Sequential(*layers), (1, 1, 64, 64))
>>> inspection.layers[-1].receptive_field
(29, 29)
>>> print(inspection.findings[-1].text)
{}

```"""


def failure() -> str:
    """A classifier that is made for fewer features than come."""
    features = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2))
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(100, 10))
    try:
        striate.inspect(nn.Sequential(OrderedDict(features=features, classifier=classifier)), (1, 3, 32, 32))
    except InspectionError as error:
        said = str(error)
    return _FAILURE.format(said)


def gridding() -> str:
    """Dilations 2, 4 and 8."""
    layers = [nn.Conv2d(1, 1, 3, padding=d, dilation=d) for d in (2, 4, 8)]
    return _GRIDDING.format(striate.inspect(nn.Sequential(*layers), (1, 1, 64, 64)).findings[-1].text)
