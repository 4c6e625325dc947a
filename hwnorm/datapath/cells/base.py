"""What a cell is. Adding one means a module here, its name in ``Cell``, and a macro in each back end.

The macros are those of the cell's name, in ``templates/verilog/cells.v.j2`` and in
``templates/hls/cells.cpp.j2``. The fuzzer's oracle (:mod:`hwnorm.fuzz.oracle`) says what the cell means once
more, on purpose by itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from hwnorm.datapath.cells.bits import Bits
from hwnorm.datapath.node import Cell, Node
from hwnorm.fixed import FixedFormat

#: An operation and its widths in bits; ``hwnorm.targets.target.KINDS`` says what the widths mean.
Operation = tuple[str, tuple[int, ...]]

#: How a result is made: bits of the argument as they are; by gates bit for bit; or by anything else: a carry
#: chain, a table, a multiplier, no logic at all.
Form = Literal["wires", "gates", "block"]

#: Least and greatest code.
Range = tuple[int, int]


class Bounded(Protocol):
    """A signal whose codes are bounded; equal indices are the same signal."""

    @property
    def index(self) -> int: ...
    @property
    def frac(self) -> int: ...
    @property
    def low(self) -> int: ...
    @property
    def high(self) -> int: ...


class Netlist(Protocol):
    """The bits of all signals up to a cell, by numbers (``hwnorm.cost.structure``).

    Equal logic has equal numbers.
    """

    @property
    def nodes(self) -> Sequence[Node]: ...
    @property
    def of(self) -> list[Bits]:
        """The bits of each node's signal."""

    @property
    def operands(self) -> list[tuple[Bits, ...]]:
        """What a cell leaves there for its own :meth:`CellDefinition.operations`, by nodes."""

    def new(self, stage: int, sources: Iterable[int], *key: object) -> int:
        """The bit that ``key`` names, made in a stage of ``sources``."""

    def chain(self, i: int, stage: int, *operands: Bits) -> Bits:
        """Bits of a carry chain: each depends on all that are not above it."""

    def both(self, stage: int, a: int, b: int) -> int:
        """a and b."""

    def either(self, stage: int, a: int, b: int) -> int:
        """a or b, and not both."""

    def chosen(self, stage: int, choice: int, a: int, b: int) -> int:
        """a where ``choice`` is set, else b."""


class Readers(Protocol):
    """What is read of a whole netlist, and notes of what reads it (``hwnorm.cost.structure``)."""

    @property
    def net(self) -> Netlist: ...

    def columns(self, i: int, *operands: Bits) -> list[tuple[int, ...]]:
        """The different columns of a chain's operands, up to the highest place that is read."""

    def reader(self, i: int) -> int | None:
        """The one node of the same stage that reads a signal, through wires; None if there are others."""

    def sources(self, *key: object) -> tuple[int, ...]:
        """What the bit that ``key`` names is made of; nothing if there is no such bit."""

    def signal(self, bits: Iterable[int], stage: int) -> None:
        """Something of a stage reads these bits as they are: they need lookup tables of their own."""

    def sum(self, bits: Iterable[int], stage: int) -> None:
        """The lookup tables of a carry chain read these bits, one each."""


class VerilogCell(Protocol):
    """A cell while its Verilog is written (``hwnorm.emit.verilog``)."""

    @property
    def nodes(self) -> Sequence[Node]: ...
    @property
    def index(self) -> int: ...
    @property
    def node(self) -> Node: ...
    @property
    def name(self) -> str:
        """The name of its signal."""

    @property
    def args(self) -> list[str]:
        """The names of its arguments in its stage."""

    @property
    def formats(self) -> list[FixedFormat]:
        """The formats of its arguments."""

    def bits(self, name: str, shift: int, width: int) -> Any:
        """For the template: the lowest ``width`` bits of a signal times 2**shift, by floor."""

    def sign(self, name: str) -> Any:
        """For the template: the sign bit of a signal."""

    def at(self, index: int) -> str:
        """The name of any earlier node's signal in this cell's stage."""

    def take(self, wish: str) -> str:
        """A name that nobody has yet, as near to ``wish`` as possible."""

    def helper(self, wish: str, width: int) -> str:
        """The name of a helper signal, all of whose bits are read."""

    def module(self) -> str:
        """The name of a module of the cell's own."""


class CellDefinition(ABC):
    """One cell; the class docstring says its value, of arguments a, b, c: ``code(a)`` is a's integer."""

    cell: ClassVar[Cell]
    #: Number of arguments.
    arity: ClassVar[int] = 1
    #: Built where it is first used, so that only what it reads is carried there in registers.
    late: ClassVar[bool] = False
    #: Its format holds all of :meth:`range`, not only the codes that occur.
    whole: ClassVar[bool] = False

    # --- what it means ---------------------------------------------------------------------------------

    @abstractmethod
    def evaluate(self, node: Node, args: Sequence[np.ndarray], formats: Sequence[FixedFormat]) -> Any:
        """The codes that it makes of its arguments' codes, int64: the definition of the cell."""

    def frac(self, fracs: Sequence[int], parameter: int) -> int | None:
        """Fractional bits of the result, from those of its arguments; None where the node says any."""
        return fracs[0]

    @abstractmethod
    def range(self, node: Node, args: Sequence[Bounded]) -> Range:
        """Bounds of the result's codes, from those of its arguments'.

        Of ``node.fmt`` the fractional bits count, and the ends where it saturates. One that wraps must hold
        the codes.
        """

    # --- what it takes -----------------------------------------------------------------------------------

    def form(self, node: Node) -> Form:
        """How its result is made."""
        return "block"

    @abstractmethod
    def steps(self, node: Node, args: Sequence[Node]) -> list[Operation]:
        """Its operations, one behind the other: what its delay is the sum of."""

    def bits(self, net: Netlist, i: int, node: Node, args: list[Bits]) -> Bits:
        """The bits of its result. Unless a cell knows better, each depends on every bit of every argument."""
        sources = {bit for arg in args for bit in arg}
        return [net.new(node.stage, sources, i, place) for place in range(node.fmt.width)]

    def operations(self, read: Readers, i: int, node: Node, args: list[Bits]) -> Iterator[Operation]:
        """What it asks of synthesis beside gates, once it is known what is read.

        ``read`` learns what it reads.
        """
        yield from ()

    # --- how it is written -------------------------------------------------------------------------------

    @abstractmethod
    def words(self, node: Node, args: Sequence[str], formats: Sequence[FixedFormat]) -> str:
        """What it does with its arguments, the signals ``args``: the comment of its line."""

    def verilog(self, cell: VerilogCell) -> dict[str, Any]:
        """What its Verilog macro needs; ``kind`` names another cell's macro to be used instead.

        Here: as many bits of its argument as the result has.
        """
        return {"args": [cell.bits(cell.args[0], 0, cell.node.fmt.width)]}

    def hls(
        self, node: Node, name: str, formats: Sequence[FixedFormat], take: Callable[[str], str]
    ) -> dict[str, Any]:
        """What its C++ macro needs beside the node's own fields; ``take`` hands out free names."""
        return {}


def aligned(args: Sequence[Bounded]) -> list[Range]:
    """The ranges of signals in codes of the finest one's fractional bits."""
    frac = max(a.frac for a in args)
    return [(a.low << (frac - a.frac), a.high << (frac - a.frac)) for a in args]


def aligned_codes(args: Sequence[np.ndarray], formats: Sequence[FixedFormat]) -> list[np.ndarray]:
    """Codes of signals as codes of the finest one's fractional bits."""
    frac = max(fmt.frac for fmt in formats)
    return [codes << (frac - fmt.frac) for codes, fmt in zip(args, formats, strict=True)]
