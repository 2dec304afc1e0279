"""Reading a network without running it."""

import difflib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

from torch import Tensor, nn

from striate.inspection.counting import counts
from striate.inspection.counting.counts import CONVENTIONS, CountLike
from striate.inspection.faults import failures, unread
from striate.inspection.finding import Finding
from striate.inspection.layers import OperatorTotal, assemble, by_operator
from striate.inspection.memory.usage import Usage, usage
from striate.inspection.receptive.fields import Fields, fields
from striate.inspection.receptive.reach import Box, Reach, field_of
from striate.inspection.report import Layer, Total, Totals, plain
from striate.inspection.rows import Row, rows
from striate.inspection.tracing.inputs import inputs_of, own_size
from striate.inspection.tracing.quiet import uncollected
from striate.inspection.tracing.real import run_for_real
from striate.inspection.tracing.shadow import uncompiled
from striate.inspection.tracing.trace import Trace, trace

SCHEMA = 1
View = Literal["tree", "flat", "operator"]


class InspectionError(ValueError):
    """A network does not run on the input that it was given.

    Args:
        text: what went wrong, where, and what would mend it.
        inspection: what could be read up to there.

    Example:
        >>> import striate
        >>> from torch import nn
        >>> try:
        ...     striate.inspect(nn.Sequential(nn.Conv2d(3, 4, 3)), (1, 1, 8, 8))
        ... except InspectionError as error:
        ...     print(error.inspection.findings[0].layer)
        0
    """

    def __init__(self, text: str, inspection: "Inspection") -> None:
        super().__init__(text)
        self.inspection = inspection


class Inspection:
    """All that can be read of a network on an input of one size.

    What takes longer than the table (memory, gaps in the fields) is worked out when it is asked for.

    Args:
        name: of the network.
        model: the network; it is not touched.
        found: its run on tensors without numbers.
        count_like: whose rules count, see `inspect`.

    Example:
        >>> import striate
        >>> inspection = striate.inspect("vgg16")
        >>> inspection.totals.parameters.value, inspection.layer("features.30").receptive_field
        (138357544, (212, 212))
    """

    def __init__(self, name: str, model: nn.Module, found: Trace, count_like: CountLike | None = None) -> None:
        self.name = name
        self.trace = found
        self.convention = CONVENTIONS[count_like]
        """What is counted, in a sentence."""
        self._model = model
        self._counts = counts.count(found, count_like)

    @property
    def input_sizes(self) -> tuple[tuple[int, ...], ...]:
        """Sizes of the inputs, the batch included."""
        return tuple(value.shape for value in self.trace.inputs)

    @cached_property
    def _rows(self) -> list[Row]:
        return rows(self.trace)

    @cached_property
    def fields(self) -> Fields:
        """The receptive fields of all values."""
        return fields(self.trace)

    @cached_property
    def usage(self) -> Usage:
        """The memory that the network needs."""
        return usage(self.trace, self._model)

    @cached_property
    def reach(self) -> Reach:
        """Which inputs each unit reads, gaps included."""
        return Reach(self.trace)

    @cached_property
    def tree(self) -> tuple[Layer, ...]:
        """All layers, those that others stand in included, in order of running."""
        return assemble(self._rows, self.trace, self._counts, self.fields, self.usage.kept)

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The layers that no other stands in, in order of running; those that do not run stand at the end."""
        return tuple(layer for layer in self.tree if layer.leaf)

    @cached_property
    def failure(self) -> Finding | None:
        """Why the network does not run on this input; None if it does."""
        return failures.explain(self.trace, self._model) if self.trace.failure else None

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What is worth knowing before training."""
        found = [] if self.failure is None else [self.failure]
        found += unread.unread(self.trace)
        found += self.fields.findings
        if self._counts.missing:
            text = f"could not count {', '.join(self._counts.missing)}: give a rule with register_rule"
            found.append(Finding(kind="uncounted", layer="", text=text, details={"operators": self._counts.missing}))
        found += [
            Finding(kind="hooks", layer=name, text="its hooks did not run: they might keep what they are given")
            for name in self.trace.hooks_left_out
        ]
        return tuple(found)

    @cached_property
    def totals(self) -> Totals:
        """The numbers of the whole network."""
        numbers = counts.count_parameters(self.trace)
        missing = self._counts.missing
        failed = self.trace.failure is not None
        state: Literal["complete", "lower bound"] = "lower bound" if missing or failed else "complete"

        def known(value: int) -> Total:
            return Total(value=value, state="complete")

        return Totals(
            parameters=known(numbers.total),
            trainable_parameters=known(numbers.trainable),
            frozen_parameters=known(numbers.frozen),
            macs=Total(value=self._counts.macs, state=state, missing=missing),
            flops=Total(value=self._counts.flops, state=state, missing=missing),
            saved_for_backward_bytes=self.usage.saved_for_backward_bytes,
            peak_forward_bytes=self.usage.peak_forward_bytes,
        )

    def layer(self, name: str) -> Layer:
        """A layer by its name, at its first call.

        Args:
            name: dotted, as in `named_modules`; empty for the network itself.

        Returns:
            The layer.

        Raises:
            ValueError: if there is none of this name.

        Example:
            >>> import striate
            >>> striate.inspect("lenet5").layer("c1").parameters
            156
        """
        return self.tree[self._place(name)]

    def _place(self, name: str) -> int:
        names = [layer.name for layer in self.tree]
        if name not in names:
            near = difflib.get_close_matches(name, names) or names[1:7]
            raise ValueError(f"there is no layer {name!r}: did you mean {', '.join(dict.fromkeys(near))}?")
        return names.index(name)

    def field_of(self, layer: str, unit: int | Sequence[int] | None = None) -> Box:
        """The inputs that one unit of a layer reads.

        Args:
            layer: its dotted name.
            unit: its place along each axis of the map; None for the one in the middle.

        Returns:
            The first and the last input along each axis, within the input and beyond it.

        Raises:
            ValueError: if there is no such layer, or no such unit.

        Example:
            >>> import striate
            >>> striate.inspect("lenet5").field_of("c1", (14, 14)).shape
            (5, 5)
        """
        return field_of(self.trace, layer, unit)

    def by_operator(self) -> tuple[OperatorTotal, ...]:
        """The layers added up by operator, that with most MACs first.

        Returns:
            One an operator.

        Example:
            >>> import striate
            >>> striate.inspect("vgg16").by_operator()[0].operator
            'Conv2d'
        """
        return by_operator(self.layers)

    def to_dict(self) -> dict[str, Any]:
        """All of it in the types of JSON.

        Returns:
            ``schema``, ``name``, ``input_sizes``, ``totals``, ``layers``, ``findings`` and ``memory``.

        Example:
            >>> import striate
            >>> striate.inspect("lenet5").to_dict()["totals"]["parameters"]["value"]
            60806
        """
        return {
            "schema": SCHEMA,
            "name": self.name,
            "input_sizes": plain(self.input_sizes),
            "totals": plain(self.totals),
            "layers": plain(self.layers),
            "findings": plain(self.findings),
            "memory": plain(self.usage.to_dict()),
        }

    def to_json(self) -> str:
        """`to_dict` as text.

        Returns:
            JSON, indented.

        Example:
            >>> import striate
            >>> striate.inspect("lenet5").to_json().startswith("{")
            True
        """
        return json.dumps(self.to_dict(), indent=1)

    def to_text(self, view: View = "tree", width: int = 80) -> str:
        """A table for a terminal.

        Args:
            view: "tree" (modules in modules), "flat" (layers only) or "operator" (added up).
            width: columns of the terminal.

        Returns:
            Lines of text.

        Example:
            >>> import striate
            >>> "60,806" in striate.inspect("lenet5").to_text()
            True
        """
        from striate.inspection.views.text import render

        with uncollected():
            return render(self, view, width)

    def to_markdown(self) -> str:
        """Tables for a page of text.

        Returns:
            Markdown as GitHub shows it.

        Example:
            >>> import striate
            >>> "| c1 " in striate.inspect("lenet5").to_markdown()
            True
        """
        from striate.inspection.views.markdown import render

        return render(self)

    def to_html(self) -> str:
        """One page with everything, the picture included.

        Returns:
            HTML that needs no other file.

        Example:
            >>> import striate
            >>> striate.inspect("lenet5").to_html().startswith("<!doctype html>")
            True
        """
        from striate.inspection.views.page import render

        return render(self)

    def to_svg(self, layers: Sequence[str] = ()) -> str:
        """A picture of the network, to scale.

        Args:
            layers: names of those whose receptive fields are drawn on the input; if none, some are chosen.

        Returns:
            SVG.

        Raises:
            ValueError: if there is no layer of such a name.

        Example:
            >>> import striate
            >>> striate.inspect("lenet5").to_svg().startswith("<svg")
            True
        """
        from striate.inspection.views.drawing import render

        return render(self, layers)

    def __str__(self) -> str:
        """The table in 80 columns."""
        return self.to_text()


def inspect(
    model: nn.Module | str,
    input_size: Sequence[int] | Sequence[Sequence[int]] | None = None,
    *,
    inputs: Sequence[Tensor] | None = None,
    settings: Mapping[str, Any] | None = None,
    strict: bool = False,
    count_like: CountLike | None = None,
    run: bool = False,
) -> Inspection:
    """Read a network without running it: sizes, costs, memory, receptive fields, and what is wrong.

    Nothing is allocated, and the network is not touched: it runs as a copy whose tensors have sizes and no numbers, in
    its own mode, training or evaluation.

    Args:
        model: any module; or the name of a network of `striate.models`, a file ``*.onnx``, or
            ``package.module:factory``.
        input_size: with the batch, as (8, 3, 224, 224); a sequence of sizes for several inputs. By default a batch of
            one of the size that a network of ours is made for.
        inputs: in place of a size: tensors, of which only sizes and dtypes are read.
        settings: further arguments of the network's forward by name.
        strict: refuse a network with operators that cannot be counted.
        count_like: count MACs by the rules of another tool, for comparing with papers.
        run: run the network for real, on a copy and zeros, if its path depends on numbers.

    Returns:
        What was found.

    Raises:
        InspectionError: if the network does not run on such an input; what was read up to there goes with it.
        ValueError: if the size is none, a layer does not know its sizes yet, or an operator is not counted and
            `strict`.
        TypeError: if the model or an argument has the wrong type.

    Source:
        Memory by the life of tensors and receptive fields by the arithmetic of intervals: Araujo, Norris, Sim,
        "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019.

    Example:
        >>> from torch import nn
        >>> inspection = inspect(nn.Sequential(nn.Conv2d(3, 8, 3, stride=2)), (1, 3, 32, 32))
        >>> inspection.totals.macs.value, inspection.layers[0].unread[0].high
        (48600, 1)
    """
    if isinstance(model, str):
        from striate.inspection.targets import load

        target = load(model)
        name, model, default, dtypes = target.name, target.model, target.input_size, target.dtypes
    elif isinstance(model, nn.Module):
        model = uncompiled(model)
        name, default, dtypes = type(model).__name__, own_size(model), ()
    else:
        raise TypeError(f"model must be a module or the name of one, got {type(model).__name__}")
    wished = default if input_size is None and inputs is None else input_size
    given = inputs_of(model, wished, inputs, dtypes)
    found = trace(model, given, settings)
    inspection = Inspection(name, model, found, count_like)
    if run and inspection.failure is not None and inspection.failure.details.get("needs_numbers"):
        found = run_for_real(model, given, settings)
        inspection = Inspection(name, model, found, count_like)
    if inspection.failure is not None:
        raise InspectionError(failures.message(inspection.failure), inspection)
    missing = inspection.totals.macs.missing if strict else ()
    if missing:
        raise ValueError(f"could not count {', '.join(missing)}: give a rule with register_rule")
    return inspection
