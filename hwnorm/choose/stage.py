"""The choice for a run folder."""

from __future__ import annotations

from hwnorm.choose.choice import Chosen
from hwnorm.choose.pick import pick
from hwnorm.datapath.ir import Datapath
from hwnorm.datapath.lower import lower
from hwnorm.errors import InputError
from hwnorm.expression import Expression, X, apply, constant, parse
from hwnorm.files import digest, read_artefact
from hwnorm.profile import LayerProfile, read_profile
from hwnorm.progress import track
from hwnorm.run.folder import RunFolder, layer_files
from hwnorm.run.settings import RunSettings
from hwnorm.search.fitness import Judge
from hwnorm.search.front import Point
from hwnorm.search.layer import Front, measure
from hwnorm.targets.cost import resources
from hwnorm.targets.target import Target, load_target


def choose(run: RunFolder) -> None:
    """Write ``choice.json``: for each layer the cheapest function that is near enough to its ceiling.

    What is built is that function made steeper (setting ``sharpen``), with gain and offset fitted
    again: saturating earlier, it keeps less of a token's scale, which is what the norm took away. It
    loses R2, and the refitted network is nearer to the original all the same.

    Raises:
        InputError: no fronts, or a front's profile is missing.
    """
    settings = run.settings
    paths = layer_files(run.path / "fronts", "search")
    target = load_target(settings.target)
    chosen_by = settings.within, settings.sharpen, settings.clock_mhz
    made_from = digest(*paths, chosen_by, target.model_dump(mode="json"))
    if run.is_current(run.choice, "choice", made_from):
        return
    layers = []
    for path in track(paths, "choose functions", len(paths)):
        front = Front.from_json(read_artefact(path, "front"))
        profile = read_profile(run.profile(front.layer))
        point, datapath = _build(front, profile, settings, target)
        used = resources(datapath.nodes, datapath.latency, target)
        top = "hwnorm_" + "".join(c if c.isalnum() else "_" for c in front.layer)
        figures = point.r2, point.r2_bit_true, front.ceiling_r2
        chosen = Chosen(front.layer, top, point.expression, *figures, used, datapath)
        layers.append(chosen.to_json())
    run.write(run.choice, "choice", made_from, {"layers": layers})


def _build(
    front: Front, profile: LayerProfile, settings: RunSettings, target: Target
) -> tuple[Point, Datapath]:
    """The picked function, steeper where that can be built, and its datapath."""
    point = pick(front, settings.within)
    formats = front.input, front.output
    picked = parse(point.expression)
    if settings.sharpen > 1:
        steeper = _shape(picked).at(apply("mul", constant(settings.sharpen), X))
        candidate = Judge(profile, formats, target, settings.clock_mhz).candidate(steeper)
        if candidate is not None:
            try:
                datapath = lower(candidate.expression, *formats, target, settings.clock_mhz)
                return measure(candidate, datapath, profile, target), datapath
            except InputError:
                pass  # not to be had at this precision: build the picked one
    return point, lower(picked, *formats, target, settings.clock_mhz)


def _shape(expression: Expression) -> Expression:
    """The expression without its outer gain, offset and sign, which are fitted anew."""
    match expression:
        case Expression(kind="add", args=(inner, Expression(kind="constant"))):
            return _shape(inner)
        case Expression(kind="mul", args=(Expression(kind="constant"), inner)):
            return _shape(inner)
        case Expression(kind="neg", args=(inner,)):
            return _shape(inner)
    return expression
