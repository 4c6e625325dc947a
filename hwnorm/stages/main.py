"""The main job: every stage in turn, on one run folder."""

from __future__ import annotations

from hwnorm.files import read_artefact
from hwnorm.network.choice import read_choice
from hwnorm.progress import out
from hwnorm.run.folder import RunFolder
from hwnorm.run.inputs import Inputs
from hwnorm.stages.capture import capture
from hwnorm.stages.choose import choose
from hwnorm.stages.emit import emit
from hwnorm.stages.realign import realign
from hwnorm.stages.report import report
from hwnorm.stages.search import search
from hwnorm.stages.tables import accuracy_table, kernel_table, print_wide
from hwnorm.stages.verify import verify
from hwnorm.targets.target import load_target
from hwnorm.verify.toolchain import find_toolchain


def run_all(run: RunFolder, jobs: int, cluster: str | None = None) -> bool:
    """Run every stage that is not up to date, print the tables, and say whether all kernels passed.

    Raises:
        InputError: what any of the stages raises; a missing tool, an unknown target or unusable test
            images before the first stage.
    """
    find_toolchain()
    load_target(run.settings.target, run.settings.cost_weights)
    inputs = Inputs(run.settings)
    _ = inputs.test_images
    capture(run, inputs)
    search(run, jobs, cluster)
    choose(run, inputs, jobs)
    realign(run, inputs)
    emit(run)
    verify(run, jobs)
    page = report(run)
    verdicts = read_artefact(run.verdict, "verdict")["packages"]
    print_wide(kernel_table(read_choice(run.choice), verdicts))
    out.print("LUT, FF and DSP are the cost model's, without the stream wrapper.", style="dim")
    out.print(accuracy_table(read_artefact(run.realign, "realign")))
    failed = [verdict["top"] for verdict in verdicts if not verdict["passed"]]
    for top in failed:
        out.print(f"FAILED: {top}; see {run.package(top) / 'verdict.json'}", style="bold red")
    out.print(f"Run folder: {run.path}  Report: {page}", soft_wrap=True)
    return not failed
