"""A shape as a list of steps: values on many points, and analytic slopes in its constants."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwnorm.expression import Expression, apply, constant
from hwnorm.operators import operator
from hwnorm.search.derivatives import slopes

#: Operators whose constant arguments may take any value; those of others (a shift, points) stay.
_FREE = frozenset({"add", "sub", "mul", "clip", "min", "max"})


class Tape:
    """An expression whose constants are parameters: ``theta``, float64 (k,), in the order of the steps."""

    def __init__(self, shape: Expression) -> None:
        self.shape = shape
        #: Of each step: the operator, and for each argument a step's number, a parameter's (negative,
        #: from -1) or a fixed number.
        self._steps: list[tuple[str, tuple[int | float, ...]]] = []
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
            self._steps.append((node.kind, tuple(refs)))
        self.theta = np.array(theta)

    @property
    def limits(self) -> list[int]:
        """Parameters that must be positive: those of ``clip(a, c)``."""
        return [
            -int(refs[1]) - 1
            for name, refs in self._steps
            if name == "clip" and len(refs) == 2 and isinstance(refs[1], int)
        ]

    def run(self, theta: np.ndarray, x: np.ndarray) -> list[Any]:
        """What each step gives at ``x`` (n,); the last one's is the shape's."""
        made: list[Any] = []
        for name, refs in self._steps:
            made.append(x if name == "x" else operator(name).numpy(*self._given(refs, theta, made)))
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
            name, refs = self._steps[i]
            if name == "x":
                continue
            partial = slopes(name, self._given(refs, theta, made), made[i])
            for ref, slope in zip(refs, partial, strict=True):
                if isinstance(ref, float):
                    continue
                if ref < 0:
                    found[-ref - 1] += adjoint[i] * slope
                else:
                    adjoint[ref] = adjoint[ref] + adjoint[i] * slope
        return found

    def expression(self, theta: np.ndarray) -> Expression:
        """The shape with these constants.

        Raises:
            InputError: an operator does not allow one of them.
        """
        made: list[Expression] = []
        for name, refs in self._steps:
            if name == "x":
                made.append(Expression("x"))
                continue
            args = [
                constant(r) if isinstance(r, float) else made[r] if r >= 0 else constant(float(theta[-r - 1]))
                for r in refs
            ]
            made.append(apply(name, *args))
        return made[-1]
