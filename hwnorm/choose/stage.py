"""The choice for a run folder."""

from __future__ import annotations

from hwnorm.choose.choice import Chosen
from hwnorm.choose.pick import pick
from hwnorm.datapath.lower import lower
from hwnorm.expression import parse
from hwnorm.files import digest, read_artefact
from hwnorm.progress import track
from hwnorm.run.folder import RunFolder, layer_files
from hwnorm.search.layer import Front
from hwnorm.targets.cost import resources
from hwnorm.targets.target import load_target


def choose(run: RunFolder) -> None:
    """Write ``choice.json``: for each layer the cheapest function that is near enough to its ceiling.

    Raises:
        InputError: no fronts.
    """
    settings = run.settings
    paths = layer_files(run.path / "fronts", "search")
    target = load_target(settings.target)
    made_from = digest(*paths, settings.within, settings.clock_mhz, target.model_dump(mode="json"))
    if run.is_current(run.choice, "choice", made_from):
        return
    layers = []
    for path in track(paths, "choose functions", len(paths)):
        front = Front.from_json(read_artefact(path, "front"))
        point = pick(front, settings.within)
        datapath = lower(parse(point.expression), front.input, front.output, target, settings.clock_mhz)
        used = resources(datapath.nodes, datapath.latency, target)
        top = "hwnorm_" + "".join(c if c.isalnum() else "_" for c in front.layer)
        figures = point.r2, point.r2_bit_true, front.ceiling_r2
        chosen = Chosen(front.layer, top, point.expression, *figures, used, datapath)
        layers.append(chosen.to_json())
    run.write(run.choice, "choice", made_from, {"layers": layers})
