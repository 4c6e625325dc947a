"""The functions of a network that one unit computes, and how its codes name a layer's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from hwnorm.artefact import Part
from hwnorm.datapath.ir import Certificate, Datapath
from hwnorm.emit.stage import Piece
from hwnorm.errors import InputError
from hwnorm.expression import brief
from hwnorm.fixed import FixedFormat
from hwnorm.kernel.stimulus import EXHAUSTIVE_WIDTH, codes_to_send
from hwnorm.names import LayerName

#: The widest input of a unit, layer select and code together: as a kernel's input may be.
_MOST_BITS = 32


class Layer(Part):
    """A layer and the number of its function: what selects it."""

    layer: LayerName
    function: Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Functions:
    """Distinct functions, and which of them each layer has.

    An input code of the unit is ``number << code_bits | code``, as a signed number of ``input.width`` bits:
    ``code`` is the layer's own, in its own format, sign-extended. An output code is the layer's own, too;
    ``input`` and ``output`` say how wide they are, and nothing of values.

    Raises:
        InputError: there is none, or select and code are wider than a kernel's input can be.
    """

    layers: tuple[Layer, ...]
    functions: tuple[Datapath, ...]

    def __post_init__(self) -> None:
        if not self.functions:
            raise InputError("share: no function; the run's norms all fold or stay, and nothing else is one")
        numbers = range(len(self.functions))
        wrong = next((each for each in self.layers if each.function not in numbers), None)
        if wrong is not None:
            raise InputError(f"share: layer {wrong.layer!r}: function {wrong.function}; 0 to {numbers[-1]}")
        for fmt in (fmt for function in self.functions for fmt in (function.input, function.output)):
            if not fmt.signed:
                raise InputError(f"share: {fmt} is unsigned; the functions of one unit have signed formats")
        if self.code_bits + self.select_bits > _MOST_BITS:
            raise InputError(
                f"share: {self.select_bits} bits of select and codes of {self.code_bits}; "
                f"at most {_MOST_BITS} bits together can be"
            )

    @classmethod
    def of(cls, layers: Sequence[tuple[str, Datapath]]) -> Functions:
        """Those of layers in order; layers whose datapaths are equal share one."""
        functions = list(dict.fromkeys(datapath for _, datapath in layers))
        named = (Layer(layer=layer, function=functions.index(datapath)) for layer, datapath in layers)
        return cls(tuple(named), tuple(functions))

    @property
    def code_bits(self) -> int:
        """Of the widest function's input: narrower codes are sign-extended."""
        return max(function.input.width for function in self.functions)

    @property
    def select_bits(self) -> int:
        """One at least, so that all units are alike."""
        return max(1, (len(self.functions) - 1).bit_length())

    @property
    def input(self) -> FixedFormat:
        return FixedFormat(self.code_bits + self.select_bits, 0)

    @property
    def output(self) -> FixedFormat:
        return FixedFormat(max(function.output.width for function in self.functions), 0)

    @property
    def exhaustive(self) -> bool:
        """Whether :meth:`codes` has every code of every function."""
        return all(function.input.width <= EXHAUSTIVE_WIDTH for function in self.functions)

    def select(self, number: int, codes: np.ndarray) -> np.ndarray:
        """The unit's input codes for codes of a function: int64, of the same shape."""
        wide = (number << self.code_bits) | (codes & ((1 << self.code_bits) - 1))
        return np.asarray(np.where(wide > self.input.max_code, wide - (1 << self.input.width), wide))

    def codes(self, seed: int) -> np.ndarray:
        """Every input code of every function, one function after the other; some of very wide ones."""
        return np.concatenate(
            [self.select(n, codes_to_send(f.input, seed)) for n, f in enumerate(self.functions)]
        )

    def pieces(self, codes: np.ndarray) -> Iterator[Piece]:
        """Which function each of these input codes (n,) selects, and its code there."""
        numbers = (codes & ((1 << self.input.width) - 1)) >> self.code_bits
        for number, function in enumerate(self.functions):
            at = np.flatnonzero(numbers == number)
            if len(at):
                low, fmt = codes[at], function.input
                yield Piece(function, at, ((low - fmt.min_code) & ((1 << fmt.width) - 1)) + fmt.min_code)

    @cached_property
    def certificate(self) -> Certificate:
        """Of all functions: the largest error, the mean over all codes, in ulp of each one's own output."""
        each = [function.certificate for function in self.functions]
        worst = max(range(len(each)), key=lambda n: each[n].max_error_ulp)
        codes = sum(certificate.codes for certificate in each)
        if any(certificate.mean_error_ulp is None for certificate in each):
            return Certificate(each[worst].max_error_ulp, None, None, codes, exhaustive=False)
        mean = sum((c.mean_error_ulp or 0.0) * c.codes for c in each) / codes
        code = each[worst].worst_code
        assert code is not None
        at = int(self.select(worst, np.asarray([code]))[0])
        return Certificate(each[worst].max_error_ulp, mean, at, codes)

    @property
    def expression(self) -> str:
        """In one line."""
        return f"function of the low {self.code_bits} bits of x, of {len(self.functions)} by the bits above"

    @property
    def note(self) -> str:
        """Each function in a line: its number, layers, formats, error, and what it is."""
        lines = []
        for number, function in enumerate(self.functions):
            names = ", ".join(each.layer for each in self.layers if each.function == number)
            error = f"{function.certificate.max_error_ulp:.4f} ulp"
            formats = f"{function.input} to {function.output}"
            lines.append(f"{number}: {names}; {formats}, at most {error}: {brief(function.expression)}")
        return "\n".join(lines)

    def check(self, evaluate: Any) -> None:
        """See that a unit gives every function's own codes.

        Args:
            evaluate: input codes (n,) to output codes.

        Raises:
            AssertionError: it does not; names function and code.
        """
        codes = self.codes(seed=0)
        found = evaluate(codes)
        for piece in self.pieces(codes):
            wrong = np.flatnonzero(found[piece.at] != piece.datapath.evaluate(piece.codes))
            if len(wrong):
                code = int(piece.codes[wrong[0]])
                raise AssertionError(f"{brief(piece.datapath.expression)}: another code at {code}")
