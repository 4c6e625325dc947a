"""``choices.json``: what each layer may be built as, what that costs the network, and the front."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from hwnorm.artefact import Artefact, Part
from hwnorm.choose.offers import Offer
from hwnorm.choose.survey import Survey
from hwnorm.cost.cost import Resources
from hwnorm.datapath.serial import DatapathField
from hwnorm.names import LayerName


class PricedOffer(Part):
    """An offer (:class:`hwnorm.choose.offers.Offer`), its area, and what it adds to the network's loss."""

    area: float
    loss: float
    expression: str
    family: str
    r2: float
    r2_bit_true: float
    resources: Resources
    datapath: DatapathField | None

    @classmethod
    def of(cls, offer: Offer, area: float, loss: float) -> PricedOffer:
        """An offer with its price."""
        return cls(area=area, loss=loss, **vars(offer))

    @property
    def offer(self) -> Offer:
        """The offer alone."""
        return Offer(self.expression, self.family, self.r2, self.r2_bit_true, self.resources, self.datapath)


class LayerChoices(Part):
    """A layer's offers; ``base`` is the index of the one that stood there while others were tried."""

    layer: LayerName
    base: int
    offers: tuple[PricedOffer, ...]

    @model_validator(mode="after")
    def _base_is_there(self) -> Self:
        if not 0 <= self.base < len(self.offers):
            raise ValueError(f"base {self.base}: the layer has {len(self.offers)} offers")
        return self


class ChoicePoint(Part):
    """One choice for the whole network: the area of its kernels, and what the network loses.

    ``picks`` are indices of offers, layer by layer; ``agreement`` is in per cent. None is what was not
    measured.
    """

    area: float
    predicted_loss: float
    measured_loss: float | None
    agreement: float | None
    picks: tuple[int, ...]


class Choices(Artefact):
    """``loss`` names what is predicted and measured; ``base_loss`` is that of the base.

    Predictions are made with ``images`` training images; losses are measured on ``measured_images`` others.
    """

    KIND = "choices"

    loss: str
    images: int
    measured_images: int
    base_loss: float
    front: tuple[ChoicePoint, ...]
    layers: tuple[LayerChoices, ...]

    @model_validator(mode="after")
    def _picks_are_there(self) -> Self:
        for point in self.front:
            counts = [len(layer.offers) for layer in self.layers]
            if len(point.picks) != len(counts) or any(
                not 0 <= pick < count for pick, count in zip(point.picks, counts, strict=True)
            ):
                raise ValueError(f"picks {list(point.picks)}: the layers have {counts} offers")
        return self

    @property
    def survey(self) -> Survey:
        """What was found, to choose from."""
        return Survey(
            {layer.layer: [priced.offer for priced in layer.offers] for layer in self.layers},
            [[priced.area for priced in layer.offers] for layer in self.layers],
            [[priced.loss for priced in layer.offers] for layer in self.layers],
            tuple(layer.base for layer in self.layers),
            self.base_loss,
        )
