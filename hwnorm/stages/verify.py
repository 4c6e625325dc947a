"""Verification of every package of a run folder."""

from __future__ import annotations

from hwnorm.files import digest
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.products import CHOICE, PACKAGES, VERDICTS
from hwnorm.verify.packages import verify_packages
from hwnorm.verify.toolchain import find_toolchain
from hwnorm.verify.verdict import Verdicts


def verify(run: RunFolder, jobs: int, formal: bool = False) -> None:
    """Write ``verdict.json``, unless it is of just these packages; ``formal``: with proofs.

    Raises:
        InputError: a package is missing, or a tool is.
    """
    run.read(PACKAGES)
    folders = [run.package(c.top) for c in run.read(CHOICE).layers if not c.folded]
    beside = tuple(folder / "verdict.json" for folder in folders)
    # Where every layer folds there is nothing to ask the tools for.
    tools = digest(find_toolchain().versions) if folders else digest()
    made_from = run.made_from(VERDICTS, None, tools=tools, formal=str(formal))
    if run.has(VERDICTS, made_from, beside=beside):
        return
    verdicts = verify_packages(folders, seed=run.settings.seed, jobs=jobs, formal=formal) if folders else []
    run.write(VERDICTS, Verdicts(packages=tuple(verdicts)), made_from, beside=beside)
