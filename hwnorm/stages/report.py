"""The report of a run folder."""

from __future__ import annotations

from pathlib import Path

from hwnorm.files import digest
from hwnorm.report.page import write_report
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.markers import Pages
from hwnorm.runs.products import REPORT


def report(run: RunFolder, jobs: int = 1) -> Path:
    """Write ``report/*.png`` and ``report.html``; return the page's path.

    Args:
        run: the run folder.
        jobs: processes that save pictures; the results do not depend on it.

    Raises:
        InputError: an artefact is damaged.
    """
    page = run.path / "report.html"
    # Whatever a page shows, or leaves out as stale, is in these files.
    files = [path for path in run.path.rglob("*") if path.is_file() and _shown(path.relative_to(run.path))]
    made_from = {"files": digest([[str(path.relative_to(run.path)), digest(path)] for path in sorted(files)])}
    if not (run.is_current(REPORT, made_from) and page.is_file()):
        run.write(REPORT, Pages(pictures=write_report(run.path, jobs)), made_from)
    return page


def _shown(path: Path) -> bool:
    """Whether a file of a run folder is one that the page tells of."""
    if path.parts[0] == "packages":
        return path.suffix == ".v" or path.name in ("manifest.json", "synthesis.json", ".made_from")
    return path.suffix in (".json", ".safetensors") and path.parts[0] != "report"
