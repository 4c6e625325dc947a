"""A case: what to build and how to check it, as drawn, shrunk, saved and read back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from hwnorm.datapath.ir import Datapath
from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.lowering.lower import lower
from hwnorm.targets.target import load_target


@dataclass(frozen=True)
class Case:
    """An expression to lower, and whether its stream stage is tested besides its core.

    ``expression``, ``input`` and ``output`` are texts such as ``tanh(x)`` and ``s16f11``. With
    ``stream`` the whole package with ``lanes`` elements a beat goes through ``hwnorm verify``'s checks.
    """

    expression: str
    input: str
    output: str
    target: str
    clock_mhz: float
    max_error_ulp: float
    fuse: bool
    stream: bool
    lanes: int

    def lower(self) -> Datapath:
        """The case's datapath.

        Raises:
            InputError: hwnorm refuses it.
        """
        return lower(
            parse(self.expression),
            FixedFormat.parse(self.input),
            FixedFormat.parse(self.output),
            load_target(self.target),
            self.clock_mhz,
            self.max_error_ulp,
            self.fuse,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Any) -> Case:
        """The inverse of :meth:`to_json`.

        Raises:
            InputError: a field is missing, unknown or of the wrong type.
        """
        kinds = {name: str(field.type) for name, field in cls.__dataclass_fields__.items()}
        if not isinstance(data, dict) or set(data) != set(kinds):
            raise InputError(f"case: its fields must be {', '.join(kinds)}")
        for name, kind in kinds.items():
            if type(data[name]).__name__ != kind:
                raise InputError(f"case: field {name!r} is {data[name]!r}; {kind} was expected")
        return cls(**data)


@dataclass(frozen=True)
class Failure:
    """How a case failed: ``kind`` is what a smaller case must share, ``message`` what was seen."""

    kind: str
    message: str


@dataclass(frozen=True)
class Refused:
    """hwnorm said that the case cannot be built; ``reason`` is its message without names and numbers."""

    reason: str


#: What became of a case; None: every check passed.
Outcome = Failure | Refused | None
