"""A shape as a list of steps: values on many points, and analytic slopes in its constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hwnorm.expression import Expression, apply, constant
from hwnorm.operators import operator
from hwnorm.search.derivatives import slopes

#: Operators whose constant arguments may take any value; those of others (a shift, points) stay.
_FREE = frozenset({"add", "sub", "mul", "clip", "min", "max"})


class _Step(NamedTuple):
    """An operator of a tape, or x."""

    name: str
    function: Callable[..., Any]
    #: For each argument a step's number, a parameter's (negative, from -1) or a fixed number.
    refs: tuple[int | float, ...]
    #: Whether its result depends on a parameter.
    varies: bool


class Tape:
    """An expression whose constants are parameters: ``theta``, float64 (k,), in the order of the steps."""

    def __init__(self, shape: Expression) -> None:
        self.shape = shape
        self._steps: list[_Step] = []
        theta: list[float] = []
        place: dict[Expression, int] = {}
        for node in shape.walk():
            if node.is_constant:
                continue
            refs: list[int | float] = []
            for arg in node.args:
                if not arg.is_constant:
                    refs.append(place[arg])
                elif node.kind in _FREE:
                    theta.append(arg.value)
                    refs.append(-len(theta))
                else:
                    refs.append(float(arg.value))
            place[node] = len(self._steps)
            function = _never_called if node.kind == "x" else operator(node.kind).numpy
            varies = any(self._varies(ref) for ref in refs)
            self._steps.append(_Step(node.kind, function, tuple(refs), varies))
        self.theta = np.array(theta)

    def _varies(self, ref: int | float) -> bool:
        return isinstance(ref, int) and (ref < 0 or self._steps[ref].varies)

    @property
    def limits(self) -> list[int]:
        """Parameters that must be positive: those of ``clip(a, c)``."""
        return [
            -int(step.refs[1]) - 1
            for step in self._steps
            if step.name == "clip" and len(step.refs) == 2 and isinstance(step.refs[1], int)
        ]

    def run(self, theta: np.ndarray, x: np.ndarray, before: list[Any] | None = None) -> list[Any]:
        """What each step gives at ``x`` (n,); the last one's is the shape's.

        ``before`` is what another ``theta`` gave at the same x.
        """
        made: list[Any] = []
        for step in self._steps:
            if step.name == "x":
                made.append(x)
            elif before is not None and not step.varies:
                made.append(before[len(made)])
            else:
                made.append(step.function(*self._given(step.refs, theta, made)))
        return made

    @staticmethod
    def _given(refs: tuple[int | float, ...], theta: np.ndarray, made: list[Any]) -> list[Any]:
        return [r if isinstance(r, float) else made[r] if r >= 0 else float(theta[-r - 1]) for r in refs]

    def jacobian(self, theta: np.ndarray, made: list[Any]) -> np.ndarray:
        """The shape's slope in each parameter at the points of :meth:`run`'s ``made``: (k, n).

        By one sweep backwards: the shape is elementwise, so that the adjoint of a step is an array too.
        """
        found = np.zeros((len(theta), len(made[-1])))
        adjoint: list[Any] = [0.0] * len(made)
        adjoint[-1] = 1.0
        for i in range(len(self._steps) - 1, -1, -1):
            step = self._steps[i]
            if not step.varies:
                continue
            partial = slopes(step.name, self._given(step.refs, theta, made), made[i])
            for ref, slope in zip(step.refs, partial, strict=True):
                if not self._varies(ref):
                    continue
                if ref < 0:
                    found[-int(ref) - 1] = adjoint[i] * slope  # each parameter is an argument once
                else:
                    adjoint[int(ref)] = adjoint[int(ref)] + adjoint[i] * slope
        return found

    def expression(self, theta: np.ndarray) -> Expression:
        """The shape with these constants.

        Raises:
            InputError: an operator does not allow one of them.
        """
        made: list[Expression] = []
        for name, _, refs, _ in self._steps:
            if name == "x":
                made.append(Expression("x"))
                continue
            args = [
                constant(r) if isinstance(r, float) else made[r] if r >= 0 else constant(float(theta[-r - 1]))
                for r in refs
            ]
            made.append(apply(name, *args))
        return made[-1]


def _never_called(*args: Any) -> Any:
    raise AssertionError("x is given")
