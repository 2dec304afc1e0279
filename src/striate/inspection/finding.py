"""What is worth knowing of a network before it is trained."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["unread", "merge", "gridding", "uncounted", "hooks", "failure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing found in a network.

    Args:
        kind: "unread" (windows leave inputs unread), "merge" (branches meet whose fields do not lie on one another),
            "gridding" (a field with gaps), "uncounted" (operators that have no rule), "hooks" (hooks that did not run),
            "failure" (the network does not run on this input).
        layer: the dotted name of the layer it concerns; empty for the whole network.
        text: what was found, in whole sentences.
        fixes: edits that mend it, with what each leads to.
        details: the numbers of the text, by name: numbers, words, lists and dictionaries of them.

    Example:
        >>> Finding(kind="hooks", layer="0", text="its hooks did not run").kind
        'hooks'
    """

    kind: Kind
    layer: str
    text: str
    fixes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
