from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.geometry import Fix, Window
from striate.geometry.padding import WORDS

NUMBERS = [
    Window(kernel, stride, padding, dilation)
    for kernel, stride, padding, dilation in product(range(1, 6), range(1, 4), range(4), range(1, 4))
]
OTHERS = [
    Window(kernel, stride, padding, dilation, ceil_mode)
    for kernel, stride, dilation in product((1, 2, 4), (1, 2, 3), (1, 2))
    for padding, ceil_mode in ((word, False) for word in WORDS)
] + [Window(kernel, 3, padding, ceil_mode=True) for kernel in (1, 2, 4) for padding in ("valid", (0, 1))]


def check_changes(window: Window, n: int, fix: Fix) -> None:
    """The fix names what it changed, and nothing else did."""
    before = {"kernel": window.kernel, "stride": window.stride, "dilation": window.dilation, "padding": window.padding}
    after = {setting: getattr(fix.window, setting) for setting in before}
    changed = {setting for setting in before if before[setting] != after[setting]}
    assert set(fix.settings) == changed | ({"size"} if fix.size != n else set())
    assert fix.window.ceil_mode == window.ceil_mode
    assert fix.output_size == fix.window.output_size(fix.size)


def check_fixes(window: Window, n: int) -> None:
    fixes = window.fixes(n)
    assert bool(fixes) == bool(window.unread(n)), (window, n)
    for fix in fixes:
        assert not fix.window.unread(fix.size), (window, n, str(fix))
        check_changes(window, n, fix)
    outputs = window.output_size(n)
    order = [(abs(fix.output_size - outputs), fix.steps) for fix in fixes]
    assert order == sorted(order)
    assert len({(fix.window, fix.size) for fix in fixes}) == len(fixes)


@pytest.mark.parametrize("windows", [NUMBERS, OTHERS], ids=["numbers", "words and ceil_mode"])
def test_fixes_read_every_input_on_the_whole_grid(windows: list[Window]) -> None:
    for window, n in product(windows, range(1, 13)):
        if window.fits(n):
            check_fixes(window, n)


@settings(max_examples=60, deadline=None)
@given(
    st.builds(
        Window,
        st.integers(1, 12),
        st.integers(1, 12),
        st.one_of(st.tuples(st.integers(0, 6), st.integers(0, 6)), st.sampled_from(WORDS)),
        st.integers(1, 4),
        st.booleans(),
    ),
    st.integers(1, 400),
)
def test_fixes_read_every_input_of_long_ones(window: Window, n: int) -> None:
    if window.fits(n):
        check_fixes(window, n)


def test_two_settings_are_changed_only_where_none_alone_works() -> None:
    fixes = Window(2, stride=3, dilation=2).fixes(3)
    assert [str(fix) for fix in fixes] == [
        "dilation 1 and input size 2: 1 output",
        "kernel 3 and dilation 1: 1 output",
        "stride 1 and dilation 1: 2 outputs",
    ]


def test_no_nearer_value_of_the_same_setting_works() -> None:
    for window, n in product(NUMBERS, (5, 9, 12)):
        if not window.fits(n):
            continue
        for fix in window.fixes(n):
            if fix.settings != ("stride",) and fix.settings != ("kernel",):
                continue
            (setting,) = fix.settings
            old, new = getattr(window, setting), getattr(fix.window, setting)
            for value in range(min(old, new) + 1, max(old, new)):
                values = {"kernel": window.kernel, "stride": window.stride, setting: value}
                between = Window(values["kernel"], values["stride"], window.padding, window.dilation)
                assert not between.fits(n) or between.unread(n), (window, n, str(fix))


def test_the_fixes_of_alexnet_at_224() -> None:
    assert [str(fix) for fix in Window(11, stride=4).fixes(224)] == [
        "input size 223: 54 outputs",
        "kernel 12: 54 outputs",
        "padding (0, 3): 55 outputs",
        "padding (3, 0): 55 outputs",
        "input size 227: 55 outputs",
        "kernel 8: 55 outputs",
        "padding 2: 55 outputs",
        "stride 3: 72 outputs",
    ]


def test_a_gap_between_windows_is_closed_by_kernel_or_stride() -> None:
    assert [str(fix) for fix in Window(1, stride=2).fixes(56)] == ["kernel 2: 28 outputs", "stride 1: 56 outputs"]


def test_settings_give_the_wished_size_on_a_grid() -> None:
    for window, n in product(NUMBERS[::7], (4, 9)):
        for wished in range(1, n + 2):
            found = window.settings_for(n, wished)
            for fix in found:
                assert fix.window.output_size(n) == fix.output_size == wished
                assert fix.size == n and len(fix.settings) <= 2
                check_changes(window, n, fix)
            assert [fix.steps for fix in found] == sorted(fix.steps for fix in found)
            if window.fits(n) and window.output_size(n) == wished:
                assert [fix.window for fix in found] == [window]


def test_settings_for_every_size_up_to_the_input_are_found() -> None:
    for window, n in product((Window(3), Window(5, stride=2, padding="same"), Window(7, padding=(0, 2))), (7, 12)):
        assert all(window.settings_for(n, wished) for wished in range(1, n + 1))


def test_settings_for_half_the_size_hold_the_usual_layer() -> None:
    assert [str(fix) for fix in Window(3).settings_for(224, 112)] == [
        "stride 2 and padding (0, 1): 112 outputs",
        "kernel 2 and stride 2: 112 outputs",
        "stride 2 and padding 1: 112 outputs",
    ]
    assert [str(fix) for fix in Window(3, padding="same").settings_for(224, 112)] == ["stride 2: 112 outputs"]


def test_settings_that_need_no_change_or_do_not_exist() -> None:
    assert [str(fix) for fix in Window(3).settings_for(5, 3)] == ["no change: 3 outputs"]
    assert Window(3).settings_for(5, 1000) == ()


def test_a_word_that_gives_way_to_numbers_is_named_as_a_change() -> None:
    for fix in Window(3, padding="same").settings_for(12, 10):
        assert ("padding" in fix.settings) == (fix.window.padding != "same")


def test_wrong_wishes_are_refused() -> None:
    with pytest.raises(ValueError, match="wished must be an integer of at least 1, got 0"):
        Window(3).settings_for(5, 0)
    with pytest.raises(TypeError, match="wished must be an integer of at least 1, got 2.0"):
        Window(3).settings_for(5, 2.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="input size must be at least 1, got 0"):
        Window(3).settings_for(0, 2)
