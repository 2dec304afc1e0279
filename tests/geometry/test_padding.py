"""Every padding word, against the same places added by hand."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from striate.geometry import Window
from striate.geometry.padding import WORDS, PaddingWord

SETTINGS = list(product(range(1, 6), range(1, 4), range(1, 4)))
SIZES = range(1, 13)


def by_the_table(word: PaddingWord, extent: int, stride: int, n: int) -> tuple[int, int]:
    """The places that the word adds, low and high."""
    least = max((-(-n // stride) - 1) * stride + extent - n, 0)
    return {
        "valid": (0, 0),
        "same": ((extent - 1) // 2, extent - 1 - (extent - 1) // 2),
        "same_upper": (least // 2, least - least // 2),
        "same_lower": (least - least // 2, least // 2),
        "half": (extent // 2, extent // 2),
        "full": (extent - 1, extent - 1),
        "causal": (extent - 1, 0),
    }[word]


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_a_word_gives_the_size_of_the_input_padded_by_hand(word: PaddingWord, ceil_mode: bool) -> None:
    rounds_up = word in {"same", "same_upper", "same_lower", "causal"}
    for (kernel, stride, dilation), n in product(SETTINGS, SIZES):
        window = Window(kernel, stride, word, dilation, ceil_mode)
        pads = by_the_table(word, window.extent, stride, n)
        assert window.pads(n) == pads, (window, n)
        if not window.fits(n):
            continue
        if rounds_up:
            assert window.output_size(n) == -(-n // stride), (window, n)
        if rounds_up or not ceil_mode:
            padded = F.pad(torch.empty(1, 1, n, device="meta"), pads)
            by_hand = F.conv1d(padded, torch.empty(1, 1, kernel, device="meta"), None, stride, 0, dilation)
            assert window.output_size(n) == by_hand.shape[-1], (window, n)
        else:
            assert window.output_size(n) == Window(kernel, stride, pads, dilation, ceil_mode=True).output_size(n)


def test_same_upper_and_lower_pad_the_least() -> None:
    for (kernel, stride, dilation), n in product(SETTINGS, SIZES):
        low, high = Window(kernel, stride, "same_upper", dilation).pads(n)
        assert 0 <= high - low <= 1
        assert Window(kernel, stride, "same_lower", dilation).pads(n) == (high, low)
        fewer = Window(kernel, stride, (low, max(high - 1, 0)), dilation)
        assert low + high == 0 or not fewer.fits(n) or fewer.output_size(n) < -(-n // stride)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_same_is_aligned_as_pytorch_aligns_it() -> None:
    generator = torch.Generator().manual_seed(0)
    for kernel, dilation, n in product(range(1, 6), range(1, 4), (1, 4, 9)):
        x, weight = (torch.randn(1, 1, size, generator=generator, dtype=torch.float64) for size in (n, kernel))
        by_hand = F.conv1d(F.pad(x, Window(kernel, 1, "same", dilation).pads()), weight, dilation=dilation)
        torch.testing.assert_close(by_hand, F.conv1d(x, weight, padding="same", dilation=dilation))


def cropped(x: Tensor, weight: Tensor, window: Window) -> Tensor:
    """A transposed convolution whose output is cropped by hand."""
    low, high = window.crops()
    return F.pad(F.conv_transpose1d(x, weight, None, window.stride, dilation=window.dilation), (-low, -high))


def test_transposed_same_undoes_the_placements_of_same_upper() -> None:
    generator = torch.Generator().manual_seed(0)
    for kernel, stride, dilation in SETTINGS:
        window = Window(kernel, stride, "same", dilation)
        x, weight = (torch.randn(1, 1, size, generator=generator, dtype=torch.float64) for size in (4, kernel))
        image = torch.zeros(1, 1, 4 * stride, dtype=torch.float64, requires_grad=True)
        pads = Window(kernel, stride, "same_upper", dilation).pads(4 * stride)
        forward = F.conv1d(F.pad(image, pads), weight, None, stride, 0, dilation)
        (adjoint,) = torch.autograd.grad(forward, image, x)
        assert window.transposed_output_size(4) == 4 * stride
        torch.testing.assert_close(cropped(x, weight, window), adjoint)


def test_transposed_causal_sees_no_later_input() -> None:
    for kernel, stride, dilation in SETTINGS:
        window = Window(kernel, stride, "causal", dilation)
        last = torch.tensor([[[0.0, 0.0, 0.0, 1.0]]])
        output = cropped(last, torch.ones(1, 1, kernel), window)[0, 0]
        assert output.shape[0] == window.transposed_output_size(4) == 4 * stride
        assert output[: 3 * stride].count_nonzero() == 0
        assert output[3 * stride] == 1


def test_transposed_numbers_and_valid_crop_what_they_say() -> None:
    assert Window(5, stride=2, padding=(1, 3)).crops() == (1, 3)
    assert Window(5, stride=2, padding=(1, 3)).transposed_output_size(6) == 11
    assert Window(5, stride=2, padding="valid").transposed_output_size(6) == 15
    assert Window(3, stride=2, padding="same").transposed_output_size(6, output_padding=1) == 13


@pytest.mark.parametrize("word", ["same_upper", "same_lower", "half", "full"])
def test_words_without_a_transposed_meaning_are_refused(word: PaddingWord) -> None:
    with pytest.raises(ValueError, match=f"must be numbers, 'valid', 'same' or 'causal', got '{word}'"):
        Window(3, padding=word).transposed_output_size(4)


def test_padding_that_depends_on_the_size_asks_for_it() -> None:
    assert Window(4, padding="same_lower").pads() == (2, 1)
    with pytest.raises(ValueError, match="padding 'same_upper' with stride 2 depends on the input size"):
        Window(4, stride=2, padding="same_upper").pads()


@pytest.mark.parametrize(
    ("padding", "error", "message"),
    [
        (-1, ValueError, "padding must be an integer of at least 0, got -1"),
        (True, TypeError, "padding must be an integer of at least 0, got True"),
        (1.5, TypeError, r"padding must be an integer, a pair \(low, high\) or a word, got 1.5"),
        ((0, -2), ValueError, r"padding \(high\) must be an integer of at least 0, got -2"),
        (("same", 1), TypeError, r"padding \(low\) must be an integer of at least 0, got 'same'"),
        ((1, 2, 3), ValueError, r"must be a pair \(low, high\), got \(1, 2, 3\) of length 3"),
        ("SAME", ValueError, "one of valid, same, same_upper, same_lower, half, full, causal, got 'SAME'$"),
        ("same_uper", ValueError, "got 'same_uper'; did you mean 'same_upper'"),
        ("casual", ValueError, "did you mean 'causal'"),
    ],
)
def test_wrong_padding_is_refused(padding: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Window(3, padding=padding)  # type: ignore[arg-type]
