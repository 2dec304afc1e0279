import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import striate as library
from striate.cli.inspect import parse_input, parse_memory, parse_unit

Command = Callable[..., Any]
NETS = """
import torch
from torch import nn

print("imported")


def small():
    print("made")
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 6 * 6, 5))


def wrong():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(100, 5))


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(10, 4)
        self.mix = nn.Linear(4, 4)

    def forward(self, words, series):
        print("running")
        return self.mix(self.words(words) + series)


class Odd(nn.Module):
    def forward(self, x):
        return torch.special.airy_ai(x)


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        return self.layer(x) if x.sum().item() < 1 else x


class Unread(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU())
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module of one's own, to work in."""
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    monkeypatch.delitem(sys.modules, "own_networks", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)
    Path("own_networks.py").write_text(NETS)
    return tmp_path / "home"


def refused(striate: Command, *arguments: object) -> str:
    """Expect one line of error, nothing else, and nothing written."""
    before = sorted(os.listdir())
    answer = striate("inspect", *arguments)
    assert (answer.status, answer.out) == (2, "")
    last = answer.err.splitlines()[-1]
    assert last.startswith("error: ")
    assert sorted(os.listdir()) == before or sorted(os.listdir()) == sorted([*before, "__pycache__"])
    return last.removeprefix("error: ")


def test_a_table(striate: Command):
    answer = striate("inspect", "vgg16", "--input", "3x224x224")
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.splitlines()[0] == "vgg16 on 1×3×224×224"
    assert max(map(len, answer.out.splitlines())) <= 80
    assert "138,357,544" in answer.out and "\x1b" not in answer.out
    assert answer.out == striate("inspect", "vgg16").out
    assert answer.out == str(library.inspect("vgg16")).removesuffix("\n") + "\n"


def test_a_text_is_built_for_the_size_that_is_given(striate: Command):
    shown = striate("inspect", "conv 4 3x3 /2, relu, flatten, linear classes", "--input", "3x9x9")
    assert "4×4×4" in shown.out
    text = "covn 4 3x3"
    assert "there is no word covn: did you mean conv" in striate("inspect", text).err


def test_views_and_batch(striate: Command, monkeypatch: pytest.MonkeyPatch):
    tree, flat, added = (
        striate("inspect", "lenet5", "--batch", 8, "--view", view).out for view in ("tree", "flat", "operator")
    )
    assert len({tree, flat, added}) == 3
    for told in (tree, flat, added):
        assert told.startswith("lenet5 on 8×1×28×28\n")
    monkeypatch.setenv("COLUMNS", "140")
    assert 80 < max(map(len, striate("inspect", "resnet18").out.splitlines())) <= 140


def test_json_has_what_it_promises(striate: Command):
    answer = striate("inspect", "own_networks:small", "--input", "3,8,8", "--json")
    assert answer.status == 0, answer.err
    content = json.loads(answer.out)
    # What the user's code prints goes elsewhere.
    assert answer.err == "imported\nmade\n"
    assert content["schema"] == 1 and content["name"] == "own_networks:small"
    for total in (
        "parameters",
        "trainable_parameters",
        "macs",
        "flops",
        "saved_for_backward_bytes",
        "peak_forward_bytes",
    ):
        assert set(content["totals"][total]) >= {"value", "state"}
    assert content["totals"]["parameters"] == {"value": 112 + 8 + 725, "state": "complete", "missing": []}
    wished = {
        "name",
        "operator",
        "input_size",
        "output_size",
        "parameters",
        "macs",
        "receptive_field",
        "jump",
        "unread",
    }
    assert all(wished <= set(layer) for layer in content["layers"])
    assert content["layers"][0]["output_size"] == [1, 4, 6, 6]
    assert content["findings"] == []


def test_markdown(striate: Command):
    assert striate("inspect", "lenet5", "--markdown").out == library.inspect("lenet5").to_markdown().rstrip("\n") + "\n"


def test_files(striate: Command, home: Path):
    answer = striate("inspect", "lenet5", "--html", "page.html", "--svg", "picture.svg")
    assert (answer.status, answer.out, answer.err) == (0, "page.html\npicture.svg\n", "")
    assert Path("page.html").read_text().startswith("<!doctype html>")
    assert ElementTree.parse("picture.svg").getroot().tag.endswith("svg")
    assert sorted(os.listdir()) == ["own_networks.py", "page.html", "picture.svg"]
    Path("page.html").write_text("mine")
    assert refused(striate, "lenet5", "--svg", "new.svg", "--html", "page.html") == (
        "page.html is there already: name another file, or replace it with --overwrite"
    )
    assert Path("page.html").read_text() == "mine"
    assert striate("inspect", "lenet5", "--html", "page.html", "--overwrite").status == 0
    assert Path("page.html").read_text() != "mine"
    assert (
        refused(striate, "lenet5", "--html", "no/such/page.html") == "there is no folder no/such to write page.html to"
    )
    assert refused(striate, "lenet5", "--html", ".", "--overwrite") == ". is a folder: name a file"
    assert refused(striate, "lenet5", "--html", "new.html", "--input", "1x2x2").count("\n") == 0


def test_comparison(striate: Command):
    answer = striate("inspect", "vgg16", "--vs", "resnet18", "--batch", 2)
    assert (answer.status, answer.err) == (0, "")
    assert re.search(r"^parameters +138,357,544 +11,689,512 +11\.8$", answer.out, re.MULTILINE)
    assert re.search(r"^input +2×3×224×224 +2×3×224×224$", answer.out, re.MULTILINE)
    assert max(map(len, answer.out.splitlines())) <= 80
    assert "channels" in refused(striate, "lenet5", "--vs", "own_networks:small", "--input", "1x28x28")
    content = json.loads(striate("inspect", "vgg11", "--vs", "own_networks:Unread", "--json").out)
    assert content["names"] == ["vgg11", "own_networks:Unread"]
    assert content["input_sizes"] == [[[1, 3, 224, 224]], [[1, 3, 224, 224]]]
    assert striate("inspect", "lenet5", "--vs", "mlp", "--markdown").out.startswith("|  | lenet5 | mlp | ratio |\n")


def test_one_layer(striate: Command):
    answer = striate("inspect", "lenet5", "--layer", "c1", "--unit", "2,3")
    assert (answer.status, answer.err) == (0, "")
    for words in ("c1, ", "156", "1×6×28×28", "(2, 3) reads the inputs 0 … 4 × 1 … 5", "for the backward pass"):
        assert words in answer.out
    content = json.loads(striate("inspect", "lenet5", "--layer", "c1", "--unit", "2,3", "--json").out)
    assert (content["layer"], content["calls"][0]["parameters"]) == ("c1", 156)
    assert (content["unit"]["first"], content["unit"]["last"]) == ([0, 1], [4, 5])
    assert re.search("no layer 'c9': did you mean .*c1", refused(striate, "lenet5", "--layer", "c9"))
    refused(striate, "lenet5", "--layer", "c1", "--unit", "99,0")
    refused(striate, "lenet5", "--layer", "c1", "--unit", "1")


def test_unread_rows_of_a_layer(striate: Command):
    answer = striate("inspect", "own_networks:Unread", "--input", "3x32x32", "--layer", "0")
    assert "along axis 0: 1 at the high end" in answer.out
    assert re.search(r"^ +- ", answer.out, re.MULTILINE), "a way to mend it"


def test_several_inputs(striate: Command):
    answer = striate("inspect", "own_networks:Two", "--input", "7:int64", "--input", "7x4", "--batch", 3, "--json")
    content = json.loads(answer.out)
    assert answer.err == "imported\nrunning\n"
    assert content["input_sizes"] == [[3, 7], [3, 7, 4]]
    assert content["layers"][-1]["output_size"] == [3, 7, 4]
    assert "series" in refused(striate, "own_networks:Two", "--input", "7:int64")


def test_an_onnx_file(striate: Command, home: Path):
    weight = numpy_helper.from_array(np.zeros((4, 3, 3, 3), np.float32), "weight")
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ("N", 3, 8, 8))
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([helper.make_node("Conv", ["x", "weight"], ["y"])], "graph", [given], [made], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), "small.onnx")
    answer = striate("inspect", "small.onnx", "--batch", 5)
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.startswith("small.onnx on 5×3×8×8\n") and "4×6×6" in answer.out
    Path("broken.onnx").write_bytes(Path("small.onnx").read_bytes()[:-20])
    assert "broken.onnx" in refused(striate, "broken.onnx")


def test_what_does_not_run_is_shown_up_to_there(striate: Command):
    answer = striate("inspect", "own_networks:wrong", "--input", "3x8x8")
    assert (answer.status, answer.out) == (2, "")
    *table, last = answer.err.splitlines()
    assert re.match(r"error: .*`2` .*100.*144|error: .*`2` .*144.*100", last)
    assert "own_networks:wrong on 1×3×8×8" in table
    assert any("Conv2d" in line and "4×6×6" in line for line in table)
    assert any("in_features=144" in line for line in table)
    answer = striate("inspect", "own_networks:wrong", "--input", "3x8x8", "--json")
    assert (answer.status, answer.out) == (2, "")
    assert re.fullmatch(r"error: .*100.*in_features=144.*\n", answer.err)


def test_operators_that_nobody_counts(striate: Command):
    answer = striate("inspect", "own_networks:Odd", "--input", "3")
    assert answer.status == 0 and "airy_ai" in answer.out
    assert "airy_ai" in refused(striate, "own_networks:Odd", "--input", "3", "--strict")


def test_a_path_that_depends_on_numbers(striate: Command):
    said = refused(striate, "own_networks:Branching", "--input", "4")
    assert "numbers" in said
    answer = striate("inspect", "own_networks:Branching", "--input", "4", "--run", "--json")
    assert answer.status == 0, answer.err
    assert json.loads(answer.out)["layers"][-1]["output_size"] == [1, 2]


def test_counting_like_others(striate: Command):
    own, like = (
        json.loads(striate("inspect", "resnet18", "--json", *more).out)["totals"]["macs"]["value"]
        for more in ([], ["--count-like", "thop"])
    )
    assert own != like


def test_the_largest_batch(striate: Command):
    answer = striate("inspect", "lenet5", "--memory", "1GB", "--optimizer", "momentum")
    assert answer.status == 0, answer.err
    found = re.search(r"largest batch that trains by momentum in 1.000 GB: ([\d,]+)\n", answer.out)
    assert found
    usage = library.inspect(library.models.create("lenet5"), (1, 1, 28, 28)).usage
    largest = int(found[1].replace(",", ""))
    assert usage.step_bytes(largest, "momentum") <= 10**9 < usage.step_bytes(largest + 1, "momentum")
    content = json.loads(striate("inspect", "lenet5", "--memory", "1GB", "--optimizer", "none", "--json").out)
    told = content["memory"]["largest_batch"]
    assert (told["memory_bytes"], told["optimizer"]) == (10**9, None) and told["batch"] > largest


def test_modes(striate: Command):
    def kept(*arguments: object) -> int:
        content = json.loads(striate("inspect", *arguments, "--json").out)
        return int(content["totals"]["saved_for_backward_bytes"]["value"])

    assert kept("vgg11", "--eval") == kept("vgg11") < kept("vgg11", "--train")
    assert kept("own_networks:small", "--input", "3x8x8") == kept("own_networks:small", "--input", "3x8x8", "--train")


def test_help_needs_no_torch():
    program = """
import sys
from striate.cli import main
sys.argv = ["striate", "inspect", "--help"]
try:
    main()
except SystemExit as ended:
    assert not ended.code
assert "torch" not in sys.modules and "numpy" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for option in (
        "--input",
        "--batch",
        "--vs",
        "--json",
        "--svg",
        "--layer",
        "--strict",
        "--run",
        "--memory",
        "--eval",
    ):
        assert f" {option} " in done.stdout
    assert "Raises" not in done.stdout


def test_colour_on_a_terminal_only(home: Path):
    read, written = pty.openpty()
    command = [sys.executable, "-m", "striate", "inspect", "lenet5"]
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | {"TERM": "xterm-256color"}
    done = subprocess.Popen(command, stdout=written, env=environment)
    os.close(written)
    told = b""
    while True:
        try:
            part = os.read(read, 65536)
        except OSError:
            break
        if not part:
            break
        told += part
    os.close(read)
    assert done.wait() == 0
    assert b"\x1b[" in told and b"lenet5 on " in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["vgg"], "there is no network named 'vgg': did you mean vgg1"),
        (["own_networks.py"], "a file is not run by its path: name a function in it, as own_networks:factory"),
        (["own_networks:smal", "--input", "3x8x8"], "own_networks has no smal: did you mean small?"),
        (["own_networks:small"], "--input is missing: the size of one sample that own_networks:small takes"),
        (["missing.onnx"], "missing.onnx"),
        (["vgg16", "--input", "224"], "224"),
        (["vgg16", "--input", "big"], "--input must be the size of one sample, as 3x224x224 or 3,224,224, got 'big'"),
        (["vgg16", "--input", "9x9:int"], "the dtype must be one of float16, "),
        (["vgg16", "--input", "3x99999999999x99999999999"], "is too large"),
        (["vgg16", "--batch", "0"], "--batch must be at least 1, got 0"),
        (["vgg16", "--json", "--markdown"], "--json and --markdown do not go together"),
        (["vgg16", "--vs", "vgg11", "--layer", "features"], "--layer and --vs do not go together"),
        (["vgg16", "--unit", "1,1"], "--unit goes with --layer"),
        (["vgg16", "--layer", "features", "--unit", "a"], "--unit must be a place along each axis, as 3,4, got 'a'"),
        (["vgg16", "--memory", "much"], "--memory must be like 24GB, 512MiB or 1.5GiB, got 'much'"),
        (["vgg16", "--vs", "resnet"], "there is no network named 'resnet': did you mean resnet"),
        (["vgg16", "--view", "round"], "'--view'"),
    ],
)
def test_what_was_typed_is_wrong(striate: Command, arguments: list[str], words: str):
    assert words in refused(striate, *arguments)


@pytest.mark.parametrize(
    ("text", "size", "dtype"),
    [
        ("3x224x224", (3, 224, 224), ""),
        ("3,224,224", (3, 224, 224), ""),
        ("3×16×112×112", (3, 16, 112, 112), ""),
        ("1X4096", (1, 4096), ""),
        (" 3 x 8 ", (3, 8), ""),
        ("35:int64", (35,), "int64"),
    ],
)
def test_an_input_size(text: str, size: tuple[int, ...], dtype: str):
    assert parse_input(text) == (size, dtype)


@pytest.mark.parametrize("text", ["", "x", "3x", "0", "3x-1", "3.5", "²", "3x224:", "3:float", "1e3", ":int64"])
def test_nonsense_for_an_input_size(text: str):
    with pytest.raises(ValueError, match="--input"):
        parse_input(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("24GB", 24 * 10**9), ("24 gb", 24 * 10**9), ("1.5GiB", 3 * 2**29), ("512MiB", 2**29), ("80G", 80 * 10**9),
        ("1000", 1000), ("100kB", 100_000), ("2TB", 2 * 10**12),
    ],
)  # fmt: skip
def test_a_memory(text: str, size: int):
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "GB", "0GB", "-1GB", "1e9", "24PB", "24 G B", "1iB"])
def test_nonsense_for_a_memory(text: str):
    with pytest.raises(ValueError, match="--memory must be like 24GB"):
        parse_memory(text)


def test_a_unit():
    assert parse_unit("3, 4", "c1") == (3, 4)
    assert parse_unit("-1", "c1") == (-1,)
