import json
from pathlib import Path

import pytest

from striate.data import changes, load, manifest


def described(folder: Path, **options) -> dict:
    return json.loads(json.dumps(load(folder, **options).manifest()))


@pytest.mark.parametrize("memory", [1 << 30, 0])
def test_the_same_data_have_not_changed(pets: Path, memory: int):
    old = described(pets, memory=memory)
    assert changes(old, described(pets, memory=memory)) == []
    moved = pets.rename(pets.parent / "moved")
    assert changes(old, described(moved, memory=memory)) == []
    assert old["samples"] == 23
    assert sorted(name for names in old["parts"].values() for name in names)[0] == "cats/00.png"


def test_missing_and_new_pictures_and_classes_are_named(pets: Path, save):
    old = described(pets)
    (pets / "cats" / "00.png").unlink()
    save(pets / "birds" / "1.png", 0)
    # Another number of pictures is split anew: of what moved only the names of the rest can tell.
    found = changes(old, described(pets))
    assert "1 class is new: birds." in found
    assert "1 picture is missing: cats/00.png." in found
    assert "1 picture is new: birds/1.png." in found


@pytest.mark.parametrize("digests", [100_000, 0])
def test_changed_contents_are_found(pets: Path, save, monkeypatch, digests: int):
    monkeypatch.setattr(manifest, "_MOST_DIGESTS", digests)
    old = described(pets)
    save(pets / "cats" / "03.png", 999)
    expected = (
        "1 picture is changed: cats/03.png." if digests else "The contents or the classes of the pictures changed."
    )
    assert changes(old, described(pets)) == [expected]


def test_a_changed_size_of_a_file_read_on_demand_is_found(pets: Path, save):
    old = described(pets, size=4, memory=0)
    save(pets / "cats" / "03.png", 999, (60, 50))
    assert changes(old, described(pets, size=4, memory=0)) == ["1 picture is changed: cats/03.png."]


def test_other_settings_are_told(pets: Path):
    assert changes(described(pets, size=4), described(pets, size=5, channels=3)) == [
        "The number of channels was 1, is 3.",
        "The size was [4, 4], is [5, 5].",
    ]
    assert changes(described(pets), described(pets, memory=0)) == [
        "What identifies the pictures was contents, is sizes of files."
    ]


def test_moved_and_reordered_samples_are_told(pets: Path):
    old = described(pets)
    parts = {part: list(names) for part, names in old["parts"].items()}
    parts["train"].reverse()
    assert changes(old, described(pets, parts=parts)) == ["The samples are in another order."]
    moved = parts["train"].pop()
    parts["test"].append(moved)
    assert changes(old, described(pets, parts=parts)) == [
        f"1 picture is in another part: {moved} from train to test.",
    ]


def test_a_changed_class_is_told(pets: Path):
    rows = [f"{path.relative_to(pets)},{path.parent.name}" for path in sorted(pets.rglob("*.png"))]
    (pets / "data.csv").write_text("\n".join(["path,label", *rows]))
    old = load(pets / "data.csv")
    rows[0] = rows[0].replace(",cats", ",dogs")
    (pets / "data.csv").write_text("\n".join(["path,label", *rows]))
    new = load(pets / "data.csv", parts=old.manifest()["parts"])
    assert changes(old.manifest(), new.manifest()) == ["1 picture is changed: cats/00.png."]
    assert changes(old.manifest(), old.manifest() | {"classes": ["dogs", "cats"]}) == [
        "The classes are in another order."
    ]
