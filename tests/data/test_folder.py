from pathlib import Path

import pytest

from striate.data.folder import read_folder


def test_one_folder_a_class(make):
    root = make(["dogs/2.png", "dogs/1.JPG", "cats/3.png", "Ants/4.bmp"])
    source = read_folder(root)
    assert source.names == ("Ants/4.bmp", "cats/3.png", "dogs/1.JPG", "dogs/2.png")
    assert source.targets == ("Ants", "cats", "dogs", "dogs")
    assert source.order == ("Ants", "cats", "dogs")
    assert source.given is None
    assert source.paths[1] == str(root / "cats" / "3.png")
    assert source.notes == ()


@pytest.mark.parametrize("word", ["val", "valid", "Validation"])
def test_folders_of_parts(make, word):
    source = read_folder(make(["TRAIN/a/1.png", "TRAIN/b/1.png", f"{word}/a/2.png", "test/b/3.png"]))
    assert dict(zip(source.names, source.given, strict=True)) == {
        "TRAIN/a/1.png": "train",
        "TRAIN/b/1.png": "train",
        f"{word}/a/2.png": "val",
        "test/b/3.png": "test",
    }
    assert source.order == ("a", "b")


def test_a_class_may_be_called_train(make):
    source = read_folder(make(["bus/1.png", "car/1.png", "train/1.png", "train/steam/2.png"]))
    assert source.order == ("bus", "car", "train")
    assert source.given is None


def test_other_folders_beside_the_parts_are_named(make):
    source = read_folder(make(["train/a/1.png", "train/b/1.png", "test/a/1.png", "sketches/1.png"]))
    assert set(source.given) == {"train", "test"}
    assert source.notes == ("1 entry skipped (folders that are neither train, val nor test): sketches.",)


def test_two_folders_for_a_part_are_refused(make):
    root = make(["train/a/1.png", "val/a/1.png", "valid/a/1.png"])
    with pytest.raises(ValueError, match="2 folders for the part val: val, valid"):
        read_folder(root)


def test_what_is_skipped_is_named(make):
    root = make(["a/1.png", "a/deep/2.png", "b/1.png", ".cache/x.png", "a/.hidden.png", "stray.png"])
    (root / "c").mkdir()
    (root / "a" / "Thumbs.db").touch()
    source = read_folder(root)
    assert source.names == ("a/1.png", "a/deep/2.png", "b/1.png")
    assert source.order == ("a", "b")
    assert source.notes == (
        "2 entries skipped (hidden): .cache, a/.hidden.png.",
        "1 entry skipped (folders of classes without a picture): c.",
        "1 entry skipped (pictures in no folder of a class): stray.png.",
        "1 entry skipped (no pictures, by their endings): a/Thumbs.db.",
    )


def test_links_are_followed_but_not_in_circles(make, tmp_path: Path):
    root = make(["a/1.png", "b/1.png"])
    (tmp_path / "elsewhere").mkdir()
    (root / "b" / "1.png").rename(tmp_path / "elsewhere" / "1.png")
    (root / "b").rmdir()
    (root / "b").symlink_to(tmp_path / "elsewhere")
    (root / "a" / "up").symlink_to(root)
    (root / "a" / "here").symlink_to(root / "a")
    (root / "a" / "top").symlink_to("/")
    (root / "a" / "self").symlink_to(root / "a" / "self")
    source = read_folder(root)
    assert source.names == ("a/1.png", "b/1.png")


def test_an_empty_folder(tmp_path: Path):
    with pytest.raises(ValueError, match=f"{tmp_path} holds no pictures: expected one sub-folder a class"):
        read_folder(tmp_path)


def test_a_folder_without_classes(make):
    root = make(["1.png", "2.png"])
    with pytest.raises(ValueError, match=r"holds pictures \(1\.png and 1 more\) but no folders of classes"):
        read_folder(root)
