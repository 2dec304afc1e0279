import copy
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from striate import models
from striate.inspection.targets import load, without_numbers

NETS = """
import torch
from torch import nn

LAYER = nn.Linear(3, 2)
NUMBER = 3


def small():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout())


def with_size(size):
    return nn.Linear(size, size)


def optional(size=4):
    return nn.Linear(size, size)


def words():
    return ["no", "module"]


def broken():
    size = 0
    return nn.Linear(3 // size, 2)


def deep():
    return nn.Conv2d(3, 4, 3, groups=2)


def leaving():
    raise SystemExit("done")


class Net(nn.Linear):
    def __init__(self):
        super().__init__(5, 5)

    @staticmethod
    def wide():
        return nn.Linear(50, 50)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a module and a package of one's own, to work in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_nets.py").write_text(NETS)
    (tmp_path / "own_bad.py").write_text("import own_nets\n\nraise KeyError('nothing')\n")
    (tmp_path / "own_syntax.py").write_text("x = 1\ndef f(:\n")
    (tmp_path / "own_needs.py").write_text("import surely_not_installed\n")
    (tmp_path / "own_package" / "inner").mkdir(parents=True)
    (tmp_path / "own_package" / "__init__.py").touch()
    (tmp_path / "own_package" / "inner" / "__init__.py").touch()
    (tmp_path / "own_package" / "inner" / "nets.py").write_text(NETS)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if name.startswith("own_"):
            del sys.modules[name]


@pytest.mark.parametrize("name", models.names())
def test_a_network_by_name(name: str):
    random = torch.get_rng_state()
    target = load(name)
    config = models.config_of(name)
    assert (target.name, target.input_size) == (name, (1, config.in_channels, *config.input_size))
    assert not target.model.training
    assert all(tensor.is_meta for tensor in target.model.parameters())
    assert torch.equal(torch.get_rng_state(), random)
    with torch.device("meta"):
        like = models.create(name)
    for (key, tensor), (own, expected) in zip(
        target.model.state_dict().items(), like.state_dict().items(), strict=True
    ):
        assert (key, tensor.shape, tensor.dtype) == (own, expected.shape, expected.dtype)


def test_options_of_a_network():
    assert load("lenet5", {"in_channels": 3, "input_size": (20, 24)}).input_size == (1, 3, 20, 24)
    with pytest.raises(TypeError, match="lenet5 has no option 'classes'"):
        load("lenet5", {"classes": 3})


def test_numbers_are_drawn_again_afterwards():
    with without_numbers():
        assert nn.Linear(3, 2).weight.is_meta
        real = nn.Linear(3, 2, device="cpu")
        assert nn.init.ones_(real.weight).sum() == 6
        assert nn.init.trunc_normal_(tensor=nn.Linear(2, 2).weight).is_meta
    layer = nn.Linear(3, 2)
    assert not layer.weight.is_meta and layer.weight.abs().sum() > 0


@pytest.mark.parametrize(
    ("text", "kind", "size"),
    [
        ("own_nets:small", "Sequential", 112),
        ("own_nets:optional", "Linear", 20),
        ("own_nets:LAYER", "Linear", 8),
        ("own_nets:Net", "Net", 30),
        ("own_nets:Net.wide", "Linear", 2550),
        ("own_package.inner.nets:small", "Sequential", 112),
        ("torch.nn:Identity", "Identity", 0),
    ],
)
def test_a_function_of_ones_own(home: Path, text: str, kind: str, size: int):
    random, path = torch.get_rng_state(), copy.copy(sys.path)
    target = load(text)
    assert (target.name, target.input_size, type(target.model).__name__) == (text, None, kind)
    assert sum(parameter.numel() for parameter in target.model.parameters()) == size
    assert target.model.training
    assert torch.equal(torch.get_rng_state(), random) and sys.path == path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("own_net:small", r"there is no module own_net: did you mean own_nets\b"),
        ("quux:small", r"there is no module quux: looked in .* and the installed packages"),
        ("own_package.iner.nets:small", r"there is no module own_package.iner: did you mean own_package.inner\?"),
        ("own_nets.more:small", "there is no module own_nets.more: own_nets is a module, not a package"),
        ("own_nets:smal", r"own_nets has no smal: did you mean small\?"),
        ("own_nets:quux", r"own_nets has no quux: did you mean broken or deep or leaving\?"),
        ("own_nets:Net.wid", r"own_nets.Net has no wid: did you mean wide\b"),
        ("own_nets:NUMBER", "own_nets:NUMBER must be a module or a function that returns one, got int"),
        ("own_nets:words", "own_nets:words must return a torch.nn.Module, got list"),
        ("own_nets:with_size", "must take no arguments, but needs size: write a function that gives them"),
        (
            "own_nets:broken",
            r"own_nets:broken failed in own_nets.py, line 27: `return nn.Linear\(3 // size, 2\)`: ZeroDivisionError: ",
        ),
        ("own_nets:deep", r"failed in own_nets.py, line 31: `.*groups=2\)`: ValueError: in_channels must be divisible"),
        ("own_nets:leaving", "failed in own_nets.py, line 35: .*: SystemExit: done"),
        ("own_bad:small", "importing own_bad failed in own_bad.py, line 3: `raise KeyError.*`: KeyError: 'nothing'"),
        ("own_syntax:small", r"importing own_syntax failed in own_syntax.py, line 2: `def f\(:`: SyntaxError: "),
        ("own_needs:small", "failed in own_needs.py, line 1: .*: ModuleNotFoundError: No module named 'surely"),
    ],
)
def test_a_function_that_cannot_be_had(home: Path, text: str, words: str):
    path = copy.copy(sys.path)
    with pytest.raises((ValueError, TypeError), match=words) as refused:
        load(text)
    assert "\n" not in str(refused.value)
    assert sys.path == path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("resnet-18", r"there is no network named 'resnet-18': did you mean resnet18\?"),
        ("vgg", "there is no network named 'vgg': did you mean vgg1"),
        ("own_nets.py", "a file is not run by its path: name a function in it, as own_nets:factory"),
        ("./own_nets.py:small", "name a function in it, as own_nets:small"),
        ("own_package/inner/nets.py", "as own_package.inner.nets:factory"),
        ("/somewhere/nets.py", "as nets:factory"),
        ("../nets.py", "as nets:factory"),
        ("own.pt", "own.pt holds weights, and perhaps code, but is not opened: name a function"),
        ("own_nets.small", "to name a function in a module, write package.module:factory"),
        ("", "there is no network '': expected a name that `striate models` lists"),
        ("a/b", "expected a name that `striate models` lists, package.module:factory or a file model.onnx"),
        ("own_nets:", "expected a name"),
        ("os.system('ls'):x", "'.' cannot stand here"),
    ],
)
def test_what_is_no_target(home: Path, text: str, words: str):
    with pytest.raises(ValueError, match=words):
        load(text)
    assert "own_nets" not in sys.modules


def test_only_networks_of_ours_take_options(home: Path):
    with pytest.raises(TypeError, match="own_nets:small takes no options, got num_classes"):
        load("own_nets:small", {"num_classes": 3})


def onnx_file(folder: Path, *shapes: tuple[int | str, ...]) -> Path:
    """A convolution of the first input, and copies of the others."""
    weight = numpy_helper.from_array(np.zeros((4, 3, 3, 3), np.float32), "weight")
    nodes = [helper.make_node("Conv", ["x0", "weight"], ["y0"])]
    nodes += [helper.make_node("Identity", [f"x{n}"], [f"y{n}"]) for n in range(1, len(shapes))]
    kinds = [TensorProto.FLOAT, *([TensorProto.INT64] * (len(shapes) - 1))]
    given = [helper.make_tensor_value_info(f"x{n}", kinds[n], shape) for n, shape in enumerate(shapes)]
    made = [helper.make_tensor_value_info(f"y{n}", kinds[n], None) for n in range(len(shapes))]
    graph = helper.make_graph(nodes, "graph", given, made, [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), folder / "small.onnx")
    return folder / "small.onnx"


@pytest.mark.parametrize(
    ("shapes", "sizes"),
    [
        ([(2, 3, 8, 8)], ((2, 3, 8, 8),)),
        ([("N", 3, 8, 8)], ((1, 3, 8, 8),)),
        ([("N", 3, "H", "W")], ()),
        ([("N", 3, 8, 8), ("N", 5)], ((1, 3, 8, 8), (1, 5))),
        ([("N", 3, 8, 8), ("N", "L")], ()),
    ],
)
def test_an_onnx_file(tmp_path: Path, shapes: list[tuple[int | str, ...]], sizes: tuple[tuple[int, ...], ...]):
    target = load(str(onnx_file(tmp_path, *shapes)))
    assert (target.name, target.input_sizes) == ("small.onnx", sizes)
    assert target.dtypes == (torch.float32, torch.int64)[: len(shapes)]
    assert target.input_size == (None if not sizes else sizes[0] if len(sizes) == 1 else sizes)
    assert not target.model.training
    assert sum(parameter.numel() for parameter in target.model.parameters()) == 108


def test_a_file_that_is_no_onnx(tmp_path: Path):
    with pytest.raises(ValueError, match="missing.onnx"):
        load(str(tmp_path / "missing.onnx"))
    (tmp_path / "text.onnx").write_text("This is a text.")
    with pytest.raises(ValueError, match="text.onnx"):
        load(str(tmp_path / "text.onnx"))
    with pytest.raises(TypeError, match="takes no options"):
        load(str(onnx_file(tmp_path, (1, 3, 8, 8))), {"num_classes": 3})
