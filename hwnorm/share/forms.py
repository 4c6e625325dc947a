"""The ways to build one unit of a network's functions, and the cheapest of them by the cost model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hwnorm.cost.cost import Resources
from hwnorm.emit.stage import ElementStage
from hwnorm.errors import InputError
from hwnorm.share.compose import in_one_table, multiplexed
from hwnorm.share.form import Form
from hwnorm.share.functions import Functions
from hwnorm.share.kernel import LoadedStage, SharedStage, layout_of
from hwnorm.targets.target import Target


@dataclass(frozen=True)
class Offer:
    """A way to build the unit: the stage with what it is predicted to take, or why it cannot be built."""

    form: Form
    stage: ElementStage | None = None
    resources: Resources | None = None
    why: str = ""


def offers(functions: Functions, target: Target, clock_mhz: float, top: str, lanes: int = 1) -> list[Offer]:
    """Every way, in the order of :class:`Form`; each that can be built gives the functions' own codes.

    Raises:
        AssertionError: one does not: a fault of this package.
    """

    def tables() -> ElementStage:
        unit = in_one_table(functions, layout_of(functions), target, clock_mhz)
        return SharedStage(Form.TABLES, functions, unit, top, lanes)

    def kernels() -> ElementStage:
        return SharedStage(Form.KERNELS, functions, multiplexed(functions, target, clock_mhz), top, lanes)

    makers: dict[Form, Callable[[], ElementStage]] = {
        Form.TABLES: tables,
        Form.KERNELS: kernels,
        Form.LOADED: lambda: LoadedStage(functions, top, target.name, clock_mhz, lanes),
    }
    found = []
    for form, make in makers.items():
        try:
            stage = make()
        except InputError as reason:
            found.append(Offer(form, why=str(reason)))
            continue
        functions.check(stage.evaluate)
        taken = stage.resources(target)
        why = "" if taken else f"the memories of {target.name} are not known"
        found.append(Offer(form, stage, taken, why))
    return found


def pick(found: list[Offer], form: Form | None) -> Offer:
    """The cheapest by the target's weights, or the one that is asked for.

    Raises:
        InputError: that one, or every one, cannot be built.
    """
    able = [offer for offer in found if offer.stage is not None and form in (None, offer.form)]
    priced = [offer for offer in able if offer.resources is not None]
    if priced:
        return min(priced, key=lambda offer: offer.resources.cost if offer.resources else 0.0)
    if able:
        return able[0]
    why = next(offer.why for offer in found if form in (None, offer.form))
    raise InputError(f"option --form: {form}: {why}" if form else why)
