"""Random texts: syntax trees of any kind, and networks that can be built."""

from hypothesis import strategies as st

from striate.models.notation.syntax import Branches, Group, Item, Layer, Pads, Repeat, Stack, Stride
from striate.models.notation.words import OPTIONS, WORDS

_NUMBERS = st.integers(0, 10**6)
_SIZES = st.lists(_NUMBERS, min_size=2, max_size=4).map(tuple)
_STRIDES = st.lists(_NUMBERS, min_size=1, max_size=3).map(tuple).map(Stride)
_PADS = st.lists(st.tuples(_NUMBERS, _NUMBERS), min_size=1, max_size=3).map(tuple).map(Pads)
_FLOATS = st.floats(0, 1e300)
_VALUES = st.one_of(_NUMBERS, _SIZES, _STRIDES, _PADS, _FLOATS, st.sampled_from(sorted(OPTIONS)))
_NAMES = st.none() | st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: name not in ("residual", "concat", "sum")
)
_LAYERS = st.builds(Layer, st.sampled_from(sorted(WORDS)), st.lists(_VALUES.map(Item), max_size=4).map(tuple), _NAMES)


def _nested(elements: st.SearchStrategy) -> st.SearchStrategy:
    stacks = st.lists(elements, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Repeat, st.integers(1, 10**6), stacks, _NAMES),
        st.builds(Group, stacks, _NAMES),
        st.builds(
            Branches,
            st.sampled_from(("residual", "concat", "sum")),
            st.lists(stacks, min_size=1, max_size=3).map(tuple),
            _NAMES,
        ),
    )


STACKS: st.SearchStrategy[Stack] = st.lists(st.recursive(_LAYERS, _nested, max_leaves=8), min_size=1, max_size=5).map(
    tuple
)
"""What the grammar allows, sensible or not."""

_KEEPING = (
    "conv {c} 3x3 same", "conv {c} 5 same nobias", "conv {c} 3 pad 1 reflect", "depthwise 3x3 half", "bn", "gn 1",
    "ln",
    "in affine", "relu", "tanh gain", "abs", "gelu", "silu", "prelu maps", "elu 0.5", "dropout 0.1",
    "lrn 3 total plus 2",
    "lcn 3", "separable {c} 3 same", "deform {c} 3 same", "table {c} 3x3 same all", "local {c} 3 same",
    "maxpool 3 /1 same",
    "conv {c} 4 same", "spatial {c} 3 same", "avgpool 3 /1 pad 1", "gaussianpool 3 /1 same", "lppool 2 3 /1 same",
    "residual(conv {c} 3 same, relu)", "2*(conv {c} 3 same, relu)", "sum(conv {c} 1 | identity)",
    "residual(abs | conv {c} 1x1)", "identity", "conv {c} 3 pad 0:2", "subtractive 3", "divisive 3",
)  # fmt: skip
_CHANGING = (
    "conv 4 3x3 same /2", "maxpool 2", "avgpool 2 ceil", "upsample 2", "concat(identity | conv 2 1x1)", "blurpool",
    "adaptiveavg 5", "adaptivemax 4x6", "transposed 4 2 /2", "conv 6 3 same_upper /2", "conv 4 3 circular same",
    "concat(maxpool 3 same_lower /2 | avgpool 3 same_upper /2)", "conv 4 2 causal", "transposed 4 3 same /2",
)  # fmt: skip


@st.composite
def networks(draw: st.DrawFn) -> str:
    """Texts that can be built for pictures of 3x12x12."""
    parts, channels, changes = [], 3, 0
    for _ in range(draw(st.integers(1, 5))):
        if changes < 2 and draw(st.booleans()):
            part, changes = draw(st.sampled_from(_CHANGING)), changes + 1
            parts += [part, "conv 4 1x1"]
            channels = 4
        else:
            parts.append(draw(st.sampled_from(_KEEPING)).format(c=channels))
    head = draw(st.sampled_from(("globalavg", "globalmax", "flatten", "spp 2 1", "flatten, linear 6, tanh")))
    return ", ".join(("input 3x12x12", *parts, head, "linear classes"))
