import pickle
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.notation.texts import STACKS

from striate.models.notation import NotationConfig, NotationError, parse, text_of
from striate.models.notation.syntax import Branches, Item, Layer, Pads, Repeat, Stride


@given(STACKS)
def test_what_is_printed_is_read_again(stack):
    assert parse(text_of(stack)) == stack


@given(st.text(alphabet="conv relu(),|;=*/+-:x0123456789 .#\n\t\x00é", max_size=60))
@settings(max_examples=200)
def test_any_text_is_read_or_refused(text: str):
    try:
        stack = parse(text)
    except NotationError as error:
        assert 0 <= error.place[0] <= len(text)
    else:
        assert parse(text_of(stack)) == stack


def test_every_form():
    text = """
    w = 16; k = 2*w + 1 - (w//2)*2;  # 17
    stem: conv 2*w 3x5 /2x1 pad 1:2x0:3, 3*(relu),   # a remark, with ( and covn
    residual(abs | leaky 0.25), conv (w+1) k,
    """
    assert parse(text) == (
        Layer("conv", tuple(map(Item, (32, (3, 5), Stride((2, 1)), "pad", Pads(((1, 2), (0, 3)))))), "stem"),
        Repeat(3, (Layer("relu"),)),
        Branches("residual", ((Layer("abs"),), (Layer("leaky", (Item(0.25),)),))),
        Layer("conv", (Item(17), Item(17))),
    )


def test_canonical_text():
    assert text_of(parse("w=8;\n conv w 3x3 # first\n , stem : relu,2*( abs )")) == "conv 8 3x3, stem: relu, 2*(abs)"


@pytest.mark.parametrize(
    ("text", "fault", "under"),
    [
        ("conv 6 5x5, covn 16 5x5", "there is no word covn: did you mean conv", "covn"),
        ("relu, quuxly", "there is no word quuxly: expected one of abs, adaptiveavg", "quuxly"),
        ("conv 6 5x5,, relu", "',' cannot stand here: expected a layer", ","),
        ("conv 6 5x5 @", "'@' cannot stand here: expected a word, a number, a size as 3x3", "@"),
        ("conv 6 (5", "the text ends here: expected ')'", None),
        ("", "the text ends here: expected a layer", None),
        ("relu)", "')' cannot stand here: expected", ")"),
        ("conv = 3; relu", "conv is a word of the notation: give the variable another name", "conv"),
        ("same = 3; relu", "same is a word of the notation", "same"),
        ("relu, \u2003relu", r"cannot stand here: expected a layer, '(' or the end", "\u2003"),
        ("conv v+1 3", "there is no variable v: write v = 32; before the layers", "v"),
        ("width = 3; conv widht+1 3", "there is no variable widht: did you mean width", "widht"),
        ("linear classes*2", "classes is known only when the network is built: it stands alone", "classes"),
        ("linear same+2", "same is a word, not a number", "same"),
        ("linear 4//0", "nothing can be divided by 0", "//"),
        ("linear 1000000*1000", "numbers are at most 1,000,000, got 1,000,000,000", "1000000*1000"),
        ("0*(relu)", "a stack is repeated at least once, got 0", "0"),
        ("leaky 1e999", "1e999 is too large", "1e999"),
        ("conv 9999999999 3", "numbers are at most 1,000,000, got 9999999999", "9999999999"),
    ],
)
def test_fault(text: str, fault: str, under: str | None):
    with pytest.raises(NotationError) as caught:
        parse(text)
    assert fault in caught.value.fault
    begin, end = caught.value.place
    assert text[begin:end] == (under or "")
    assert str(caught.value).splitlines()[-1].count("^") == max(1, end - begin)


def test_caret_in_a_later_line_and_in_a_long_one():
    with pytest.raises(NotationError) as caught:
        parse("relu,\n  covn 3 3")
    lines = str(caught.value).splitlines()
    assert lines[1] == "line 2:   covn 3 3"
    assert lines[2] == "          ^^^^"
    with pytest.raises(NotationError) as caught:
        parse("relu, " * 500 + "covn, " + "relu, " * 500 + "relu")
    shown, carets = str(caught.value).splitlines()[1:]
    assert len(shown) < 120
    assert shown[carets.index("^") : carets.rindex("^") + 1] == "covn"


def test_errors_go_from_process_to_process():
    error = NotationError("covn", (0, 4), "there is no word covn")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.place) == (str(error), error.place)


HOSTILE = {
    "a megabyte": "relu, " * 170_000,
    "many layers": "relu," * 3_900 + "relu",
    "repeats": "1000000*(relu)",
    "repeats of repeats": "*(".join(["1000000"] * 30) + "*(relu" + ")" * 30,
    "nesting": "(" * 19_000,
    "branches": "residual(" * 41 + "relu" + ")" * 41,
    "a long number": "linear " + "9" * 19_000,
    "a long sum": "linear " + "1+" * 9_000 + "1",
    "a long product": "linear " + "2*" * 9_000 + "1",
    "a long word": "c" * 19_000,
    "a wide kernel": "conv 1 1000000x1000000",
    "many filters": "conv 1000000 1000x1000",
    "wide layers": "flatten, linear 1000000, linear 1000000",
    "wide padding": "conv 1 1 pad 1000000",
    "a large picture": "10*(upsample 100)",
    "a large unshared layer": "conv 1000 1, local 1000 20",
    "a large table": "conv 100000 1, table 1000000 1 all",
    "a large pyramid": "spp 1000000",
    "a large adaptive pooling": "adaptiveavg 100000x100",
    "a strange sign": "conv 6 5x5 \x00",
    "a large contrast window": "lcn 1000",
    "a large gaussian": "gaussianpool 2000 pad 1000",
    "a wide stride": "transposed 8 1 /1000000",
    "many offsets": "deform 1 1000 pad 1000",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_refused_soon(name: str):
    # Loaded before: what lark and PyTorch load at the first call is no cost of the text.
    NotationConfig(text="conv 1 1, flatten, linear 1")
    tracemalloc.start()
    begin = time.process_time()
    try:
        with pytest.raises(NotationError):
            NotationConfig(text=HOSTILE[name])
        assert time.process_time() - begin < 10
        assert tracemalloc.get_traced_memory()[1] < 300e6
    finally:
        tracemalloc.stop()
