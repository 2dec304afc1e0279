"""Receptive fields against the dependencies of a real chain of layers with positive weights."""

import random
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.geometry import ReceptiveField, Transposed, Window, receptive_field

LENGTH = 240


def up(kernel: int, stride: int, padding: int = 0, dilation: int = 1, extra: int = 0) -> Transposed:
    return Transposed(Window(kernel, stride, padding, dilation), output_padding=extra)


def fields(layers: list[Window | Transposed], n: int = LENGTH) -> list[tuple[int, int] | None]:
    """The first and last input that each unit depends on, None where there is none."""
    x = torch.eye(n, dtype=torch.float64).unsqueeze(1)
    for layer in layers:
        window = layer.window if isinstance(layer, Transposed) else layer
        weight = torch.ones(1, 1, window.kernel, dtype=torch.float64)
        if isinstance(layer, Transposed):
            low, high = window.crops()
            x = F.conv_transpose1d(x, weight, None, window.stride, 0, 0, 1, window.dilation)
            x = F.pad(x, (-low, layer.output_padding - high))
        else:
            x = F.conv1d(F.pad(x, window.pads(x.shape[-1])), weight, None, window.stride, 0, window.dilation)
        x = (x > 0).double()
    found = (column.nonzero().flatten().tolist() for column in x[:, 0].T)
    return [(inputs[0], inputs[-1]) if inputs else None for inputs in found]


def interior(layers: list[Window | Transposed], field: ReceptiveField) -> dict[int, tuple[int, int] | None]:
    """The fields of the units so far inside that no border can touch them."""
    slack = 40 + field.size
    return {
        unit: seen
        for unit, seen in enumerate(fields(layers))
        if slack <= field.start + unit * field.jump <= LENGTH - 1 - slack
    }


def random_windows(source: random.Random, count: int) -> list[Window | Transposed]:
    padding = [0, 1, 2, (0, 2), "same", "half", "causal"]
    return [
        Window(source.randint(1, 4), source.randint(1, 2), source.choice(padding), source.randint(1, 2))  # type: ignore[arg-type]
        for _ in range(count)
    ]


@pytest.mark.parametrize("seed", range(12))
def test_units_of_a_chain_of_windows_see_the_field_around_their_centre(seed: int) -> None:
    source = random.Random(seed)
    layers = random_windows(source, source.randint(1, 4))
    field = receptive_field(layers)
    units = interior(layers, field)
    assert units
    for unit, seen in units.items():
        centre = field.start + unit * field.jump
        half = Fraction(field.size - 1, 2)
        assert seen == (centre - half, centre + half), (layers, unit)


TRANSPOSED_CHAINS: list[list[Window | Transposed]] = [
    [up(2, 2)],
    [up(3, 2, 1)],
    [up(4, 2, 1)],
    [up(5, 3, 2)],
    [up(3, 2, 0, dilation=2)],
    [up(3, 2, 1, dilation=3)],
    [up(1, 2)],
    [up(2, 3), Window(2)],
    [up(2, 2), Window(3, padding=1)],
    [up(3, 2), Window(2, dilation=2), up(4, 3)],
    [Window(3, padding=1), Window(2, 2), Window(3, padding=1), up(2, 2), Window(3, padding=1)],
    [Window(3, 2, 1), Window(3, 2, 1), up(4, 2, 1), up(4, 2, 1), Window(5, padding="same")],
    [Window(3, 2, 1), up(5, 3, 1), Window(4, 2, 1), up(3, 3), Window(2)],
    [up(3, 2, 1, extra=1), up(3, 2, 1, extra=1), Window(3, 4)],
]


@pytest.mark.parametrize("layers", TRANSPOSED_CHAINS, ids=str)
def test_the_largest_field_after_transposed_layers(layers: list[Window | Transposed]) -> None:
    field = receptive_field(layers)
    sizes = [last - first + 1 for first, last in filter(None, interior(layers, field).values())]
    assert field.size == max(sizes)


@pytest.mark.parametrize("seed", range(12))
def test_the_largest_field_of_random_chains(seed: int) -> None:
    source = random.Random(seed)
    layers = random_windows(source, 4)
    for place in source.sample(range(4), 2):
        layers[place] = up(source.randint(1, 5), source.randint(1, 3), 0, source.randint(1, 2))
    field = receptive_field(layers)
    sizes = [last - first + 1 for first, last in filter(None, interior(layers, field).values())]
    assert field.size == max(sizes, default=0)


@pytest.mark.parametrize("layer", [up(2, 2), up(3, 2, 1), up(4, 2, 1), up(5, 3, 2), up(3, 2, 1, dilation=3)], ids=str)
def test_centres_after_a_transposed_layer_are_right_on_average(layer: Transposed) -> None:
    field = receptive_field([layer])
    units = list(interior([layer], field).items())[: 4 * layer.window.stride]
    off = [Fraction(sum(seen), 2) - (field.start + unit * field.jump) for unit, seen in units if seen]
    assert len(off) == 4 * layer.window.stride
    assert sum(off) == 0


def test_a_unit_between_the_taps_of_a_transposed_layer_sees_nothing() -> None:
    odd = [up(1, 2), Window(1, 2, padding=(1, 0))]
    assert set(interior(odd, receptive_field(odd)).values()) == {None}
    assert receptive_field(odd).size == 0


def test_the_input_itself() -> None:
    assert receptive_field([]) == ReceptiveField(size=1, jump=Fraction(1), start=Fraction(0))


def test_even_windows_are_centred_between_inputs() -> None:
    field = receptive_field([Window(2, 2)])
    assert (field.size, field.jump, field.start) == (2, 2, Fraction(1, 2))


def test_a_transposed_layer_halves_the_jump() -> None:
    field = receptive_field([up(2, 2)])
    assert (field.size, field.jump, field.start) == (1, Fraction(1, 2), Fraction(-1, 4))


def test_padding_that_depends_on_the_size() -> None:
    layers: list[Window | Transposed] = [up(2, 2), Window(3, 2, "same_upper"), Window(3, 2, "same_lower")]
    with pytest.raises(ValueError, match="padding 'same_upper' with stride 2 depends on the input size"):
        receptive_field(layers)
    by_number: list[Window | Transposed] = [up(2, 2), Window(3, 2, (0, 1)), Window(3, 2, (1, 1))]
    assert receptive_field(layers, size=5) == receptive_field(by_number)
    with pytest.raises(ValueError, match="covers 7 places, input 5"):
        receptive_field([Window(7)], size=5)


def test_other_layers_are_refused() -> None:
    with pytest.raises(TypeError, match=r"windows must hold Window or Transposed, got \(3, 1\)"):
        receptive_field([(3, 1)])  # type: ignore[list-item]


def test_output_padding_counts_in_the_sizes() -> None:
    layers: list[Window | Transposed] = [up(3, 2, 1, extra=1), Window(3, 2, "same_upper")]
    assert layers[1].pads(9) == (1, 1)  # type: ignore[union-attr]
    assert layers[1].pads(10) == (0, 1)  # type: ignore[union-attr]
    assert receptive_field(layers, size=5) == receptive_field([layers[0], Window(3, 2, (0, 1))])


@settings(deadline=None)
@given(st.lists(st.builds(Window, st.integers(1, 7), st.integers(1, 4), st.integers(0, 3), st.integers(1, 3))))
def test_a_chain_is_its_parts_one_after_the_other(layers: list[Window]) -> None:
    for place in range(len(layers)):
        below, above = receptive_field(layers[:place]), receptive_field(layers[place:])
        whole = receptive_field(layers)
        assert whole.jump == below.jump * above.jump
        assert whole.start == below.start + below.jump * above.start
        assert whole.size == below.size + (above.size - 1) * below.jump
