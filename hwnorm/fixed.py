"""Fixed-point formats: what a code means, and how a real value becomes one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from hwnorm.errors import InputError

#: ``trn`` is floor; ``rnd`` is half up, floor(v + 1/2 ulp), which ap_fixed calls AP_RND.
Rounding = Literal["trn", "rnd"]
#: ``sat`` clamps (AP_SAT); ``wrap`` drops the top bits (AP_WRAP).
Overflow = Literal["sat", "wrap"]

#: The widest signal: sums and products of codes must fit NumPy's int64 with room for a carry.
MAX_WIDTH = 62

_TEXT = re.compile(r"([su])(\d{1,3})f(-?\d{1,3})")
#: As HLS writes it: all bits, and those before the point.
_AP_FIXED = re.compile(r"ap_(u?)fixed<\s*(\d{1,3})\s*,\s*(-?\d{1,3})\s*>")
#: The widest beat: ap_int's headers have no wider number, unless they are told to.
MOST_BEAT_BITS = 1024
#: Fractional bits of a port, at least and at most.
_LEAST_FRAC, _MOST_FRAC = -32, 64


@dataclass(frozen=True, slots=True)
class FixedFormat:
    """Fixed point: ``width`` bits, ``frac`` of them fractional; value = code * 2**-frac.

    The same meaning as ``ap_fixed<width, width - frac>``, two's complement, or ``ap_ufixed`` of a port that
    is not ``signed``. Signals inside a datapath are signed. ``frac`` may exceed ``width`` or be negative.
    """

    width: int
    frac: int
    signed: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.width <= MAX_WIDTH:
            raise ValueError(f"{self.width} bits; a signal has 1 to {MAX_WIDTH}")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """In files a format is its text, such as ``s16f11``."""
        return core_schema.json_or_python_schema(
            json_schema=core_schema.no_info_after_validator_function(cls._read, core_schema.str_schema()),
            python_schema=core_schema.no_info_plain_validator_function(cls._read),
            serialization=core_schema.plain_serializer_function_ser_schema(
                str, return_schema=core_schema.str_schema(), when_used="json"
            ),
        )

    @classmethod
    def _read(cls, value: Any) -> FixedFormat:
        if isinstance(value, cls):
            return value
        if isinstance(value, dict) and {"width", "frac"} <= value.keys() <= {"width", "frac", "signed"}:
            if type(value["width"]) is not int or type(value["frac"]) is not int:
                raise ValueError("width and frac are whole numbers")
            if type(value.get("signed", True)) is not bool:
                raise ValueError("signed is true or false")
            return cls(**value)  # as datapaths have it: signals inside may be wider than 32 bits
        if not isinstance(value, str):
            raise ValueError("a format is text such as s16f11")
        try:
            return cls.parse(value)
        except InputError as error:
            raise ValueError(str(error)) from None

    @classmethod
    def parse(cls, text: str) -> FixedFormat:
        """Read ``s16f11``: signed, 16 bits, 11 of them fractional; or the same as ``ap_fixed<16,5>``.

        ``u8f8``, or ``ap_ufixed<8,0>``, is unsigned. There may be more fractional bits than bits
        (``s8f10``), or fewer than none (``s16f-2``).

        Raises:
            InputError: the text is no such format, or the widths are out of range.
        """
        if (match := _TEXT.fullmatch(text.strip())) is not None:
            signed, width, frac = match[1] == "s", int(match[2]), int(match[3])
        elif (match := _AP_FIXED.fullmatch(text.strip())) is not None:
            signed, width, frac = match[1] != "u", int(match[2]), int(match[2]) - int(match[3])
        else:
            raise InputError(
                f"format {text!r}: not of the form s16f11 (signed, 16 bits, 11 fractional), u8f8 "
                "(unsigned) or ap_fixed<16,5>"
            )
        if not 2 <= width <= 32:
            raise InputError(f"format {text!r}: {width} bits; 2 to 32 are possible")
        if not _LEAST_FRAC <= frac <= _MOST_FRAC:
            raise InputError(
                f"format {text!r}: {frac} fractional bits; {_LEAST_FRAC} to {_MOST_FRAC} are possible"
            )
        return cls(width, frac, signed)

    @classmethod
    def holding(cls, low: int, high: int, frac: int) -> FixedFormat:
        """The narrowest signed format with ``frac`` fractional bits that holds the codes low..high."""
        # A code v >= 0 needs as many bits as v, v < 0 as many as -v - 1, and both one for the sign.
        return cls(max((v if v >= 0 else -v - 1).bit_length() for v in (low, high)) + 1, frac)

    def __str__(self) -> str:
        return f"{'s' if self.signed else 'u'}{self.width}f{self.frac}"

    @property
    def inside(self) -> FixedFormat:
        """The signed format that a port of this one has inside a datapath, for the same codes."""
        return self if self.signed else FixedFormat(self.width + 1, self.frac)

    @property
    def integer_bits(self) -> int:
        """Bits before the binary point, a sign among them: the ``I`` of ``ap_fixed<W, I>``."""
        return self.width - self.frac

    @property
    def cpp(self) -> str:
        """Its type in HLS C++."""
        return f"ap_{'' if self.signed else 'u'}fixed<{self.width}, {self.integer_bits}>"

    @property
    def words(self) -> str:
        """For people, such as ``signed, 16 bits, 11 fractional``."""
        return f"{'signed' if self.signed else 'unsigned'}, {self.width} bits, {self.frac} fractional"

    @property
    def min_code(self) -> int:
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def max_code(self) -> int:
        return (1 << (self.width - self.signed)) - 1

    @property
    def ulp(self) -> float:
        """The value of one code step."""
        return float(2.0**-self.frac)

    @property
    def low(self) -> float:
        return self.min_code * self.ulp

    @property
    def high(self) -> float:
        return self.max_code * self.ulp

    def codes(self) -> np.ndarray:
        """Every code in ascending order: int64, shape (2**width,)."""
        return np.arange(self.min_code, self.max_code + 1, dtype=np.int64)

    def to_float(self, codes: np.ndarray) -> np.ndarray:
        """Codes to values: float64 of the same shape, exact up to 53 bits."""
        return np.asarray(codes, dtype=np.float64) * self.ulp

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """Values to codes (int64, same shape), rounded half up and saturated."""
        scaled = np.floor(np.asarray(values, dtype=np.float64) * 2.0**self.frac + 0.5)
        return np.clip(scaled, self.min_code, self.max_code).astype(np.int64)


def byte_bits(fmt: FixedFormat) -> int:
    """Bits that one element takes in TDATA: whole bytes."""
    return whole_bytes(fmt.width)


def whole_bytes(bits: int) -> int:
    """The bits of as many whole bytes as hold so many."""
    return 8 * ((bits + 7) // 8)


def check_lanes(lanes: int, *widths: int) -> None:
    """See that elements of these widths, so many a beat, are no wider than C++'s numbers.

    Raises:
        InputError: they are; it says how many there may be.
    """
    element = max(whole_bytes(width) for width in widths)
    if lanes * element > MOST_BEAT_BITS:
        raise InputError(
            f"option --lanes: {lanes} elements of {element} bits are {lanes * element} bits a beat; at most "
            f"{MOST_BEAT_BITS} are possible, {MOST_BEAT_BITS // element} lanes"
        )
