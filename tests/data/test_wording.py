from striate.data.wording import counted, listed


def test_numbers_and_names():
    assert [counted(n, "picture") for n in (0, 1, 2)] == ["0 pictures", "1 picture", "2 pictures"]
    assert counted(3, "entry", "entries") == "3 entries"
    assert listed("abc") == "a, b, c"
    assert listed("abcdefg") == "a, b, c, d, e and 2 more"
