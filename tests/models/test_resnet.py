import pytest
import torch

from striate import models
from striate.models import ResNetConfig, resnet18, resnet18_deform, resnet50, resnet50_deform
from striate.nn import DeformConv2d


def deformable(network: models.ResNet) -> list[str]:
    return [name for name, layer in network.named_modules() if isinstance(layer, DeformConv2d)]


@pytest.mark.parametrize(
    ("name", "widest", "blocks"),
    [
        ("resnet18", 512, (2, 2, 2, 2)),
        ("resnet34", 512, (3, 4, 6, 3)),
        ("resnet50", 2048, (3, 4, 6, 3)),
        ("resnet101", 2048, (3, 4, 23, 3)),
        ("resnet152", 2048, (3, 8, 36, 3)),
    ],
)
def test_sizes(name: str, widest: int, blocks: tuple[int, ...]):
    with torch.device("meta"):
        network = models.create(name).eval()
        maps = network.features(torch.empty(1, 3, 224, 224))
    assert {stage: tuple(found.shape[1:]) for stage, found in maps.items()} == {
        "conv1": (64, 112, 112),
        "layer1": (widest // 8, 56, 56),
        "layer2": (widest // 4, 28, 28),
        "layer3": (widest // 2, 14, 14),
        "layer4": (widest, 7, 7),
    }
    assert tuple(len(network.get_submodule(f"layer{stage}")) for stage in (1, 2, 3, 4)) == blocks


def test_dilation_for_strides():
    with torch.device("meta"):
        network = resnet50(replace_stride_with_dilation=(False, True, True))
        maps = network.features(torch.empty(2, 3, 224, 224))
    assert [found.shape[-1] for found in maps.values()] == [112, 56, 28, 28, 28]
    # The first block of a stage still spreads as the stage before.
    assert [block.conv2.dilation[0] for block in (*network.layer3[:2], *network.layer4[:2])] == [1, 2, 2, 4]


def test_blocks_begin_as_their_shortcuts():
    network = resnet18(zero_init_residual=True)
    assert not network.layer3[1].bn2.weight.any()
    maps = torch.rand(2, 512, 3, 3)
    assert torch.equal(network.layer4[1](maps), maps)
    assert resnet18().layer3[1].bn2.weight.all()


def test_first_weights():
    torch.manual_seed(0)
    network = resnet18()
    for layer in (network.conv1, network.layer2[0].conv1, network.layer4[1].conv2):
        read = layer.out_channels * layer.kernel_size[0] ** 2
        assert layer.weight.std().item() == pytest.approx((2 / read) ** 0.5, rel=0.02)


def test_deformable_stages():
    with torch.device("meta"):
        assert deformable(resnet18()) == []
        assert deformable(resnet18_deform()) == [
            f"layer{stage}.{block}.conv2" for stage in (2, 3, 4) for block in (0, 1)
        ]
        assert len(deformable(resnet50_deform())) == 4 + 6 + 3
        last = resnet50(deformable_stages=(4,), deformable_mask=False)
        assert models.name_of(last) == "resnet50"
        assert models.name_of(resnet50(deformable_stages=(2, 3, 4))) == "resnet50_deform"
    # Dai's: two offsets a tap, no masks, in the last three layers of 3x3.
    assert deformable(last) == [f"layer4.{block}.conv2" for block in (0, 1, 2)]
    assert last.layer4[0].conv2.stride == (2, 2)
    assert all(block.conv2.conv_offset.out_channels == 18 for block in last.layer4)


@pytest.mark.parametrize(
    "options", [{}, {"deformable_mask": False, "replace_stride_with_dilation": (False, True, True)}]
)
def test_deformable_begins_as_the_plain_one(options: dict[str, object]):
    torch.manual_seed(0)
    plain = resnet18(num_classes=5, **{key: value for key, value in options.items() if key[:3] == "rep"}).eval()
    torch.manual_seed(0)
    moved = resnet18_deform(num_classes=5, **options).eval()
    own, shared = moved.state_dict(), plain.state_dict()
    # With the same seed, too.
    assert all(torch.equal(own.pop(name), value) for name, value in shared.items())
    assert {name.rpartition("conv_offset.")[2] for name in own} == {"weight", "bias"}
    assert not any(value.any() for value in own.values())
    pictures = torch.randn(2, 3, 33, 40)
    with torch.no_grad():
        torch.testing.assert_close(moved(pictures), plain(pictures))
        moved.layer4[1].conv2.conv_offset.bias.fill_(0.5)
        assert not torch.allclose(moved(pictures), plain(pictures))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_channels": 0}, "in_channels must be at least 1, got 0"),
        ({"num_classes": 0}, "num_classes must be at least 1, got 0"),
        ({"input_size": (224,)}, r"input_size must be \(H, W\), each at least 1, got \(224,\)"),
        ({"block": "wide"}, "block must be one of basic, bottleneck, got 'wide'"),
        ({"layers": (2, 2, 2)}, r"layers must be four numbers of blocks, each at least 1, got \(2, 2, 2\)"),
        ({"layers": (2, 2, 0, 2)}, "layers must be four numbers of blocks, each at least 1"),
        ({"replace_stride_with_dilation": (True,)}, r"replace_stride_with_dilation must be three.*got \(True,\)"),
        ({"deformable_stages": (4, 5)}, r"deformable_stages must be some of 1, 2, 3, 4, got \(4, 5\)"),
    ],
)
def test_options_out_of_range(options: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        ResNetConfig(**options)
