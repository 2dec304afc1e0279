from pathlib import Path

import pytest

from striate.data.table import read_table


@pytest.fixture
def read(make):
    root = make(["a/1.png", "a/2.png", "b 1.png"])

    def write_and_read(text: str | bytes):
        (root / "data.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_table(root / "data.csv")

    return write_and_read


def test_paths_are_relative_to_the_table(read):
    source = read("path,label\na/1.png,cat\n./a/2.png,dog\n\nb 1.png,cat\n")
    assert source.names == ("a/1.png", "a/2.png", "b 1.png")
    assert source.targets == ("cat", "dog", "cat")
    assert source.given is None
    assert all(Path(path).is_file() for path in source.paths)


def test_byte_order_mark_line_ends_quotes_and_further_columns(read):
    source = read('\ufeffLabel, Split ,note,path\r\n"10",train,"a, b",a/1.png\r\n2,VALID,,a/2.png\r\n')
    assert source.names == ("a/1.png", "a/2.png")
    assert source.order == ("2", "10")
    assert source.given == ("train", "val")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"data\.csv has no column 'path'; its header is empty"),
        ("path;label\n", r"data\.csv has no column 'path'; its header is path;label"),
        ("path,class\n", r"data\.csv has no column 'label'; its header is path, class"),
        ("path,label\n", r"data\.csv lists no pictures"),
        ("path,label\na/1.png,x\na/1.png,y\n", r"data\.csv, line 3: path a/1\.png is already in line 2"),
        ("path,label\na/1.png,\n", r"data\.csv, line 2: label is empty"),
        ("path,label\na/1.png\n", r"data\.csv, line 2: 1 fields, the header has 2"),
        ("path,label,split\na/1.png,x,dev\n", r"data\.csv, line 2: split must be one of train, .*, got 'dev'"),
        (b"path,label\n\xff\xfe,x\n", r"data\.csv is not a table in UTF-8"),
    ],
)
def test_tables_that_cannot_be_used(read, text, message):
    with pytest.raises(ValueError, match=message):
        read(text)


def test_a_missing_picture_is_named_with_its_line(read):
    with pytest.raises(FileNotFoundError, match=r"data\.csv, line 3: there is no picture 'a/9\.png' in"):
        read("path,label\na/1.png,x\na/9.png,y\n")
