"""What a device has, for budgets in shares of it."""

from __future__ import annotations

from dataclasses import asdict

from hwnorm.engine.resources import Resources
from hwnorm.errors import InputError
from hwnorm.targets.target import load_target

#: By target, the part whose resources ``hwnorm/targets/data`` has: AMD DS891, Lattice FPGA-DS-02012.
DEVICES = {"xcup": "ZU9EG (ZCU102)", "ecp5": "LFE5U-85F"}
#: What the parts of a budget count, in words.
COUNTED = {"lut": "LUTs", "ff": "flip-flops", "dsp": "multipliers", "bram": "memory blocks of 18 kbit"}


def whole(target: str) -> Resources:
    """All that the target's device has.

    Raises:
        InputError: no multipliers are shared on it.
    """
    if target not in DEVICES:
        raise InputError(f"engine: target {target}; multipliers are shared on {' and '.join(DEVICES)}")
    device = load_target(target).device
    return Resources(device.lut, device.ff, device.dsp, device.bram)


def budget_of(budget: str, target: str) -> Resources:
    """The most that a budget leaves: ``lut=0.65,dsp=0.69``, shares of the device, or ``dsp=200``, so many.

    What it does not name is all that the device has.

    Raises:
        InputError: it is none, or the target's multipliers are not known.
    """
    there = whole(target)
    most = asdict(there)
    for part in budget.split(","):
        name, _, value = part.partition("=")
        name = name.strip()
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if name not in most or not 0 < number < 1e9 or (number > 1 and number != int(number)):
            raise InputError(
                f"option --budget: {part!r}; dsp=0.5 (a share of the device) or dsp=200 (so many) is taken, "
                f"and {', '.join(sorted(set(most) - {'dsp'}))} likewise, with commas between"
            )
        has = getattr(there, name)
        if number > 1 and number > has:
            raise InputError(
                f"option --budget: {int(number)} {COUNTED[name]}; the {DEVICES[target]} has {has}"
            )
        most[name] = int(number * has) if number <= 1 else int(number)
    return Resources(**most)
