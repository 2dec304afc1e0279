import os
from pathlib import Path

import pytest

from striate.export.files import check_place, placed


def test_a_file_that_someone_else_has_made_meanwhile_stays(tmp_path: Path):
    file = tmp_path / "a.txt"
    with pytest.raises(FileExistsError), placed(file, overwrite=False) as temporary:
        temporary.write_text("new")
        file.write_text("theirs")
    assert file.read_text() == "theirs" and os.listdir(tmp_path) == ["a.txt"]


def test_places(tmp_path: Path):
    file = tmp_path / "a.txt"
    check_place(file, overwrite=False)
    file.touch()
    check_place(file, overwrite=True)
    with pytest.raises(
        FileExistsError, match=r"a\.txt is there already: name another file, or replace it with --overwrite"
    ):
        check_place(file, overwrite=False)
    with pytest.raises(IsADirectoryError, match="is a folder: name a file"):
        check_place(tmp_path, overwrite=True)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileExistsError, match="pipe is no regular file: name another"):
        check_place(tmp_path / "pipe", overwrite=True)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "b.txt")
    with pytest.raises(FileExistsError, match="link is there already"):
        check_place(tmp_path / "link", overwrite=False)
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere to write b\.txt to"):
        check_place(tmp_path / "nowhere" / "b.txt", overwrite=True)
