"""The networks of `striate.models` that are plain stacks, against their texts."""

import pytest
import torch
from tests.models.cases import CASES, CLASSES, build, error, inputs
from tests.models.filling import quick_numbers
from tests.models.layer_sizes import layer_sizes, on_meta, parameters
from torch import nn

from striate import models
from striate.models import notation
from striate.models.notation import CLASSICS

# A stage of theirs that is one layer in ours, and the other way round: sizes are compared of what both have.
SMALL = {name: CASES[name].sizes[0] for name in CLASSICS} | {"lenet5": (28, 28), "all_cnn_c": (16, 16)}
LIGHT = ("lenet5", "all_cnn_c", "mobilenet_v1", "mlp", "jarrett", "alexnet", "zfnet", "c3d", "vgg11_bn", "deepface")


def weighted(network: nn.Module) -> list[str]:
    return [
        name
        for name, layer in network.named_modules()
        if not list(layer.children()) and (hasattr(layer, "in_channels") or hasattr(layer, "in_features"))
    ]


@pytest.mark.parametrize("name", CLASSICS)
def test_sizes_and_parameters(name: str):
    theirs, ours = on_meta(models.create, name=name), on_meta(models.create, name=CLASSICS[name], num_classes=0)
    if ours.config.num_classes != theirs.config.num_classes:
        ours = on_meta(models.create, name=CLASSICS[name], num_classes=theirs.config.num_classes)
    assert parameters(ours) == parameters(theirs) == CASES[name].parameters
    assert (ours.config.in_channels, *ours.config.input_size) == (theirs.config.in_channels, *theirs.config.input_size)
    assert (ours.TAKES, ours.GIVES) == (theirs.TAKES, theirs.GIVES)
    found, expected = layer_sizes(ours), layer_sizes(theirs)
    # Numbers in a row may be a map of one place: LeNet-5's last bank.
    assert [found[layer] for layer in weighted(ours)] == [expected[layer] for layer in weighted(theirs)]


@pytest.mark.parametrize("name", LIGHT)
def test_scores(name: str):
    size = SMALL[name]
    options = {} if name != "mobilenet_v1" else {"width_mult": 1.0}
    theirs = build(name, size=size, **options).eval()
    with quick_numbers():
        ours = models.create(CLASSICS[name], num_classes=CLASSES, input_size=size).eval()
    state = theirs.state_dict()
    assert [value.shape for value in ours.state_dict().values()] == [value.shape for value in state.values()]
    ours.load_state_dict(dict(zip(ours.state_dict(), state.values(), strict=True)))
    with torch.no_grad():
        assert error(ours(inputs(theirs)), theirs(inputs(theirs))) <= 1e-5


def test_scores_of_every_place():
    text = CLASSICS["dilated_context"].replace("w = 16", "w = 4")
    theirs = build("dilated_context", size=(32, 32)).eval()
    ours = models.create(text, num_classes=CLASSES, input_size=(32, 32)).eval()
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    with torch.no_grad():
        assert error(ours(inputs(theirs)), theirs(inputs(theirs))) <= 1e-5


def test_every_classic_is_compared():
    twins = {name for name in CLASSICS if CASES[name].twin_of in LIGHT}
    # The two AlexNets differ in groups and normalisation: their parameters and sizes are compared.
    assert set(CLASSICS) == {*LIGHT, *twins, "dilated_context", "alexnet_2012"}


@pytest.mark.sweep
@pytest.mark.parametrize("name", sorted(set(CLASSICS) - set(LIGHT) - {"dilated_context"}))
def test_scores_of_the_rest(name: str):
    test_scores(name)


@pytest.mark.parametrize("name", CLASSICS)
def test_printed_and_read_again(name: str):
    stack = notation.parse(CLASSICS[name])
    assert notation.parse(notation.text_of(stack)) == stack
