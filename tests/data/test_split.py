import pytest

from striate.data.source import Source
from striate.data.split import divide, recall


def source(counts: dict[str, int], given=None) -> Source:
    targets = [target for target, count in counts.items() for _ in range(count)]
    names = tuple(f"{target}/{index}" for index, target in enumerate(targets))
    return Source(names=names, targets=tuple(targets), order=tuple(counts), given=given)


def counts(found: Source, parts) -> dict[str, dict[str, int]]:
    return {
        part: {target: sum(found.targets[index] == target for index in indices) for target in found.order}
        for part, indices in parts.items()
    }


def test_ten_percent_of_each_class_for_val_and_for_test():
    found = source({"a": 100, "b": 24, "c": 3})
    parts, notes = divide(found, seed=0)
    assert counts(found, parts) == {
        "train": {"a": 80, "b": 20, "c": 1},
        "val": {"a": 10, "b": 2, "c": 1},
        "test": {"a": 10, "b": 2, "c": 1},
    }
    assert sorted(index for indices in parts.values() for index in indices) == list(range(127))
    assert notes == []


def test_small_classes_stay_in_train():
    found = source({"a": 10, "b": 2})
    parts, notes = divide(found, seed=0)
    assert counts(found, parts)["train"] == {"a": 8, "b": 2}
    assert notes == ["Fewer than 3 pictures, so in train only: 1 class (b)."]


def test_the_seed_chooses():
    found = source({"a": 100, "b": 100})
    assert divide(found, seed=1) == divide(found, seed=1)
    assert divide(found, seed=1) != divide(found, seed=2)


def test_parts_that_are_given_are_kept():
    found = source({"a": 2, "b": 2}, given=("train", "val", "train", "val"))
    assert divide(found, seed=0)[0] == {"train": [0, 2], "val": [1, 3], "test": []}


def test_val_is_carved_from_train_where_only_test_is_given():
    found = source({"a": 30, "b": 30}, given=("train",) * 20 + ("test",) * 10 + ("train",) * 20 + ("test",) * 10)
    parts, _ = divide(found, seed=0)
    assert parts["test"] == [*range(20, 30), *range(50, 60)]
    assert counts(found, parts)["val"] == {"a": 2, "b": 2}


def test_train_alone_is_split_as_without_parts():
    found = source({"a": 20, "b": 20})
    alone = source({"a": 20, "b": 20}, given=("train",) * 40)
    assert divide(alone, seed=4) == divide(found, seed=4)


def test_stored_parts_come_back():
    found = source({"a": 20, "b": 20})
    parts, _ = divide(found, seed=9)
    stored = {part: [found.names[index] for index in indices] for part, indices in parts.items()}
    assert recall(found, stored) == parts


def test_stored_parts_that_do_not_match_are_refused():
    found = source({"a": 2, "b": 1})
    with pytest.raises(ValueError, match=r"1 sample missing \(x/9\); 2 samples new \(a/1, b/2\)"):
        recall(found, {"train": ["a/0"], "val": ["x/9"]})
    with pytest.raises(ValueError, match=r"1 sample stored twice \(a/0\)"):
        recall(found, {"train": ["a/0", "a/1", "b/2"], "val": ["a/0"]})
    with pytest.raises(ValueError, match="parts must be among train, val, test, got dev"):
        recall(found, {"dev": []})


def test_stored_parts_that_the_source_contradicts_are_refused():
    found = source({"a": 2, "b": 1}, given=("train", "test", "train"))
    assert recall(found, {"train": ["a/0"], "val": ["b/2"], "test": ["a/1"]})["val"] == [2]
    with pytest.raises(ValueError, match=r"2 samples in another part \(a/1, b/2\)"):
        recall(found, {"train": ["a/0", "a/1"], "test": ["b/2"]})
