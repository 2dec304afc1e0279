"""Files that are damaged, hostile or beyond what is known here."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from tests.inspection.onnx_graph.graphs import floating, model_of, saved

from striate.inspection.onnx_graph import Limits, inputs_of, open_onnx
from striate.inspection.tracing.trace import trace

RELU = helper.make_node("Relu", ["x"], ["y"], "relu")
PICTURE = {"x": ((1, 3, 8, 8), np.float32)}


def refused(model: onnx.ModelProto | bytes, folder: Path, match: str, **limits: int) -> None:
    file = folder / "network.onnx"
    file.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    with pytest.raises(ValueError, match=match) as caught:
        open_onnx(file, limits=Limits(**limits))
    assert str(file) in str(caught.value)


def beside(location: str, sizes: tuple[int, ...] = (4,), **entries: str) -> TensorProto:
    """A tensor whose numbers lie in another file."""
    tensor = TensorProto(name="w", dims=sizes, data_type=1, data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def adding(tensor: TensorProto) -> onnx.ModelProto:
    model = model_of([helper.make_node("Add", ["x", "w"], ["y"], "sum")], {"x": ((2, 4), np.float32)})
    model.graph.initializer.append(tensor)
    return model


class TestNoNetwork:
    @pytest.mark.parametrize("data", [b"", b"hello, this is no network at all", os.urandom(4096), b"\x08\x0a"])
    def test_no_onnx_file(self, data: bytes, tmp_path: Path):
        refused(data, tmp_path, "is no ONNX file")

    def test_cut_off(self, tmp_path: Path):
        data = model_of([RELU], PICTURE, {"w": floating(1000)}).SerializeToString()
        refused(data[: len(data) // 2], tmp_path, "is damaged")

    def test_every_byte_changed(self, tmp_path: Path):
        node = helper.make_node("Conv", ["x", "w"], ["y"], "conv", kernel_shape=[3, 3])
        data = bytearray(model_of([node], PICTURE, {"w": floating(1, 3, 3, 3)}).SerializeToString())
        file = tmp_path / "network.onnx"
        refused_ones = 0
        for place in range(len(data)):
            changed = bytearray(data)
            changed[place] ^= 0x5A
            file.write_bytes(changed)
            try:
                open_onnx(file)
            except ValueError:
                refused_ones += 1
        assert 0 < refused_ones < len(data)

    def test_missing(self, tmp_path: Path):
        with pytest.raises(ValueError, match="cannot be read: No such file"):
            inputs_of(tmp_path / "network.onnx")

    def test_a_folder(self, tmp_path: Path):
        with pytest.raises(ValueError, match="is no file"):
            open_onnx(tmp_path)

    def test_a_device(self):
        with pytest.raises(ValueError, match="is no file"):
            open_onnx("/dev/zero")


class TestLimits:
    def test_bytes(self, tmp_path: Path):
        refused(model_of([RELU], PICTURE), tmp_path, "at most 10 are allowed", size=10)

    def test_nodes(self, tmp_path: Path):
        nodes = [helper.make_node("Relu", ["x" if not n else f"v{n}"], [f"v{n + 1}"]) for n in range(5)]
        refused(model_of(nodes, PICTURE, outputs=["v5"]), tmp_path, "5 nodes: at most 4", nodes=4)

    def test_declared_elements(self, tmp_path: Path):
        huge = TensorProto(name="w", dims=(10**6, 10**6), data_type=1, raw_data=b"1234")
        refused(adding(huge), tmp_path, r"sizes \(1000000, 1000000\)")

    def test_declared_and_not_held(self, tmp_path: Path):
        refused(adding(TensorProto(name="w", dims=(1000,), data_type=1, raw_data=b"1234")), tmp_path, "holds 4")
        refused(adding(TensorProto(name="w", dims=(1000,), data_type=1, float_data=[1.0])), tmp_path, "holds 1")
        refused(adding(TensorProto(name="w", dims=(-4,), data_type=1, raw_data=b"1234")), tmp_path, r"sizes \(-4,\)")

    def test_functions_in_functions(self, tmp_path: Path):
        model = model_of([helper.make_node("f9", ["x"], ["y"], domain="own")], PICTURE, domains=["own"])
        sets = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
        for depth in range(10):
            inner, domain = (f"f{depth - 1}", "own") if depth else ("Relu", "")
            nodes = [
                helper.make_node(inner, ["a" if not n else f"v{n}"], [f"v{n + 1}"], domain=domain) for n in range(10)
            ]
            model.functions.append(helper.make_function("own", f"f{depth}", ["a"], ["v10"], nodes, sets))
        refused(model, tmp_path, "10000000000 nodes in its functions")

    def test_axes(self, tmp_path: Path):
        refused(adding(TensorProto(name="w", dims=[2**40] * 1000, data_type=1)), tmp_path, "1000 axes: at most 64")

    def test_large_functions(self, tmp_path: Path):
        nodes = [helper.make_node("f", ["x"], [f"v{place}"], domain="own") for place in range(100)]
        model = model_of(nodes, PICTURE, outputs=["v0"], domains=["own"])
        sets = [helper.make_opsetid("", 21)]
        constant = helper.make_node("Constant", [], ["c"], value=onnx.numpy_helper.from_array(floating(1000)))
        body = [constant, helper.make_node("Add", ["a", "c"], ["b"])]
        model.functions.append(helper.make_function("own", "f", ["a"], ["b"], body, sets))
        refused(model, tmp_path, "200 nodes in its functions and 4", size=100_000)

    def test_functions_are_written_out(self, tmp_path: Path):
        model = model_of([helper.make_node("f", ["x"], ["y"], domain="own")], PICTURE, domains=["own"])
        sets = [helper.make_opsetid("", 21)]
        body = [helper.make_node("Neg", ["a"], ["n"]), helper.make_node("Relu", ["n"], ["b"])]
        model.functions.append(helper.make_function("own", "f", ["a"], ["b"], body, sets))
        network = open_onnx(saved(model, tmp_path))
        run = trace(network, network.blank_inputs())
        assert [operation.name for operation in run.operations] == ["aten.neg", "aten.relu"]

    def test_function_of_itself(self, tmp_path: Path):
        model = model_of([helper.make_node("f", ["x"], ["y"], domain="own")], PICTURE, domains=["own"])
        sets = [helper.make_opsetid("own", 1)]
        node = helper.make_node("f", ["a"], ["b"], domain="own")
        model.functions.append(helper.make_function("own", "f", ["a"], ["b"], [node], sets))
        refused(model, tmp_path, "uses itself")

    @pytest.mark.parametrize(
        "nodes",
        [
            [helper.make_node("ConstantOfShape", ["s"], ["y"], "big")],
            [helper.make_node("ConstantOfShape", ["s"], ["b"]), helper.make_node("Add", ["b", "b"], ["y"], "sum")],
            [helper.make_node("Expand", ["one", "s"], ["y"], "big")],
            [helper.make_node("Tile", ["two", "s"], ["y"], "big")],
            [helper.make_node("Range", ["n", "m", "one_"], ["y"], "big")],
        ],
    )
    def test_nothing_large_is_made(self, nodes: list[onnx.NodeProto], tmp_path: Path):
        held: dict[str, Any] = {
            "s": np.array([10**6, 10**6]), "one": np.ones((1, 1), np.float32), "two": np.ones((1, 2), np.float32),
            "n": np.array(0), "m": np.array(10**12), "one_": np.array(1),
        }  # fmt: skip
        network = open_onnx(saved(model_of(nodes, {"x": ((1,), np.float32)}, held), tmp_path))
        run = trace(network, network.blank_inputs())
        assert run.failure is None
        assert np.prod([float(n) for n in run.outputs[0].shape]) >= 10**12


class TestBeside:
    @pytest.mark.parametrize("location", ["/etc/hostname", "../w.bin", "a/../../w.bin", "C:\\w.bin", "", "..\\w.bin"])
    def test_outside(self, location: str, tmp_path: Path):
        (tmp_path / "w.bin").write_bytes(bytes(16))
        folder = tmp_path / "inside"
        folder.mkdir()
        refused(adding(beside(location)), folder, "only files in the folder are read")

    def test_link_that_leaves(self, tmp_path: Path):
        (tmp_path / "w.bin").write_bytes(bytes(16))
        folder = tmp_path / "inside"
        folder.mkdir()
        (folder / "w.bin").symlink_to(tmp_path / "w.bin")
        refused(adding(beside("w.bin")), folder, "a link that leaves the folder")

    def test_name_that_no_file_has(self, tmp_path: Path):
        refused(adding(beside("w" * 5000)), tmp_path, "which cannot be found")
        (tmp_path / "w.bin").symlink_to(tmp_path / "w.bin")
        refused(adding(beside("w.bin/w")), tmp_path, "which cannot be found")

    def test_too_short(self, tmp_path: Path):
        (tmp_path / "w.bin").write_bytes(bytes(16))
        refused(adding(beside("w.bin", offset="4")), tmp_path, "end after the end")
        refused(adding(beside("w.bin", length="12")), tmp_path, "12 bytes from 0 on, 16 are needed")
        refused(adding(beside("w.bin", offset="many")), tmp_path, "must be numbers")

    def test_no_file(self, tmp_path: Path):
        (tmp_path / "w.bin").mkdir()
        refused(adding(beside("w.bin")), tmp_path, "which is no file")

    def test_sizes_need_no_numbers(self, tmp_path: Path):
        file = saved(adding(beside("w.bin")), tmp_path)
        network = open_onnx(file)
        assert trace(network, network.blank_inputs()).outputs[0].shape == (2, 4)
        with pytest.raises(ValueError, match="cannot be read"):
            open_onnx(file, numbers=True)

    def test_read_with_numbers(self, tmp_path: Path):
        (tmp_path / "w.bin").write_bytes(bytes(4) + np.array([1, 2, 3, 4], np.float32).tobytes())
        network = open_onnx(saved(adding(beside("w.bin", offset="4")), tmp_path), numbers=True)
        assert network(torch.zeros(2, 4))[1].tolist() == [1, 2, 3, 4]


class TestGraphs:
    def test_cycle(self, tmp_path: Path):
        nodes = [helper.make_node("Add", ["x", "b"], ["a"], "one"), helper.make_node("Relu", ["a"], ["b"], "two")]
        refused(model_of(nodes, PICTURE, outputs=["b"]), tmp_path, "'one' reads, by way of others, what it makes")

    def test_nothing_makes_it(self, tmp_path: Path):
        nodes = [helper.make_node("Add", ["x", "lost"], ["y"], "sum")]
        refused(model_of(nodes, PICTURE), tmp_path, r"'sum' \(Add\) reads 'lost', which nothing makes")
        refused(model_of([RELU], PICTURE, outputs=["z"]), tmp_path, "the list of outputs reads 'z'")

    def test_made_twice(self, tmp_path: Path):
        refused(model_of([RELU, RELU], PICTURE), tmp_path, "'y' is made twice")

    def test_any_order(self, tmp_path: Path):
        nodes = [helper.make_node("Relu", ["a"], ["y"]), helper.make_node("Neg", ["x"], ["a"])]
        network = open_onnx(saved(model_of(nodes, {"x": ((2,), np.float32)}), tmp_path))
        assert network(torch.tensor([-1.0, 2.0])).tolist() == [1, 0]

    def test_branches(self, tmp_path: Path):
        graph = helper.make_graph([helper.make_node("Neg", ["x"], ["z"])], "g", [], [onnx.ValueInfoProto(name="z")])
        node = helper.make_node("If", ["c"], ["y"], "choice", then_branch=graph, else_branch=graph)
        refused(model_of([node], PICTURE, {"c": np.array(True)}), tmp_path, "'choice' is an If")

    def test_set_that_is_not_imported(self, tmp_path: Path):
        refused(model_of([helper.make_node("F", ["x"], ["y"], "f", domain="own")], PICTURE), tmp_path, "set 'own'")

    def test_text(self, tmp_path: Path):
        refused(adding(TensorProto(name="w", dims=(1,), data_type=8, string_data=[b"a"])), tmp_path, "data type 8")

    def test_control_characters_are_not_printed(self, tmp_path: Path):
        nodes = [helper.make_node("Add", ["x", "lost"], ["y"], "a\x1b[31mred")]
        refused(model_of(nodes, PICTURE), tmp_path, r"'a\?\[31mred'")

    def test_names_that_modules_have(self, tmp_path: Path):
        names = ["forward", "train.x", "_modules", "0", "a", "a.b", "../../etc", "__class__", "inputs", "a b"]
        values = ["x", *(f"v{place}" for place in range(len(names)))]
        nodes = [
            helper.make_node("Relu", [values[place]], [values[place + 1]], name) for place, name in enumerate(names)
        ]
        network = open_onnx(saved(model_of(nodes, {"x": ((2,), np.float32)}, outputs=values[-1:]), tmp_path))
        assert network(torch.tensor([-1.0, 2.0])).tolist() == [0, 2]
        run = trace(network, network.blank_inputs())
        assert len({call.name for call in run.calls}) == len(names) + 1


class TestUnknown:
    def test_sizes_that_onnx_infers(self, tmp_path: Path):
        node = helper.make_node("RoiAlign", ["x", "r", "b"], ["y"], "pooled", output_height=5, output_width=4)
        inputs = {**PICTURE, "r": ((7, 4), np.float32), "b": ((7,), np.int64)}
        network = open_onnx(saved(model_of([node], inputs), tmp_path))
        run = trace(network, network.blank_inputs())
        assert run.failure is None
        assert run.outputs[0].shape == (7, 3, 5, 4)
        assert [operation.name for operation in run.operations] == ["onnx_file.RoiAlign"]
        with pytest.raises(ValueError, match="pooled: the operator 'RoiAlign' is not known here, so the network"):
            network(torch.zeros(1, 3, 8, 8), torch.zeros(7, 4), torch.zeros(7, dtype=torch.int64))

    def test_sizes_that_the_file_notes(self, tmp_path: Path):
        node = helper.make_node("Strange", ["x"], ["y"], "odd", domain="own")
        model = model_of([node], PICTURE, domains=["own"])
        model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5]))
        network = open_onnx(saved(model, tmp_path))
        run = trace(network, network.blank_inputs())
        assert [(v.shape, v.dtype) for v in run.outputs] == [((1, 5), torch.float32)]
        assert run.operations[0].name == "onnx_file.own_Strange"
        assert [(call.name, call.kind) for call in run.calls] == [("", "OnnxNetwork"), ("odd", "Strange")]

    def test_sizes_that_nobody_knows(self, tmp_path: Path):
        node = helper.make_node("Strange", ["x"], ["y"], "odd", domain="own")
        network = open_onnx(saved(model_of([node], PICTURE, domains=["own"]), tmp_path))
        failure = trace(network, network.blank_inputs()).failure
        assert "odd: the operator 'own::Strange' is not known here, and neither ONNX nor" in str(failure)

    def test_sizes_that_depend_on_numbers(self, tmp_path: Path):
        nodes = [
            helper.make_node("Cast", ["n"], ["m"], to=7),
            helper.make_node("Reshape", ["x", "m"], ["y"], "odd"),
        ]
        inputs = {"x": ((6,), np.float32), "n": ((2,), np.float32)}
        network = open_onnx(saved(model_of(nodes, inputs), tmp_path))
        failure = trace(network, network.blank_inputs()).failure
        assert r"odd (Reshape): input 1, 'm', decides sizes" in str(failure)
        # With numbers they are read.
        assert network(torch.zeros(6), torch.tensor([2.0, 3.0])).shape == (2, 3)
