"""What an operator is. Adding one means adding one module to this package, or an entry point."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from hwnorm.errors import InputError

#: Closed interval of real values, (low, high).
Interval = tuple[float, float]


class Signal(Protocol):
    """A fixed-point value inside a datapath that is being built."""

    @property
    def frac(self) -> int: ...


class Lowering(Protocol):
    """What an operator may ask for while it is turned into cells (``hwnorm.lowering.builder``).

    Everything is exact unless its name says otherwise; the builder sees to widths and sharing.
    """

    def add(self, a: Signal, b: Signal) -> Signal: ...
    def sub(self, a: Signal, b: Signal) -> Signal: ...
    def neg(self, a: Signal) -> Signal: ...
    def abs(self, a: Signal) -> Signal: ...
    def min(self, a: Signal, b: Signal) -> Signal: ...
    def max(self, a: Signal, b: Signal) -> Signal: ...
    def mul(self, a: Signal, b: Signal) -> Signal: ...
    def constant(self, value: float) -> Signal:
        """``value`` rounded to the working precision."""

    def scale(self, a: Signal, factor: float) -> Signal:
        """``a`` times a constant, by shift-and-add, rounded to the working precision."""

    def trim(self, a: Signal) -> Signal:
        """``a`` with no more fractional bits than the working precision."""

    def shift(self, a: Signal, places: int) -> Signal:
        """``a`` times 2**places: wiring."""

    def select(self, a: Signal, positive: Signal, negative: Signal) -> Signal:
        """``negative`` where a < 0, else ``positive``."""

    def function(self, a: Signal, function: Function) -> Signal:
        """A function of ``a`` by tables (and one narrow multiplier), to the working precision."""


class Function(Protocol):
    """A function of one signal that :meth:`Lowering.function` can build; it must be hashable.

    An operator of one argument is one. One with constants behind it is made by :class:`Bound`.
    """

    def __hash__(self) -> int: ...

    def numpy(self, x: Any, /) -> Any:
        """Values at the float64 array ``x``."""

    def interval(self, x: Interval, /) -> Interval:
        """An interval that holds every value for x in an interval; InputError outside the domain."""

    def steepness(self, x: Interval, /) -> tuple[float, ...]:
        """Its one entry is a bound of the slope's magnitude over an interval; infinite at a jump."""


@dataclass(frozen=True)
class Bound:
    """An operator of one signal with its constant arguments: a :class:`Function` of that signal."""

    operator: Operator
    constants: tuple[float, ...]

    def _at(self, x: Interval) -> tuple[Interval, ...]:
        return (x, *((c, c) for c in self.constants))

    def numpy(self, x: Any, /) -> Any:
        return self.operator.numpy(x, *self.constants)

    def interval(self, x: Interval, /) -> Interval:
        return self.operator.interval(*self._at(x))

    def steepness(self, x: Interval, /) -> tuple[float, ...]:
        return (self.operator.steepness(*self._at(x))[0],)


#: An argument as an operator sees it while being lowered: a signal, or a constant's value.
Operand = Signal | float


class Operator(ABC):
    """One row of the registry; the class docstring names the call form, as in ```` ``abs(x)`` ````."""

    name: ClassVar[str]
    #: Expressions that use it, each valid for x from -8 to 8: what the conformance suite
    #: (:mod:`hwnorm.testing`) runs. At least one, and every form that the operator has.
    examples: ClassVar[tuple[str, ...]]
    #: Least and greatest number of arguments.
    arity: ClassVar[tuple[int, int]]
    #: Arguments, by position, that must be constants (as the limit in ``clip(x, 5)``).
    constant_arguments: ClassVar[frozenset[int]] = frozenset()
    #: Whether it goes in steps: its gradient in PyTorch is then that of a line through them, not zero.
    stepped: ClassVar[bool] = False

    @abstractmethod
    def torch(self, *args: Any) -> Any:
        """The function on torch tensors (constants come as Python floats), differentiable."""

    @abstractmethod
    def numpy(self, *args: Any) -> Any:
        """The function on float64 arrays or floats, in double precision: the reference."""

    @abstractmethod
    def interval(self, *args: Interval) -> Interval:
        """An interval that holds every value, given intervals that hold the arguments.

        Raises:
            InputError: the function has no finite value somewhere in there (a pole, a negative
                number under a root); says which argument, its interval, and what would be right.
        """

    @abstractmethod
    def steepness(self, *args: Interval) -> tuple[float, ...]:
        """For each argument a bound of the slope's magnitude in it, over the box of all intervals.

        What an error of the argument can become: infinite at a jump or a vertical tangent. A constant
        argument that the hardware holds exactly has no error, and 0 stands for it.
        """

    @abstractmethod
    def lower(self, build: Lowering, *args: Operand) -> Signal:
        """Build the function from cells; at least one argument is a signal."""

    def check(self, *args: float | None) -> str | None:
        """What is wrong with the constant arguments (None: not a constant), or None if nothing."""
        return None


class TableFunction(Operator):
    """An operator of one signal and nothing else, built as the builder sees fit: its own table."""

    arity = (1, 1)

    def lower(self, build: Lowering, *args: Operand) -> Signal:
        return build.function(as_signal(build, args[0]), self)


def as_signal(build: Lowering, operand: Operand) -> Signal:
    """The operand as a signal; a constant becomes one of working precision."""
    return build.constant(operand) if isinstance(operand, (int, float)) else operand


def as_number(operand: Operand) -> float:
    """The operand as the number it is: for the positions of ``constant_arguments``."""
    assert isinstance(operand, (int, float))
    return float(operand)


def outside_domain(name: str, x: Interval, rule: str) -> InputError:
    """The complaint that an argument's interval leaves an operator's domain; ``rule`` is what it must."""
    where = f"is {x[0]:g}" if x[0] == x[1] else f"runs from {x[0]:g} to {x[1]:g}"
    return InputError(f"{name}'s argument {where}; it must {rule}")


def finite_product(a: float, b: float) -> float:
    """a * b with 0 * inf = 0, as interval bounds need it."""
    product = a * b
    return 0.0 if math.isnan(product) else product
