import pytest
import torch
from tests.models.cases import build, error, inputs
from tests.models.loading.filling import fit_weights
from torch import Tensor

from striate import models
from striate.models import Network
from striate.models.loading.plan import plan
from striate.nn import DeformConv2d


def theirs() -> Network:
    """A network of mmcv's layers: the masks are sigmoids, and offsets and masks are somewhere."""
    network = build("resnet18_deform").eval()
    for layer in network.modules():
        if isinstance(layer, DeformConv2d):
            layer.mask_init = 0.5
            layer.conv_offset.bias.data.uniform_(-2, 2)
    return network


def as_mmcv(network: Network, *, old: bool, prefix: str) -> dict[str, Tensor]:
    """The state dict of the backbone of a detector."""
    state = {name: value for name, value in network.state_dict().items() if not name.startswith("fc.")}
    renamed = {name.replace(".conv_offset", "_offset") if old else name: value for name, value in state.items()}
    return {prefix + name: value for name, value in renamed.items()}


@pytest.mark.parametrize(
    ("old", "prefix"),
    [(True, ""), (True, "backbone."), (False, "backbone."), (False, "state_dict.module.backbone."), (True, "module.")],
)
def test_deformable_layers(old: bool, prefix: str):
    network = theirs()
    given = as_mmcv(network, old=old, prefix=prefix)
    others = {"neck.fpn_convs.0.conv.weight": torch.ones(1), "roi_head.bbox_head.fc_cls.weight": torch.ones(1)}
    ours = build("resnet18_deform", live=False).eval()
    report = fit_weights(ours, given | others, "file")
    assert report.missing == ("fc.weight", "fc.bias")
    assert report.unexpected == tuple(others)
    assert "names of mmcv's layers" in report.changed
    assert "6 deformable layers have their weights divided by 2, the largest mask here" in report.changed
    input = inputs(network)
    with torch.no_grad():
        expected = network.features(input)["layer4"]
        assert error(ours.features(input)["layer4"], expected) <= 1e-5
        assert error(expected[:1], expected[1:]) > 0.01


def test_our_own_file_is_taken_as_it_is():
    network = build("resnet18_deform").eval()
    ours = build("resnet18_deform", live=False).eval()
    report = fit_weights(ours, network.state_dict(), "file")
    assert report.complete and not report.changed
    input = inputs(network)
    assert torch.equal(ours(input), network(input))


def test_without_masks():
    network = build("resnet18_deform", deformable_mask=False).eval()
    ours = build("resnet18_deform", live=False, deformable_mask=False).eval()
    report = fit_weights(ours, as_mmcv(network, old=True, prefix="backbone."), "file")
    assert not any("divided" in change for change in report.changed)
    input = inputs(network)
    assert torch.equal(ours.features(input)["layer4"], network.features(input)["layer4"])


def test_a_classifier():
    network = build("resnet18").eval()
    given = as_mmcv(network, old=False, prefix="backbone.")
    given |= {"head.fc.weight": network.fc.weight.detach(), "head.fc.bias": network.fc.bias.detach()}
    ours = build("resnet18", live=False).eval()
    assert fit_weights(ours, given, "file").complete
    input = inputs(network)
    assert torch.equal(ours(input), network(input))


def test_a_predictor_of_another_size():
    with torch.device("meta"):
        network = models.create("resnet18_deform", deformable_mask=False)
        given = as_mmcv(models.create("resnet18_deform"), old=True, prefix="backbone.")
    sized = plan(network, given, "file").report.wrongly_sized
    assert ("layer2.0.conv2.conv_offset.weight", (27, 128, 3, 3), (18, 128, 3, 3)) in sized
