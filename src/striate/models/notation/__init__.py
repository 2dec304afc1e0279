"""The stack notation: a line of text is a network."""

from striate.models.notation.branches import Concat, Residual, Sum
from striate.models.notation.classics import CLASSICS
from striate.models.notation.network import NotationConfig, Written, builder_for, is_text, notation, stated_size
from striate.models.notation.parsing import parse
from striate.models.notation.printing import code_of, of
from striate.models.notation.syntax import NotationError, text_of

__all__ = [
    "CLASSICS",
    "Concat",
    "NotationConfig",
    "NotationError",
    "Residual",
    "Sum",
    "Written",
    "builder_for",
    "code_of",
    "is_text",
    "notation",
    "of",
    "parse",
    "stated_size",
    "text_of",
]
