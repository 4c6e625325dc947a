"""What is stored of a run's shared function unit: how it is built, what that costs, certificates."""

from __future__ import annotations

from typing import ClassVar

from hwnorm.artefact import Artefact, Part
from hwnorm.cost.cost import Resources
from hwnorm.fixed import FixedFormat
from hwnorm.share.form import Form
from hwnorm.share.forms import Offer
from hwnorm.share.functions import Functions

#: The package's folder in a run folder.
PACKAGE = "share"


class StoredForm(Part):
    """A way to build the unit: latency in cycles, what its stream stage takes as predicted, or why not."""

    form: Form
    latency: int | None
    resources: Resources | None
    why: str

    @classmethod
    def of(cls, offer: Offer) -> StoredForm:
        latency = None if offer.stage is None else offer.stage.latency
        return cls(form=offer.form, latency=latency, resources=offer.resources, why=offer.why)


class SharedLayer(Part):
    """A layer: the number that selects its function, formats, and the function's certificate.

    The largest error is in ulp of its output, and occurs at ``worst_code`` of its ``codes`` input codes, all
    of which were tried; where they were not it is a bound, and mean and code are None.
    """

    layer: str
    function: int
    input: FixedFormat
    output: FixedFormat
    expression: str
    max_error_ulp: float
    mean_error_ulp: float | None
    worst_code: int | None
    codes: int


class StoredShare(Artefact):
    """``share.json``: the unit that ``share/`` holds.

    ``separate`` is what the stream stages of all functions together are predicted to take, one a function.
    """

    KIND: ClassVar[str] = "share"

    seal: str
    form: Form
    forms: tuple[StoredForm, ...]
    separate: Resources
    layers: tuple[SharedLayer, ...]
    passed: bool


def layers_of(functions: Functions) -> tuple[SharedLayer, ...]:
    """Each layer with its certificate."""
    found = []
    for each in functions.layers:
        function = functions.functions[each.function]
        certificate = function.certificate
        found.append(
            SharedLayer(
                layer=each.layer,
                function=each.function,
                input=function.input,
                output=function.output,
                expression=function.expression,
                max_error_ulp=certificate.max_error_ulp,
                mean_error_ulp=certificate.mean_error_ulp,
                worst_code=certificate.worst_code,
                codes=certificate.codes,
            )
        )
    return tuple(found)
