"""The choice for a run folder."""

from __future__ import annotations

from hwnorm.choose import knapsack
from hwnorm.choose.choices import ChoicePoint, Choices, LayerChoices, PricedOffer
from hwnorm.choose.knapsack import Selection
from hwnorm.choose.network import Calibration, NetworkLoss
from hwnorm.choose.survey import Survey, survey
from hwnorm.errors import InputError
from hwnorm.names import tops_of
from hwnorm.network.choice import Budget, Choice, Chosen
from hwnorm.progress import track
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.runs.products import CHOICE, CHOICES, FRONT, PROFILE
from hwnorm.runs.settings import RunSettings, target_of
from hwnorm.search.grammar import operators_of
from hwnorm.search.price import Limits

#: So many choices of the front are measured on the whole network, on images of their own: its ends.
CHECKED = 2


def select(settings: RunSettings, found: Survey) -> Selection:
    """The choice under the budget of a run's settings.

    Raises:
        InputError: no choice keeps it; the message says what the nearest would be.
    """
    areas, losses = found.areas, found.losses
    best = knapsack.select(areas, losses)
    assert best is not None  # without a limit there always is one
    if settings.total_area is not None:
        selection = knapsack.select(areas, losses, most_area=settings.total_area)
        if selection is None:
            least = sum(map(min, areas))
            raise InputError(
                f"option --total-area: {settings.total_area:g}; the smallest choice takes {least:g}"
            )
        return selection
    limit = found.loss(best) * (1 + settings.within) if settings.max_loss is None else settings.max_loss
    selection = knapsack.select(areas, losses, most_loss=limit - found.base_loss)
    if selection is None:
        raise InputError(
            f"option --max-loss: {limit:g}; the least that any choice is predicted to lose is "
            f"{found.loss(best):.4g}"
        )
    return selection


def choose(run: RunFolder, inputs: Inputs, jobs: int) -> None:
    """Write ``choices.json`` and ``choice.json``: what each layer's functions cost the network, and a pick.

    The first holds every layer's offers with their losses, and the front of choices, some of it measured
    on the whole network. It does not depend on the budget, so that choosing again takes no time.

    Raises:
        InputError: no fronts, a front's profile is missing, or no choice keeps the budget.
    """
    layers = run.layers(FRONT)
    fronts = {layer: run.read(FRONT, layer) for layer in layers}
    settings = run.settings
    target = target_of(settings)
    limits = Limits(settings.max_lut, settings.max_latency, 0 if settings.no_dsp else None)
    operators = operators_of(settings.operators)
    network: NetworkLoss | None = None

    def opened() -> NetworkLoss:
        nonlocal network
        if network is None:
            images = Calibration.of(inputs.model, inputs.training_images)
            network = NetworkLoss(inputs.model, images, layers)
        return network

    made_from = run.made_from(CHOICES, inputs)
    if not run.has(CHOICES, made_from):
        profiles = {layer: run.read(PROFILE, layer).statistics for layer in layers}
        found = survey(opened(), fronts, profiles, target, settings.clock_mhz, limits, operators, jobs)
        run.write(CHOICES, _choices(opened(), found), made_from)
    made_from = run.made_from(CHOICE, inputs)
    if run.has(CHOICE, made_from):
        return
    choices = run.read(CHOICES)
    found = choices.survey
    selection = select(settings, found)
    known = [point for point in choices.front if point.picks == selection.picks]
    if known and known[0].measured_loss is not None:
        point = known[0]
    else:
        point = _measured(opened(), found, _point(found, selection))
    tops = tops_of(layers)
    chosen = Choice(
        budget=Budget(total_area=settings.total_area, max_loss=settings.max_loss, within=settings.within),
        area=point.area,
        predicted_loss=point.predicted_loss,
        measured_loss=point.measured_loss,
        agreement=point.agreement,
        layers=tuple(
            Chosen(layer=layer, top=tops[layer], ceiling_r2=fronts[layer].ceiling_r2, **vars(of_layer[i]))
            for (layer, of_layer), i in zip(found.offers.items(), selection.picks, strict=True)
        ),
    )
    run.write(CHOICE, chosen, made_from)


def _choices(network: NetworkLoss, found: Survey) -> Choices:
    """What was found, and the front of choices, some of it measured."""
    front = knapsack.front(found.areas, found.losses)
    checked = {round(i * (len(front) - 1) / max(1, CHECKED - 1)) for i in range(CHECKED)}
    points = [_point(found, selection) for selection in front]
    for i in track(sorted(checked), "measure choices", len(checked)):
        points[i] = _measured(network, found, points[i])
    layers = []
    for place, (layer, offers) in enumerate(found.offers.items()):
        figures = zip(offers, found.areas[place], found.losses[place], strict=True)
        priced = tuple(PricedOffer.of(*each) for each in figures)
        layers.append(LayerChoices(layer=layer, base=found.base[place], offers=priced))
    loss = "KL divergence, nats an image" if network.has_head else "squared error of the features / variance"
    return Choices(
        loss=loss,
        images=len(network.images.fit) + len(network.images.predict),
        measured_images=network.images.unseen,
        base_loss=found.base_loss,
        front=tuple(points),
        layers=tuple(layers),
    )


def _point(found: Survey, selection: Selection) -> ChoicePoint:
    return ChoicePoint(
        area=selection.area,
        predicted_loss=found.loss(selection),
        measured_loss=None,
        agreement=None,
        picks=selection.picks,
    )


def _measured(network: NetworkLoss, found: Survey, point: ChoicePoint) -> ChoicePoint:
    measured = network.measure(found.functions(point.picks), network.images.measure)
    return point.model_copy(update={"measured_loss": measured.loss, "agreement": measured.agreement})
