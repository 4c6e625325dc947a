"""What a device has, for budgets in shares of it."""

from __future__ import annotations

from dataclasses import dataclass

from hwnorm.errors import InputError


@dataclass(frozen=True)
class Device:
    """A part, and its multipliers."""

    name: str
    multipliers: int


#: By target. ZU9EG of the ZCU102: AMD DS891. LFE5U-85F: Lattice FPGA-DS-02012.
DEVICES = {"xcup": Device("ZU9EG (ZCU102)", 2_520), "ecp5": Device("LFE5U-85F", 156)}


def multipliers_within(budget: str, target: str) -> int:
    """The multipliers that a budget leaves: ``dsp=0.69``, a share of the device, or ``dsp=200``, so many.

    Raises:
        InputError: it is none, or the target's multipliers are not known.
    """
    if target not in DEVICES:
        raise InputError(f"engine: target {target}; multipliers are shared on {' and '.join(DEVICES)}")
    name, _, value = budget.partition("=")
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if name.strip() != "dsp" or number <= 0 or (number > 1 and number != int(number)):
        raise InputError(
            f"option --budget: {budget!r}; dsp=0.5 (a share of the device) or dsp=200 (so many) is taken"
        )
    whole = DEVICES[target].multipliers
    most = int(number * whole) if number <= 1 else int(number)
    if most > whole:
        raise InputError(f"option --budget: {most} multipliers; the {DEVICES[target].name} has {whole}")
    return most
