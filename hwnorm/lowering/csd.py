"""Constants as shifts and additions: canonical signed digits."""

from __future__ import annotations

from functools import lru_cache


def signed_digits(value: int) -> list[tuple[int, int]]:
    """Canonical signed digits of an integer: (place, +1 or -1), lowest place first.

    No two neighbouring places are both used, so there are as few digits as possible
    (G. W. Reitwiesner, Binary Arithmetic, 1960).
    """
    digits = []
    place = 0
    while value:
        if value & 1:
            sign = 2 - (value & 3)
            digits.append((place, sign))
            value -= sign
        value >>= 1
        place += 1
    return digits


@lru_cache(maxsize=65536)
def simplest_multiple(factor: float, tolerance: float) -> tuple[int, int]:
    """The (m, k) of least k >= 0 with \\|m / 2**k - factor\\| <= tolerance; m is odd, zero, or k is 0."""
    point = 0
    while True:
        multiple = round(factor * 2.0**point)
        if abs(multiple * 2.0**-point - factor) <= tolerance:
            return multiple, point
        point += 1


def snap(factor: float, digits: int) -> float:
    """The number nearest to ``factor`` that has at most ``digits`` signed digits, found greedily."""
    result, rest = 0.0, factor
    for _ in range(digits):
        if rest == 0.0:
            break
        power = 1.0
        while power > abs(rest):
            power /= 2
        while power * 2 <= abs(rest):
            power *= 2
        if abs(rest) > 1.5 * power:
            power *= 2
        step = power if rest > 0 else -power
        result, rest = result + step, rest - step
    return result
