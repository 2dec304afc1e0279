import errno
import os
from pathlib import Path

import pytest

from striate.whole_files import written_whole


def contents(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.iterdir()}


@pytest.mark.parametrize("concurrent", [False, True])
def test_the_file_comes_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, concurrent: bool):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append((os.fstat(descriptor).st_ino, file.read_text())))
    file = tmp_path / "a.txt"
    file.write_text("old")
    with written_whole(file, concurrent=concurrent) as temporary:
        assert temporary.parent == tmp_path and temporary != file
        temporary.write_text("new")
        assert file.read_text() == "old"
    assert contents(tmp_path) == {"a.txt": "new"}
    assert synced == [(file.stat().st_ino, "old")]


@pytest.mark.parametrize("left", [False, True], ids=["", "beside what a killed one left"])
def test_permissions_are_those_of_any_new_file(tmp_path: Path, left: bool):
    file, elsewhere = tmp_path / "a.txt", tmp_path / "elsewhere"
    elsewhere.touch()
    elsewhere.chmod(0o600)
    if left:
        (tmp_path / ".a.txt.partial").symlink_to(elsewhere)
    before = os.umask(0o027)
    try:
        with written_whole(file) as temporary:
            (tmp_path / "b.txt").write_text("new")
            (tmp_path / "b.txt").chmod(0o600)
            (tmp_path / "b.txt").replace(temporary)
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o777 == 0o640
    assert contents(tmp_path) == {"a.txt": "new", "elsewhere": ""}


@pytest.mark.parametrize("concurrent", [False, True])
@pytest.mark.parametrize("old", [{}, {"a.txt": "old"}], ids=["new", "old"])
def test_nothing_is_left_if_anything_fails(tmp_path: Path, concurrent: bool, old: dict[str, str]):
    file = tmp_path / "a.txt"
    for content in old.values():
        file.write_text(content)
    with pytest.raises(KeyboardInterrupt), written_whole(file, concurrent=concurrent) as temporary:
        temporary.write_text("new")
        raise KeyboardInterrupt
    assert contents(tmp_path) == old
    with pytest.raises(FileNotFoundError, match="partial"), written_whole(file, concurrent=concurrent) as temporary:
        temporary.unlink()
    assert contents(tmp_path) == old


def test_a_disk_that_is_full_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "a.txt").write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device"), written_whole(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert contents(tmp_path) == {"a.txt": "old"}


def test_a_link_is_replaced_and_not_what_it_points_to(tmp_path: Path):
    (tmp_path / "b.txt").write_text("theirs")
    (tmp_path / "a.txt").symlink_to("b.txt")
    with written_whole(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert contents(tmp_path) == {"a.txt": "new", "b.txt": "theirs"}


@pytest.mark.parametrize(
    ("name", "error"), [("folder", IsADirectoryError), ("no/a.txt", FileNotFoundError), ("b/a.txt", NotADirectoryError)]
)
def test_no_place_for_a_file(tmp_path: Path, name: str, error: type[OSError]):
    (tmp_path / "folder").mkdir()
    (tmp_path / "b").touch()
    with pytest.raises(error, match="partial"), written_whole(tmp_path / name) as temporary:
        temporary.write_text("new")
    assert sorted(os.listdir(tmp_path)) == ["b", "folder"] and not os.listdir(tmp_path / "folder")


def test_two_at_once(tmp_path: Path):
    file = tmp_path / "a.txt"
    with written_whole(file, concurrent=True) as first:
        with written_whole(file, concurrent=True) as second:
            first.write_text("first")
            second.write_text("second")
        assert file.read_text() == "second"
    assert contents(tmp_path) == {"a.txt": "first"}


@pytest.mark.parametrize("refused", [1, 2])
def test_the_check_is_asked_first_and_last(tmp_path: Path, refused: int):
    asked: list[list[str]] = []

    def check() -> None:
        asked.append([file.read_text() for file in tmp_path.iterdir()])
        if len(asked) == refused:
            raise ValueError("not here")

    with pytest.raises(ValueError, match="not here"), written_whole(tmp_path / "a.txt", check) as temporary:
        temporary.write_text("new")
    assert asked == [[], ["new"]][:refused]
    assert os.listdir(tmp_path) == []
