"""docs/notation.md: its examples run, its texts are networks, and it names every word."""

import doctest
import re
from pathlib import Path

import torch

from striate import models
from striate.models.notation.words import OPTIONS, WORDS

PAGE = (Path(__file__).parents[3] / "docs/notation.md").read_text()


def test_examples_run():
    test = doctest.DocTestParser().get_doctest(PAGE, {"torch": torch}, "notation.md", None, 0)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.DocTestRunner(optionflags=flags).run(test).failed == 0


def test_texts_are_networks():
    # Between fences; those of Python are examples.
    blocks = [block for block in PAGE.split("```")[1::2] if block.startswith("\n")]
    texts = [text for block in blocks for text in (re.findall('"(.*?)"', block) or [block])]
    assert len(texts) == 4
    for text in texts:
        network = models.create(text).eval()
        config = network.config
        assert network(torch.zeros(1, config.in_channels, *config.input_size)).shape == (1, 10)


def test_every_word_is_named():
    shown = " ".join(re.findall(r"`([^`\n]+)`", PAGE))
    lacking = [word for word in (*WORDS, *OPTIONS) if not re.search(rf"\b{word}\b", shown)]
    assert lacking == []
