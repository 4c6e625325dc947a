"""Verification of every package of a run folder."""

from __future__ import annotations

from pathlib import Path

from hwnorm.errors import InputError
from hwnorm.files import digest, read_artefact
from hwnorm.network.choice import read_choice
from hwnorm.run.folder import RunFolder
from hwnorm.verify.packages import verify_packages
from hwnorm.verify.verdict import Verdict


def verify(run: RunFolder, jobs: int, formal: bool = False) -> None:
    """Write ``verdict.json``, unless it is of just these packages; ``formal``: with proofs.

    Raises:
        InputError: a package is missing, or a tool is.
    """
    folders = [run.package(c.top) for c in read_choice(run.choice) if not c.folded]
    made_from = digest(*(path for folder in folders for path in _sources(folder)), run.settings.seed, formal)
    beside = [folder / "verdict.json" for folder in folders]
    if run.has(run.verdict, "verdict", made_from, *beside):
        return
    # Where every layer folds there is nothing to ask the tools for.
    verdicts = verify_packages(folders, seed=run.settings.seed, jobs=jobs, formal=formal) if folders else []
    run.write(run.verdict, "verdict", made_from, {"packages": [v.to_json() for v in verdicts]}, *beside)


def read_verdicts(run: RunFolder) -> list[Verdict]:
    """The verdicts in ``verdict.json``.

    Raises:
        InputError: it is missing or damaged.
    """
    packages = read_artefact(run.verdict, "verdict")["packages"]
    fields = Verdict.__dataclass_fields__
    return [Verdict(**{name: data[name] for name in fields}) for data in packages]


def _sources(folder: Path) -> list[Path]:
    """What a verdict depends on: everything in a package but the verdict itself."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "verdict.json")
    if not files:
        raise InputError(f"{folder}: no package; run `hwnorm emit {folder.parents[1]}` first")
    return files
