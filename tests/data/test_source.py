from striate.data.source import class_order


def test_integers_are_ordered_as_numbers_and_words_by_name():
    assert class_order(["10", "2", "-1", "2"]) == ("-1", "2", "10")
    assert class_order(["b", "10", "a"]) == ("10", "a", "b")
