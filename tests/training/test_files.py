import json
import os
from pathlib import Path

import pytest

from striate.training.files import to_json, write_json


def test_written_whole(tmp_path: Path):
    file = tmp_path / "a.json"
    write_json(file, {"número": [1, 0.5, None]})
    write_json(file, {"número": [2]})
    assert file.read_bytes() == '{\n "número": [\n  2\n ]\n}\n'.encode()
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_name_that_is_no_utf8():
    name = os.fsdecode(b"caf\xe9.png")
    assert json.loads(to_json([name])) == [name]


def test_a_failure_leaves_the_old_file(tmp_path: Path):
    file = tmp_path / "a.json"
    write_json(file, 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(file, float("nan"))
    assert file.read_bytes() == b"1\n"
    assert os.listdir(tmp_path) == ["a.json"]
