"""The choice for a run folder."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from hwnorm.choose import knapsack
from hwnorm.choose.knapsack import Selection
from hwnorm.choose.network import NetworkLoss, calibration
from hwnorm.choose.offers import Offer
from hwnorm.choose.survey import Survey, survey
from hwnorm.errors import InputError
from hwnorm.files import body, digest, read_artefact
from hwnorm.network.choice import Chosen
from hwnorm.profile import read_profile
from hwnorm.progress import track
from hwnorm.run.folder import RunFolder, layer_files
from hwnorm.run.inputs import Inputs
from hwnorm.run.settings import RunSettings
from hwnorm.search.grammar import operators_of
from hwnorm.search.layer import Front
from hwnorm.search.price import Limits
from hwnorm.targets.target import load_target

#: So many choices of the front are measured on the whole network.
CHECKED = 8


@dataclass(frozen=True, slots=True)
class Budget:
    """What a choice must keep; without a limit the loss stays near the least one (``within``)."""

    total_area: float | None
    max_loss: float | None
    within: float

    @classmethod
    def of(cls, settings: RunSettings) -> Budget:
        """That of a run's settings."""
        return cls(settings.total_area, settings.max_loss, settings.within)

    def select(self, found: Survey) -> Selection:
        """The choice under the budget.

        Raises:
            InputError: no choice keeps it; the message says what the nearest would be.
        """
        areas, losses = found.areas, found.losses
        best = knapsack.select(areas, losses)
        assert best is not None  # without a limit there always is one
        if self.total_area is not None:
            selection = knapsack.select(areas, losses, most_area=self.total_area)
            if selection is None:
                least = sum(map(min, areas))
                raise InputError(
                    f"option --total-area: {self.total_area:g}; the smallest choice takes {least:g}"
                )
            return selection
        limit = found.loss(best) * (1 + self.within) if self.max_loss is None else self.max_loss
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
    paths = layer_files(run.path / "fronts", "search")
    read = [read_artefact(path, "front") for path in paths]
    fronts = {front.layer: front for front in map(Front.from_json, read)}
    settings = run.settings
    target = load_target(settings.target, settings.cost_weights)
    limits = Limits(settings.max_lut, settings.max_latency, 0 if settings.no_dsp else None)
    operators = operators_of(settings.operators)
    rules = settings.clock_mhz, asdict(limits), sorted(operators) if operators is not None else None
    depends = *rules, target.model_dump(mode="json"), inputs.fingerprint
    profiles = [body(read_artefact(run.profile(layer), "profile")) for layer in fronts]
    made_from = digest(*map(body, read), *profiles, depends)
    network: NetworkLoss | None = None

    def opened() -> NetworkLoss:
        nonlocal network
        if network is None:
            pixels = calibration(inputs.model, inputs.training_images)
            network = NetworkLoss(inputs.model, pixels, list(fronts))
        return network

    if not run.has(run.choices, "choices", made_from):
        by_layer = {layer: read_profile(run.profile(layer)) for layer in fronts}
        found = survey(opened(), fronts, by_layer, target, settings.clock_mhz, limits, operators, jobs)
        run.write(run.choices, "choices", made_from, _choices(opened(), found))
    budget = Budget.of(settings)
    data = read_artefact(run.choices, "choices")
    made_from = digest(body(data), budget.total_area, budget.max_loss, budget.within)
    if run.has(run.choice, "choice", made_from):
        return
    found = read_survey(data)
    selection = budget.select(found)
    known = [point for point in data["front"] if point["picks"] == list(selection.picks)]
    if known and known[0]["measured_loss"] is not None:
        entry = known[0]
    else:
        entry = _point(found, selection) | _measured(opened(), found, selection)
    head = {
        "budget": {"total_area": budget.total_area, "max_loss": budget.max_loss, "within": budget.within},
        **{name: entry[name] for name in ("area", "predicted_loss", "measured_loss", "agreement")},
    }
    layers = [
        _chosen(layer, of_layer[i], fronts[layer]).to_json()
        for (layer, of_layer), i in zip(found.offers.items(), selection.picks, strict=True)
    ]
    run.write(run.choice, "choice", made_from, head | {"layers": layers})


def read_survey(data: dict[str, Any]) -> Survey:
    """What ``choices.json`` holds of the layers."""
    layers = data["layers"]
    return Survey(
        {layer["layer"]: [Offer.from_json(offer) for offer in layer["offers"]] for layer in layers},
        [[offer["area"] for offer in layer["offers"]] for layer in layers],
        [[offer["loss"] for offer in layer["offers"]] for layer in layers],
        tuple(layer["base"] for layer in layers),
        data["base_loss"],
    )


def _choices(network: NetworkLoss, found: Survey) -> dict[str, Any]:
    """The body of ``choices.json``."""
    front = knapsack.front(found.areas, found.losses)
    checked = {round(i * (len(front) - 1) / max(1, CHECKED - 1)) for i in range(CHECKED)}
    points = [_point(found, selection) for selection in front]
    for i in track(sorted(checked), "measure choices", len(checked)):
        points[i] |= _measured(network, found, front[i])
    layers = []
    for place, (layer, offers) in enumerate(found.offers.items()):
        figures = zip(offers, found.areas[place], found.losses[place], strict=True)
        layers.append(
            {
                "layer": layer,
                "base": found.base[place],
                "offers": [{"area": area, "loss": loss} | offer.to_json() for offer, area, loss in figures],
            }
        )
    return {
        "loss": "KL divergence, nats an image"
        if network.has_head
        else "squared error of the features / variance",
        "images": len(network.pixels),
        "base_loss": found.base_loss,
        "front": points,
        "layers": layers,
    }


def _point(found: Survey, selection: Selection) -> dict[str, Any]:
    return {
        "area": selection.area,
        "predicted_loss": found.loss(selection),
        "measured_loss": None,
        "agreement": None,
        "picks": list(selection.picks),
    }


def _measured(network: NetworkLoss, found: Survey, selection: Selection) -> dict[str, Any]:
    measured = network.measure(found.functions(selection.picks))
    return {"measured_loss": measured.loss, "agreement": measured.agreement}


def _chosen(layer: str, offer: Offer, front: Front) -> Chosen:
    top = "hwnorm_" + "".join(c if c.isalnum() else "_" for c in layer)
    return Chosen(
        layer,
        top,
        offer.expression,
        offer.family,
        offer.r2,
        offer.r2_bit_true,
        front.ceiling_r2,
        offer.resources,
        offer.datapath,
    )
